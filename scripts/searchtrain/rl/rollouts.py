"""The rollouts of one step: `loop.rollout` over sessions of the model that is trained.

Invariant: a rollout differs from one of the student's in nothing but who writes the turns.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from searchtrain.agent import loop
from searchtrain.core.errors import BoundaryError
from searchtrain.rl.local import LocalModel, Session, Tokens
from searchtrain.rl.rewards import Match, count_valid_turns, score_rollout
from searchtrain.search import Search


@dataclass(frozen=True, slots=True)
class Rollout:
    """One finished rollout."""

    row: dict[str, Any]
    """`schemas.Trajectories`."""
    tokens: Tokens
    reward: float | None
    """None when the environment failed."""
    error: BoundaryError | None


async def roll_out(
    attempts: Sequence[loop.Attempt],
    harness: loop.Harness,
    search: Search,
    model: LocalModel,
    match: Match,
) -> list[Rollout]:
    """Run all rollouts at once, in the order of the attempts.

    Raises what broke the model, and SearchTrainError when it or the search cannot be asked at all.
    """
    # What a policy is rewarded for is what it wrote itself.
    harness = replace(harness, repairs=False)
    sessions = [model.open() for _ in attempts]

    async def work(attempt: loop.Attempt, session: Session) -> Rollout:
        try:
            row, error = await loop.rollout(attempt, loop.Policy(session, harness), search)
        finally:
            await session.close()
        if model.fault is not None:
            raise model.fault
        return Rollout(row, session.finish(row["messages"]), score_rollout(row, match), error)

    running = [asyncio.create_task(work(*each)) for each in zip(attempts, sessions, strict=True)]
    try:
        return await asyncio.gather(*running)
    finally:
        for each in running:
            each.cancel()


def measure_rollouts(rollouts: Sequence[Rollout], group_size: int) -> dict[str, Any]:
    """What a step's rollouts came to: means over rollouts, but `valid_turns` over all turns.

    `rollouts`: group after group. `entropy`: mean negative log-probability of what was drawn.
    `reward` leaves out rollouts without one; `no_signal` is the
    share of groups whose rewards are all equal, from which nothing is learnt.
    """
    count = len(rollouts)
    rows = [rollout.row for rollout in rollouts]
    rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
    lengths = [sum(rollout.tokens.mask) for rollout in rollouts]
    surprise = -sum(sum(rollout.tokens.logprobs) for rollout in rollouts)
    valid = [count_valid_turns(row) for row in rows]
    groups = [rollouts[start : start + group_size] for start in range(0, count, group_size)]
    even = sum(
        len({rollout.reward for rollout in group if rollout.reward is not None}) < 2
        for group in groups
    )
    return {
        "reward": sum(rewards) / max(len(rewards), 1),
        "valid_turns": sum(part for part, _ in valid) / max(sum(whole for _, whole in valid), 1),
        "searches": sum(row["searches"] for row in rows) / count,
        "turns": sum(row["turns"] for row in rows) / count,
        "completion_tokens": sum(lengths) / count,
        "longest_completion": max(lengths),
        "entropy": surprise / max(sum(lengths), 1),
        "no_signal": even / len(groups),
        "fallbacks": sum(row["fallbacks"] for row in rows),
        "stop_reasons": dict(sorted(Counter(row["stop_reason"] for row in rows).items())),
    }
