"""What stands around an answer, and what belongs to it."""

import pytest

from searchtrain.data.answers import clean_answer


@pytest.mark.parametrize(
    ("answer", "cleaned"),
    [
        (" Oslo ", "Oslo"),
        ("Oslo.", "Oslo"),
        ("No.", "No"),
        ('"Oslo".', "Oslo"),
        ("\u201cOslo.\u201d", "Oslo"),
        ("**Oslo**", "Oslo"),
        ("<b>Oslo</b>", "Oslo"),
        ("\\boxed{42}", "42"),
        ("The final answer is: `Oslo`.", "Oslo"),
        ("Washington, D.C.", "Washington, D.C."),
        ("Martin Luther King Jr.", "Martin Luther King Jr."),
        ("U.S.", "U.S."),
        ("$75,000", "$75,000"),
        ('"Yes" and "No"', '"Yes" and "No"'),
        ("...", "..."),
        ('"', '"'),
        ("", ""),
    ],
)
def test_what_stands_around_an_answer_is_taken_away(answer, cleaned):
    assert clean_answer(answer) == cleaned
    assert clean_answer(cleaned) == cleaned
