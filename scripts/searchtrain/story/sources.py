"""Where a question stands in the files that people gave, and what became of it before any rollout.

Invariant: a question that was dropped is told with the reason and with what it repeats.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.data.question_file import list_rows
from searchtrain.data.results import ROW, Results
from searchtrain.story.bills import tell_tagging
from searchtrain.story.chapters import Chapter
from searchtrain.trees.drawing import draw_tree
from searchtrain.trees.verdicts import REASONS, name_reason

NOT_BUILT = "not built yet"


def list_files(results: Results) -> dict[str, Path]:
    """The question files of a run, by what they are for; those that are there."""
    data = results.config.data
    files = {"train": data.train, "dev": data.dev, "test": data.test}
    files["benchmarks"] = "<results>/benchmarks.json"
    paths = {name: results.resolve(file) for name, file in files.items()}
    return {name: path for name, path in paths.items() if path.is_file()}


def find_in_file(path: Path, key: str) -> tuple[str, Mapping[str, Any]] | None:
    """The place of a question in its file, and its row; None when it is not there."""
    for number, (place, row) in enumerate(_read(path), 1):
        if isinstance(row, Mapping) and name_row(row, number) == key:
            return place, row
    return None


def list_ids(path: Path) -> Iterator[str]:
    """The ids of a question file."""
    for number, (_, row) in enumerate(_read(path), 1):
        if isinstance(row, Mapping):
            yield name_row(row, number)


def name_row(row: Mapping[str, Any], number: int) -> str:
    """The id of a row as `question_file` has it."""
    value = row.get("id")
    return f"row-{number}" if value is None else str(value)


def tell_seed(results: Results, key: str) -> list[Chapter]:
    """The chapters on a training question; none when nobody knows it."""
    train = list_files(results).get("train")
    given = find_in_file(train, key) if train else None
    seeds = results.find("", "seeds.parquet", id=key)
    if not given and not seeds:
        return []
    row = seeds[0] if seeds else given[1] if given else {}
    facts = {
        "question": row.get("question"),
        "golden answers": row.get("golden_answers"),
        "source": row.get("source"),
        "given in": given[0] if given else train and f"not in {train} any more",
        "not shown": row.get("exclude_urls"),
        "as a seed": _tell_dropped(results, key) if not seeds else "kept",
    }
    if seeds is None:
        facts["as a seed"] = NOT_BUILT
    return (
        [Chapter("training question", facts), *_tell_sampling(results, key)]
        if seeds
        else [Chapter("training question", facts)]
    )


def tell_tree(results: Results, key: str) -> list[Chapter]:
    """The chapters on a research tree and its question; none when there is no such tree."""
    for name in ("tree_questions.parquet", "written_trees.parquet", "trees.parquet"):
        if rows := results.find("", name, id=key):
            return _tell_tree(results, rows[0])
    return []


def tell_held_out(results: Results, key: str) -> list[Chapter]:
    """The chapter on an evaluation question; none when it is in no file."""
    for name, path in list_files(results).items():
        if name != "train" and (given := find_in_file(path, key)):
            place, row = given
            return [Chapter(f"{name} question", _describe_held_out(results, name, place, row, key))]
    return []


def find_golds(results: Results, key: str) -> list[str]:
    """The golden answers of an evaluation question; none where they are not known."""
    for name, path in list_files(results).items():
        if name != "train" and (given := find_in_file(path, key)):
            return _read_golds(results, name, given[1], key)
    return []


def _read_golds(results: Results, name: str, row: Mapping[str, Any], key: str) -> list[str]:
    """Those of a row of the file `name`, or of the answers beside it."""
    golds, beside = row.get("golden_answers"), results.config.data.test_answers
    if name == "test" and beside:
        answers = results.resolve(beside)
        known = find_in_file(answers, key) if answers.is_file() else None
        golds = known[1].get("golden_answers") if known else golds
    return golds or []


def _tell_sampling(results: Results, key: str) -> list[Chapter]:
    tags = results.find("", "tagged.parquet", id=key)
    sampled = results.find("", "sampled.parquet", id=key)
    if tags is None and sampled is None:
        return [Chapter("tags and sampling", {"tags": NOT_BUILT})]
    facts: dict[str, Any] = {}
    for row in (tags or [])[:1]:
        facts |= {"domain": row["domain"], "key points": row["key_points"]}
        facts |= tell_tagging(results, row["question"])
    if tags == []:
        facts["tags"] = "dropped: the tagger gave none (its log says why)"
    for row in (sampled or [])[:1]:
        facts["units"] = row["units"]
        facts["sampled"] = f"number {row[ROW] + 1:,}, from {row['bucket']} in pass {row['pass']}"
    if sampled == []:
        facts["sampled"] = "dropped: others of its domain were chosen"
    elif sampled is None:
        facts["sampled"] = NOT_BUILT
    return [Chapter("tags and sampling", facts)]


def _tell_dropped(results: Results, key: str) -> str:
    report = results.read("", "seeds_report.json") or {}
    for each in report.get("dropped", ()):
        if each["id"] == key:
            return f"dropped: {each['reason']}, repeats {each['match']}"
    return "dropped: the row is of no use (files in seeds_report.json)"


def _tell_tree(results: Results, row: Mapping[str, Any]) -> list[Chapter]:
    facts: dict[str, Any] = {
        "answer": [row["answer"], *row["aliases"]],
        "root's passage": row["page"],
        "vertices": row["vertices"],
        "steps": row["steps"],
        "dollars": row["cost"],
        "tree": row["status"] + (f": {row['fault']}" if row["fault"] else ""),
    }
    chapters = [Chapter("research tree", facts, drawing=draw_tree(row["nodes"]))]
    if row["status"] != "done":
        return [*chapters, Chapter("its question", {"question": f"none: {REASONS['not_done']}"})]
    if "question" not in row:
        return [*chapters, Chapter("its question", {"question": NOT_BUILT})]
    told: dict[str, Any] = {"question": row["question"] or "none was written"}
    told["names"] = f"gives away {row['leak']!r}" if row["leak"] else "no hidden name in it"
    if "kept" not in row:
        return [*chapters, Chapter("its question", {**told, "filters": NOT_BUILT})]
    reason = name_reason(row)
    told |= {
        "closed book": row["closed_book"],
        "difficult": row["difficult"],
        "verifier found": row["found"],
        "verifiable": row["verifiable"],
        "failure": row["error"] or None,
        "verdict": f"dropped: {REASONS[reason]}" if reason else f"kept for {row['split']}",
    }
    return [*chapters, Chapter("its question", told)]


def _describe_held_out(
    results: Results, name: str, place: str, row: Mapping[str, Any], key: str
) -> dict[str, Any]:
    data = results.config.data
    kind = row.get("type")
    if data.types:
        types = results.resolve(data.types)
        kind = (results.read("", str(types.absolute())) or {}).get(key, kind)
    report = results.read("", "seeds_report.json") or {}
    dropped = [each["id"] for each in report.get("dropped", ()) if each["match"] == key]
    return {
        "question": row.get("question"),
        "golden answers": _read_golds(results, name, row, key) or "not given",
        "type": kind,
        "given in": place,
        "seeds dropped": [f"{each} (repeats it)" for each in dropped],
    }


def _read(path: Path) -> list[tuple[str, Any]]:
    try:
        return list_rows(path)
    except InputError:
        return []  # the stage that reads it says what is wrong
