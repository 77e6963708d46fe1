"""What a rollout may use; apart from `agent`, so that writing a prompt needs no model client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The config section `limits` of a stage."""

    max_turns: int = 10
    """Assistant turns."""
    max_searches: int = 8
    """Turns that search; 0 is closed-book."""
    max_queries: int = 4
    """Queries run in one turn."""
    max_invalid_turns: int = 1
    """Turns that break the grammar before the rollout is given up."""
    max_completion_tokens: int = 8192
    """Tokens written by the model in the whole rollout."""
    max_observation_chars: int = 8000
    """Characters of one observation."""
    max_evidence_chars: int | None = None
    """Characters of all observations of a rollout; once they are spent, no search is left
    (InfoSeeker's evidence budget). None: no such budget."""
    topk: int = 3
    """Passages per query."""
    force_answer: bool = False
    """End a rollout that may not search any more with one turn that can only answer
    (InfoSeeker's last turn); needs a server that continues a message."""


def describe_limits(limits: Limits) -> dict[str, int]:
    """The variables that an agent prompt may use."""
    return {
        "max_turns": limits.max_turns,
        "max_searches": limits.max_searches,
        "max_queries": limits.max_queries,
        "topk": limits.topk,
    }
