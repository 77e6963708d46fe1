"""Whether the students of a run answer a question.

Invariant: a student is told of a question only if it was asked; which questions it was never asked
is said, too.
"""

from typing import Any

from searchtrain.data.results import Results, Row
from searchtrain.story.bills import tell_judging
from searchtrain.story.chapters import Chapter
from searchtrain.story.sources import find_golds

PREDICTED = "predictions.parquet"
SCORES = {"EM": "em_strict", "norm.": "em_normalised", "F1": "f1", "cause": "cause"}
"""Titles, and the columns of `schemas.Scores`."""


def tell_answers(results: Results, question: str) -> list[Chapter]:
    """What each student answered, with its scores; none when nobody was asked."""
    rows: list[dict[str, Any]] = []
    asked: dict[tuple[str, str], Row] = {}
    for place in results.list_places(PREDICTED):
        columns = ("split", "question", "answer", "stop_reason", "searches")
        for row in results.find(place, PREDICTED, columns, question_id=question) or ():
            asked[place, row["split"]] = row
            scores = _find_scores(results, place, row["split"], question)
            rows.append(
                {
                    "by": place.rstrip("/") or "student",
                    "split": row["split"],
                    **{title: scores.get(name) for title, name in SCORES.items()},
                    "searches": row["searches"],
                    "ended": row["stop_reason"],
                    "answer": row["answer"],
                }
            )
    if not rows:
        return []
    facts: dict[str, Any] = {}
    own = next((row for row in rows if row["by"] == "student" and "_" not in row["split"]), None)
    if own:
        right = {True: "right", False: f"wrong: {own['cause']}", None: "not scored"}
        facts["now answers"] = f"{own['answer']!r} ({right[own['EM']]})"
    for place in results.list_places("judgements.parquet"):
        golds = find_golds(results, question)
        for row in results.find(place, "judgements.parquet", question_id=question) or ():
            title, split = f"judge {row['split']}", row["split"]
            facts[title] = f"{row['correct']}: {row['error'] or row['reason']}"
            # The untrained model's answers are judged with the student's.
            judged = asked.get((place, split)) or asked.get(("untrained/", split))
            # A blank answer is judged without a request.
            if judged and golds and judged["answer"].strip():
                facts |= tell_judging(
                    results, "judge", {**judged, "golden_answers": golds}, f"{title}: "
                )
    for number, row in enumerate(results.read("", "test.json") or ()):
        if str(row["id"]) == question:
            facts["handed in"] = f"{results.path('', 'test.json')}, answer {number:,} from 0"
    return [Chapter("the student", facts, rows)]


def tell_unasked(results: Results) -> Chapter:
    """What is said of a training question."""
    metrics = results.read("", "metrics.json")
    facts: dict[str, Any] = {"asked": "no: it answers dev, test and benchmarks alone"}
    if metrics is None:
        facts["scores"] = "not built yet"
    else:
        facts["there it has"] = [
            f"{split} {metrics[split]['em_strict']:.3f}"
            for split in ("dev", "test")
            if split in metrics
        ]
    return Chapter("the student", facts)


def _find_scores(results: Results, place: str, split: str, question: str) -> dict[str, Any]:
    """The scores of a prediction; those of the untrained model stand beside the student's."""
    columns = [*SCORES.values()]
    for where in (place, *[""] * (place == "untrained/")):
        found = results.find(where, "scores.parquet", columns, split=split, question_id=question)
        if found:
            return found[0]
    return {}
