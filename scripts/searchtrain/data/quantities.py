"""Numbers as texts write them: digits or words, grouped or scaled, with or without a unit.

English notation: a comma groups, a point begins decimals; points or spaces group where they can do
nothing else (1.234.567). Invariant: what may be read in two ways is not read.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SCALES = {
    "hundred": 100, "thousand": 10**3, "million": 10**6, "mn": 10**6, "billion": 10**9,
    "bn": 10**9, "trillion": 10**12,
}  # fmt: skip
SMALL = {word: number for number, word in enumerate(ONES.split())} | {
    word: 10 * number for number, word in enumerate(TENS.split(), 2)
}
ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12,
} | {
    f"{word.removesuffix('y')}{'ieth' if word.endswith('y') else 'th'}": number
    for word, number in SMALL.items()
    if word not in ("one", "two", "three", "five", "eight", "nine", "twelve")
}  # fmt: skip
UNITS = {
    spelling: unit
    for unit, spellings in {
        "degree": "° º deg degree degrees",
        "celsius": "°c celsius c",
        "fahrenheit": "°f fahrenheit",
        "north": "n north °n", "south": "s south °s", "east": "e east °e", "west": "w west °w",
        "percent": "% percent",
        "dollar": "$ us$ usd dollar dollars", "pound": "£ gbp", "euro": "€ eur euro euros",
        "mass pound": "lb lbs pounds",
        "metre": "m metre metres meter meters", "centimetre": "cm centimetre centimetres"
        " centimeter centimeters", "millimetre": "mm millimetre millimetres millimeter millimeters",
        "kilometre": "km kilometre kilometres kilometer kilometers", "mile": "mi mile miles",
        "foot": "ft foot feet", "inch": "inch inches", "yard": "yd yard yards",
        "hectare": "ha hectare hectares", "acre": "acre acres", "square": "square sq",
        "kilogram": "kg kilogram kilograms", "gram": "g gram grams", "tonne": "tonne tonnes",
        "litre": "l litre litres liter liters",
        "second": "seconds", "minute": "min minute minutes", "hour": "h hr hour hours",
        "day": "day days", "week": "week weeks", "month": "month months",
        "year": "yr year years", "old": "old", "decade": "decades", "century": "century centuries",
        "person": "person people persons inhabitants residents",
        "time": "time times", "season": "season seasons", "episode": "episode episodes",
        "member": "member members", "game": "game games", "goal": "goal goals",
        "point": "point points", "state": "states", "player": "players", "song": "songs",
        "chapter": "chapters", "book": "books", "floor": "floors storeys stories",
    }.items()
    for spelling in spellings.split()
}  # fmt: skip
"""Spelling -> unit. "in" is left out, since it mostly is no inch, and "s" is south alone."""
SPACED = "sgmlhc"
"""Letters that are no unit right behind a number: 1980s, 10m (million)."""

_WORD = "|".join(sorted([*SMALL, *ORDINALS, "hundred"], key=len, reverse=True))
_SCALE = "|".join(SCALES)
_UNIT = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3}){2,}|\d{1,3}(?: \d{3})+|\d+(?:\.\d+)?"
QUANTITY = re.compile(
    rf"(?<![\w.,/-])(?P<before>us\$|[$£€])?\s?(?P<sign>[-+])?"
    rf"(?:(?P<digits>{_DIGITS})(?P<ordinal>st|nd|rd|th)?(?![\d/])"
    rf"(?P<scales>(?:[ -](?:{_SCALE})\b)*)"
    rf"|(?P<words>(?:{_WORD}|{_SCALE})(?:(?:[ -]|,? and )(?:{_WORD}|{_SCALE}))*)\b)"
    rf"(?P<after>(?:(?:[ -]?(?![{SPACED}]\b)|[ \u00b0](?=[{SPACED}]\b))(?:{_UNIT})(?!\w))*)"
    rf"(?![\w/]|[.,:-]\d)"
)
_UNITS = re.compile(rf"(?:{_UNIT})(?!\w)")
HEDGE = re.compile(r"^(?:about|around|approximately|approx\.?|roughly|circa|ca?\.|~|≈)\s*")
DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
SPACES = re.compile(r"[\s\u00a0\u2009\u202f]+")


class Quantity(NamedTuple):
    """A number, whether it says a place in an order, and its units (none: not said)."""

    value: Fraction
    ordinal: bool
    units: frozenset[str]

    def equals(self, other: "Quantity") -> bool:
        """Whether both are the same number; a unit that only one of them says is no difference."""
        if (self.value, self.ordinal) != (other.value, other.ordinal):
            return False
        return self.units <= other.units or other.units <= self.units


@lru_cache(maxsize=4096)
def read_quantity(text: str) -> Quantity | None:
    """The number that the whole text is ("about 1.2 million people"); None if it is not one."""
    text = HEDGE.sub("", tidy_text(text)).rstrip(".")
    found = QUANTITY.fullmatch(text)
    return _make_quantity(found) if found else None


def find_quantities(text: str) -> list[tuple[int, int, Quantity]]:
    """Each number in a text tidied by `tidy_text`, with the places where it begins and ends."""
    found = ((match, _make_quantity(match)) for match in QUANTITY.finditer(text))
    return [(*match.span(), quantity) for match, quantity in found if quantity]


def tidy_text(text: str) -> str:
    """Lower case, plain dashes and spaces, "per cent" as one word."""
    text = SPACES.sub(" ", text.translate(DASHES)).strip().lower()
    return text.replace("per cent", "percent")


def _make_quantity(match: re.Match[str]) -> Quantity | None:
    if match["digits"]:
        value = _read_digits(match["digits"])
        for scale in re.findall(r"\w+", match["scales"]):
            value *= SCALES[scale]
        ordinal = bool(match["ordinal"])
    else:
        spelt = _read_words(re.findall(r"[a-z]+", match["words"]))
        if spelt is None:
            return None
        value, ordinal = spelt
    names = _UNITS.findall(match["after"]) + [match["before"]] * bool(match["before"])
    units = frozenset(UNITS[name] for name in names)
    return Quantity(-value if match["sign"] == "-" else value, ordinal, units)


def _read_digits(text: str) -> Fraction:
    if text.count(".") > 1:
        text = text.replace(".", "")
    return Fraction(text.replace(",", "").replace(" ", ""))


def _read_words(words: list[str]) -> tuple[Fraction, bool] | None:
    """The value of number words and whether they are an ordinal; None where they are not one
    number ("nineteen eighty", "two three")."""
    total = part = 0
    last = None
    for place, word in enumerate(words):
        if word == "and":
            continue
        if last in ORDINALS and last not in SMALL:
            return None
        if word in SCALES:
            scale = SCALES[word]
            if scale == 100:
                if part >= 100 or (part == 0 and place):
                    return None
                part = max(part, 1) * 100
            else:
                if part == 0 and place:
                    return None
                total, part = total + max(part, 1) * scale, 0
        else:
            small = SMALL[word] if word in SMALL else ORDINALS[word]
            room = part % 100
            fits = room == 0 or (room in range(20, 100, 10) and 0 < small < 10)
            if not fits or (part and small == 0):
                return None
            part += small
        last = word
    return Fraction(total + part), words[-1] in ORDINALS
