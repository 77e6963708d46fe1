"""Preference pairs as LLaMA-Factory's DPO reads them (stage `dpo`, `ranking: true`).

Files, all in the folder `<results>/preferences/`, which is the `dataset_dir` of a DPO run
(LLaMA-Factory looks for a file of the name `dataset_info.json` there and takes no other):

`preference_dataset.json`: a JSON array of
`{conversations: [{from, value}, ...], chosen: {from, value}, rejected: {from, value}, system}`,
and `tools` where the student's format has some. `conversations` begins with the human and ends
with the human or an observation: what the student has read when it writes the turn. `from` of
`chosen` and `rejected` is `gpt`, or `function_call` of a native call.
`dataset_info.json`: the data set `records.PAIRS`, sharegpt with `ranking: true`.
`preferences_report.json`: pairs found and taken, by kind.

In the format `search_r1`, whose turns grow in one assistant message, `chosen` and `rejected` are
that message up to their turn; the tokens that both begin with cancel out of DPO's loss.

Invariant: a pair's two turns stand behind one and the same conversation, with the student's prompt
in place of the teacher's, as the student's server takes it; equal input gives equal bytes.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from searchtrain.agent import grammar
from searchtrain.agent.formats import Format
from searchtrain.models.role import Role
from searchtrain.training import sharegpt
from searchtrain.training.pairs import Pair
from searchtrain.training.records import PAIRS, write_tools


def make_records(
    pairs: Sequence[Pair], system: str, written: Format, student: Role
) -> list[dict[str, Any]]:
    """One record per pair; `written`: the student's format, `student`: how its server takes
    observations. Raises InputError as `sharegpt.make_records` does."""
    sharegpt.check_prompt(system)
    tools = write_tools(written.tools)
    return [{**_make_record(pair, system, written, student), **tools} for pair in pairs]


def make_dataset_info(file_name: str, tools: bool = False) -> dict[str, Any]:
    """The content of the folder's `dataset_info.json`."""
    (info,) = sharegpt.make_dataset_info(file_name, tools).values()
    columns = {**info["columns"], "chosen": "chosen", "rejected": "rejected"}
    return {PAIRS: {**info, "ranking": True, "columns": columns}}


def make_report(found: Sequence[Pair], taken: Sequence[Pair]) -> dict[str, Any]:
    """`preferences_report.json`: pairs by kind, those that the cap left out among the found ones.

    `mean_words` are those of a pair's two turns; `types`: what is preferred to what.
    """
    return {
        "pairs": len(taken),
        "kinds": {
            kind: _describe(kind, found, [pair for pair in taken if pair.kind == kind])
            for kind in sorted({pair.kind for pair in found})
        },
    }


def _describe(kind: str, found: Sequence[Pair], taken: Sequence[Pair]) -> dict[str, Any]:
    count = max(1, len(taken))
    types = Counter(f"{_name(pair.chosen)} over {_name(pair.rejected)}" for pair in taken)
    return {
        "found": sum(pair.kind == kind for pair in found),
        "taken": len(taken),
        "mean_words": {
            "chosen": round(sum(len(pair.chosen.split()) for pair in taken) / count, 1),
            "rejected": round(sum(len(pair.rejected.split()) for pair in taken) / count, 1),
        },
        "types": dict(sorted(types.items())),
    }


def _name(turn: str) -> str:
    return "search" if grammar.parse_turn(turn).answer is None else "answer"


def _make_record(pair: Pair, system: str, written: Format, student: Role) -> dict[str, Any]:
    chosen, rejected = (
        sharegpt.make_record(
            name,
            [*pair.prefix, {"role": grammar.ASSISTANT, "content": turn}],
            system,
            written,
            student,
        )
        for name, turn in zip(pair.rollouts, (pair.chosen, pair.rejected), strict=True)
    )
    *before, last = chosen["conversations"]
    return {
        "conversations": before,
        "chosen": last,
        "rejected": rejected["conversations"][-1],
        "system": chosen["system"],
    }
