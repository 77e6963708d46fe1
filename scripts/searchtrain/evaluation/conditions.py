"""Under which conditions a score was measured: no two papers' figures compare without them.

Corpus, engine, passages per query and limits decide as much as the model does (with Qwen2.5-7B and
PPO: BM25 .352, e5 .430 EM; top 1, 3, 5: .375, .431, .400). Invariant: what is not known stands
there as None.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from searchtrain.config import Config
from searchtrain.config.limits import Limits
from searchtrain.config.models import Sampling
from searchtrain.search.manifest import load_manifest

REVISION = re.compile(r"[\w.-]{0,8}")
"""As much of a revision as a line has room for."""
TOLD = ("engine", "corpus_sha256", "corpus_bytes", "passages")
"""What of an index's manifest is said in another form, or follows from what is."""


def describe_search(config: Config, index: Path | None) -> dict[str, Any]:
    """What was searched: `engine`, `corpus` (the beginning of its SHA-256), `passages`, `index`
    (what else its manifest says) and `server` (the settings that decide what it finds).

    `index`: the folder of the run's own; None where there is none, as with `retriever.endpoint` or
    on the web: then only what the config says of the engine is known.
    """
    unknown = {"corpus": None, "passages": None, "index": None}
    if config.search == "web":
        return {"engine": config.web.endpoint or "web", **unknown, "server": None}
    server = config.retriever.tracked("serve")
    if index is None:
        engine = server.get("revision") or config.retriever.endpoint
        return {"engine": engine, **unknown, "server": None}
    manifest = load_manifest(index)
    return {
        "engine": manifest.get("engine"),
        "corpus": str(manifest.get("corpus_sha256", ""))[:12] or None,
        "passages": manifest.get("passages"),
        "index": {key: value for key, value in manifest.items() if key not in TOLD},
        "server": server,
    }


def describe_conditions(
    search: Mapping[str, Any], limits: Limits, sampling: Sampling, rows: pl.DataFrame
) -> dict[str, Any]:
    """The conditions of some rollouts: `models` that wrote them (model and revision), what was
    searched, `topk`, the other limits and the sampling.

    `search`: as from `describe_search`; `rows`: the rollouts, with their lineage.
    """
    lineage = rows["lineage"].struct.unnest().select("model", "revision").unique()
    return {
        "models": lineage.sort("model", "revision").to_dicts(),
        **search,
        "topk": limits.topk,
        "limits": limits.model_dump(exclude={"topk"}),
        "sampling": sampling.tracked(),
    }


def adapt_limits(limits: Limits, split: str) -> Limits:
    """The limits of a split: closed-book has no search, retrieve-then-read just one."""
    if split.endswith("closed_book"):
        return limits.model_copy(update={"max_searches": 0, "force_answer": True})
    if split.endswith("retrieve_read"):
        return limits.model_copy(update={"max_turns": 1, "max_searches": 1, "max_queries": 1})
    return limits


def format_conditions(conditions: Mapping[str, Any]) -> str:
    """The conditions in one line."""
    limits, sampling = conditions["limits"], conditions["sampling"]
    known = [f"{conditions['passages']} passages"] * (conditions["passages"] is not None)
    known += [f"corpus {conditions['corpus'] or 'not known'}"]
    options = ", ".join(f"{name} {value}" for name, value in sampling.items())
    models = [f"{each['model']} ({_shorten(each['revision'])})" for each in conditions["models"]]
    return (
        f"{' and '.join(models)}; {conditions['engine']},"
        f" {', '.join(known)}, top {conditions['topk']}; at most {limits['max_searches']} searches"
        f" of {limits['max_queries']} queries in {limits['max_turns']} turns,"
        f" {limits['max_observation_chars']} characters each; {options or 'sampling not set'}"
    )


def _shorten(revision: str) -> str:
    found = REVISION.match(revision)
    return found[0] if found else ""
