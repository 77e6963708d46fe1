"""Which tree questions are kept: no model knows the answer, and their pages give exactly one.

InfoSeek's two filters. Difficulty: a model answers without searching, and one right answer drops
the question. Verifiability: a model reads the tree's pages among distractors and must find the
one right answer. Invariant: every tree that comes in goes out, with what each filter saw of it.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.core.errors import BoundaryError, InputError
from searchtrain.core.files import digest
from searchtrain.core.text_table import format_table
from searchtrain.data.answers import match_normalised
from searchtrain.data.schemas import TreeQuestions, empty_table, validate_table
from searchtrain.models.asker import Asker
from searchtrain.models.batch import work_through
from searchtrain.models.failures import settle
from searchtrain.models.model import Model
from searchtrain.models.pool import FailureLimit
from searchtrain.models.reply import make_object_schema
from searchtrain.search import Search
from searchtrain.search.contents import split_contents
from searchtrain.trees.pages import PageStore
from searchtrain.trees.tree import replace_letter
from searchtrain.trees.verdicts import REASONS, list_distinct, list_golds, name_reason

logger = logging.getLogger(__name__)

SOLVER_SCHEMA = make_object_schema(reason={"type": "string"}, answer={"type": "string"})
"""What the solver is asked for, without a document."""
VERIFIER_SCHEMA = make_object_schema(
    reason={"type": "string"}, answers={"type": "array", "items": {"type": "string"}}
)
"""What the verifier is asked for: every answer that fits the question by the documents."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Who judges the questions, and where distractors come from."""

    solver: Model
    solve_prompt: str
    verifier: Model
    verify_prompt: str
    search: Search


def list_gold_ids(nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The passages of a tree's entities (`nodes` in flat form), each once, the root's first."""
    return list(dict.fromkeys(node["page"] for node in nodes if node["entity"]))


def select_open(trees: pl.DataFrame) -> pl.DataFrame:
    """The trees that have a question to judge: finished, written and free of hidden names."""
    return trees.filter(pl.col("question") != "", status="done", leak="")


async def verify_trees(
    trees: pl.DataFrame, pages: PageStore, panel: Panel, settings: config.Verify
) -> pl.DataFrame:
    """Put every question before both filters; returns `schemas.TreeQuestions` in their order.

    `trees`: `schemas.WrittenTrees`; `pages`: of the corpus from which they were grown.
    Both filters see every question, so that each verdict stands on its row. Trees without a
    question have verdicts of nobody and are not kept. Raises SearchTrainError when the filters
    fail on more questions than allowed, InputError when nothing is kept or a tree's page is gone.
    """
    rows = select_open(trees).to_dicts()
    for row in rows:
        if missing := next((key for key in list_gold_ids(row["nodes"]) if key not in pages), None):
            raise InputError(
                f"tree {row['id']!r}: its page {missing!r} is not in the corpus; grow the trees"
                " again from the present one"
            )
    failures = FailureLimit(len(rows), settings.max_failed_share, "verify.max_failed_share")

    async def check(row: Mapping[str, Any]) -> tuple[dict[str, Any], BoundaryError | None]:
        checking = _check_question(row, pages, panel, settings)
        (verdict, error), fault = await settle(checking, ({}, None))
        error = error or fault
        return {"id": row["id"], **verdict, "error": error.kind if error else ""}, error

    models = [panel.solver, panel.verifier]
    try:
        verdicts = await work_through(rows, check, failures, models, panel.search.stop)
    finally:
        await panel.search.close()
    return _collect(trees, verdicts, settings)


def split_kept(rows: pl.DataFrame, held_out: float, seed: int) -> list[str]:
    """`train` or `test` for each kept question, `none` for the others.

    `rows`: `page` and `kept`. All questions about one root are on one side, and a root's place in
    the draw depends on `seed` and its page alone. Raises InputError when nothing would be left to
    train on.
    """
    kept = rows.filter("kept")
    wanted = round(held_out * kept.height) if held_out < 1 else int(held_out)
    if wanted and wanted >= kept.height:
        raise InputError(
            f"verify.held_out: {held_out:g} of {kept.height} kept tree questions leaves none to"
            " train on; lower it or grow more trees"
        )
    counts = kept["page"].value_counts().rows()
    test: set[str] = set()
    left = wanted
    for page, count in sorted(counts, key=lambda item: digest([seed, item[0]])):
        if count <= left:
            test.add(page)
            left -= count
    return [
        "none" if not keep else "test" if page in test else "train"
        for page, keep in rows.select("page", "kept").iter_rows()
    ]


def list_held_out(questions: pl.DataFrame) -> list[dict[str, Any]]:
    """The questions set aside, as the rows of a benchmark file `{id, question, answer}`."""
    return [
        {"id": row["id"], "question": row["question"], "answer": list_golds(row)}
        for row in questions.filter(split="test").iter_rows(named=True)
    ]


def make_report(
    questions: pl.DataFrame, panel: Panel, statistics: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """`tree_questions_report.json`: what became of the trees, why, and what the verdicts cost.

    `questions`: `schemas.TreeQuestions`; `statistics`: the table in InfoSeek's shape. Requests,
    tokens and `dollars` are those paid for now, `all_dollars` as if nothing had been cached.
    """
    counts, splits = _count_reasons(questions), Counter(questions["split"])
    rows: list[dict[str, Any]] = [
        {"questions": "trees", "rows": questions.height},
        *({"questions": f"- {name}", "rows": count} for name, count in counts.items()),
        *({"questions": name, "rows": splits[name]} for name in ("train", "test")),
    ]
    kept = int(questions["kept"].sum())
    logger.info(
        "%d questions of %d trees are kept:\n%s\n%s",
        kept, questions.height, format_table(rows), format_table(statistics),
    )  # fmt: skip
    errors = Counter(kind for kind in questions["error"] if kind)
    return {
        "trees": questions.height,
        "kept": kept,
        "test": splits["test"],
        "reasons": counts,
        "errors": dict(sorted(errors.items())),
        "statistics": list(statistics),
        "models": {
            client.role.name: {
                "model": client.role.model,
                "revision": client.role.revision,
                **client.usage,
                "dollars": round(client.cost(), 6),
                "all_dollars": round(client.cost(cached=True), 6),
            }
            for client in (panel.solver, panel.verifier)
        },
        "search": panel.search.report(),
    }


async def _check_question(
    row: Mapping[str, Any], pages: PageStore, panel: Panel, settings: config.Verify
) -> tuple[dict[str, Any], BoundaryError | None]:
    """Both filters on one question; the verdict's columns, and the failure that left it open."""
    golds = list_golds(row)
    solver = Asker(panel.solver, panel.solve_prompt, SOLVER_SCHEMA, repairs=1)
    request = {"question": row["question"]}
    tries = (
        settle(solver.ask(request, _read_answer, seed=settings.seed + number), "")
        for number in range(settings.tries)
    )
    (found, fault), answers = await asyncio.gather(
        settle(_verify(row, pages, panel, settings), []), asyncio.gather(*tries)
    )
    closed_book = [answer for answer, _ in answers]
    known = any(match_normalised(answer, golds) for answer in closed_book)
    # One right answer settles the difficulty, whatever became of the other tries.
    unsolved = None if known else next((error for _, error in answers if error), None)
    difficult = not known and unsolved is None
    verifiable = fault is None and list_distinct(found, golds) == [golds[0]]
    verdict = {
        "closed_book": closed_book,
        "difficult": difficult,
        "found": found,
        "verifiable": verifiable,
        "kept": difficult and verifiable,
    }
    return verdict, unsolved or fault


async def _verify(
    row: Mapping[str, Any], pages: PageStore, panel: Panel, settings: config.Verify
) -> list[str]:
    """The answers that the verifier finds in gold pages and distractors."""
    verifier = Asker(panel.verifier, panel.verify_prompt, VERIFIER_SCHEMA, repairs=1)
    documents = await _gather_documents(row, pages, panel.search, settings)
    request = {"question": row["question"], "documents": documents}
    return await verifier.ask(request, _read_answers, seed=settings.seed)


async def _gather_documents(
    row: Mapping[str, Any], pages: PageStore, search: Search, settings: config.Verify
) -> list[dict[str, Any]]:
    """Gold pages and distractors as the verifier sees them, in an order drawn for this question.

    Distractors are what a search brings for the question and for single claims, the best of each
    first: pages that look like the answer and are not.
    """
    documents = {}
    for key in list_gold_ids(row["nodes"]):
        page = pages[key]
        documents[key] = (page.title, page.text)
    wanted = len(documents) + settings.distractors
    if settings.distractors:
        queries = [row["question"], *_list_claims(row["nodes"])]
        found = await search.search(queries, wanted)
        for passage in filter(None, chain.from_iterable(zip_longest(*found))):
            documents.setdefault(str(passage["id"]), split_contents(passage))
    order = list(documents.values())[:wanted]
    random.Random(digest([settings.seed, row["id"]])).shuffle(order)
    return [
        {"number": number, "title": title, "text": text[: settings.max_document_chars]}
        for number, (title, text) in enumerate(order, 1)
    ]


def _list_claims(nodes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each claim as a query: the child's title for its letter, nothing for the parent's."""
    for node in nodes:
        claim = node["claim"]
        names = [(node["parent"], "")] + [(node["id"], node["entity"])] * bool(node["entity"])
        for letter, name in names:
            claim = replace_letter(claim, letter, name)
        if claim:
            yield " ".join(claim.split())


def _read_answer(value: Mapping[str, Any]) -> str:
    return " ".join(value["answer"].split())


def _read_answers(value: Mapping[str, Any]) -> list[str]:
    return [answer for text in value["answers"] if (answer := " ".join(text.split()))]


def _collect(
    trees: pl.DataFrame, verdicts: Sequence[Mapping[str, Any]], settings: config.Verify
) -> pl.DataFrame:
    """Put the verdicts beside the trees and split what is kept."""
    columns = empty_table(TreeQuestions).schema
    names = ("id", "closed_book", "difficult", "found", "verifiable", "error", "kept")
    judged = pl.DataFrame(verdicts, schema={name: columns[name] for name in names})
    frame = trees.join(judged, on="id", how="left", maintain_order="left").with_columns(
        pl.col("difficult", "verifiable", "kept").fill_null(value=False),
        pl.col("error").fill_null(""),
        pl.col("closed_book", "found").fill_null([]),
    )
    if not frame["kept"].any():
        counts = _count_reasons(frame)
        failed = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
        raise InputError(
            f"no question of {frame.height} trees is kept ({failed}); grow more trees, or see what"
            " the models say of them"
        )
    split = split_kept(frame, settings.held_out, settings.seed)
    frame = frame.with_columns(pl.Series("split", split, dtype=pl.String))
    return validate_table(frame, TreeQuestions, "tree questions")


def _count_reasons(frame: pl.DataFrame) -> dict[str, int]:
    counts = Counter(map(name_reason, frame.iter_rows(named=True)))
    return {name: counts[name] for name in REASONS}
