"""Search as the agent sees it: queries in, passages out, whatever answers them.

Invariant: every implementation returns one list per query, in the order of the queries, passages
best first, and raises SearchError when it cannot.
"""

from collections.abc import Sequence
from typing import Any, Protocol


class Search(Protocol):
    """What an agent searches with: a retriever, the web, or an index in this process."""

    async def search(
        self, queries: Sequence[str], topk: int, exclude: Sequence[str] = ()
    ) -> list[list[dict[str, Any]]]:
        """Return at most `topk` passages for each query, best first.

        A passage has at least `id` (str), `contents` ('"Title"\\ntext') and `score` (float, higher
        is better). `exclude`: hosts and URLs that the web may not answer from; an index of
        passages has none. A query that nothing matches has an empty list. Raises SearchError.
        """
        ...

    def stop(self) -> None:
        """Begin no further request that costs anything; those in flight still finish."""
        return

    def report(self) -> dict[str, Any]:
        """What was asked and what it cost, for a stage's report; empty where nothing costs."""
        return {}

    async def close(self) -> None:
        """Give back connections; a closed search is not used again."""
        return
