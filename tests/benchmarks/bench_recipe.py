"""Measure what each point of the recipe is worth on the harder laptop world.

    python tests/benchmarks/bench_recipe.py [--variants full plain without_form] [--until TARGET]

Builds results/recipe/<variant>/ one after the other (they share questions, base, index and request
cache; a training takes minutes on two cores) and prints each one's strict exact match on dev and
test, and how far the full recipe is ahead of it, with 95 % intervals of the paired bootstrap.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from searchtrain.core.files import read_json  # noqa: E402
from searchtrain.core.text_table import format_table  # noqa: E402
from searchtrain.data.schemas import Scores, read_table  # noqa: E402
from searchtrain.evaluation.comparison import compare_paired  # noqa: E402

PRESETS = ["config/presets/search_sft.yaml", "config/presets/hard_world.yaml"]
SHARED = {
    "predict": {"untrained": False},
    "task": {"enforced": False},
    "trajectories": {"rollouts": 2, "more": {"rollouts": 6}, "hints": {"rollouts": 2}},
}
NO_FORM = {"curate": {"answers": {"equivalent": False, "form": "kept"}}}
NO_WAVES = {
    "trajectories": {"rollouts": 1, "more": {"rollouts": 0}, "hints": {"rollouts": 0}},
    "curate": {"per_question": 1},
}
NO_SEARCH = {"curate": {"rules": {"first_query_copies": None}}}
ROWS = {"rows": {"reader": 0.5, "answers": 0.5}, "train": {"tokens": "served"}}
VARIANTS = {
    "full": {},
    "plain": {
        "trajectories": NO_WAVES["trajectories"],
        "curate": {"per_question": 1, **NO_FORM["curate"], **NO_SEARCH["curate"]},
        "predict": {"clean": False},
    },
    "without_form": NO_FORM,
    "with_rows": ROWS,
    "without_waves": NO_WAVES,
    "without_hints": {"trajectories": {"hints": {"rollouts": 0}}},
    "without_search": NO_SEARCH,
    "longer": {"train": {"args": {"max_steps": 3400}}},
    "with_rows_longer": {**ROWS, "train": {"tokens": "served", "args": {"max_steps": 4200}}},
}
"""Each lies on the full recipe, which is the preset."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--until", default="metrics.json", help="target of each variant")
    args = parser.parse_args()
    for name in args.variants:
        build(name, args.until)
    if args.until == "metrics.json":
        print(format_table([describe(name) for name in args.variants]))


def build(name: str, target: str) -> None:
    """Build one variant, on top of the world of the full recipe."""
    results = f"results/recipe/{name}"
    folders = {each: f"{each}/recipe/{name}" for each in ("logs", "benchmarks")}
    values = {"pathvars": {"results": results, "shared": "results/recipe/shared", **folders}}
    files = [*PRESETS]
    for part, changes in (("shared", SHARED), (name, {**values, **VARIANTS[name]})):
        file = ROOT / f".cache/recipe/{part}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(changes))
        files.append(str(file.relative_to(ROOT)))
    command = ["snakemake", f"{results}/{target}", "--cores", "all", "--configfile", *files]
    subprocess.run(command, cwd=ROOT, check=True)


def describe(name: str) -> dict[str, str]:
    """A row of the table."""
    row = {"variant": name}
    tables = [
        read_table(ROOT / f"results/recipe/{each}/scores.parquet", Scores)
        for each in (name, "full")
    ]
    metrics = read_json(ROOT / f"results/recipe/{name}/metrics.json")
    for split in ("dev", "test"):
        own, full = (table.filter(split=split)["em_strict"] for table in tables)
        low, high = metrics[split]["intervals"]["em_strict"]
        ahead = compare_paired(own, full)
        row[split] = f"{own.mean():.3f} ({low:.3f} to {high:.3f})"
        row[f"full ahead on {split}"] = f"{ahead.mean:+.3f} ({ahead.low:+.3f} to {ahead.high:+.3f})"
    return row


if __name__ == "__main__":
    main()
