"""Predictions as BrowseComp-Plus writes runs, and its retrieval scores.

A run is what an agent did on one query; relevance comes from TREC qrels. Invariant: the runs and
the scores are of the same queries, each of which has relevant documents.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.agent import grammar
from searchtrain.core.errors import InputError, ProtocolError
from searchtrain.core.files import read_text, write_json
from searchtrain.core.text_table import format_table
from searchtrain.data.answers import match_normalised, match_strict
from searchtrain.evaluation.metrics import select_split

logger = logging.getLogger(__name__)

SPLIT = "benchmarks"
TOOL = "search"
COLUMNS = "query id, Q0, document id, relevance"
SCORES = ("em_strict", "em_normalised", "completed", "turns_searching", "queries", "recall")


def read_qrels(path: str | Path) -> dict[str, set[str]]:
    """Read TREC qrels, four columns a line; returns query id -> relevant documents.

    A relevance of 0 or less is a document judged irrelevant, so it is left out. Raises InputError
    naming file, line, value and remedy.
    """
    qrels: dict[str, set[str]] = {}
    for number, line in enumerate(read_text(path, "TREC qrels").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        place = f"{path}: line {number}"
        if len(fields) != 4:
            raise InputError(
                f"{place}: {line[:80]!r} has {len(fields)} columns; give four ({COLUMNS})"
            )
        query, _, document, relevance = fields
        try:
            relevant = int(relevance) > 0
        except ValueError:
            raise InputError(
                f"{place}: relevance {relevance!r} is no whole number; give four columns"
                f" ({COLUMNS})"
            ) from None
        known = qrels.setdefault(query, set())
        if relevant:
            known.add(document)
    return qrels


def select_runs(
    predictions: pl.DataFrame, benchmarks: pl.DataFrame, name: str, path: Any
) -> pl.DataFrame:
    """The predictions of one benchmark, one row a query, in the order of its questions.

    `predictions`: `schemas.Predictions`; `benchmarks`: as from `benchmarks.read_evaluation`;
    `path`: of its file, for messages. Adds `query_id` (the id without `<name>/`) and
    `golden_answers`. Raises InputError when there is no such benchmark or the ids do not match.
    """
    prefix = f"{name}/"
    asked = benchmarks.filter(pl.col("id").str.starts_with(prefix))
    if asked.is_empty():
        known = ", ".join(benchmarks["type"].unique().drop_nulls().sort()) or "none"
        raise InputError(f"{path}: no id begins with {prefix!r}; its benchmarks are {known}")
    rows = predictions.filter(pl.col("question_id").str.starts_with(prefix))
    rows = select_split(rows, SPLIT, asked, complete=True, path=path)
    golds = asked.select(pl.col("id").alias("question_id"), "golden_answers")
    return rows.join(golds, on="question_id", how="left", maintain_order="left").with_columns(
        pl.col("question_id").str.strip_prefix(prefix).alias("query_id")
    )


def make_run(row: Mapping[str, Any]) -> dict[str, Any]:
    """One run in BrowseComp-Plus's format, of a row of `select_runs`.

    A tool call is one query, as there a call has one. A turn's observation stands with its first
    query, for it holds what all of them brought. A run is completed if it has an answer.
    """
    completed = _is_completed(row)
    return {
        "metadata": {"model": row["lineage"]["model"]},
        "query_id": row["query_id"],
        "tool_call_counts": {TOOL: sum(map(len, row["queries"]))},
        "status": "completed" if completed else row["stop_reason"],
        "retrieved_docids": _list_retrieved(row),
        "result": _list_steps(row, completed),
    }


def write_runs(rows: pl.DataFrame, folder: Path) -> None:
    """Write `run_<query_id>.json` for every row of `select_runs`; other files in `folder` go.

    Raises InputError for a query id that is no file name.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for row in rows.iter_rows(named=True):
        query = row["query_id"]
        if not query or "/" in query or "\0" in query:
            raise InputError(f"query id {query!r} is no file name; give it one without a slash")
        write_json(make_run(row), partial / f"run_{query}.json")
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def score_runs(
    rows: pl.DataFrame,
    evidence: Mapping[str, set[str]],
    gold: Mapping[str, set[str]] | None,
    paths: Mapping[str, Any],
) -> dict[str, Any]:
    """Score runs as BrowseComp-Plus does, all means over the queries.

    `rows`: as from `select_runs`; `evidence`, `gold`: as from `read_qrels`, whose files `paths`
    names for messages. Recall is the mean of |retrieved and relevant| / |relevant|. Search calls
    are given as turns that search and as queries, since published figures count one or the other
    (BrowseComp-Plus: a call is one query; InfoSeeker does not say). Accuracy is exact match; a run
    that is not completed is wrong. Raises InputError for a query without relevant documents.
    """
    qrels = {"recall": evidence, **({"gold_recall": gold} if gold is not None else {})}
    for column, known in qrels.items():
        _check_queries(rows["query_id"].to_list(), known, paths[column])
    per_query = [_score_run(row, qrels) for row in rows.iter_rows(named=True)]
    means = {
        column: round(sum(row[column] for row in per_query) / len(per_query), 6)
        for column in (*SCORES, *(["gold_recall"] if gold is not None else []))
    }
    logger.info("runs:\n%s", format_table([{"queries asked": len(per_query), **means}]))
    return {
        "n": len(per_query),
        "accuracy": {name: means.pop(name) for name in ("em_strict", "em_normalised")},
        "completed": means.pop("completed"),
        "search_calls": {
            "turns": means.pop("turns_searching"),
            "queries": means.pop("queries"),
        },
        **means,
        "per_query": per_query,
    }


def _score_run(
    row: Mapping[str, Any], qrels: Mapping[str, Mapping[str, set[str]]]
) -> dict[str, Any]:
    retrieved = set(_list_retrieved(row))
    completed = _is_completed(row)
    answer, golds = row["answer"] if completed else "", row["golden_answers"]
    shares = {}
    for column, known in qrels.items():
        relevant = known[row["query_id"]]
        shares[column] = round(len(retrieved & relevant) / len(relevant), 6)
    return {
        "query_id": row["query_id"],
        "em_strict": match_strict(answer, golds),
        "em_normalised": match_normalised(answer, golds),
        "completed": completed,
        "turns_searching": len(row["queries"]),
        "queries": sum(map(len, row["queries"])),
        **shares,
    }


def _check_queries(queries: list[str], known: Mapping[str, set[str]], path: Any) -> None:
    missing = [query for query in queries if not known.get(query)]
    if missing:
        raise InputError(
            f"{path}: no relevant document for query {missing[0]!r} ({len(missing)} of"
            f" {len(queries)} queries); give the qrels of this benchmark"
        )
    unused = len(known.keys() - set(queries))
    if unused:
        logger.warning("%s: %d of its queries were not asked", path, unused)


def _is_completed(row: Mapping[str, Any]) -> bool:
    return bool(row["answer"].strip()) and row["stop_reason"] in ("answered", "forced_answer")


def _list_retrieved(row: Mapping[str, Any]) -> list[str]:
    """Every document that came back, once, in the order in which it first did."""
    return list(dict.fromkeys(hit for turn in row["retrieved_ids"] for hit in turn))


def _list_steps(row: Mapping[str, Any], completed: bool) -> list[dict[str, Any]]:
    """The items of `result`: reasoning and calls in their order, and last the answer."""
    steps = []
    turns = iter(row["queries"])
    searched = False
    for message in row["messages"]:
        if message["role"] == grammar.ASSISTANT:
            think = grammar.read_think(message["content"]).strip()
            if think:
                steps.append(_make_step("reasoning", [think]))
            searched = _asks_to_search(message["content"])
        elif message["role"] == grammar.OBSERVATION and searched:
            # Turns whose search was refused come after all that were run.
            output = message["content"]
            for query in next(turns, []):
                arguments = json.dumps({"query": query}, ensure_ascii=False)
                steps.append(_make_step("tool_call", output, TOOL, arguments))
                output = ""
    if completed:
        steps.append(_make_step("output_text", row["answer"].strip()))
    return steps


def _asks_to_search(turn: str) -> bool:
    try:
        return bool(grammar.parse_turn(turn).queries)
    except ProtocolError:
        return False


def _make_step(
    kind: str, output: str | list[str], tool: str | None = None, arguments: str | None = None
) -> dict[str, Any]:
    return {"type": kind, "tool_name": tool, "arguments": arguments, "output": output}
