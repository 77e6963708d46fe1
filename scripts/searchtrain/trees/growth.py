"""Growing research trees: a Planner says what to do next, a Browser does it on one page.

What is legal is decided here and told to the Planner; what the Browser returns is checked
(`trees.tree`, `trees.quality`) before it counts. A refused step is tried again with the reasons in
the request. Invariant: only the Planner's `done` makes a tree `done`; a step that fails for good
closes it as `truncated`, with the kind of the failure.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import polars as pl

from searchtrain import config
from searchtrain.core.errors import BoundaryError, ToldToModel
from searchtrain.core.files import digest
from searchtrain.core.text_table import format_table
from searchtrain.data.schemas import Trees, empty_table
from searchtrain.models.asker import Asker, Bill
from searchtrain.models.batch import work_through
from searchtrain.models.failures import settle
from searchtrain.models.model import Model
from searchtrain.models.pool import FailureLimit
from searchtrain.models.reply import make_object_schema
from searchtrain.search import Search
from searchtrain.trees.names import list_names
from searchtrain.trees.pages import Page, PageStore
from searchtrain.trees.quality import Quality
from searchtrain.trees.tree import (
    NODE_SCHEMA,
    ROOT,
    Node,
    TreeFault,
    check_step,
    flatten,
    list_inner,
    list_levels,
    name_next,
    read_node,
)

logger = logging.getLogger(__name__)

INITIALISE, BLUR, EXTEND, DONE, QUIT = ACTIONS = ("initialise", "blur", "extend", "done", "quit")

Result = TypeVar("Result")

PLAN_SCHEMA = make_object_schema(
    reason={"type": "string"},
    action={"type": "string", "enum": list(ACTIONS)},
    target={"type": "string"},
)
"""What a Planner is asked for; `target` is empty where the action has none."""

BROWSE_SCHEMA = {
    **make_object_schema(reason={"type": "string"}, tree={"$ref": "#/$defs/node"}),
    "$defs": {"node": NODE_SCHEMA},
}
"""What a Browser is asked for: the complete new tree."""


class _Sapling:
    """A tree while it grows."""

    def __init__(self, root: Page, seed: int) -> None:
        self.root = root
        self.seed = int(digest([seed, root.id])[:7], 16)
        self.tree: Node | None = None
        self.candidates: dict[str, int] = {}
        self.steps = 0
        self.bill = Bill()

    @property
    def nodes(self) -> list[Node]:
        return list(self.tree.walk()) if self.tree else []

    @property
    def pages(self) -> set[str]:
        return {self.root.id, *(node.page for node in self.nodes)}


class Grower:
    """Grows trees; counts refused steps by kind in `refused`."""

    def __init__(
        self, planner: Asker, browser: Asker, quality: Quality, pages: PageStore,
        settings: config.Trees,
    ) -> None:  # fmt: skip
        self.refused: Counter[str] = Counter()
        self._planner = planner
        self._browser = browser
        self._quality = quality
        self._pages = pages
        self._settings = settings

    async def grow(self, root: Page) -> tuple[dict[str, Any], BoundaryError | None]:
        """Grow one tree; returns its row (`schemas.Trees`) and the failure that truncated it.

        That its steps were refused too often is no failure.
        """
        sapling = _Sapling(root, self._settings.seed)
        status, error = await settle(self._take_steps(sapling), "truncated")
        tree = sapling.tree
        row = {
            "id": f"tree-{root.id}",
            "status": status,
            "fault": error.kind if error else "",
            "page": root.id,
            "answer": root.title,
            "aliases": list_names(root.title, root.aliases)[1:],
            "vertices": len(sapling.nodes),
            "nodes": flatten(tree, sapling.candidates) if tree else [],
            "levels": list_levels(tree) if tree else [],
            "steps": sapling.steps,
            "cost": sapling.bill.dollars,
        }
        return row, None if isinstance(error, TreeFault) else error

    async def _take_steps(self, sapling: _Sapling) -> str:
        while True:
            action, target = await self._plan(sapling)
            if action in (DONE, QUIT):
                return action
            await self._browse(sapling, action, target or ROOT)

    async def _plan(self, sapling: _Sapling) -> tuple[str, str]:
        """The Planner's next action and its target; what is not legal is refused."""
        legal = self._list_legal(sapling)
        tree, root = sapling.tree, sapling.root
        request: dict[str, Any] = {
            "root": {"title": root.title, "text": root.text[: self._settings.max_page_chars]},
            "tree": tree.to_json() if tree else None,
            "nodes": [
                {"id": node.id, "candidates": sapling.candidates.get(node.id)}
                for node in (list_inner(tree) if tree else ())
            ],
            "min_vertices": self._settings.min_vertices,
            "max_vertices": self._settings.max_vertices,
            "legal": [{"action": name, "targets": targets} for name, targets in legal.items()],
        }

        async def attempt(faults: Sequence[str]) -> tuple[str, str]:
            value = await self._planner.ask(
                {**request, "faults": list(faults)}, dict, seed=sapling.seed, bill=sapling.bill
            )
            action, target = value["action"], value["target"]
            if action not in legal:
                raise TreeFault(
                    f"Action {action!r} is not legal now; legal are {', '.join(legal)}.",
                    "illegal_action",
                )
            if target not in (legal[action] or [""]):
                raise TreeFault(
                    f"Action {action!r} may not have the target {target!r};"
                    f" legal are {legal[action] or 'none'}.",
                    "illegal_target",
                )
            return action, target

        return await self._try(attempt)

    async def _browse(self, sapling: _Sapling, action: str, target: str) -> None:
        """Let the Browser take one step on the target's page."""
        old = sapling.tree
        page = self._pages[old.find(target).page] if old else sapling.root
        links = self._pages.list_links(page, sapling.pages, self._settings.max_links)
        request: dict[str, Any] = {
            "action": action,
            "target": target if old else None,
            "tree": old.to_json() if old else None,
            "page": {
                "id": page.id,
                "title": page.title,
                "text": page.text[: self._settings.max_page_chars],
                "links": [{"id": link.id, "title": link.title} for link in links],
            },
            "next_id": name_next(old),
        }

        async def attempt(faults: Sequence[str]) -> None:
            if sapling.steps >= self._settings.max_steps:
                raise TreeFault("The tree has taken all its steps.", "max_steps")
            sapling.steps += 1
            value = await self._browser.ask(
                {**request, "faults": list(faults)}, dict, seed=sapling.seed, bill=sapling.bill
            )
            new = check_step(old, read_node(value["tree"]), action, target, page, links)
            sapling.candidates[target] = await self._quality.count_candidates(new.find(target))
            sapling.tree = new

        await self._try(attempt)

    async def _try(self, attempt: Callable[[Sequence[str]], Awaitable[Result]]) -> Result:
        """Make an attempt, and again with the faults so far; the last fault is raised.

        A model that could not be reached has had its attempts, and so has the search.
        """
        faults: list[str] = []
        while True:
            try:
                return await attempt(faults)
            except ToldToModel as fault:
                if fault.kind == "max_steps":
                    raise
                self.refused[fault.kind] += 1
                faults.append(str(fault))
                if len(faults) > self._settings.attempts:
                    raise

    def _list_legal(self, sapling: _Sapling) -> dict[str, list[str]]:
        """The actions that are legal now, each with its targets (none for those without)."""
        tree, settings = sapling.tree, self._settings
        if tree is None:
            return {INITIALISE: [], QUIT: []}
        room = settings.max_vertices - len(sapling.nodes)
        used = sapling.pages
        inner = list_inner(tree)
        vague = [node.id for node in inner if sapling.candidates.get(node.id) != 1]
        leaves = [node for node in sapling.nodes if node.entity is not None and not node.children]
        # One weak fact singles no leaf out, so that blurring one takes two steps at least.
        blur = vague * (room >= 1) + [node.id for node in leaves] * (room >= 2)
        grown = [node for node in inner if node.id in vague] + leaves
        extend = [
            node.id
            for node in grown * (room >= 1)
            if not used.issuperset(self._pages[node.page].links)
        ]
        aims = {BLUR: sorted(blur), EXTEND: sorted(extend)}
        legal = {name: targets for name, targets in aims.items() if targets}
        if len(sapling.nodes) >= settings.min_vertices and not vague:
            legal[DONE] = []
        legal[QUIT] = []
        return legal


async def grow_trees(
    roots: Sequence[Page],
    grower: Grower,
    clients: Sequence[Model],
    search: Search,
    settings: config.Trees,
) -> pl.DataFrame:
    """Grow a tree from every root; returns `schemas.Trees` in the order of the roots.

    `clients`: whom the grower asks, closed afterwards. Raises SearchTrainError when more trees than
    `settings.max_failed_share` end in a failure of a model (no answer, or none that can be read),
    of the search or of the program. A step whose tree was refused too often is no such failure.
    """
    failures = FailureLimit(len(roots), settings.max_failed_share, "trees.max_failed_share")
    rows = await work_through(roots, grower.grow, failures, clients, search.stop)
    return pl.DataFrame(rows, schema=empty_table(Trees).schema)


def report_growth(
    trees: pl.DataFrame,
    refused: Mapping[str, int],
    passed_over: Mapping[str, int],
    broken_links: int,
    clients: Sequence[Model],
) -> dict[str, Any]:
    """`trees_report.json`: how trees ended and why, what was refused, and what it cost.

    `trees`: `schemas.Trees`; `refused`: steps by kind of fault; `passed_over`: pages that could be
    no root, by reason. `models` counts what is paid now, `dollars_in_all` cached answers, too.
    """
    done = trees.filter(status=DONE)
    report: dict[str, Any] = {
        "trees": trees.height,
        "status": {name: trees.filter(status=name).height for name in (DONE, QUIT, "truncated")},
        "truncated_by": dict(sorted(Counter(filter(None, trees["fault"])).items())),
        "refused_steps": dict(sorted(refused.items())),
        "steps": int(trees["steps"].sum()),
        "vertices": {str(key): count for key, count in sorted(Counter(done["vertices"]).items())},
        "passed_over": dict(sorted(passed_over.items())),
        "broken_links": broken_links,
        "dollars_in_all": round(float(trees["cost"].sum()), 6),
        "models": {
            client.role.name: {**client.usage, "dollars": round(client.cost(), 6)}
            for client in clients
        },
    }
    rows = [
        {"counted": name.replace("_", " "), "kind": kind, "number": count}
        for name in ("status", "truncated_by", "refused_steps")
        for kind, count in report[name].items()
    ]
    logger.info("%d of %d trees are done:\n%s", done.height, trees.height, format_table(rows))
    return report
