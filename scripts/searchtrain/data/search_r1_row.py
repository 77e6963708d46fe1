"""A row of Search-R1's processed Parquet as the seed task has it: `{id, question, golden_answers}`.

Search-R1 (`scripts/data_process/`) and verl write `{data_source, prompt, ability, reward_model,
extra_info}`, beside FlashRAG's columns or without them. Its files join data sets whose ids are
alike (`train_0` of nq and of hotpotqa). Invariant: a row's id is the same whatever else is in the
file, and its question holds nothing of Search-R1's instructions.
"""

from collections.abc import Mapping
from typing import Any

MARK = "Question: "
"""What stands before the question in Search-R1's prompt."""
TEMPLATE_END = "</answer>. " + MARK
"""How the instructions of its one template (`make_prefix`, template type `base`) end."""


def adapt_row(row: Any) -> Any:
    """The same row with `id`, `question`, `golden_answers` and `source`, if it is Search-R1's;
    anything else as it is.

    The id is `<data_source>/<id>`, of a row without one `<data_source>/<split>_<index>`. What
    cannot be found is not there, for whoever checks rows.
    """
    if not _is_processed(row):
        return row
    told = row.get("extra_info")
    told = told if isinstance(told, Mapping) else {}
    found = {
        "id": _name_row(row, told),
        "question": row.get("question") or told.get("question") or _find_question(row["prompt"]),
        "golden_answers": row.get("golden_answers") or _find_answers(row["reward_model"]),
        "source": row.get("source") or row.get("data_source"),
    }
    return {name: value for name, value in {**row, **found}.items() if value is not None}


def _is_processed(row: Any) -> bool:
    return (
        isinstance(row, Mapping)
        and isinstance(row.get("prompt"), list)
        and isinstance(row.get("reward_model"), Mapping)
    )


def _name_row(row: Mapping[str, Any], told: Mapping[str, Any]) -> Any:
    """The id; None where there is nothing to make one of."""
    own, source = row.get("id"), row.get("data_source")
    if own is None and told.get("index") is not None:
        own = "_".join(str(told[key]) for key in ("split", "index") if told.get(key) is not None)
    return own if own is None or not source else f"{source}/{own}"


def _find_question(prompt: list[Any]) -> str | None:
    """The question in a prompt; None where instructions cannot be told from it."""
    said = [turn for turn in prompt if isinstance(turn, Mapping) and turn.get("role") == "user"]
    text = said[-1].get("content") if said else None
    if not isinstance(text, str):
        return None
    if TEMPLATE_END in text:
        return text.partition(TEMPLATE_END)[2]
    if MARK in text:
        return text.rpartition(MARK)[2]
    # Instructions of their own leave the question alone in its message.
    return text if len(prompt) > len(said) else None


def _find_answers(reward: Mapping[str, Any]) -> Any:
    truth = reward.get("ground_truth")
    answers = truth.get("target") if isinstance(truth, Mapping) else truth
    return [answers] if isinstance(answers, str) else answers
