"""What has happened so far in one rollout.

Invariant: its messages are the conversation that the model has read and written, and nothing else;
a turn that is taken back is gone from them, and its tokens are counted all the same.
"""

from dataclasses import dataclass

from searchtrain.agent import grammar
from searchtrain.agent.reading import Reading, render_raw
from searchtrain.models.model import Completion

OPENING = 2
"""Messages before the first turn: system prompt and question."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message, and for a turn what the model wrote where that is something else."""

    role: str
    content: str
    raw: str = ""
    broken: bool = False
    """A turn that could not be read."""


class Trace:
    """The conversation and the counts of a rollout."""

    def __init__(self, question: str, system: str) -> None:
        self.said = [Said("system", system), Said("user", question)]
        self.models: dict[str, None] = {}
        """Who answered, each once."""
        self.answer = ""
        self.invalid = self.valid = 0
        """Turns that could be read, and those that could not."""
        self.sample = ""
        """What the model wrote first, as it came."""
        self.repairs: list[str] = []
        self.queries: list[list[str]] = []
        self.retrieved_ids: list[list[str]] = []
        self.sources: list[list[str]] = []
        self.evidence = 0
        self.turns = self.fallbacks = self.prompt_tokens = self.completion_tokens = 0

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation as it is stored."""
        return [{"role": each.role, "content": each.content} for each in self.said]

    @property
    def raw(self) -> list[str]:
        """Per turn what the model wrote; empty where that is what is stored."""
        return [each.raw for each in self.said if each.role == grammar.ASSISTANT]

    def count(self, completion: Completion) -> None:
        """Count what was paid for."""
        if completion.model:
            self.models[completion.model] = None
        self.sample = self.sample or render_raw(completion)
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens

    def add_turn(self, reading: Reading) -> None:
        """Add a turn as it was read."""
        self.turns += 1
        self.repairs += reading.repairs
        broken = reading.turn is None
        self.said.append(Said(grammar.ASSISTANT, reading.text, reading.raw, broken))
        self.invalid += broken
        self.valid += not broken

    def add_observation(self, content: str) -> None:
        """Add what the environment replies."""
        self.said.append(Said(grammar.OBSERVATION, content))

    def drop_turn(self) -> bool:
        """Take the latest turn back, and the reply to it; whether there was one."""
        if len(self.said) == OPENING:
            return False
        while self.said.pop().role != grammar.ASSISTANT:
            pass
        return True

    def drop_open_turn(self) -> None:
        """Take the latest turn back if nothing was replied to it."""
        if self.said[-1].role == grammar.ASSISTANT:
            self.said.pop()

    def drop_broken(self) -> None:
        """Take back every turn that could not be read, and the notices on them."""
        kept: list[Said] = []
        for place, each in enumerate(self.said):
            notice = each.role == grammar.OBSERVATION and self.said[place - 1].broken
            if not (each.broken or notice):
                kept.append(each)
        self.said = kept
