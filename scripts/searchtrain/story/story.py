"""The story of a row, by its id: where it came from, what was said and paid, what became of it.

An id is that of a question (of training, dev, test or a benchmark), of a rollout
(`<question>#<n>`, the student's `<split>/<question>#<n>`), of a research tree, or the place of a
record (`sft_dataset.json:17`); in front of it may stand the place of the table (`rounds/2/…`).
Invariant: only rows of this id are read, whatever the size of the tables.
"""

from collections.abc import Iterator
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.core.terminal import quote_text
from searchtrain.data.results import Results, Row
from searchtrain.story.chapters import Chapter, Story
from searchtrain.story.closeness import find_closest
from searchtrain.story.rollout_story import tell_rollout
from searchtrain.story.sources import (
    NOT_BUILT,
    list_files,
    list_ids,
    tell_held_out,
    tell_seed,
    tell_tree,
)  # fmt: skip
from searchtrain.story.student_answers import tell_answers, tell_unasked
from searchtrain.story.training_rows import DATA, find_record

ROLLOUTS = "trajectories.parquet"
PREDICTIONS = "predictions.parquet"
LEARNT = ("training question", "research tree")
"""Titles of the chapters on where a question to learn from comes from."""
TABLED = ("wave", "stop_reason", "turns", "searches", "answer")


def tell_story(results: Results, key: str) -> Story:
    """The story of an id; raises InputError with the closest ids when nothing has it."""
    if not results.folder.is_dir():
        raise InputError(f"{results.folder}: no such folder; build it, or name another: --results")
    place, name = split_place(results, key)
    if name.startswith(f"{DATA}:"):
        return _tell_record(results, key, place, name.removeprefix(f"{DATA}:"))
    for table in (ROLLOUTS, PREDICTIONS):
        if found := [*_find_rows(results, place, table, id=name)]:
            return _tell_rows(results, key, table, found)
    if story := _tell_question(results, key, name):
        return story
    closest = find_closest(name, _list_ids(results, name))
    meant = f"the closest: {', '.join(map(quote_text, closest))}" if closest else "it has no rows"
    raise InputError(f"{results.folder}: nothing has the id {quote_text(key)}; {meant}")


def split_place(results: Results, key: str) -> tuple[str | None, str]:
    """The place that an id begins with, None if it names none, and the rest."""
    names = (ROLLOUTS, PREDICTIONS, DATA)
    places = {each for name in names for each in results.list_places(name)}
    for place in sorted(filter(None, places)):
        if key.startswith(place):
            return place, key.removeprefix(place)
    return None, key


def _find_rows(
    results: Results, place: str | None, table: str, **values: str
) -> Iterator[tuple[str, Row]]:
    """The rows of a table at a place, of all places if it is None, with the place of each."""
    for each in results.list_places(table) if place is None else [place]:
        yield from ((each, row) for row in results.find(each, table, **values) or ())


def _tell_rows(results: Results, key: str, table: str, found: list[tuple[str, Row]]) -> Story:
    """The story of a rollout, which may stand in the tables of several places."""
    question = found[0][1]["question_id"]
    chapters = _tell_origin(results, question)
    for place, row in found:
        chapters += tell_rollout(results, place, row)
    writer = found[0][1]["lineage"]["model"]
    if table == ROLLOUTS:
        return Story(key, f"a rollout of {writer}", [*chapters, tell_unasked(results)])
    return Story(key, f"an answer of {writer}", [*chapters, *tell_answers(results, question)])


def _tell_question(results: Results, key: str, name: str) -> Story | None:
    """The story of a question or a tree: all its rollouts, and one of them in full."""
    chapters = _tell_origin(results, name)
    if not chapters:
        return None
    answers = tell_answers(results, name)
    learnt = [each.title for each in chapters if each.title in LEARNT]
    if learnt:
        chapters += _tell_rollouts(results, name)
    if answers:
        chapters += answers
        if own := results.find("", PREDICTIONS, question_id=name):
            chapters += tell_rollout(results, "", own[0])
    elif learnt:
        chapters.append(tell_unasked(results))
    else:
        chapters.append(Chapter("the student", {"prediction": NOT_BUILT}))
    return Story(key, f"a {chapters[0].title}", chapters)


def _tell_rollouts(results: Results, question: str) -> list[Chapter]:
    """A table of a question's rollouts, and the story of the one that is learnt from, or of the
    first."""
    places = results.list_places(ROLLOUTS)
    if not places:
        return [Chapter("rollouts", {"rollouts": NOT_BUILT})]
    found = [*_find_rows(results, None, ROLLOUTS, question_id=question)]
    if not found:
        asked = results.find("", "questions.parquet", ["id"], id=question)
        why = "not run" if asked else "none: the question was not chosen to be rolled out"
        return [Chapter("rollouts", {"rollouts": why})]
    kept = {
        (place, row["id"])
        for place in places
        for row in results.find(place, "curated.parquet", ["id"], question_id=question) or ()
    }
    rows = [
        {"id": f"{place}{row['id']}", "kept": (place, row["id"]) in kept,
         **{name: row[name] for name in TABLED}}
        for place, row in found
    ]  # fmt: skip
    told = next((each for each in found if (each[0], each[1]["id"]) in kept), found[0])
    return [Chapter("rollouts", {"in all": len(rows)}, rows), *tell_rollout(results, *told)]


def _tell_record(results: Results, key: str, place: str | None, number: str) -> Story:
    if not number.isdecimal():
        raise InputError(f"{quote_text(key)}: give the record's number, from 0: {DATA}:17")
    found = find_record(results, place or "", int(number))
    if isinstance(found, tuple):
        rows = [*_find_rows(results, found[0], ROLLOUTS, id=found[1])]
        if not rows:
            raise InputError(f"{found[0]}{ROLLOUTS}: has no {found[1]!r}, which record {number} is")
        story = _tell_rows(results, key, ROLLOUTS, rows)
        return Story(key, f"the record of rollout {found[0]}{found[1]}", story.chapters)
    return Story(key, *_tell_further(results, found))


def _tell_further(results: Results, record: dict[str, Any]) -> tuple[str, list[Chapter]]:
    """A record that is no rollout's own: one that teaches reading or answering, or a mixed one."""
    texts = [(turn["from"], turn["value"]) for turn in record["conversations"]]
    asked = record["conversations"][0]["value"]
    question = asked.rpartition("\n\nQuestion: ")[2].partition("\nAnswer:")[0]
    found = results.find("", "curated.parquet", ["id"], question=question) or []
    origin = [row["id"] for row in found]
    made = f"made of {', '.join(origin)}" if origin else "mixed in (mix.file)"
    told = Chapter(
        "record", {"made of": origin or "other chat data", **_find_mark(record)}, texts=texts
    )
    return f"a further record, {made}", [told]


def _find_mark(record: dict[str, Any]) -> dict[str, Any]:
    return {"loss": f"on {record['trained']} turns"} if "trained" in record else {}


def _tell_origin(results: Results, question: str) -> list[Chapter]:
    """Where a question came from: a seed, a research tree, a held-out file."""
    return [
        *tell_seed(results, question), *tell_tree(results, question),
        *tell_held_out(results, question),
    ]  # fmt: skip


def _list_ids(results: Results, name: str) -> Iterator[str]:
    """Ids that one could have meant."""
    if "#" in name:
        for table in (ROLLOUTS, PREDICTIONS):
            for place in results.list_places(table):
                yield from results.list_values(place, table)
        return
    yield from results.list_values("", "trees.parquet")
    for path in list_files(results).values():
        yield from list_ids(path)
