"""Fixtures that several rooms share, and the order of the test files."""

import os
from pathlib import Path

import pytest

from helpers.checkout import copy_repository
from searchtrain.search.extract import Extractors

# Read when torch is loaded: threads that share busy cores mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

BUILDS = (
    "workflow/test_scale.py",
    "workflow/test_infoseek.py",
    "workflow/test_slurm.py",
    "workflow/test_workflow.py",
    "workflow/test_simpledeepsearcher.py",
    "workflow/test_presets.py",
    "workflow/test_bad_input.py",
    "workflow/test_retriever_rules.py",
    "agent/test_shards.py",
    "training/test_trainer.py",
)
"""Test files that run the workflow for minutes, or train, the longest first: all their tests are
marked `build`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first, so that no process is left alone with one at the end."""
    folder = Path(__file__).parent
    order = {folder / name: place for place, name in enumerate(BUILDS)}
    for item in items:
        if item.path in order:
            item.add_marker("build")
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(scope="module")
def extractors():
    """Worker processes for a whole module: they take longer to start than a test to run."""
    pool = Extractors(1)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """One copy for all tests that only plan or that leave it as they found it."""
    return copy_repository(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def own(built, tmp_path):
    """A copy of a module's small build for one test, which may change it."""
    return built.copy(tmp_path / "own")


@pytest.fixture(scope="module")
def results(built):
    """The results of a module's small build."""
    return built.path / "out/results"
