"""Which mistakes the scripted teacher made in its rollouts, and which of them curation catches.

Invariant: a mistake counts only where it came about. What a rate drew for a rollout that ended too
early, or what by chance came out right, is none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from searchtrain.agent import grammar
from searchtrain.core.errors import InputError
from searchtrain.curation.rules import RULES
from searchtrain.data.answers import match_strict
from searchtrain.demo.draws import check_rates
from searchtrain.demo.mistakes import RATES, ROLLOUT_KINDS
from searchtrain.demo.requests import cut_at_stop
from searchtrain.demo.teacher import decide_turn, read_queries

KINDS = (*ROLLOUT_KINDS, "broken_tags")
"""Mistakes that a rollout can hold; the other kinds are other roles' or only cost a retry."""

UNDETECTABLE = frozenset(("bad_query",))
"""Kinds that no rule has to catch: a rollout that searched badly, saw it and went on to the right
answer is a good one to learn from."""

LONG_WORDS = 180
"""Words of a rollout's turns from which it is a long trace: twice what any good one has here."""
EXAMPLES = 3


def list_mistakes(row: Mapping[str, Any], rates: Mapping[str, float]) -> list[str]:
    """The mistakes in one rollout, each once, in the order of `KINDS`.

    `row`: `schemas.Trajectories`. `rates`: those that the teacher ran with. Its decisions are made
    again over the row's own messages; raises InputError for a turn that it would not have written.
    """
    messages = [(message["role"], message["content"]) for message in row["messages"]]
    found: set[str] = set()
    hits: list[list[str]] = []
    written = iter(row["raw"])
    for place, (role, text) in enumerate(messages):
        if role != grammar.ASSISTANT:
            continue
        raw = next(written)
        if text.startswith(grammar.FORCED_PREFIX):
            continue
        seed = row["lineage"]["seed"]
        replayed, mistakes = decide_turn(row["question"], messages[:place], seed, rates)
        _check_replay(row, grammar.close_turn(raw or text), replayed)
        kinds = set(mistakes)
        if "broken_tags" in kinds:
            # One that was repaired is none, and of one that was not read nothing else came about.
            kinds = kinds - {"broken_tags"} if raw else {"broken_tags"}
        observed = messages[place + 1][1] if place + 1 < len(messages) else ""
        # Not where a notice says that no search is left.
        if read_queries(text) and observed.startswith("<information>\nQuery: "):
            hits.append(row["retrieved_ids"][len(hits)])
            if not set(hits[-1]) <= {hit for earlier in hits[:-1] for hit in earlier}:
                kinds.discard("redundant_search")
        else:
            kinds -= {"bad_query", "repeated_query", "redundant_search", "shortcut"}
        found |= kinds
    if match_strict(row["answer"], row["golden_answers"]):
        found.discard("wrong_answer")
    words = sum(len(text.split()) for role, text in messages if role == grammar.ASSISTANT)
    if words < LONG_WORDS:
        found.discard("long_trace")
    return [kind for kind in KINDS if kind in found]


def measure_defects(
    trajectories: pl.DataFrame, verdicts: pl.DataFrame, rates: Mapping[str, float]
) -> dict[str, Any]:
    """How much of each kind of mistake curation catches, and what it drops that was good.

    `trajectories`, `verdicts`: `schemas.Trajectories` and `schemas.Verdicts` of the same rollouts.
    Caught or dropped is what fails any rule on rollouts; rules on questions and the choice of the
    best judge something else. Returns

    - `kinds`: per kind `detectable`, `rollouts` that have it, `caught`, `share`, `only` (rollouts
      with no other mistake) and `only_caught`, `rules` (rule: rollouts it caught), `missed` (ids);
    - `clean`: rollouts without a mistake: `rollouts`, `failed` (their answer is not right for want
      of a passage, so it is no good rollout), `good`, `dropped` (of the good), `share`, `rules`,
      `examples` (ids).

    A share is null when there is nothing to share.
    """
    rates = check_rates(rates, RATES, "teacher.rates")
    lacking = set(trajectories["id"]) - set(verdicts["id"])
    if lacking:
        raise InputError(
            f"verdicts: no row for rollout {min(lacking)!r} and {len(lacking) - 1} more;"
            " use the file that curation wrote for these trajectories"
        )
    rows = list(trajectories.iter_rows(named=True))
    mistakes = {row["id"]: list_mistakes(row, rates) for row in rows}
    clean = [row for row in rows if not mistakes[row["id"]]]
    good = [row["id"] for row in clean if match_strict(row["answer"], row["golden_answers"])]
    failures = verdicts.filter(~pl.col("passed"), pl.col("rule").is_in(list(RULES)))
    failed = dict(failures.group_by("id", maintain_order=True).agg("rule").iter_rows())
    dropped, share, rules = _measure_drops(good, failed)
    return {
        "rollouts": trajectories.height,
        "kinds": {kind: _measure_kind(kind, mistakes, failed) for kind in KINDS},
        "clean": {
            "rollouts": len(clean),
            "failed": len(clean) - len(good),
            "good": len(good),
            "dropped": len(dropped),
            "share": share,
            "rules": rules,
            "examples": dropped[:EXAMPLES],
        },
    }


def list_lines(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The result of `measure_defects` as rows for `text_table.format_table`."""
    clean = measured["clean"]
    named = [
        (kind if figures["detectable"] else f"{kind} (no defect)", figures["rollouts"], figures)
        for kind, figures in measured["kinds"].items()
    ]
    return [
        {
            "rollouts with": name,
            "count": count,
            "dropped": figures["caught" if "caught" in figures else "dropped"],
            "share": figures["share"],
            "alone, by": ", ".join(f"{rule} {n}" for rule, n in figures["rules"].items()) or "-",
        }
        for name, count, figures in (*named, ("no mistake, right answer", clean["good"], clean))
    ]


def _check_replay(row: Mapping[str, Any], text: str, replayed: str) -> None:
    """Raise InputError when a turn is not what the teacher writes; one that was cut may be."""
    expected = grammar.close_turn(cut_at_stop(replayed, grammar.STOP)[0])
    if text == expected:
        return
    words, whole = text.split(), expected.split()
    if row["stop_reason"] == "token_limit" and words == whole[: len(words)]:
        return
    raise InputError(
        f"trajectories: {row['id']}: the scripted teacher does not write {text[:80]!r} at these"
        " rates; give the rates that it ran with"
    )


def _measure_kind(
    kind: str, mistakes: Mapping[str, Sequence[str]], failed: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    names = [name for name, kinds in mistakes.items() if kind in kinds]
    only = [name for name in names if len(mistakes[name]) == 1]
    caught, share, _ = _measure_drops(names, failed)
    only_caught, _, rules = _measure_drops(only, failed)
    return {
        "detectable": kind not in UNDETECTABLE,
        "rollouts": len(names),
        "caught": len(caught),
        "share": share,
        "only": len(only),
        "only_caught": len(only_caught),
        "rules": rules,
        "missed": [name for name in names if name not in failed][:EXAMPLES],
    }


def _measure_drops(
    names: Sequence[str], failed: Mapping[str, Sequence[str]]
) -> tuple[list[str], float | None, dict[str, int]]:
    """Those of the rollouts that fail a rule, their share, and how many each rule fails."""
    dropped = [name for name in names if name in failed]
    rules = Counter(rule for name in dropped for rule in failed[name])
    share = round(len(dropped) / len(names), 4) if names else None
    return dropped, share, dict(rules.most_common())
