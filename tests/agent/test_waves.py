"""Later waves: more rollouts of unsolved questions only, then with a hint that no record shows."""

import asyncio
from collections import Counter

import polars as pl
import pytest

from helpers.library import Library
from searchtrain.agent import grammar, loop, waves
from searchtrain.agent.formats import FORMATS
from searchtrain.config import Curate, Limits, Rules
from searchtrain.curation.choice import curate_rollouts
from searchtrain.models.model import Completion
from searchtrain.models.role import Role
from searchtrain.training.sharegpt import make_records

SYSTEM = "Answer by searching."
HINTED = f"{SYSTEM}\nKnown answer: {waves.ANSWER}"


class Teacher:
    """Solves `easy` at once, `hard` at its sixth rollout, `harder` when it is told the answer."""

    def __init__(self):
        self.role, self.asked = Role("teacher", "m", concurrency=4), []
        self.usage = Counter()

    async def complete(self, messages, *, seed, **_):
        system, question = messages[0]["content"], messages[1]["content"]
        self.asked.append((question, system))
        if not any(message["role"] == grammar.OBSERVATION for message in messages):
            return self._write(grammar.render_turn("I look.", queries=["Norway"]))
        number = next(n for n in range(20) if loop.draw_seed(1, question, n) == seed)
        solved = question == "easy" or (question == "hard" and number == 5)
        answer = "Oslo" if solved or "Known answer: Oslo" in system else "Bergen"
        return self._write(grammar.render_turn("So.", answer=answer))

    def _write(self, text):
        return Completion(text, "stop", 1, 1, False)

    def cost(self, cached=False):
        return 0.0

    def stop(self):
        pass


def ask(questions, more=8, hints=2, deadline=None):
    rows = [
        {"id": key, "question": key, "golden_answers": ["Oslo"], "source": "", "exclude_urls": []}
        for key in questions
    ]
    frame = pl.DataFrame(rows)
    teacher = Teacher()
    policy = loop.Policy(teacher, loop.Harness(SYSTEM, "p", Limits(), None, FORMATS["tags"]))
    hinted = loop.Policy(teacher, loop.Harness(HINTED, "h", Limits(), None, FORMATS["tags"]))
    later = [waves.Wave(waves.MORE, more, policy), waves.Wave(waves.HINTED, hints, hinted)]

    def accept(row):
        return row["answer"] == "Oslo"

    enough = loop.Enough(None, accept, later, deadline)
    attempts = loop.make_attempts(frame, 2, 1)
    rows = asyncio.run(loop.run_rollouts(attempts, policy, Library(), 0.0, "limit", enough, seed=1))
    return rows, accept, teacher


def test_only_unsolved_questions_get_more_and_then_a_hint():
    rows, accept, _ = ask(["easy", "hard", "harder"])
    counts = rows.group_by("question_id", "wave").len().rows()
    assert sorted(counts) == [
        ("easy", "first", 2),
        ("hard", "first", 2), ("hard", "more", 4),
        ("harder", "first", 2), ("harder", "hinted", 2), ("harder", "more", 8),
    ]  # fmt: skip
    assert rows["id"].is_unique().all()
    report = waves.report_waves(rows, accept)
    unsolved = [(part["unsolved_before"], part["unsolved_after"]) for part in report.values()]
    assert list(report) == ["first", "more", "hinted"] and unsolved == [(3, 2), (2, 1), (1, 0)]
    assert sum(part["rollouts"] for part in report.values()) == rows.height
    assert sum(part["tokens"] for part in report.values()) == (
        rows["prompt_tokens"].sum() + rows["completion_tokens"].sum()
    )


def test_a_rollout_of_the_first_wave_is_the_same_without_later_ones():
    alone, *_ = ask(["hard"], more=0, hints=0)
    rows, *_ = ask(["hard"])
    assert rows.filter(pl.col("wave") == "first").equals(alone)


def test_no_later_wave_begins_after_the_deadline():
    rows, *_ = ask(["easy", "harder"], deadline=0.0)
    assert set(rows["wave"]) == {"first"}


@pytest.mark.parametrize("name", ["tags", "search_r1"])
def test_no_record_shows_the_hint(name):
    rows, _, teacher = ask(["harder"])
    assert ("harder", HINTED.replace(waves.ANSWER, "Oslo")) in teacher.asked
    rules = Rules(**{**dict.fromkeys(Rules.model_fields), "exact_match": True})
    curated, _ = curate_rollouts(rows, Curate(rules=rules))
    assert curated["wave"].to_list() == ["hinted"]
    student = Role("student", "s", concurrency=1)
    records = make_records(curated, "You are a student.", FORMATS[name], student)
    assert "Known answer" not in str(records) and "You are a student." in str(records)
