"""What a tagger may say, and how its labels fold together."""

import pytest

from helpers.questions import make_frame
from searchtrain.core.errors import InputError, ModelError
from searchtrain.data import schemas
from searchtrain.questions.tag_form import TAG_SCHEMA
from searchtrain.questions.tagging import (
    add_tags,
    canonicalise,
    compile_aliases,
    parse_tag,
)


@pytest.mark.parametrize(
    ("label", "canonical"),
    [
        ("Films", "film"),
        (" Movies. ", "movie"),
        ("Cities", "city"),
        ("release dates", "release date"),
        ("TV  Series", "tv series"),
        ("politics", "politics"),
        ("Churches", "church"),
        ("boxes", "box"),
        ("focus", "focus"),
        ("business", "business"),
        ("analysis", "analysis"),
        ("\uff26\uff29\uff2c\uff2d", "film"),
    ],
)
def test_labels_fold_into_one_form(label, canonical):
    assert canonicalise(label) == canonical
    assert canonicalise(canonical) == canonical


def test_films_and_movies_fold_by_alias_in_any_spelling():
    aliases = compile_aliases({"Movies": "film", "cinema": "films"})
    labels = ("film", "Films", "movie", "MOVIES", "Cinema")
    assert {canonicalise(label, aliases) for label in labels} == {"film"}


@pytest.mark.parametrize("aliases", [{"movies": ""}, {" ": "film"}, {"a": "b", "b": "c"}, {"a": 1}])
def test_unusable_alias_is_an_error(aliases):
    with pytest.raises(InputError, match=r"tag\.aliases"):
        compile_aliases(aliases)


def test_tag_is_canonical_and_a_key_point_counts_once():
    tag = {"domain": "Movies", "key_points": ["Directors", "director", " Age "]}
    assert parse_tag(tag, compile_aliases({"movie": "film"})) == ("film", ["director", "age"])


@pytest.mark.parametrize(
    ("tag", "part"),
    [
        (["film"], "JSON object"),
        ({"key_points": ["a", "b"]}, "domain"),
        ({"domain": "  ", "key_points": ["a", "b"]}, "domain"),
        ({"domain": ["film"], "key_points": ["a", "b"]}, "domain"),
        ({"domain": "film"}, "key_points"),
        ({"domain": "film", "key_points": "director"}, "key_points"),
        ({"domain": "film", "key_points": ["director"]}, "2 to 4"),
        ({"domain": "film", "key_points": list("abcde")}, "2 to 4"),
        ({"domain": "film", "key_points": ["a", 3]}, "3"),
        ({"domain": "film", "key_points": ["a", "b " * 60]}, "label"),
    ],
)
def test_unusable_tag_says_what_to_mend(tag, part):
    with pytest.raises(ModelError, match=part) as caught:
        parse_tag(tag)
    assert caught.value.kind == "schema"


def test_schema_is_closed_as_strict_structured_output_wants():
    assert TAG_SCHEMA["additionalProperties"] is False
    assert set(TAG_SCHEMA["required"]) == set(TAG_SCHEMA["properties"])


def test_tags_stand_beside_their_seeds_and_none_drops_the_row():
    seeds = make_frame("one", "two", "three")
    tagged = add_tags(seeds, [("film", ["age"]), None, ("city", ["area", "age"])])
    assert tagged.select("id", "domain").rows() == [("0", "film"), ("2", "city")]
    schemas.validate_table(tagged, schemas.Tagged, "tagged")
    with pytest.raises(InputError, match="none of 3 questions got a tag"):
        add_tags(seeds, [None, None, None])
