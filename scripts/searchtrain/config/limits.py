"""What a rollout may use."""

from searchtrain.config.section import Section, setting
from searchtrain.config.values import Count, Natural


class Limits(Section):
    """What a rollout may use."""

    max_turns: Count = setting(6)
    max_searches: Natural = setting(4, "turns that search; 0: closed-book")
    max_queries: Count = setting(3, "per turn, run in parallel")
    max_invalid_turns: Natural = setting(
        1, "turns that break the grammar before the rollout is given up"
    )
    max_completion_tokens: Count = setting(1024, "written by the model in the whole rollout")
    max_observation_chars: int = setting(1200, "of one observation", ge=100)
    max_evidence_chars: int | None = setting(
        None,
        "of all observations of a rollout (InfoSeeker's evidence budget); once spent, no search is"
        " left; null: no such budget",
        ge=100,
    )
    topk: Count = setting(2, "passages per query")
    force_answer: bool = setting(
        False,
        "end a rollout that may not go on, for whatever limit, context or broken turn, with a turn"
        " that can only answer (InfoSeeker's)",
    )


def describe_limits(limits: Limits, format_name: str) -> dict[str, str | int]:
    """The variables that an agent prompt may use; `format_name`: of whom it is written for."""
    told = limits.model_dump(include={"max_turns", "max_searches", "max_queries", "topk"})
    return {**told, "format": format_name}
