"""Inspect AI's log file: a zip of one JSON file per sample, their summaries, and a header.

Inspect's own writer takes time that is quadratic in the samples of a file, and holds them all.
Invariant: `inspect_ai.log.read_eval_log` reads what is written here, and equal input gives equal
bytes.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalLog,
    EvalMetric,
    EvalResults,
    EvalSample,
    EvalScore,
    EvalSpec,
    EvalStats,
)
from inspect_ai.scorer import Score
from inspect_ai.viewer import ViewerConfig
from pydantic import BaseModel

from searchtrain.core.files import digest, replace_file
from searchtrain.export.samples import RIGHT, WRONG

UNLISTED = ("lineage", "rollout")
"""Metadata that no list shows."""


def write_eval_file(
    samples: Iterable[EvalSample], path: Path, name: str, made: str, viewer: ViewerConfig
) -> int:
    """Write samples under a name for people; returns how many. `made`: when, in ISO 8601."""
    summaries: list[bytes] = []
    totals: dict[str, list[float]] = {}
    models: dict[str, None] = {}
    epochs = 1
    with replace_file(path) as partial, ZipFile(partial, "w", ZIP_DEFLATED, compresslevel=1) as log:
        for sample in samples:
            member = f"samples/{sample.id}_epoch_{sample.epoch}.json"
            _add(log, member, _dump(sample))
            summaries.append(_summarise(sample))
            models |= dict.fromkeys(sample.model_usage)
            epochs = max(epochs, sample.epoch)
            for score, given in (sample.scores or {}).items():
                if (number := _read_number(given.value)) is not None:
                    totals.setdefault(score, []).append(number)
        _add(log, "summaries.json", b"[" + b",".join(summaries) + b"]")
        results = EvalResults(
            total_samples=len(summaries), completed_samples=len(summaries),
            scores=[_make_mean(score, numbers) for score, numbers in totals.items()],
        )  # fmt: skip
        key = digest(name)[:22]
        header = EvalLog(
            status="success",
            eval=EvalSpec(
                eval_id=key, run_id=key, task_id=key, created=made, task=name,
                model=", ".join(models) or "none", viewer=viewer,
                dataset=EvalDataset(name=name, samples=len(summaries)),
                config=EvalConfig(epochs=epochs),
            ),
            results=results,
            # Without them the viewer shows "NaN days".
            stats=EvalStats(started_at=made, completed_at=made),
        )  # fmt: skip
        _add(log, "header.json", _dump(header))
    return len(summaries)


def _dump(model: BaseModel, left_out: Any = None) -> bytes:
    return model.model_dump_json(exclude_none=True, exclude=left_out).encode()


def _summarise(sample: EvalSample) -> bytes:
    """What lists show of a sample: the browser reads it of all samples of a file at once."""
    bare = {
        name: Score(value=score.value, answer=score.answer)
        for name, score in (sample.scores or {}).items()
    }
    facts = {name: fact for name, fact in sample.metadata.items() if name not in UNLISTED}
    summary = sample.model_copy(update={"scores": bare, "metadata": facts}).summary()
    return _dump(summary, {"scores": {"__all__": {"history"}}})


def _add(log: ZipFile, name: str, content: bytes) -> None:
    member = ZipInfo(name)  # of 1980, whenever it is written
    member.compress_type = ZIP_DEFLATED
    log.writestr(member, content)


def _read_number(value: Any) -> float | None:
    """A score as a number, 1 of what is right; None of a word."""
    if value in (RIGHT, WRONG):
        return float(value == RIGHT)
    return value if isinstance(value, int | float) else None


def _make_mean(score: str, numbers: list[float]) -> EvalScore:
    mean = EvalMetric(name="mean", value=round(sum(numbers) / len(numbers), 4))
    return EvalScore(name=score, scorer=score, metrics={"mean": mean})
