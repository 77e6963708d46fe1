"""What a tagger says of a question: one domain and two to four key points.

SimpleDeepSearcher leaves labels as they come, so "films" and "movies" fill two buckets; here every
label is canonical: lower case, singular, aliases folded. Invariant: `canonicalise` of a canonical
label is that label.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.core.errors import BoundaryError, InputError, ReplyError
from searchtrain.core.text_table import format_table
from searchtrain.data.schemas import Tagged, validate_table
from searchtrain.models.asker import Asker
from searchtrain.models.batch import ask_each
from searchtrain.models.model import Model
from searchtrain.questions.tag_form import (
    MAX_KEY_POINTS,
    MAX_LABEL_CHARS,
    MIN_KEY_POINTS,
    TAG_SCHEMA,
)

INVARIANT = frozenset(
    [
        "atlas", "bias", "canvas", "chaos", "christmas", "cosmos", "gas", "lens", "mars", "means",
        "news", "series", "species", "texas",
    ]
)  # fmt: skip
"""Words on -s that are no plurals, or are their own."""
EDGES = re.compile(r"^[\W_]+|[\W_]+$")


def parse_tag(value: Any, aliases: Mapping[str, str] | None = None) -> tuple[str, list[str]]:
    """Check a tagger's JSON object and return its canonical domain and key points.

    `aliases`: as from `compile_aliases`. Key points that fold into one count once, in the order
    given. Raises ReplyError with kind `schema`.
    """
    if not isinstance(value, Mapping):
        raise ReplyError(f"The tag is {value!r:.60}; it must be a JSON object.", "schema")
    domain = _parse_label(value.get("domain"), "domain", aliases or {})
    points = value.get("key_points")
    if not isinstance(points, list) or not MIN_KEY_POINTS <= len(points) <= MAX_KEY_POINTS:
        raise ReplyError(
            f"The tag's key_points is {points!r:.80}; it must be a list of"
            f" {MIN_KEY_POINTS} to {MAX_KEY_POINTS} short texts.",
            "schema",
        )
    labels = [_parse_label(point, "key_points", aliases or {}) for point in points]
    return domain, list(dict.fromkeys(labels))


def compile_aliases(aliases: Mapping[str, str]) -> dict[str, str]:
    """Make the config's alias table canonical: label -> label that stands for it.

    "movies: film" also folds "movie" and "Movie". Raises InputError for a blank label and for an
    alias of an alias.
    """
    table: dict[str, str] = {}
    for label, target in aliases.items():
        if not isinstance(target, str) or not canonicalise(label) or not canonicalise(target):
            raise InputError(f"tag.aliases: {label!r}: {target!r} is not usable; give two labels")
        table[canonicalise(label)] = canonicalise(target)
    for label, target in table.items():
        if table.get(target, target) != target:
            raise InputError(
                f"tag.aliases: {label!r} stands for {target!r}, which stands for"
                f" {table[target]!r}; name the last one in both"
            )
    return table


def canonicalise(label: str, aliases: Mapping[str, str] | None = None) -> str:
    """Lower case, single spaces, no punctuation at the ends, last word singular, alias folded."""
    text = EDGES.sub("", " ".join(unicodedata.normalize("NFKC", label).lower().split()))
    head, _, last = text.rpartition(" ")
    text = f"{head} {_singularise(last)}".strip()
    return (aliases or {}).get(text, text)


def add_tags(seeds: pl.DataFrame, tags: Sequence[tuple[str, list[str]] | None]) -> pl.DataFrame:
    """Put one tag beside each seed (`schemas.Tagged`, in the seeds' order); None drops the row.

    Raises InputError when no seed has a tag.
    """
    tagged = seeds.with_columns(
        pl.Series("domain", [tag and tag[0] for tag in tags], dtype=pl.String),
        pl.Series("key_points", [tag and tag[1] for tag in tags], dtype=pl.List(pl.String)),
    ).filter(pl.col("domain").is_not_null())
    if tagged.is_empty():
        raise InputError(
            f"none of {seeds.height} questions got a tag; see the failures above"
            " and check the teacher and config/prompts/tag.jinja"
        )
    return validate_table(tagged, Tagged, "tagged")


async def tag_questions(
    seeds: pl.DataFrame, system: str, client: Model, settings: config.Tag
) -> pl.DataFrame:
    """Request every seed's tag; returns `schemas.Tagged`, without the questions that failed.

    Raises SearchTrainError when more questions fail than it allows.
    """
    aliases = compile_aliases(settings.aliases)
    answers = await ask_each(
        seeds["question"].to_list(),
        Asker(client, system, TAG_SCHEMA, repairs=1),
        lambda value: parse_tag(value, aliases),
        settings,
        "tag",
    )
    tags = [None if isinstance(answer, BoundaryError) else answer for answer in answers]
    return add_tags(seeds, tags)


def describe_domains(tagged: pl.DataFrame, most: int = 15) -> str:
    """A table for the log: the largest domains with their number of questions and key points."""
    counts = (
        tagged.group_by("domain")
        .agg(
            pl.len().alias("questions"),
            pl.col("key_points").list.explode(empty_as_null=False).n_unique(),
        )
        .sort("questions", "domain", descending=[True, False])
    )
    rest = counts.height - most
    return format_table(counts.head(most).to_dicts()) + (f"\n… {rest} more" if rest > 0 else "")


def _parse_label(value: Any, field: str, aliases: Mapping[str, str]) -> str:
    label = canonicalise(value, aliases) if isinstance(value, str) else ""
    if not label or len(label) > MAX_LABEL_CHARS:
        raise ReplyError(
            f"The tag's {field} holds {value!r:.80}; it must be a label of one or two words.",
            "schema",
        )
    return label


def _singularise(word: str) -> str:
    """Fold the regular plurals of English; what is no plural folds in the same way always."""
    if word == "movies":
        return "movie"
    if len(word) < 4 or word in INVARIANT or word.endswith(("ss", "us", "is", "ics")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word.removesuffix("s")
