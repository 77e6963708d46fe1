"""The seeds made of question files.

Invariant: no seed has the text of another seed, or of a dev or test question, or (n-gram overlap) a
passage in common with one.
"""

import logging
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.core.errors import InputError
from searchtrain.core.files import digest
from searchtrain.core.text_table import format_table
from searchtrain.data.question_file import QUESTION
from searchtrain.data.schemas import Questions, Seeds, empty_table, validate_table

logger = logging.getLogger(__name__)

SEPARATORS = r"[\p{P}\p{Sk}\p{Z}\p{C}\s]+"
"""What separates words; symbols such as + and $ do not, so "C++" is not "C"."""


def make_seeds(
    train: pl.DataFrame, held_out: Mapping[str, pl.DataFrame], settings: config.Seeds
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Free the training questions of duplicates and of whatever stands in a held-out set.

    `train`: as from `load_questions`; `held_out`: name of a split -> its questions. Returns
    `schemas.Seeds` in the order of `train`, and a report `{rows_in, rows_out, reasons, dropped}`
    where `dropped` gives each row's first reason and the id of the question that it repeats.
    Raises InputError when nothing is left.
    """
    texts = train.select(_fold_text("question"))["question"].to_list()
    first: dict[str, str] = {}
    reasons = {
        row: ("duplicate", first[text])
        for row, (text, key) in enumerate(zip(texts, train["id"], strict=True))
        if first.setdefault(text, key) != key
    }
    ngrams = [_list_ngrams(text, settings.ngram) for text in texts]
    carriers = Counter(gram for grams in ngrams for gram in set(grams))
    fewest = settings.phrase_count or math.inf
    phrases = {gram for gram, number in carriers.items() if number >= fewest}
    for split, frame in held_out.items():
        other = frame.select("id", _fold_text("question")).rows()
        equal = {text: key for key, text in reversed(other)}
        shared = {
            ngram: key
            for key, text in reversed(other)
            for ngram in _list_ngrams(text, settings.ngram)
        }
        for row, (text, grams) in enumerate(zip(texts, ngrams, strict=True)):
            if text in equal:
                reasons.setdefault(row, (f"equal_in_{split}", equal[text]))
            hit = next((gram for gram in grams if gram in shared and gram not in phrases), None)
            if hit is not None:
                reasons.setdefault(row, (f"ngram_in_{split}", shared[hit]))
    seeds = train.filter(~pl.int_range(pl.len()).is_in(list(reasons)))
    report = _make_report(train, seeds, reasons, held_out, settings)
    dropped = {f"- {name}": count for name, count in report["reasons"].items()}
    rows = {"in": train.height, **dropped, "out": seeds.height}.items()
    table = format_table([{"questions": k, "rows": n} for k, n in rows])
    logger.info("%d of %d questions are usable:\n%s", seeds.height, train.height, table)
    if seeds.is_empty():
        counts = ", ".join(f"{name} {count}" for name, count in report["reasons"].items() if count)
        raise InputError(
            f"no question is left of {train.height} ({counts});"
            " give other questions or change seeds.ngram or seeds.phrase_count"
        )
    return validate_table(seeds, Seeds, "seeds"), report


def join_sources(
    sampled: pl.DataFrame,
    trees: pl.DataFrame | None,
    held_out: Mapping[str, pl.DataFrame],
    settings: config.Seeds,
    most: int | None = None,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The questions to roll out: sampled seeds, then tree questions freed of held-out ones.

    `sampled`: `schemas.Sampled`; `trees`: `schemas.TreeQuestions`, of which those kept for training
    are taken, or None; `most`: so many of these at most, None for all; `held_out` and `settings`
    as for `make_seeds`. Returns `schemas.Questions`
    and a report `{seed: {rows}, tree: {rows, reasons}}`. Raises InputError when an id stands in
    both sources.
    """
    columns = empty_table(Questions).columns
    seeds = sampled.select(list(QUESTION)).with_columns(
        origin=pl.lit("seed"),
        vertices=pl.lit(0, pl.Int64),
        levels=pl.lit([], pl.List(pl.List(pl.String))),
    )
    report: dict[str, Any] = {"seed": {"rows": seeds.height}}
    if trees is None or most == 0:
        return validate_table(seeds.select(columns), Questions, "questions"), report
    rows = trees.filter(pl.col("kept") & (pl.col("split") == "train")).select(
        "id",
        "question",
        "vertices",
        "levels",
        golden_answers=pl.concat_list("answer", "aliases").list.unique(maintain_order=True),
        source=pl.lit("trees"),
        exclude_urls=pl.lit([], pl.List(pl.String)),
        origin=pl.lit("tree"),
    )
    clean, decontamination = make_seeds(rows.select(list(QUESTION)), held_out, settings)
    rows = draw_questions(rows.filter(pl.col("id").is_in(clean["id"].implode())), most, 0)
    report["tree"] = {"rows": rows.height, "reasons": decontamination["reasons"]}
    joined = pl.concat([seeds.select(columns), rows.select(columns)])
    return validate_table(joined, Questions, "questions"), report


def draw_questions(questions: pl.DataFrame, count: int | None, seed: int) -> pl.DataFrame:
    """At most `count` rows, in their order; a question is drawn or not by seed and id alone.

    A larger `count` draws the same and more; None draws all.
    """
    if count is None:
        return questions
    ranks = sorted((digest([seed, key]), key) for key in questions["id"])
    return questions.filter(pl.col("id").is_in([key for _, key in ranks[:count]]))


def _fold_text(column: str) -> pl.Expr:
    """Lower case, compatibility characters unified, punctuation and white space as one space."""
    return (
        pl.col(column)
        .str.normalize("NFKC")
        .str.to_lowercase()
        .str.replace_all(SEPARATORS, " ")
        .str.strip_chars()
    )


def _list_ngrams(text: str, words: int | None) -> list[str]:
    if not words:
        return []
    tokens = text.split(" ")
    return [" ".join(tokens[i : i + words]) for i in range(len(tokens) - words + 1)]


def _make_report(
    train: pl.DataFrame,
    seeds: pl.DataFrame,
    reasons: Mapping[int, tuple[str, str]],
    held_out: Mapping[str, pl.DataFrame],
    settings: config.Seeds,
) -> dict[str, Any]:
    names = [f"{kind}_in_{split}" for split in held_out for kind in ("equal", "ngram")]
    counts = Counter(reason for reason, _ in reasons.values())
    ids = train["id"]
    return {
        "rows_in": train.height,
        "rows_out": seeds.height,
        "reasons": {name: counts[name] for name in ("duplicate", *names)},
        "ngram": settings.ngram,
        "phrase_count": settings.phrase_count,
        "dropped": [
            {"id": ids[row], "reason": reason, "match": match}
            for row, (reason, match) in sorted(reasons.items())
        ],
    }
