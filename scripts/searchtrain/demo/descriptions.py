"""Descriptions of places by facts and by other places, and the places that fit them.

Invariant: what fits a description is found by trying every place on the facts at hand.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from searchtrain.demo.passages import SEPARATOR, Facts

RELATIONS = {"country": "country", "capital": "city", "borders": "country"}
"""Facts that lead to another passage, and what that is."""
ATTRIBUTES = {"city": ("latitude", "longitude"), "country": ("currency_code", "continent")}
"""Facts that lead nowhere, in the order in which a question names them."""


@dataclass(frozen=True, slots=True)
class Description:
    """A place as a question describes it."""

    kind: str
    """`city` or `country`."""
    attributes: tuple[tuple[str, str], ...] = ()
    """(fact, value) pairs."""
    relations: tuple[tuple[str, "str | Description"], ...] = ()
    """(fact, place) pairs: a title, or another description."""

    def find_described(self) -> "Description | None":
        """The description inside this one, if there is one."""
        return next((place for _, place in self.relations if not isinstance(place, str)), None)

    def list_levels(self) -> "list[Description]":
        """This description and those inside it, the innermost first."""
        inner = self.find_described()
        return [*(inner.list_levels() if inner else ()), self]


def list_matches(description: Description, facts: Facts) -> list[str]:
    """The titles of all places that fit a description, in the order of the facts."""
    wanted = _list_wanted(description, facts)
    return [
        title
        for title, place in facts.items()
        if _is_kind(place, description.kind) and all(_meets(place, each) for each in wanted)
    ]


def list_values(place: Mapping[str, str], fact: str) -> list[str]:
    """The values of one fact of a place: several for its neighbours, none when it has none."""
    value = place.get(fact)
    if not value:
        return []
    return value.split(SEPARATOR) if fact == "borders" else [value]


def list_met(description: Description, title: str, facts: Facts) -> list[bool]:
    """Which constraints a place meets, one by one."""
    return [_meets(facts[title], each) for each in _list_wanted(description, facts)]


def _list_wanted(description: Description, facts: Facts) -> list[tuple[str, Collection[str]]]:
    """The constraints, as a fact and the values that will do."""
    return [
        (fact, [value] if isinstance(value, str) else list_matches(value, facts))
        for fact, value in (*description.attributes, *description.relations)
    ]


def _meets(place: Mapping[str, str], wanted: tuple[str, Collection[str]]) -> bool:
    fact, values = wanted
    return any(value in values for value in list_values(place, fact))


def _is_kind(place: Mapping[str, str], kind: str) -> bool:
    is_city = any(fact in place for fact in ("country", "population", "latitude", "longitude"))
    return is_city if kind == "city" else bool(place) and not is_city
