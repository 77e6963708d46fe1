"""What a run has made, in a few lines: the scores, and what to open next.

Invariant: it tells of files that are there.
"""

from pathlib import Path
from typing import Any

from searchtrain.core.files import read_json

SCORED = ("dev", "test", "test_closed_book", "benchmarks")
NAMES = {"test_closed_book": "test, without searching"}
OPENED = {
    "figures/overview.html": "what the run did, in figures",
    "trajectories.parquet": "every rollout; `make view` shows them in a browser",
    "metrics.json": "every score, with its interval and what is missing",
    "trials.md": "the candidates that dev decided between",
    "trees/gallery.html": "research trees, good and refused ones",
    "plan.md": "hours and GPUs planned",
    "hours.md": "planned and spent hours",
    "submissions.md": "the submissions side by side",
    "doctor.md": "what the endpoints can do",
}


def describe_results(results: Path) -> str:
    """The lines for the end of a run; empty when it has made nothing that is scored."""
    file = results / "metrics.json"
    if not file.is_file():
        return ""
    metrics: dict[str, Any] = read_json(file)
    lines = []
    for split in SCORED:
        if split in metrics:
            low, high = metrics[split]["intervals"]["em_strict"]
            score = f"{metrics[split]['em_strict']:.3f} ({low:.3f} to {high:.3f})"
            lines.append(f"exact match on {NAMES.get(split, split)}: {score}")
    found = [f"{results / name}: {about}" for name, about in OPENED.items()
             if (results / name).is_file()]  # fmt: skip
    return "\n".join([*lines, *found])
