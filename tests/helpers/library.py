"""A search that knows one passage, a task that it solves, and the turns that solve it."""

from searchtrain.agent import grammar, loop
from searchtrain.core.errors import SearchError

OSLO = {"id": "7", "contents": '"Oslo"\nOslo is a city in Norway.', "score": 1.0}
SEARCH = grammar.render_turn("I need Oslo.", queries=["Oslo"])
ANSWER = grammar.render_turn("It is in Norway.", answer="Norway")
TASK = loop.Attempt("q1", "Where is Oslo?", ("Norway",), "test", (), 0, 11)


class Library:
    """A search that knows one passage and counts what it is asked."""

    def __init__(self, fails=False):
        self.asked = []
        self.excluded = []
        self.fails = fails

    async def search(self, queries, topk, exclude=()):
        self.asked.append((list(queries), topk))
        self.excluded.append(exclude)
        if self.fails:
            raise SearchError("http://127.0.0.1:1: gone", "connection")
        return [[OSLO] for _ in queries]

    def stop(self):
        pass

    def report(self):
        return {}

    async def close(self):
        pass
