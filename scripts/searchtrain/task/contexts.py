"""Whether the longest conversation that the limits allow fits into the context it is served with.

Invariant: lengths are upper bounds by the limits, not what usual rollouts take. One that does not
fit ends early: the client has less and less room for a turn, and in the end none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from searchtrain.config import Config, Limits, Role, Sampling
from searchtrain.config.rounds import plan_rollouts
from searchtrain.models.role import find_section

CHARS_PER_TOKEN = 3.5
"""Of English text with names and numbers, on the safe side (Qwen's tokenizer: 4 and more)."""
LONGEST = "max-model-len"


@dataclass(frozen=True, slots=True)
class Context:
    """One kind of conversation with a model."""

    what: str
    """The settings that bound it."""
    key: str
    """The setting that says how long the context is."""
    tokens: int
    """The longest one."""
    room: int

    def __str__(self) -> str:
        """What to do about one that does not fit."""
        return (
            f"{self.what} allow about {self.tokens} tokens, and {self.key} is {self.room}: raise it"
            " as far as the model goes, or lower them"
        )


def find_short(config: Config) -> list[Context]:
    """The conversations that do not fit; of a server that says nothing of its context, none."""
    return [each for each in _list_contexts(config) if each.tokens > each.room]


def _list_contexts(config: Config) -> Iterator[Context]:
    tokens = config.plan.tokens
    for number in range(1, config.rounds.count + 1):
        plan = plan_rollouts(config, number)
        what = "trajectories.limits and sampling" if number == 1 else "predict.limits and rounds"
        yield from _measure_rollout(
            config, plan.role, what, plan.limits, plan.sampling, tokens.teacher_system
        )
    yield from _measure_rollout(
        config, "student", "predict.limits and models.student.sampling", config.predict.limits,
        config.models.student.sampling, tokens.student_system,
    )  # fmt: skip
    room = (config.grpo.vllm or {}).get("max_model_length")
    if room:
        longest = measure_rollout(config.predict.limits, config.grpo.max_new_tokens)
        longest += int(tokens.student_system + tokens.question)
        yield Context(
            "predict.limits and grpo.max_new_tokens", "grpo.vllm.max_model_length", longest, room
        )
    if config.refine.enabled:
        shown = config.trajectories.limits.topk * config.refine.max_document_chars
        written = config.refine.sampling.max_tokens or 0
        longest = int(tokens.teacher_system + shown / CHARS_PER_TOKEN + written)
        yield from _place(config, "refiner", "refine and trajectories.limits.topk", longest)


def _measure_rollout(
    config: Config, role: str, what: str, limits: Limits, sampling: Sampling, system: float
) -> Iterator[Context]:
    longest = measure_rollout(limits, sampling.max_tokens or 0)
    yield from _place(config, role, what, longest + int(system + config.plan.tokens.question))


def measure_rollout(limits: Limits, max_tokens: int) -> int:
    """Tokens of the longest rollout behind its prompt: what it may write, the turn that passes that
    limit, and all that it may be shown."""
    shown = limits.max_searches * limits.max_observation_chars
    if limits.max_evidence_chars is not None:
        shown = min(shown, limits.max_evidence_chars)
    return limits.max_completion_tokens + max_tokens + int(shown / CHARS_PER_TOKEN)


def _place(config: Config, name: str, what: str, tokens: int) -> Iterator[Context]:
    """A conversation beside the context of the server that the workflow starts."""
    section = find_section(config, name)
    room = section.vllm.args.get(LONGEST)
    # The laptop's tiny student has a tokenizer of its own, and no GPU.
    if section.runs_vllm and section.gpu and isinstance(room, int):
        if isinstance(section, Role) and name != "teacher":
            tokens += section.thought_tokens * (section.reasoning == "native")
        owner = "student" if name == "student" else config.models.owner(name)
        yield Context(what, f"models.{owner}.vllm.args.{LONGEST}", tokens, room)
