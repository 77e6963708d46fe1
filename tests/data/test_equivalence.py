"""When an answer means a golden one in another form, and above all when it does not."""

import json
import random
from pathlib import Path

import pytest

from searchtrain.data.answers import normalise_answer
from searchtrain.data.equivalence import holds_value, match_meaning

DATA = Path(__file__).parents[3] / "shared" / "data"
NQ_OPEN = DATA / "nq_open" / "train.json"

SAME = [
    ("paris", "Paris", "exact"),
    ("the Paris.", "Paris", "normalised"),
    ("Jean-Luc Picard", "Jean Luc Picard", "normalised"),
    ("Beyoncé", "Beyonce", "normalised"),
    ("1,234,567", "1 234 567", "number"),
    ("1.234.567 people", "1,234,567", "number"),
    ("1.2 million", "1,200,000", "number"),
    ("US$1.2 million", "1,200,000 dollars", "number"),
    ("45.1 N", "45.1° north", "number"),
    ("three", "3", "number"),
    ("twenty-first", "21st", "number"),
    ("two hundred and five", "205", "number"),
    ("45 per cent", "45 %", "number"),
    ("12 March 1987", "March 12, 1987", "date"),
    ("1987-03-12", "12th of March 1987", "date"),
    ("03/03/1987", "3 Mar 1987", "date"),
    ("13/03/1987", "13 March 1987", "date"),
    ("The answer is Paris.", "Paris", "contained"),
    ("Paris, the capital of France", "Paris", "contained"),
    ("President Abraham Lincoln", "Abraham Lincoln", "contained"),
    ("The population is 1,200,000 people.", "1.2 million", "contained"),
    ("She was born on 12 March 1987 in Rome.", "March 12, 1987", "contained"),
    ("12 March 1987", "1987", "contained"),
]
OTHER = [
    ("", "Paris"),
    ("not Paris", "Paris"),
    ("Paris or London", "Paris"),
    ("Paris and London", "Paris"),
    ("Paris/London", "Paris"),
    ("Paris is older than London", "London"),
    ("Paris Hilton", "Paris"),
    ("New Mexico", "Mexico"),
    ("new mexico", "mexico"),
    ("the University of Oxford", "Oxford"),
    ("Saint-Germain", "Germain"),
    ("Yes, both are", "yes"),
    ("No one knows", "no"),
    ("3 cats and a dog", "3"),
    ("312", "3.12"),
    ("1.234", "1234"),
    ("25 miles", "25 km"),
    ("45.1° N", "45.1° S"),
    ("1980s", "1980"),
    ("third", "3"),
    ("7 Days in Entebbe", "7 days"),
    ("03/04/1987", "3 April 1987"),
    ("1987", "12 March 1987"),
    ("12 March 1987", "12"),
    ("1990-1995", "1995"),
    ("from 1990 to 1995", "1995"),
]


@pytest.mark.parametrize(("answer", "gold", "kind"), SAME)
def test_an_answer_in_another_form_means_the_golden_one(answer, gold, kind):
    match = match_meaning(answer, ["something else", gold])

    assert match is not None
    assert match == (gold, kind)


@pytest.mark.parametrize(("answer", "gold"), OTHER)
def test_what_may_say_something_else_means_nothing(answer, gold):
    assert match_meaning(answer, [gold]) is None


def test_a_golden_answer_is_not_looked_for_in_a_long_one():
    answer = "As far as the passages say, the capital of this country is Paris."

    assert match_meaning(answer, ["Paris"], max_words=12) is None
    assert match_meaning(answer, ["Paris"], max_words=13) == ("Paris", "contained")


def test_a_text_holds_a_value_in_any_notation():
    text = "It was founded on March 12, 1987 and has 1,200,000 inhabitants (Beyoncé is one)."

    held = ["12 March 1987", "1.2 million", "Beyonce", "inhabitants", "one"]
    assert [gold for gold in held if not holds_value(text, gold)] == []
    strange = ["13 March 1987", "1.2 billion", "3", "founder", "...", "200,000"]
    assert [gold for gold in strange if holds_value(text, gold)] == []


@pytest.mark.skipif(not NQ_OPEN.exists(), reason="real questions are not part of the project")
def test_answers_of_other_questions_are_not_taken_for_right():
    """Of random pairs of real questions whose answers are not the same text, fewer than one in
    1,000 match, and mostly by a number or a year in a date, which is the same."""
    golds = [row["golden_answers"] for row in json.loads(NQ_OPEN.read_text())]
    draw = random.Random(1)
    strange, pairs = [], 20_000
    for _ in range(pairs):
        one, other = draw.sample(golds, 2)
        answer = draw.choice(one)
        match = match_meaning(answer, other)
        if match and normalise_answer(answer) != normalise_answer(match.gold):
            strange.append((answer, match.gold))

    assert len(strange) < pairs / 1_000
    named = [pair for pair in strange if not any(letter.isdigit() for letter in "".join(pair))]
    assert len(named) < pairs / 5_000
