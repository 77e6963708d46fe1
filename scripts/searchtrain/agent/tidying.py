"""Queries and answers without what real models put around them.

A repair has a short stable word, as a row's column `repairs` lists it. Invariant: what is cleaned
already stays as it is, and what is something gets nothing less than something.
"""

import json
import re
from collections.abc import Sequence

from searchtrain.agent.grammar import ENUMERATION, neutralise, strip_numbers

FENCE = re.compile(r"```[\w-]*")
BULLET = re.compile(r"^[-*•\u2013]\s+")
LABEL = re.compile(r"^(?:search\s+)?query(?:\s*\d+)?\s*:\s*(?=\S)", re.IGNORECASE)
QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "\u2018": "\u2019", "`": "`"}
MARKUP = re.compile(r"^(\*\*|__|\*|_)(?!\s)(?P<inner>[^*]+?)(?<!\s)\1$", re.DOTALL)
SENTENCE = re.compile(
    r"^(?:so,?\s+|therefore,?\s+|thus,?\s+)?(?:the\s+)?(?:final\s+|correct\s+|short\s+)*answer"
    r"(?:\s+to\s+the\s+question)?(?:\s+is\s*:?|\s*:)\s+(?=\S)",
    re.IGNORECASE,
)
"""`Answer: …`, `The final answer is …`."""
BOXED = re.compile(r"\\boxed\s*\{")
TEXT_MACRO = re.compile(r"^\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}$")
ABBREVIATIONS = frozenset(
    (
        *("jr", "sr", "esq", "inc", "ltd", "co", "corp", "bros", "plc", "llc", "dept", "univ"),
        *("mr", "mrs", "ms", "dr", "prof", "rev", "hon", "gov", "sen", "rep", "gen", "col"),
        *("capt", "lt", "sgt", "st", "mt", "ft", "ave", "blvd", "rd", "vol", "vs", "etc", "al"),
        *("jan", "feb", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "approx"),
    )
)
"""Words that end in a full stop of their own."""


def tidy_queries(body: str) -> tuple[list[str], list[str]]:
    """The queries of a search block, and the repairs that it took.

    A list in JSON is read; of lines, marks of a list, labels, quotes and emphasis are taken away.
    """
    fences = FENCE.sub("", body)
    repairs = ["fence"] * (fences != body)
    listed = _read_list(fences)
    if listed is not None:
        return listed, [*repairs, "json"]
    lines = [line.strip() for line in fences.splitlines() if line.strip()]
    plain = [BULLET.sub("", line) for line in lines]
    repairs += ["bullet"] * (plain != lines)
    counted = strip_numbers(plain)
    if len(plain) == 1 and plain[0].startswith(("1) ", "(1) ")):
        counted = [ENUMERATION.sub("", plain[0])]
    repairs += ["numbering"] * (counted != plain)
    named = [LABEL.sub("", line) for line in counted]
    repairs += ["label"] * (named != counted)
    queries = []
    for line in named:
        query, kinds = _unwrap(line.removesuffix(",") if line.endswith('",') else line)
        queries.append(query)
        repairs += [kind for kind in kinds if kind not in repairs]
    return queries, repairs


def tidy_answer(body: str) -> tuple[str, list[str]]:
    """The word or phrase in an answer block, and the repairs that it took."""
    answer, repairs = FENCE.sub("", body).strip(), []
    if answer != body.strip():
        repairs.append("fence")
    boxed = _find_boxed(answer)
    if boxed:
        answer = boxed
        repairs.append("boxed")
    before = None
    while answer != before:
        before = answer
        if SENTENCE.match(answer):
            answer = SENTENCE.sub("", answer)
            repairs.append("sentence")
        answer, kinds = _unwrap(answer)
        repairs += kinds
        if has_full_stop(answer):
            answer = answer[:-1].rstrip()
            repairs.append("full_stop")
    return (answer, list(dict.fromkeys(repairs))) if answer else (body.strip(), [])


def has_full_stop(text: str) -> bool:
    """Whether a text ends in a full stop that is none of an abbreviation's own.

    `Washington, D.C.`, `John F.`, `Apple Inc.` keep theirs.
    """
    if not text.endswith(".") or text.endswith("..") or len(text) < 2:
        return False
    words = text[:-1].split()
    last = words[-1].strip("(\"'“") if words else ""
    initial = len(last) == 1 and last.isalpha()
    return not (initial or "." in last.strip(".0123456789,") or last.lower() in ABBREVIATIONS)


def _unwrap(text: str) -> tuple[str, list[str]]:
    """A line without the quotes or emphasis around all of it."""
    kinds: list[str] = []
    before = None
    while text != before:
        before = text
        close = QUOTES.get(text[:1])
        inner = text[1:-1]
        if close and len(text) > 2 and text.endswith(close) and not {text[0], close} & set(inner):
            text = inner.strip() or text
            kinds += ["quotes"] * (text != before)
        elif (match := MARKUP.match(text)) and match[1] not in match["inner"]:
            text = match["inner"]
            kinds.append("markup")
    return text, kinds


def _read_list(body: str) -> list[str] | None:
    """Queries that are a list in JSON, or an object that has one."""
    if body.strip()[:1] not in ("[", "{"):
        return None
    try:
        value = json.loads(body)
    except json.JSONDecodeError:
        return None
    return read_values(value)


def read_values(value: object) -> list[str] | None:
    """The queries in a JSON value: a list, a text, or an object with `queries` or `query`."""
    if isinstance(value, dict):
        value = value.get("queries", value.get("query"))
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return None
    return join_words(value)


def join_words(queries: Sequence[str]) -> list[str]:
    """Each query on one line, without the grammar's tags; blank ones left out.

    Half a surrogate pair (\\ud83d) is JSON and no text: no table could hold it.
    """
    whole = (neutralise(query).encode(errors="ignore").decode() for query in queries)
    return [" ".join(query.split()) for query in whole if query.strip()]


def _find_boxed(text: str) -> str:
    """What stands in the last `\\boxed{…}` of a text."""
    found = list(BOXED.finditer(text))
    if not found:
        return ""
    start = found[-1].end()
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            inner = text[start:place].strip()
            match = TEXT_MACRO.match(inner)
            return match[1].strip() if match else inner
    return ""
