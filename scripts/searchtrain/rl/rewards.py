"""What a rollout is worth: 1 when all of it is valid and its answer right, else 0 (InfoSeeker).

Invariant: a rollout that the environment failed has no reward, so it teaches nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from searchtrain.agent import grammar
from searchtrain.core.errors import ProtocolError
from searchtrain.data.answers import match_normalised, match_strict

Match = Callable[[str, Iterable[str]], bool]
MATCHES: dict[str, Match] = {"strict": match_strict, "normalised": match_normalised}
"""When an answer is right: the values of `grpo.reward`."""
FAILED = ("model_error", "search_error")
"""Stop reasons for which the model is not to blame."""


def score_rollout(row: Mapping[str, Any], match: Match) -> float | None:
    """The reward of a row of `schemas.Trajectories`; None when the environment failed."""
    if row["stop_reason"] in FAILED:
        return None
    try:
        turns = grammar.validate_trajectory(row["messages"])
    except ProtocolError:
        return 0.0
    return float(match(turns[-1].answer or "", row["golden_answers"]))


def count_valid_turns(row: Mapping[str, Any]) -> tuple[int, int]:
    """How many of a rollout's assistant turns follow the grammar, and how many there are."""
    turns = [
        message["content"] for message in row["messages"] if message["role"] == grammar.ASSISTANT
    ]
    return sum(map(_is_valid, turns)), len(turns)


def _is_valid(turn: str) -> bool:
    try:
        grammar.parse_turn(turn)
    except ProtocolError:
        return False
    return True
