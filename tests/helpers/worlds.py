"""The laptop world and its base model at the smallest size; tree questions by brute force."""

from pathlib import Path
from typing import Any

from searchtrain.config import Base
from searchtrain.demo import base
from searchtrain.demo.descriptions import list_matches
from searchtrain.demo.passages import Facts
from searchtrain.demo.tree_questions import parse_tree_question

WORLD: dict[str, Any] = {
    "seed": 3,
    "cities_per_country": 6,
    "sizes": {"train": 100, "dev": 10, "test": 10},
    "shares": {"single_hop": 1, "two_hop": 1, "three_hop": 1, "comparison": 1},
    "max_answer_share": 0.2,
}

CONFIG: dict[str, Any] = {
    "seed": 1,
    "vocabulary": 1024,
    "hidden": 64,
    "layers": 2,
    "heads": 2,
    "kv_heads": 2,
    "feed_forward": 128,
    "positions": 1024,
    "rope_theta": 10000,
    "tied": True,
}


def write(inputs: Path, folder: Path, **changes: Any) -> Path:
    """Write the base model of the world in `inputs`."""
    settings = Base(**{**CONFIG, **changes})
    base.write_base(folder, inputs / "passages.jsonl", inputs / "train.json", settings)
    return folder


def find_answers(question: str, facts: Facts) -> list[str]:
    """The titles of all places that fit a tree question, in the order of the facts.

    Raises ValueError for another question.
    """
    description = parse_tree_question(question)
    if description is None:
        raise ValueError(f"{question!r} is no tree question of this world")
    return list_matches(description, facts)
