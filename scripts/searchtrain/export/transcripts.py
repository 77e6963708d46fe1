"""The rollouts of a run as files of Inspect AI's viewer, and a table to search them.

Invariant: a part has files of its own, of at most `MOST` rollouts: a browser lists so many in
seconds.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
from inspect_ai.log import EvalSample
from inspect_ai.viewer import (
    SampleScoreView,
    SampleScoreViewSort,
    TaskSamplesColumn,
    TaskSamplesSort,
    TaskSamplesView,
    ViewerConfig,
)

from searchtrain.core.files import write_json
from searchtrain.export.conversation import write_text
from searchtrain.export.eval_file import write_eval_file
from searchtrain.export.parts import Part
from searchtrain.export.samples import FAILED, KEPT, MATCHES, RIGHT, Scores, make_sample
from searchtrain.export.search_table import TABLE, SearchTable

MOST = 5_000
SLICE = 500
"""Rollouts that are Python objects at one time."""


def write_transcripts(parts: Sequence[Part], made: float, folder: Path, refined: bool) -> int:
    """Write every part into `folder`, with `manifest.json` and the search table; returns how many
    rollouts there are. `made`: when the rollouts were, in seconds since the epoch; `refined`: what
    searches return are a refiner's notes."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[dict[str, Any]] = []
    with SearchTable(folder / TABLE) as table:
        for part in parts:
            count = -(-part.rows.height // MOST)
            for number in range(count):
                name, file = part.name, f"{part.file}.eval"
                if count > 1:
                    name += f" ({number + 1} of {count})"
                    file = f"{part.file}-{number + 1:0{len(str(count))}}.eval"
                rows = part.rows.slice(number * MOST, MOST)
                seconds = int(made) - len(files)
                when = datetime.fromtimestamp(seconds, UTC).isoformat()
                samples = make_samples(part, rows, file, name, table, refined)
                written = write_eval_file(samples, folder / file, name, when, choose_view(part))
                # The viewer lists the latest first.
                os.utime(folder / file, (seconds, seconds))
                files.append({"file": file, "name": name, "rollouts": written})
    write_json({"files": files}, folder / "manifest.json")
    # The viewer asks for this file of another tool, and complains if it is not there.
    (folder / "flow.yaml").touch()
    return sum(part.rows.height for part in parts)


def make_samples(
    part: Part, rows: pl.DataFrame, file: str, name: str, table: SearchTable, refined: bool
) -> Iterator[EvalSample]:
    """The samples of one file, each also put into the search table."""
    for row in rows.iter_slices(SLICE):
        for each in row.iter_rows(named=True):
            scores = part.judge(each)
            facts = {fact: each[fact] for fact in ("type", "hops", *part.facts)}
            sample = make_sample(each, scores, facts, part.price, refined)
            key = quote(str(sample.id), safe="")
            table.add(
                address=f"#/tasks/{quote(file)}/samples/sample/{key}/{sample.epoch}/",
                part=name, rollout=each["id"], question=each["question"], answer=each["answer"],
                verdict=tell_verdict(scores), text=write_text(each),
            )  # fmt: skip
            yield sample


def tell_verdict(scores: Scores) -> str:
    """The first score in words, for a table."""
    if KEPT in scores:
        return scores[KEPT].explanation or ""
    if not scores or scores[MATCHES[0]].value == RIGHT:
        return "right" if scores else ""
    return f"wrong: {scores['cause'].value}"


def choose_view(part: Part) -> ViewerConfig:
    """How the viewer shows a part: as plain text, what fails first."""
    columns = ["sampleId", "input", "target", "answer", "tokens"]
    first = [TaskSamplesSort.score(part.columns[0], dir="desc")] if part.columns else []
    if FAILED in part.columns:
        first.append(TaskSamplesSort.score(FAILED, dir="desc"))
    view = TaskSamplesView(
        name="rollouts", compact_scores=FAILED in part.columns, multiline=False, sort=first or None,
        columns=[
            *(TaskSamplesColumn(id=each) for each in columns),
            *map(TaskSamplesColumn.score, part.columns),
        ],
    )  # fmt: skip
    return ViewerConfig(
        # Questions, pages and answers may hold anything.
        trust_content=False,
        task_samples_view=view,
        sample_score_view=SampleScoreView(
            default="chips", sort=SampleScoreViewSort(column="value", dir="desc")
        ),
    )
