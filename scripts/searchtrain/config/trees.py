"""Settings of research trees and of the questions that they end with."""

from typing import Literal

from pydantic import ValidationInfo, field_validator

from searchtrain.config.models import Sampling
from searchtrain.config.section import OWN, Section, setting, wiring
from searchtrain.config.values import Amount, Count, Natural, Share

NODES = 26
"""Most nodes of a tree: one for each letter."""
BOTH = (OWN, "written_trees")
"""Readers of what growing a tree and writing its question have in common."""


class TreesSampling(Section):
    """How the roles that make trees are asked."""

    planner: Sampling = setting(Sampling(temperature=0.9, max_tokens=512))
    browser: Sampling = setting(Sampling(temperature=0.8, max_tokens=4096))
    writer: Sampling = setting(Sampling(temperature=0.7, max_tokens=512))


class Trees(Section):
    """Research trees (InfoSeek): grown from the corpus by a planner and a browser, checked by
    retrieval."""

    enabled: bool = wiring(False)
    count: Count = setting(1400, "trees begun; about half end with a question")
    roots: Literal["corpus", "answers"] = setting(
        "corpus", "any page with links; or answers: pages that hold answers of the seed questions"
    )
    min_vertices: int = setting(3, "of a finished tree, root and attributes included", ge=2)
    max_vertices: int = setting(6, "InfoSeek: 3 to 6, rarely more", ge=2, le=NODES)
    attempts: Natural = setting(2, "tries after a refused one, of each step", reader=BOTH)
    max_steps: Count = setting(16, "of one tree, refused ones included")
    topk: int = setting(100, "candidate pages asked of the retriever for each claim", ge=2)
    term_share: Share = setting(1.0, "of a claim's words that a page must hold to fit it")
    trace_share: Share = setting(
        0.5, "of a claim's words that the node's own page must hold; numbers and names all must"
    )
    min_text: Natural = setting(10, "characters of a root's page")
    max_page_chars: int = setting(4000, "of a page as the browser sees it", ge=100)
    max_links: Count = setting(100, "of a page that are shown to the browser")
    max_reply_chars: int = setting(
        20000, "longer answers of the planner and the browser are refused", ge=100
    )
    train_questions: Natural | None = setting(
        None,
        "kept tree questions that training uses at most; null: all, 0: none",
        reader="questions",
    )
    seed: Natural = setting(1, reader=BOTH)
    max_failed_share: Share = setting(
        0.02, "of the trees that may end in a model or search error", reader=BOTH
    )
    sampling: TreesSampling = setting(TreesSampling(), reader="role")

    @field_validator("max_vertices")
    @classmethod
    def _check_vertices(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min_vertices", 0):
            raise ValueError(
                f"it must be from trees.min_vertices ({info.data['min_vertices']}) to {NODES}"
            )
        return value


class VerifySampling(Section):
    """How the roles that verify questions are asked."""

    solver: Sampling = setting(Sampling(temperature=0.7, max_tokens=1024))
    verifier: Sampling = setting(Sampling(temperature=0.0, max_tokens=1024))


class Verify(Section):
    """Which tree questions are kept: too hard to answer from memory, and answerable from their
    pages."""

    tries: Natural = setting(
        1, "answers without searching; one right answer drops the question; 0: no such filter"
    )
    distractors: Natural = setting(4, "pages shown beside those of the tree")
    max_document_chars: int = setting(2000, "of one page as the verifier sees it", ge=100)
    held_out: Amount = setting(
        100, "kept questions set aside for evaluation (tree_test.json); a share if below 1"
    )
    seed: Natural = setting(1)
    max_failed_share: Share = setting(0.02, "of the questions")
    sampling: VerifySampling = setting(VerifySampling(), reader="role")

    @field_validator("held_out")
    @classmethod
    def _check_held_out(cls, value: float) -> float:
        if value >= 1 and value % 1:
            raise ValueError("it must be a share below 1 or a whole number")
        return value
