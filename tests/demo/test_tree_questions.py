"""Tree questions of the laptop world: what is written is read back, and brute force answers it."""

import itertools
from typing import Any

import pytest

from helpers.worlds import find_answers
from searchtrain.demo import city_questions, claims, descriptions, tree_questions, world
from searchtrain.demo.descriptions import Description

FACTS: dict[str, dict[str, str]] = {
    "Lyon": {"country": "France", "population": "5", "latitude": "45.7 N", "longitude": "4.8 E"},
    "Paris": {"country": "France", "population": "9", "latitude": "48.9 N", "longitude": "2.4 E"},
    "Turin": {"country": "Italy", "population": "6", "latitude": "45.7 N", "longitude": "7.7 E"},
    "France": {"capital": "Paris", "currency_code": "EUR", "borders": "Belgium, Italy, Spain"},
    "Italy": {"capital": "Rome", "currency_code": "EUR", "borders": "France"},
    "Spain": {"capital": "Madrid", "currency_code": "EUR", "borders": "France, Portugal"},
    "Belgium": {"capital": "Brussels", "continent": "Europe", "borders": "France"},
}


def node(name: str, entity: str | None, *children: Any, kind: str = "country") -> dict[str, Any]:
    """A node as JSON; each child comes with the claim on it."""
    return {
        **{"id": name, "entity": entity, "page": "", "kind": kind},
        "claims": [{"target_id": child["id"], "claim": claim} for claim, child in children],
        "children": [child for _, child in children],
    }


def fact(name: str) -> dict[str, Any]:
    return node(name, None, kind="attribute")


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("Which city is in France?", ["Lyon", "Paris"]),
        ("Which city at latitude 45.7 N is in France?", ["Lyon"]),
        ("Name the city at longitude 7.7 E in the country that borders France.", ["Turin"]),
        ("Which country borders France and borders Portugal?", ["Spain"]),
        ("Name the country that has the currency code EUR and borders France.", ["Italy", "Spain"]),
        ("Which country is on the continent Europe?", ["Belgium"]),
        ("Which country borders the country that has as its capital Rome?", ["France"]),
        (
            "What is the name of the country that has as its capital the city at latitude 48.9 N"
            " and longitude 2.4 E?",
            ["France"],
        ),
        (
            "Which city at latitude 45.7 N is in the country that borders Belgium and borders the"
            " country that borders Portugal?",
            ["Lyon"],
        ),
        ("Which city is in Atlantis?", []),
    ],
)
def test_brute_force_finds_every_place_that_fits(question: str, answers: list[str]) -> None:
    assert find_answers(question, FACTS) == answers


@pytest.mark.parametrize(
    "text",
    [
        "Which city is the capital of the country of Lyon?",
        "Which country has the larger city, Lyon or Turin?",
        "Which country is nice and borders France?",
        "Which city at noon is in France?",
        "who borders on madness?",
    ],
)
def test_other_questions_are_none_of_this_language(text: str) -> None:
    assert tree_questions.parse_tree_question(text) is None
    with pytest.raises(ValueError, match="no tree question"):
        find_answers(text, FACTS)


def test_no_question_of_the_world_is_taken_for_a_tree_question() -> None:
    for phrasing in itertools.chain.from_iterable(city_questions.PHRASINGS.values()):
        text = phrasing.format(a="Nova Iguacu", b="Mont-Dore")
        assert tree_questions.parse_tree_question(text) is None


def test_questions_are_read_back_whatever_the_names() -> None:
    """Every country of the world with each kind of description, also as part of another one."""
    facts = world.build_world(1, details=True).facts
    read = 0
    for title, place in facts.items():
        if "country" in place:
            attributes = tuple((name, place[name]) for name in ("latitude", "longitude"))
            relation = ("country", place["country"])
            made = [
                Description("city", attributes, (relation,)),
                Description("city", (), (relation,)),
            ]
        else:
            attributes = tuple(
                (name, place[name]) for name in ("currency_code", "continent") if name in place
            )
            named = tuple(
                ("borders", other) for other in descriptions.list_values(place, "borders")
            )
            inner = Description("country", attributes[-1:], named)
            capital = (("capital", place["capital"]),) if "capital" in place else ()
            city = Description("city", (("longitude", "0.1 W"),))
            made = [
                Description("country", attributes, (*named, *capital)),
                Description("country", attributes, (*named, ("capital", city))),
                Description("country", (), (("capital", title), ("borders", inner))),
                Description("city", (("latitude", "1.0 S"),), (("country", inner),)),
            ]
        for number, description in enumerate(each for each in made for _ in range(3)):
            text = tree_questions.write_tree_question(description, number)
            assert tree_questions.parse_tree_question(text) == description, text
            read += 1
    assert read > 3000


def test_claims_are_read_back() -> None:
    for name, claim in claims.CLAIMS.items():
        value = "B" if name in descriptions.RELATIONS else "4.8 E"
        text = claim.format(parent="A", value=value)
        assert claims.read_claim(text, "A", "B") == (name, value)
        assert claims.read_claim(text, "C", "B") is None
    assert claims.read_claim("A borders B.", "A", "C") is None
    assert claims.read_claim("E lies at longitude 4.8 E.", "E") == ("longitude", "4.8 E")
    assert claims.read_claim("A is nice.", "A") is None


def test_a_tree_becomes_a_description_without_the_hidden_names() -> None:
    tree = node(
        "A",
        None,
        (
            "A is a city in B.",
            node(
                "B",
                None,
                ("B borders D.", node("D", None, ("D borders F.", node("F", "Portugal")))),
                ("B has the currency code EUR.", fact("C")),
                ("B borders E.", node("E", "Belgium")),
            ),
        ),
        ("A lies at latitude 45.7 N.", fact("G")),
        kind="city",
    )
    text = tree_questions.write_tree_question(claims.read_tree(tree))
    assert text == (
        "Which city at latitude 45.7 N is in the country that has the currency code EUR and"
        " borders Belgium and borders the country that borders Portugal?"
    )
    assert find_answers(text, FACTS) == ["Lyon"]


@pytest.mark.parametrize(
    "tree",
    [
        node("A", None),
        node("A", None, ("A is a nice city in B.", node("B", "France"))),
        node("A", None, ("A lies at latitude 1.0 N.", fact("B")), ("A borders C.", node("C", "X"))),
        node(
            "A",
            None,
            ("A borders B.", node("B", None, ("B borders C.", node("C", "X")))),
            ("A borders D.", node("D", None, ("D borders E.", node("E", "Y")))),
        ),
    ],
)
def test_a_tree_that_has_no_question_is_refused(tree: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"claim of this world|describes it"):
        claims.read_tree(tree)


def test_levels_come_deepest_first() -> None:
    parsed = tree_questions.parse_tree_question(
        "Which city is in the country that borders the country that has as its capital Rome?"
    )
    assert parsed is not None
    inner, middle, outer = parsed.list_levels()
    assert inner.relations == (("capital", "Rome"),)
    assert middle.find_described() == inner
    assert outer == parsed
