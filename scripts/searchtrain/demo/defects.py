"""Which mistakes the scripted teacher made in its rollouts, and which of them curation catches.

Invariant: a mistake counts only where it came about. What a rate drew for a rollout that ended too
early, or what by chance came out right, is none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from searchtrain.agent import grammar
from searchtrain.core.errors import InputError, ProtocolError
from searchtrain.curation.rules import RULES
from searchtrain.data.answers import match_strict
from searchtrain.demo.completion import cut_at_stop
from searchtrain.demo.draws import check_rates
from searchtrain.demo.mistakes import RATES, ROLLOUT_KINDS
from searchtrain.demo.teacher import decide_turn

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
    for place, (role, text) in enumerate(messages):
        if role != grammar.ASSISTANT or text.startswith(grammar.FORCED_PREFIX):
            continue
        decision = decide_turn(row["question"], messages[:place], row["lineage"]["seed"], rates)
        _check_replay(row, text, decision.text)
        kinds = set(decision.mistakes)
        observed = messages[place + 1][1] if place + 1 < len(messages) else ""
        if _has_searched(text, observed):
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
    failed = _list_failures(verdicts)
    lacking = set(trajectories["id"]) - set(verdicts["id"])
    if lacking:
        raise InputError(
            f"verdicts: no row for rollout {min(lacking)!r} and {len(lacking) - 1} more;"
            " use the file that curation wrote for these trajectories"
        )
    by_kind: dict[str, list[tuple[str, bool]]] = {kind: [] for kind in KINDS}
    good, failures = [], 0
    for row in trajectories.iter_rows(named=True):
        mistakes = list_mistakes(row, rates)
        for kind in mistakes:
            by_kind[kind].append((row["id"], len(mistakes) == 1))
        if not mistakes and match_strict(row["answer"], row["golden_answers"]):
            good.append(row["id"])
        failures += not mistakes and not match_strict(row["answer"], row["golden_answers"])
    dropped = [name for name in good if failed.get(name)]
    return {
        "rollouts": trajectories.height,
        "kinds": {
            kind: {"detectable": kind not in UNDETECTABLE, **_measure_kind(rows, failed)}
            for kind, rows in by_kind.items()
        },
        "clean": {
            "rollouts": len(good) + failures,
            "failed": failures,
            "good": len(good),
            "dropped": len(dropped),
            "share": _divide(len(dropped), len(good)),
            "rules": _count_rules(dropped, failed),
            "examples": dropped[:EXAMPLES],
        },
    }


def list_lines(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The result of `measure_defects` as rows for `text_table.format_table`."""
    lines = [
        {
            "rollouts with": kind if figures["detectable"] else f"{kind} (no defect)",
            "count": figures["rollouts"],
            "dropped": figures["caught"],
            "share": figures["share"],
            "alone, by": _name_rules(figures["rules"]),
        }
        for kind, figures in measured["kinds"].items()
    ]
    clean = measured["clean"]
    last = {"rollouts with": "no mistake, right answer", "count": clean["good"]}
    figures = {"dropped": clean["dropped"], "share": clean["share"]}
    return [*lines, {**last, **figures, "alone, by": _name_rules(clean["rules"])}]


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


def _has_searched(turn: str, observed: str) -> bool:
    """Whether a turn asked for a search and got one (not a notice that there is none left)."""
    if not observed.startswith("<information>\nQuery: "):
        return False
    try:
        return bool(grammar.parse_turn(turn).queries)
    except ProtocolError:
        return False


def _list_failures(verdicts: pl.DataFrame) -> dict[str, list[str]]:
    """Per rollout the rules that it fails."""
    failures = verdicts.filter(~pl.col("passed"), pl.col("rule").is_in(list(RULES)))
    grouped = failures.group_by("id", maintain_order=True).agg("rule")
    return dict(grouped.iter_rows())


def _measure_kind(
    rows: Sequence[tuple[str, bool]], failed: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    caught = [name for name, _ in rows if failed.get(name)]
    only = [name for name, alone in rows if alone]
    return {
        "rollouts": len(rows),
        "caught": len(caught),
        "share": _divide(len(caught), len(rows)),
        "only": len(only),
        "only_caught": sum(bool(failed.get(name)) for name in only),
        "rules": _count_rules(only, failed),
        "missed": [name for name, _ in rows if not failed.get(name)][:EXAMPLES],
    }


def _count_rules(names: Sequence[str], failed: Mapping[str, Sequence[str]]) -> dict[str, int]:
    return dict(Counter(rule for name in names for rule in failed.get(name, ())).most_common())


def _name_rules(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in counts.items()) or "-"


def _divide(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
