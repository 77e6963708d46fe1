"""Rollouts where they help: every question first, then more of those that none has solved.

The later waves are `more` (another sampling, CoRAG's and rejection sampling's further chains) and
`hinted` (STaR, Zelikman et al. 2022: the teacher knows the answer and has to find evidence of it).
Invariant: what is run of a question depends on its own rollouts alone, and no question waits for
another one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from searchtrain.core.text_table import format_table
from searchtrain.data.schemas import WAVES

if TYPE_CHECKING:
    from searchtrain.agent.loop import Attempt, Policy

FIRST, MORE, HINTED = WAVES
ANSWER = "\N{LEFT-POINTING ANGLE BRACKET}answer\N{RIGHT-POINTING ANGLE BRACKET}"
"""Stands for the golden answer in the prompt of hinted rollouts, which is one for all questions."""
AT_ONCE = 4
"""Rollouts of one question that a later wave begins together: it ends with the first right one."""

Accept = Callable[[Mapping[str, Any]], bool]
"""Whether a row of `schemas.Trajectories` is good enough to learn from."""


def remember(accept: Accept) -> Accept:
    """The same test, made once of each rollout (by its id), as every rule judges all of it."""
    verdicts: dict[str, bool] = {}

    def recall(row: Mapping[str, Any]) -> bool:
        if row["id"] not in verdicts:
            verdicts[row["id"]] = accept(row)
        return verdicts[row["id"]]

    return recall


@dataclass(frozen=True, slots=True)
class Wave:
    """A later wave: rollouts of a question that is still unsolved."""

    name: str
    rollouts: int
    policy: "Policy"


def make_further(
    wave: Wave, asked: "Sequence[Attempt]", seed: Callable[[int], int]
) -> list["Attempt"]:
    """The attempts of a wave at a question; `asked`: those that there were, `seed`: by number."""
    numbers = range(len(asked), len(asked) + wave.rollouts)
    return [
        replace(asked[0], rollout=number, seed=seed(number), wave=wave.name) for number in numbers
    ]


def report_waves(rows: pl.DataFrame, accept: Accept) -> dict[str, Any]:
    """Per wave its questions, rollouts, those accepted and tokens, and the questions unsolved
    before and after it.

    `rows`: `schemas.Trajectories`.
    """
    accepted = pl.Series(
        "accepted", [accept(row) for row in rows.iter_rows(named=True)], pl.Boolean
    )
    judged = rows.select(
        "question_id", "wave", tokens=pl.col("prompt_tokens") + pl.col("completion_tokens")
    ).with_columns(accepted)
    unsolved = judged["question_id"].n_unique()
    report: dict[str, Any] = {}
    for name in WAVES:
        part = judged.filter(pl.col("wave") == name)
        if part.is_empty():
            continue
        solved = part.filter("accepted")["question_id"].n_unique()
        report[name] = {
            "questions": part["question_id"].n_unique(),
            "rollouts": part.height,
            "accepted": int(part["accepted"].sum()),
            "tokens": int(part["tokens"].sum()),
            "unsolved_before": unsolved,
            "unsolved_after": unsolved - solved,
        }
        unsolved -= solved
    return report


def format_waves(report: Mapping[str, Any]) -> str:
    """The waves as a table for the log."""
    return format_table([{"wave": name, **counts} for name, counts in report.items()])
