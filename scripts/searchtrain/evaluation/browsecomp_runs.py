"""Predictions as BrowseComp-Plus writes runs: what an agent did on one query.

Invariant: every query of the benchmark has one run.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.agent import grammar
from searchtrain.core.errors import InputError, ProtocolError
from searchtrain.core.files import write_json
from searchtrain.evaluation.predictions import add_columns, select_split

TOOL = "search"


def select_runs(
    predictions: pl.DataFrame, benchmarks: pl.DataFrame, name: str, path: Any
) -> pl.DataFrame:
    """The predictions of one benchmark, one row a query, in the order of its questions.

    `predictions`: `schemas.Predictions`; `benchmarks`: as from `benchmarks.read_benchmarks`;
    `path`: of its file, for messages. Adds `query_id` (the id without `<name>/`) and
    `golden_answers`. Raises InputError when there is no such benchmark or the ids do not match.
    """
    prefix = f"{name}/"
    questions = benchmarks.filter(pl.col("id").str.starts_with(prefix))
    if questions.is_empty():
        names = ", ".join(benchmarks["type"].unique().drop_nulls().sort()) or "none"
        raise InputError(f"{path}: no id begins with {prefix!r}; its benchmarks are {names}")
    rows = predictions.filter(pl.col("question_id").str.starts_with(prefix))
    rows = select_split(rows, "benchmarks", questions, complete=True, path=path)
    return add_columns(rows, questions, "golden_answers").with_columns(
        query_id=pl.col("question_id").str.strip_prefix(prefix)
    )


def make_run(row: Mapping[str, Any]) -> dict[str, Any]:
    """One run in BrowseComp-Plus's format, of a row of `select_runs`.

    A tool call is one query, as there a call has one. A turn's observation stands with its first
    query, for it holds what all of them brought. A run is completed if it has an answer.
    """
    completed = is_completed(row)
    return {
        "metadata": {"model": row["lineage"]["model"]},
        "query_id": row["query_id"],
        "tool_call_counts": {TOOL: sum(map(len, row["queries"]))},
        "status": "completed" if completed else row["stop_reason"],
        "retrieved_docids": list_retrieved(row),
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


def is_completed(row: Mapping[str, Any]) -> bool:
    """Whether the run ended with an answer."""
    return bool(row["answer"].strip()) and row["stop_reason"] in ("answered", "forced_answer")


def list_retrieved(row: Mapping[str, Any]) -> list[str]:
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
