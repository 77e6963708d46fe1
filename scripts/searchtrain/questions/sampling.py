"""Diversity-aware sampling of questions (SimpleDeepSearcher, Algorithm 1).

Every domain gets an equal quota; within a domain the questions with the most interrogative words
come first, and those chosen in one pass have pairwise disjoint key points. Unlike the published
code the order of domains is fixed, the quota of a domain that runs dry goes to the others, and a
total beyond the pool returns the pool. Invariant: equal input gives equal output.
"""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.core.text_table import format_table
from searchtrain.data.schemas import Sampled, validate_table

logger = logging.getLogger(__name__)

INTERROGATIVE = ["who", "whom", "whose", "where", "what", "when", "how", "why", "which", "whether"]
AUXILIARY = ["is", "are", "do", "does", "was", "were"]
UNIT_WORDS = {"all": INTERROGATIVE + AUXILIARY, "interrogative": INTERROGATIVE}
"""`all` is what SimpleDeepSearcher's code counts, `interrogative` what its paper says."""

OTHER = "other"
WHEN = ("before", "after")
TOP = 50
"""Key points that the report lists."""
COMMON = 64
"""A key point of more questions than this keeps its passes as the bits of one integer."""


def sample_questions(tagged: pl.DataFrame, settings: config.Sample) -> pl.DataFrame:
    """Choose questions; returns `schemas.Sampled` in the order in which they were chosen.

    `tagged`: `schemas.Tagged`. Largest domain first, `other` last; within a domain pass by pass.
    """
    pool = _describe_pool(tagged, settings)
    frames = pool.partition_by("bucket", maintain_order=True, as_dict=True)
    buckets = [frames[(name,)] for name in _count_buckets(pool)["bucket"]]
    total = pool.height if settings.total is None else settings.total
    if total > pool.height:
        logger.warning(
            "sample.total is %d but only %d questions are there: all are taken", total, pool.height
        )
    quotas = share_quota([bucket.height for bucket in buckets], total)
    parts = [_choose(bucket, quota) for bucket, quota in zip(buckets, quotas, strict=True)]
    sampled = validate_table(pl.concat(parts), Sampled, "sampled")
    repeated = tagged.height - pool.height
    logger.info(
        "%d of %d questions chosen%s:\n%s",
        sum(quotas),
        pool.height,
        f" ({repeated} more repeat a question)" if repeated else "",
        format_table(_describe_buckets(pool, sampled).to_dicts()),
    )
    return sampled


def describe_sampling(
    tagged: pl.DataFrame, sampled: pl.DataFrame, settings: config.Sample
) -> dict[str, Any]:
    """What sampling did, as JSON: counts before (every question once) and after, and evenness.

    `tagged`: `schemas.Tagged`; `sampled`: `sample_questions` of it.
    """
    pool = _describe_pool(tagged, settings)
    report: dict[str, Any] = {
        "settings": settings.model_dump(),
        "questions": {
            "tagged": tagged.height,
            "repeated": tagged.height - pool.height,
            "before": pool.height,
            "after": sampled.height,
        },
        "mean_units": {
            when: _round(table.select(pl.mean("units")).item())
            for when, table in zip(WHEN, (pool, sampled), strict=True)
        },
        "buckets": _describe_buckets(pool, sampled).drop("mean units").to_dicts(),
    }
    columns = {"domains": "domain", "key_points": "key_points", "sources": "source"}
    for name, column in columns.items():
        counts = compare_labels(pool, sampled, column)
        report[name] = {
            "distinct": {when: int((counts[when] > 0).sum()) for when in WHEN},
            "evenness": {when: _round(measure_evenness(counts, when)) for when in WHEN},
            "counts": counts.head(TOP if name == "key_points" else counts.height).to_dicts(),
        }
    return report


def compare_labels(before: pl.DataFrame, after: pl.DataFrame, column: str) -> pl.DataFrame:
    """Count labels in two tables: columns `label`, `before`, `after`, most frequent first.

    A column of lists counts every element.
    """
    labels = pl.col(column).alias("label")
    if before.schema[column] == pl.List(pl.String):
        labels = labels.explode(empty_as_null=False)
    counts = [
        table.select(labels).group_by("label").agg(pl.len().cast(pl.Int64).alias(name))
        for name, table in zip(WHEN, (before, after), strict=True)
    ]
    return (
        counts[0]
        .join(counts[1], on="label", how="full", coalesce=True)
        .with_columns(pl.col(WHEN).fill_null(0))
        .sort(*WHEN, "label", descending=[True, True, False])
    )


def measure_evenness(counts: pl.DataFrame, column: str) -> float | None:
    """Pielou's evenness of a column of `compare_labels`: entropy over the most it could be.

    1 when all labels that are there are equally frequent; None when fewer than two are.
    """
    total = counts[column].sum()
    shares = [count / total for count in counts[column] if count]
    if len(shares) < 2:
        return None
    return -math.fsum(share * math.log(share) for share in shares) / math.log(len(shares))


def share_quota(sizes: Sequence[int], total: int) -> list[int]:
    """Split `total` equally over buckets of these sizes; what one cannot fill goes to the rest.

    The first buckets take the remainder of a division. Adds up to min(total, sum(sizes)).
    """
    quotas = [0] * len(sizes)
    left = min(total, sum(sizes))
    while left:
        open_buckets = [i for i, size in enumerate(sizes) if quotas[i] < size]
        share, extra = divmod(left, len(open_buckets))
        for place, i in enumerate(open_buckets):
            given = min(share + (place < extra), sizes[i] - quotas[i])
            quotas[i] += given
            left -= given
    return quotas


def assign_passes(key_points: Sequence[Sequence[str]]) -> list[int]:
    """The pass (from 1) in which SimpleDeepSearcher's greedy loop would take each question.

    The loop goes over the bucket again and again and takes each time what shares no key point with
    what it has taken in that pass. So a question's pass is the first one that holds no earlier
    question with a key point of its own, which one walk over the bucket finds.
    """
    counts = Counter(point for points in key_points for point in set(points))
    masks = dict.fromkeys((point for point, count in counts.items() if count > COMMON), 0)
    rare: dict[str, list[int]] = {point: [] for point in counts if point not in masks}
    passes = []
    for points in key_points:
        unique = set(points)
        taken = 0
        for point in unique:
            if point in masks:
                taken |= masks[point]
            else:
                for bit in rare[point]:
                    taken |= 1 << bit
        bit = (~taken & (taken + 1)).bit_length() - 1  # the lowest bit that is not set
        for point in unique:
            if point in masks:
                masks[point] |= 1 << bit
            else:
                rare[point].append(bit)
        passes.append(bit + 1)
    return passes


def _describe_pool(tagged: pl.DataFrame, settings: config.Sample) -> pl.DataFrame:
    """Every question once, with `units` and `bucket`."""
    words = "|".join(UNIT_WORDS[settings.unit_words])
    question = pl.col("question").str.to_lowercase()
    large = pl.len().over("domain") >= settings.min_domain
    pool = tagged.unique("question", keep="first", maintain_order=True)
    return pool.with_columns(
        units=question.str.count_matches(rf"\b(?:{words})\b").cast(pl.Int64),
        bucket=pl.when(large).then("domain").otherwise(pl.lit(OTHER)),
    )


def _count_buckets(pool: pl.DataFrame) -> pl.DataFrame:
    """The buckets' `questions`: the largest first, equal ones by name, `other` last."""
    counts = pool.group_by("bucket").agg(questions=pl.len())
    other = pl.col("bucket") == OTHER
    return counts.sort(other, "questions", "bucket", descending=[False, True, False])


def _describe_buckets(pool: pl.DataFrame, sampled: pl.DataFrame) -> pl.DataFrame:
    """Each bucket's `questions`, and what was chosen of it: `quota`, `passes`, `mean units`."""
    units = pl.mean("units").alias("mean units")
    chosen = sampled.group_by("bucket").agg(units, quota=pl.len(), passes=pl.max("pass"))
    buckets = _count_buckets(pool).join(chosen, on="bucket", how="left", maintain_order="left")
    quota = pl.col("quota").fill_null(0)
    return buckets.select("bucket", "questions", quota, "passes", "mean units")


def _choose(bucket: pl.DataFrame, quota: int) -> pl.DataFrame:
    """The first `quota` questions of a bucket, pass by pass; ties keep the order of the input."""
    ordered = bucket.sort("units", descending=True, maintain_order=True)
    passes = assign_passes(ordered["key_points"].to_list())
    return (
        ordered.with_columns(pl.Series("pass", passes, dtype=pl.Int64))
        .sort("pass", maintain_order=True)
        .head(quota)
    )


def _round(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
