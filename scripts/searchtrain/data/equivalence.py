"""When an answer means a golden one though it is written in another way, and when a text holds it.

Standard library only, no model. Invariant: in doubt an answer means nothing; an answer that says
two things ("Paris or London"), denies one ("not Paris") or names a longer thing ("Paris Hilton")
does not mean what stands in it.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from searchtrain.data.answers import (
    match_normalised,
    match_strict,
    match_substring,
    normalise_answer,
)
from searchtrain.data.dates import Date, find_dates, read_date
from searchtrain.data.quantities import DASHES, Quantity, find_quantities, read_quantity, tidy_text


def _list_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KINDS = ("exact", "normalised", "number", "date", "contained")
"""How an answer can mean a golden one, in the order in which it is tried."""
MAX_WORDS = 12
"""Words of an answer in which a golden one may stand."""
CLOSED = frozenset(("yes", "no", "true", "false"))
"""Golden answers that stand in too many sentences to be meant by one."""
WORD = re.compile(r"[^\W_]+(?:[.,'\u2019][^\W_]+)*")
ARTICLES = frozenset(("a", "an", "the"))
DENIALS = _list_words(
    "not no never neither nor none cannot isnt wasnt arent werent doesnt didnt dont cant couldnt"
    " except without unlike than versus vs instead rather unknown unclear uncertain insufficient"
    " or either whether"
)
"""Words that make of an answer a denial, a comparison or a choice."""
TITLES = _list_words(
    "mr mrs ms dr sir lord lady president king queen prince princess pope emperor general captain"
    " professor actor actress singer director author writer player mount mt lake river city town"
    " county country state"
)
"""Words before a name that leave it the name of the same thing."""
OPENERS = _list_words(
    "it he she they this that these those there in on at by from is was are were as answer final"
    " born named called to for with of its his her their who which yes and"
)
"""Words that are no part of a name, however they are written."""


class Match(NamedTuple):
    """The golden answer that an answer means, and how (`KINDS`)."""

    gold: str
    kind: str


class Values(NamedTuple):
    """The dates and numbers of a text; a number inside a date is none of its own."""

    dates: list[Date]
    quantities: list[Quantity]


def match_meaning(answer: str, golds: Iterable[str], max_words: int = MAX_WORDS) -> Match | None:
    """The golden answer that an answer means, by the strictest kind that any of them matches.

    `exact` and `normalised`: as in `data.answers`, the latter also but for accents and hyphens;
    `number`, `date`: the same value in another notation; `contained`: a golden answer stands in an
    answer of at most `max_words` words and is what it says. None when it means none of them.
    """
    golds = list(golds)
    quantity = read_quantity(answer)
    for gold in golds:
        if match_strict(answer, [gold]):
            return Match(gold, "exact")
    for gold in golds:
        # "3.12" and "312" are equal without punctuation.
        if not _differ(quantity, read_quantity(gold)) and (
            match_normalised(answer, [gold]) or _match_folded(answer, gold)
        ):
            return Match(gold, "normalised")
    if quantity and (same := _find_number(quantity, golds)):
        return Match(same, "number")
    if day := read_date(tidy_text(answer)):
        for gold in golds:
            if read_date(tidy_text(gold)) == day:
                return Match(gold, "date")
    if len(answer.split()) <= max_words:
        for gold in golds:
            if _contains(answer, gold):
                return Match(gold, "contained")
    return None


def holds_value(text: str, gold: str) -> bool:
    """Whether a golden answer stands in a text, word for word when both are normalised, or as a
    number or date in another notation.

    What is in doubt of an answer is not of a text: it holds "Paris" also where it denies it.
    """
    if match_substring(text, [gold]):
        return True
    day = read_date(tidy_text(gold))
    if day:
        return day in find_values(text).dates
    quantity = read_quantity(gold)
    if quantity:
        return any(quantity.equals(found) for found in find_values(text).quantities)
    words = " ".join(_split_folded(gold))
    return bool(words) and f" {words} " in _fold_text(text)


@lru_cache(maxsize=64)
def find_values(text: str) -> Values:
    """The dates and numbers that a text writes, in its order."""
    tidied = tidy_text(text)
    dates = find_dates(tidied)
    quantities = [
        quantity
        for start, end, quantity in find_quantities(tidied)
        if not any(start < last and first < end for first, last, _ in dates)
    ]
    return Values([day for _, _, day in dates], quantities)


def _differ(one: Quantity | None, other: Quantity | None) -> bool:
    return bool(one and other and not one.equals(other))


def _find_number(quantity: Quantity, golds: Iterable[str]) -> str | None:
    for gold in golds:
        other = read_quantity(gold)
        if other and quantity.equals(other):
            return gold
    return None


def _match_folded(answer: str, gold: str) -> bool:
    words = _split_folded(answer)
    return bool(words) and words == _split_folded(gold)


def _split_folded(text: str) -> list[str]:
    """Words without case, accents, punctuation and articles; a hyphen parts two."""
    return [word for word in map(_fold, WORD.findall(text)) if word not in ARTICLES]


@lru_cache(maxsize=64)
def _fold_text(text: str) -> str:
    return f" {' '.join(_split_folded(text))} "


def _fold(word: str) -> str:
    letters = unicodedata.normalize("NFKD", word).casefold()
    return "".join(letter for letter in letters if letter.isalnum())


def _contains(answer: str, gold: str) -> bool:
    """Whether a golden answer is what an answer says beside other words."""
    normalised = normalise_answer(gold)
    quantity = read_quantity(gold)
    if len(normalised) < 2 or normalised in CLOSED:
        return False
    if quantity:
        return quantity.value >= 10 and _contains_number(answer, quantity)
    day = read_date(tidy_text(gold))
    if day:
        return find_values(answer).dates == [day] and not _denies(WORD.findall(answer))
    words = _split_folded(gold)
    found = list(WORD.finditer(answer.translate(DASHES)))
    found = [match for match in found if _fold(match[0]) not in ARTICLES]
    folded = [_fold(match[0]) for match in found]
    for start in range(len(folded) - len(words) + 1):
        end = start + len(words)
        if folded[start:end] == words:
            rest = [match[0] for match in found[:start] + found[end:]]
            return not _denies(rest) and not _is_part(answer, found, start, end)
    return False


def _contains_number(answer: str, gold: Quantity) -> bool:
    """Whether an answer names this number and no other; a year also by a date in it."""
    values = find_values(answer)
    years = {day.year for day in values.dates}
    others = [found for found in values.quantities if not gold.equals(found)]
    held = len(values.quantities) > len(others) or (years == {gold.value} and not gold.units)
    return held and not others and years <= {gold.value} and not _denies(WORD.findall(answer))


def _denies(words: Iterable[str]) -> bool:
    return any(_fold(word) in DENIALS for word in words)


def _is_part(answer: str, found: list[re.Match[str]], start: int, end: int) -> bool:
    """Whether the words from `start` to `end` belong to a longer name or a list of things."""
    answer = answer.translate(DASHES)
    plain = not any(letter.isupper() for letter in answer)
    if start:
        before, gap = found[start - 1][0], _gap(answer, found, start)
        if "/" in gap or _joins(before, gap, TITLES, plain):
            return True
        # "Bank of England" is not England.
        if _fold(before) == "of" and start > 1 and found[start - 2][0][0].isupper():
            return _fold(found[start - 2][0]) not in OPENERS | TITLES
    if end < len(found):
        after, gap = found[end][0], _gap(answer, found, end)
        return "/" in gap or _joins(after, gap, frozenset(), plain)
    return False


def _gap(answer: str, found: list[re.Match[str]], place: int) -> str:
    """What stands between a word and the one before it, but for articles."""
    return answer[found[place - 1].end() : found[place].start()]


def _joins(neighbour: str, gap: str, allowed: frozenset[str], plain: bool) -> bool:
    """Whether a word beside a golden answer makes it a part: of a name, a compound or a list.

    `plain`: the text has no capitals to tell a name by, so that only `OPENERS` are no part of one.
    """
    word = _fold(neighbour)
    if word == "and" or "&" in gap:
        return True
    if gap == "-":
        return True
    if gap.strip() and not re.fullmatch(r"\s*(?:[Aa]n?|[Tt]he)\s*|\.?\s*", gap):
        return False
    return word not in OPENERS | allowed and (plain or neighbour[0].isupper())
