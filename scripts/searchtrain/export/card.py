"""The data card of an exported data set: `README.md` as the Hugging Face hub reads it.

Invariant: every figure is counted in the run's own tables and reports; what nobody has stated is
said to be not stated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import yaml

from searchtrain.config import Config
from searchtrain.core.files import digest
from searchtrain.core.terminal import show_text
from searchtrain.core.text_table import format_table
from searchtrain.data.lineage import list_versions

CONFIGS = {"default": "data", "trajectories": "trajectories"}
"""Configuration -> its folder."""
SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
)  # fmt: skip
LARGEST = "1M<n<10M"
WORLD = "<results>/world/"
"""Where the laptop world's files are, of GeoNames' facts."""
WORLD_LICENSE = "cc-by-4.0"
NOT_STATED = "not stated"
REASONS = {
    "duplicate": "asked twice",
    "equal_in_dev": "the same question in dev",
    "ngram_in_dev": "words in common with a question of dev",
    "equal_in_test": "the same question in test",
    "ngram_in_test": "words in common with a question of test",
}
"""Why a seed question was dropped, in `seeds_report.json`."""
FENCE = "```"
LONGEST = 40
"""Characters of a revision that is shown."""
CONSTRAINTS = ("teacher", "student", "seed_data_only", "budget_hours")


@dataclass(frozen=True)
class Facts:
    """What a card tells of."""

    config: Config
    seeds: Mapping[str, Any]
    """`seeds_report.json`."""
    sampling: Mapping[str, Any]
    """`sampling_report.json`."""
    trajectories: pl.DataFrame
    verdicts: pl.DataFrame
    curated: pl.DataFrame
    prompts: Mapping[str, str]
    """Prompt -> digest."""


def render_card(facts: Facts) -> str:
    """The whole card."""
    head = yaml.safe_dump(_make_head(facts), sort_keys=False, allow_unicode=True)
    kept, rollouts = facts.curated.height, facts.trajectories.height
    parts = [
        f"---\n{head}---\n",
        "# Search trajectories, made by SearchTrain\n",
        f"{kept:,} conversations in which a model answers a question by searching: it thinks,"
        " searches, reads what was found, and answers. They were chosen from"
        f" {rollouts:,} rollouts, all of which are in the configuration `trajectories`, with the"
        " verdict of every rule.\n",
        LOADING,
        _section("Licences", _list_licenses(facts.config)),
        _section("From questions to conversations", _show_funnel(facts)),
        _section("Rules", _show_rules(facts.verdicts)),
        _section("Contamination", _show_contamination(facts.seeds)),
        _section("Answers", _show_answers(facts.curated)),
        _section("Models, prompts, cost", _show_origin(facts)),
        _section("Constraints", _show_constraints(facts.config)),
    ]
    return "\n".join(parts)


LOADING = """```python
from datasets import load_dataset

kept = load_dataset("path/of/this/folder")["train"]  # messages, question, golden_answers, …
rollouts = load_dataset("path/of/this/folder", "trajectories")["train"]
```

Beside them the same conversations as JSON Lines: `openai/train.jsonl` (chat messages with tags),
`tool_calls/train.jsonl` (native function calls), and all rollouts in
`atif/trajectories.jsonl` (Agent Trajectory Interchange Format, one document a line).
"""


def find_licenses(config: Config) -> dict[str, str]:
    """The licences of the questions and of the corpus."""
    data = config.data
    files = {"questions": data.train, "corpus": data.corpus or ""}
    return {
        name: getattr(data.licenses, name)
        or (WORLD_LICENSE if file.startswith(WORLD) else NOT_STATED)
        for name, file in files.items()
    }


def _make_head(facts: Facts) -> dict[str, Any]:
    """The front matter."""
    stated = sorted(set(find_licenses(facts.config).values()))
    licenses = ["unknown"] if NOT_STATED in stated else stated
    size = next((name for most, name in SIZES if facts.curated.height < most), LARGEST)
    return {
        "license": licenses[0] if len(licenses) == 1 else licenses,
        "task_categories": ["question-answering", "text-generation"],
        "size_categories": [size],
        "tags": ["agent", "search", "tool-use", "trajectories", "searchtrain"],
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": "train", "path": f"{folder}/train-*"}],
                **({"default": True} if name == "default" else {}),
            }
            for name, folder in CONFIGS.items()
        ],
    }


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}\n"


def _list_licenses(config: Config) -> str:
    lines = [f"- {name}: {license}" for name, license in find_licenses(config).items()]
    return "\n".join([*lines, f"- what the models wrote: {NOT_STATED}; their terms count"])


def _show_funnel(facts: Facts) -> str:
    passed = facts.verdicts.group_by("id").agg(pl.col("passed").all())["passed"].sum()
    steps = {
        "questions of the seed file": facts.seeds["rows_in"],
        "without duplicates and overlap with dev and test": facts.seeds["rows_out"],
        "chosen by domain and key points": facts.sampling["questions"]["after"],
        "questions rolled out": facts.trajectories["question_id"].n_unique(),
        "rollouts": facts.trajectories.height,
        "rollouts that no rule refuses": passed,
        "of these kept, the best of each question": facts.curated.height,
    }
    return _table([{"step": name, "count": f"{count:,}"} for name, count in steps.items()])


def _show_rules(verdicts: pl.DataFrame) -> str:
    """What each rule refuses, and what it alone refuses."""
    failed = pl.len() - pl.col("passed").sum()
    judged = verdicts.with_columns(failures=failed.over("id"))
    refused = (pl.col("failures") == 1) & ~pl.col("passed")
    rows = judged.group_by("rule", maintain_order=True).agg(
        threshold=pl.col("threshold").first(), refuses=failed, alone=refused.sum()
    )
    return _table(rows.rename({"alone": "it alone refuses"}).to_dicts())


def _show_contamination(seeds: Mapping[str, Any]) -> str:
    """The seed questions that were dropped for what they share with dev and test."""
    counts = [{"dropped for": about, "questions": seeds["reasons"].get(reason, 0)}
              for reason, about in REASONS.items()]  # fmt: skip
    words = f"{seeds['ngram']} words in a row" if seeds["ngram"] else "no n-gram was compared"
    return f"Compared with the run's dev and test questions ({words}):\n\n{_table(counts)}"


def _show_answers(curated: pl.DataFrame) -> str:
    changes = curated["form_change"].replace("", "as the model wrote it").value_counts(sort=True)
    return (
        "The last turn states a golden answer in place of the model's own words where those mean it"
        " (column `form_change`; the words are in `raw` of the rollout):\n\n"
        + _table([{"form": form, "conversations": f"{n:,}"} for form, n in changes.iter_rows()])
    )


def _show_origin(facts: Facts) -> str:
    lineage = pl.col("lineage").struct
    models = facts.trajectories.group_by(
        model=lineage.field("model"), revision=lineage.field("revision"), maintain_order=True
    ).agg(
        rollouts=pl.len(),
        prompt_tokens=pl.col("prompt_tokens").sum(),
        completion_tokens=pl.col("completion_tokens").sum(),
    )
    spent = models.select("prompt_tokens", "completion_tokens").sum().row(0)
    price = facts.config.models.resolve("teacher").price
    dollars = (spent[0] * price.prompt + spent[1] * price.completion) / 1e6
    each = max(1, facts.curated.height)
    cost = (
        f"At {price.prompt:g} and {price.completion:g} dollars per million prompt and completion"
        f" tokens these are {dollars:,.2f} dollars, {dollars / each:.4f} a conversation."
        if dollars
        else f"Cost in dollars: {NOT_STATED} (no price is set)."
    )
    digests = "\n".join(f"- prompt `{name}`: {value}" for name, value in facts.prompts.items())
    versions = ", ".join(f"{name} {version}" for name, version in list_versions().items())
    return "\n\n".join(
        [
            _table([{**row, "revision": _shorten(row["revision"])} for row in models.to_dicts()]),
            f"{sum(spent):,} tokens in all, {sum(spent) // each:,} for each conversation here."
            f" {cost}",
            digests,
            f"Packages: {versions}.",
        ]
    )


def _show_constraints(config: Config) -> str:
    if not config.task.enforced:
        return "The run enforced no constraint on models and sources."
    return "\n".join(f"- {name}: {getattr(config.task, name)}" for name in CONSTRAINTS)


def _shorten(revision: str) -> str:
    """A revision, or of a long one (the laptop world's list of mistakes) its digest."""
    return revision if len(revision) <= LONGEST else digest(revision)[:16]


def _table(rows: list[dict[str, Any]]) -> str:
    """Rows as they stand: what an endpoint calls its model cannot end the block."""
    return f"{FENCE}\n{show_text(format_table(rows)).replace(FENCE, '')}\n{FENCE}"
