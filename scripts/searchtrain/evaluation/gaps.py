"""What strict exact match lacks, and why: every wrong answer has exactly one cause.

The first that holds: `form`, the answer means a golden one and is written otherwise; `stopping`,
there is no answer, or one that was forced or that no search came before; `retrieval`, no golden
answer stood in what was read; `reading`, it stood there and the answer is another. To compare with:
a replication of Search-R1 whose agent was not trained (Qwen2.5-7B-Instruct, HotpotQA) had an EM of
.03 where .44 of its answers held a golden one, so that most of what it lacked was form. Invariant:
the causes partition the wrong answers, so each one's share is what strict exact match would gain if
it alone were right, and the four add up to what it lacks.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.data.answers import match_strict
from searchtrain.data.equivalence import match_meaning
from searchtrain.evaluation.evidence import (
    find_read,
    find_retrieved,
    list_wanted,
    load_texts,
)

CAUSES = ("form", "stopping", "retrieval", "reading")
RIGHT = ""
"""The cause of an answer that is right."""


def find_cause(row: Mapping[str, Any], meaning: str, read: bool | None) -> str:
    """Why an answer is wrong, one of `CAUSES`; `RIGHT` when it is strictly right.

    `row`: `answer`, `golden_answers`, `searches` and `stop_reason`; `meaning`: the kind of
    `match_meaning`, empty when the answer means no golden one; `read`: as from
    `evidence.find_read`. A judgement (yes, no) after a search stands in no passage: it was read
    wrongly.
    """
    answer = row["answer"].strip()
    if match_strict(answer, row["golden_answers"]):
        return RIGHT
    if meaning:
        return "form"
    if not answer or row["stop_reason"] != "answered" or not row["searches"]:
        return "stopping"
    return "retrieval" if read is False else "reading"


def add_gaps(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `meaning` (how an answer means a golden one: a kind of `data.equivalence`, or empty),
    `read` (Boolean, null of a judgement), `cause` (of `CAUSES`, or empty) and the number of
    queries, `calls`.

    `frame`: columns of `schemas.Trajectories`.
    """
    columns = ("answer", "golden_answers", "searches", "stop_reason", "messages")
    added = []
    for row in frame.select(columns).iter_rows(named=True):
        match = match_meaning(row["answer"], row["golden_answers"])
        meaning, read = match.kind if match else "", find_read(row)
        added.append((meaning, read, find_cause(row, meaning, read)))
    schema = {"meaning": pl.String, "read": pl.Boolean, "cause": pl.String}
    calls = pl.col("queries").list.eval(pl.element().list.len()).list.sum().cast(pl.Int64)
    return frame.hstack(pl.DataFrame(added, schema=schema, orient="row")).with_columns(calls=calls)


def trace_gaps(frames: Mapping[str, pl.DataFrame], corpus: Path | None) -> dict[str, pl.DataFrame]:
    """`add_gaps` to each frame, and `retrieved` (Boolean): whether a golden answer stands in a
    passage that came back, whole as the corpus has it; null of a judgement, and without a corpus.

    One pass over the corpus for all of them, and none where every answer was read.
    """
    traced = {name: add_gaps(frame) for name, frame in frames.items()}
    texts = None
    if corpus is not None:
        wanted: set[str] = set().union(*map(list_wanted, traced.values()))
        texts = load_texts(corpus, wanted)
    columns = ("read", "retrieved_ids", "golden_answers")
    return {
        name: frame.with_columns(
            pl.Series(
                "retrieved",
                [find_retrieved(row, texts) for row in frame.select(columns).iter_rows(named=True)],
                pl.Boolean,
            )
        )
        for name, frame in traced.items()
    }


def measure_gaps(rows: pl.DataFrame) -> dict[str, Any]:
    """The gaps of some questions.

    `rows`: the columns of `add_gaps`, `retrieved`, `searches`, `answer` and `stop_reason`; at least
    one row. Returns `causes` (how many wrong answers each has), `gains` (the same as shares of all
    questions), `forms` (kinds of meaning among the causes `form`), `retrieved` and `read` (the
    share of questions with a golden answer in it, of those where that is known; None: of none),
    `mean_calls` (queries), and the shares `forced` and `without_search` of answers.
    """
    counts = Counter(rows["cause"])
    causes = {cause: counts[cause] for cause in CAUSES}
    forms = rows.filter(pl.col("cause") == "form")["meaning"]
    answered = pl.col("answer").str.strip_chars() != ""
    shares = rows.select(
        forced=(pl.col("stop_reason") == "forced_answer").mean(),
        without_search=(answered & (pl.col("searches") == 0)).mean(),
        mean_calls=pl.col("calls").mean(),
        retrieved=pl.col("retrieved").mean(),
        read=pl.col("read").mean(),
    ).row(0, named=True)
    return {
        "causes": causes,
        "gains": {cause: round(count / rows.height, 6) for cause, count in causes.items()},
        "forms": dict(sorted(Counter(forms).items())),
        **{name: None if share is None else round(share, 6) for name, share in shares.items()},
    }
