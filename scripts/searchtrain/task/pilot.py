"""What a pilot measured: yield, lengths and speed of the teacher on some of the questions.

Its figures then stand in place of the settings of `plan`. Invariant: a speed is taken over only of
a pilot that kept the servers busy and paid for all of its answers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from searchtrain.config import Config, read_config
from searchtrain.config.section import merge_values, name_values
from searchtrain.core.text_table import format_table

WAVES = ("first", "more", "hinted")
BUSY = 2
"""Rollouts for each that a server answers at a time: with fewer, most of a pilot is the server's
slow start and end (BENCHMARKS.md measures with as many)."""
PAID = 0.98
"""Share of the tokens that were not in the request cache."""


def measure_pilot(
    rows: pl.DataFrame, accepted: Sequence[bool], report: Mapping[str, Any],
    hours: Sequence[float], config: Config,
) -> dict[str, Any]:  # fmt: skip
    """`pilot.json`. `rows`: `schemas.Trajectories`; `accepted`: of each, whether it is kept;
    `report`: of its rollouts; `hours`: of its shards, each with servers of its own."""
    rows = rows.with_columns(accepted=pl.Series(accepted, dtype=pl.Boolean))
    turns, requests = rows["turns"].to_numpy(), int(rows["turns"].sum())
    usage = report["models"].get("teacher", {})
    paid, cached = (
        sum(usage.get(f"{origin}{kind}_tokens", 0) for kind in KINDS) for origin in ("", "cached_")
    )
    head, grown = _fit_prompt(turns, rows["prompt_tokens"].to_numpy(), config)
    turn = int(rows["completion_tokens"].sum()) / max(requests, 1)
    seconds = sum(hours) / len(hours) * 3600
    busy = BUSY * config.models.resolve("teacher").concurrency * len(hours)
    measured: dict[str, Any] = {
        "questions": rows["question_id"].n_unique(),
        "rollouts": rows.height,
        "turns": round(requests / max(rows.height, 1), 3),
        "tokens": {
            "turn": round(turn, 1),
            "observation": round(max(0.0, grown - turn), 1),
            "teacher_system": round(max(0.0, head - config.plan.tokens.question), 1),
        },
        "waves": _measure_waves(rows),
        "seconds": round(seconds, 1),
        "servers": len(hours),
        "rollouts_per_second": round(rows.height / seconds, 3) if seconds else None,
        "paid_share": round(paid / max(paid + cached, 1), 4),
    }
    if rows.height < busy:
        measured["speed_not_used"] = f"{rows.height} rollouts are few for {len(hours)} servers"
    elif measured["paid_share"] < PAID:
        measured["speed_not_used"] = "answers were in the request cache"
    return measured


def apply_pilot(config: Config, pilot: Mapping[str, Any]) -> tuple[Config, list[str]]:
    """The config with the pilot's figures as settings of `plan`, and a line for each of them."""
    first, hinted = pilot["waves"]["first"], pilot["waves"].get("hinted")
    plan: dict[str, Any] = {
        "turns": max(1.0, pilot["turns"]),
        "kept_share": first["accepted_share"],
        "unsolved": {"rollouts": first["per_question"], "share": first["unsolved"]},
        "tokens": dict(pilot["tokens"]),
    }
    if hinted and hinted["before"]:
        plan["hinted_share"] = round(1 - hinted["unsolved"] / hinted["before"], 4)
    if "speed_not_used" not in pilot:
        plan["rates"] = {"teacher": _measure_rates(pilot)}
    lines = [f"plan.{key}: {value}" for key, value in name_values(plan).items()]
    if "speed_not_used" in pilot:
        lines.append(f"no speed of the teacher ({pilot['speed_not_used']})")
    return read_config(merge_values(config.changes(), {"plan": plan})), lines


def format_pilot(pilot: Mapping[str, Any]) -> str:
    """The measurements as text."""
    rows = [{"wave": name, **values} for name, values in pilot["waves"].items()]
    tokens = ", ".join(f"{name} {value:g}" for name, value in pilot["tokens"].items())
    return (
        f"{pilot['questions']} questions, {pilot['rollouts']} rollouts of {pilot['turns']:g} turns;"
        f" tokens: {tokens}\n\n{format_table(rows)}"
    )


KINDS = ("prompt", "completion")


def _fit_prompt(turns: Any, prompt: Any, config: Config) -> tuple[float, float]:
    """Tokens of system prompt and question, and of what each turn adds, by least squares: request k
    of a rollout reads the first and k - 1 times the second."""
    tokens = config.plan.tokens
    heads, growths = turns.astype(float), turns * (turns - 1) / 2.0
    if len(set(turns.tolist())) > 1:
        (head, grown), *_ = np.linalg.lstsq(np.stack([heads, growths], 1), prompt, rcond=None)
        return float(head), float(grown)
    head = tokens.teacher_system + tokens.question
    total = float(growths.sum())
    return head, (float(prompt.sum()) - head * float(heads.sum())) / total if total else 0.0


def _measure_waves(rows: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Per wave: its rollouts, those accepted, and the questions unsolved before and behind it, as
    shares of all."""
    questions = rows["question_id"].n_unique()
    solved: set[str] = set()
    waves = {}
    for name in WAVES:
        own = rows.filter(pl.col("wave") == name)
        if own.is_empty():
            continue
        before = 1 - len(solved) / questions
        good = own.filter("accepted")
        solved.update(good["question_id"])
        waves[name] = {
            "rollouts": own.height,
            "per_question": own["question_id"].value_counts()["count"].max(),
            "accepted_share": round(good.height / own.height, 4),
            "before": round(before, 4),
            "unsolved": round(1 - len(solved) / questions, 4),
        }
    return waves


def _measure_rates(pilot: Mapping[str, Any]) -> dict[str, float]:
    """Tokens/s that one server reads (none from its prefix cache) and writes."""
    tokens, turns = pilot["tokens"], pilot["turns"]
    each = pilot["rollouts_per_second"] / pilot["servers"]
    fresh = (turns - 1) * tokens["observation"]
    rates = {"prompt": each * fresh, "output": each * turns * tokens["turn"]}
    return {name: round(rate, 1) for name, rate in rates.items() if rate > 0}
