"""A rollout shown turn by turn as it happens, on a terminal or in plain lines.

It looks over the shoulder of the model and of the search, so the rollout is that of `agent.loop`.
Invariant: texts of models, pages and questions are shown as text (`core.terminal`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from searchtrain.agent.calls import read_turn
from searchtrain.agent.formats import Format, find_thoughts
from searchtrain.core.terminal import show_text
from searchtrain.data.schemas import ANSWERED
from searchtrain.models.model import Completion, Message, Model
from searchtrain.models.role import Role
from searchtrain.search import Search
from searchtrain.search.contents import split_contents

WIDEST = 2_000
"""Characters of a line that are shown."""
STYLES = {"thinks": "dim", "searches": "cyan", "finds": "blue", "answer": "bold green"}


class Conversation:
    """Where a rollout is shown."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def show(self, what: str, text: str, about: str = "") -> None:
        """One thing that happened; further lines of `text` stand below its first one."""
        style, margin = STYLES.get(what, ""), " " * (len(what) + 2)
        lines = show_text(text, WIDEST).replace("\n", "\n" + margin)
        line = Text.assemble((f"{what}: ", "bold"), (lines, style), (about, "dim"))
        self.console.print(line, soft_wrap=True)

    def show_turn(self, completion: Completion, form: Format, role: Role) -> None:
        """A turn of the student as the agent reads it."""
        turn = read_turn(completion, form, find_thoughts(role)).turn
        if turn is None:
            self.show("writes", completion.text.strip())
            return
        if turn.think:
            self.show("thinks", turn.think)
        if turn.queries:
            self.show("searches", "\n".join(turn.queries))

    def show_passages(self, query: str, passages: Sequence[Mapping[str, Any]]) -> None:
        """The titles of what a query brought."""
        titles = [split_contents(passage)[0] for passage in passages]
        self.show("finds", " · ".join(titles) or "nothing", f" ({query})" * bool(titles and query))

    def show_end(self, row: Mapping[str, Any], answer: str, seconds: float) -> None:
        """The answer and what it took; `row`: `schemas.Trajectories`."""
        tokens = row["prompt_tokens"] + row["completion_tokens"]
        searches = f"{row['searches']} search{'es' * (row['searches'] != 1)}"
        took = f"  ({searches}, {tokens:,} tokens, {seconds:.1f} s)"
        if row["stop_reason"] in ANSWERED:
            self.show("answer", answer, took)
        else:
            reason = " ".join(filter(None, (row["stop_reason"], row["error"])))
            self.show("answer", "none", f" ({reason.replace('_', ' ')}){took}")


class WatchedModel(Model):
    """A model whose turns are shown."""

    def __init__(self, model: Model, form: Format, shown: Conversation) -> None:
        self._model = model
        self._form = form
        self._shown = shown

    @property
    def role(self) -> Role:
        """See `Model`."""
        return self._model.role

    @property
    def usage(self) -> Counter[str]:
        """See `Model`."""
        return self._model.usage

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        seed: int,
        stop: Sequence[str] = (),
        prefill: str = "",
        schema: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        brief: bool = False,
    ) -> Completion:
        """See `Model`."""
        completion = await self._model.complete(
            messages,
            seed=seed, stop=stop, prefill=prefill, schema=schema, tools=tools, brief=brief,
        )  # fmt: skip
        self._shown.show_turn(completion, self._form, self.role)
        return completion

    def stop(self) -> None:
        """See `Model`."""
        self._model.stop()

    def cost(self, cached: bool = False) -> float:
        """See `Model`."""
        return self._model.cost(cached)

    async def close(self) -> None:
        """See `Model`."""
        await self._model.close()


class WatchedSearch(Search):
    """A search whose passages are shown."""

    def __init__(self, search: Search, shown: Conversation) -> None:
        self._search = search
        self._shown = shown

    async def search(
        self, queries: Sequence[str], topk: int, exclude: Sequence[str] = ()
    ) -> list[list[dict[str, Any]]]:
        """See `Search`."""
        found = await self._search.search(queries, topk, exclude)
        for query, passages in zip(queries, found, strict=True):
            self._shown.show_passages(query if len(queries) > 1 else "", passages)
        return found

    async def close(self) -> None:
        """See `Search`."""
        await self._search.close()
