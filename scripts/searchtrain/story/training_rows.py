"""Where a rollout stands in the SFT data, and which rollout a record of it is.

Record i of `sft_dataset.json` is row i of the curated tables that it is made of; rows that teach
reading, answers, and mixed records stand behind them (`sft_report.json` counts them). Invariant:
the file itself, which may have gigabytes, is never parsed as a whole.
"""

import json
import mmap
from collections.abc import Iterator, Mapping
from typing import Any

from searchtrain.config.rounds import list_data_places
from searchtrain.core.errors import InputError
from searchtrain.data.results import ROW, Results
from searchtrain.story.chapters import Chapter
from searchtrain.story.sources import NOT_BUILT

DATA = "sft_dataset.json"
BEGUN = b"\n {\n"
"""What a record begins with in a file that `core.files.write_json` wrote."""


def tell_training(results: Results, place: str, row: Mapping[str, Any]) -> Chapter:
    """What became of a rollout in the training data; `place`: of its table."""
    curated = results.find(
        place, "curated.parquet", ("rank", "difficulty", "gold_form", "form_change", "raw"),
        id=row["id"],
    )  # fmt: skip
    if curated is None:
        return Chapter("training data", {"kept rollouts": NOT_BUILT})
    if not curated:
        return Chapter("training data", {"record": "none: the rollout was dropped at curation"})
    kept = curated[0]
    facts = {
        "rank": f"{kept['rank']} among its question's valid rollouts, 0 is the best",
        "difficulty": f"{kept['difficulty']:.3f} of its question's rollouts are right",
        "answer": _tell_form(row, kept),
        "record": list(_list_records(results, place, kept[ROW])) or f"{DATA} is {NOT_BUILT}",
    }
    report = results.read("", "sft_report.json") or {"origins": {}}
    behind = {name: part["records"] for name, part in report["origins"].items() if name != "search"}
    if behind:
        facts["behind these"] = [f"{count:,} {name} rows" for name, count in behind.items()]
    facts["learnt by"] = list(_list_students(results)) or f"nobody: checkpoint/ is {NOT_BUILT}"
    return Chapter("training data", facts)


def find_record(results: Results, place: str, number: int) -> tuple[str, str] | dict[str, Any]:
    """The rollout that a record is: the place of its table and its id.

    Of a record that is no row of a curated table: itself, as it stands in the file. Raises
    InputError for a number that the file does not have.
    """
    path = results.path(place, DATA)
    if not path.is_file():
        raise InputError(f"{path}: {NOT_BUILT}; build it: snakemake {path}")
    left = number
    for each in list_data_places(results.config, place):
        count = results.count(each, "curated.parquet")
        if left < count:
            row = results.read_row(each, "curated.parquet", left, ["id"])
            assert row is not None
            return each, row["id"]
        left -= count
    return _read_record(results, place, number)


def _list_records(results: Results, place: str, row: int) -> Iterator[str]:
    """The records that a row of the curated table of `place` is."""
    for each in results.list_places(DATA):
        if place in (places := list_data_places(results.config, each)):
            before = [results.count(other, "curated.parquet") for other in places]
            number = sum(before[: places.index(place)]) + row
            yield f"{results.path(each, DATA)}, record {number:,} of {sum(before):,} from 0"


def _list_students(results: Results) -> Iterator[str]:
    for place in results.list_places("checkpoint/manifest.json"):
        weights = (results.read(place, "checkpoint/manifest.json") or {}).get("weights", "")
        yield f"{results.path(place, 'checkpoint')}, weights {weights[:16]}"


def _tell_form(row: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    if not kept["form_change"]:
        return "as the model wrote it"
    if not kept["gold_form"]:
        return f"{row['answer']!r} without what stood around it ({kept['form_change']})"
    return f"{row['answer']!r} stands as {kept['gold_form']!r} ({kept['form_change']})"


def _read_record(results: Results, place: str, number: int) -> dict[str, Any]:
    path = results.path(place, DATA)
    count = (results.read(place, "sft_report.json") or {}).get("records", 0)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # From the end that is nearer: what is read may have to come from a disk.
        backwards = number < count < 2 * number
        start = len(data) if backwards else -1
        for _ in range(count - number if backwards else number + 1):
            start = data.rfind(BEGUN, 0, start) if backwards else data.find(BEGUN, start + 1)
            if start < 0:
                raise InputError(f"{path}: has no record {number}, counted from 0")
        end = data.find(BEGUN, start + 1)
        text = data[start : end if end > 0 else data.rfind(b"]")].decode()
    record: dict[str, Any] = json.loads(text.strip().rstrip(","))
    return record
