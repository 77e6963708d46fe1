"""Curated rollouts as LLaMA-Factory sharegpt records.

Invariant: record i is row i of `curated.parquet`, with the student's prompt in place of the
teacher's, as the student's format writes it and its server takes it; equal input gives equal bytes.
Mixed records (`mixing`) come behind them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from searchtrain.agent import grammar
from searchtrain.agent.formats import Format
from searchtrain.core.errors import InputError
from searchtrain.models.identity import is_same_model
from searchtrain.models.request import make_body
from searchtrain.models.role import Role
from searchtrain.training.records import CALL, DATASET, make_turns, write_tools

TURNS = (grammar.OBSERVATION, grammar.ASSISTANT)
"""After the question they alternate: the odd messages are the assistant's."""


def make_records(
    curated: pl.DataFrame, system: str, written: Format, student: Role
) -> list[dict[str, Any]]:
    """One record per row of `schemas.Curated`: `{conversations: [{from, value}], system}`, and
    `tools` where the format has some.

    `written`: the student's format; `student`: how its server takes observations. Raises InputError
    naming the rollout when its roles do not alternate as LLaMA-Factory demands (it would drop such
    a record with no more than a warning), or when `system` is blank (the template would put in a
    prompt of its own).
    """
    check_prompt(system)
    tools = write_tools(written.tools)
    return [
        {**make_record(key, messages, system, written, student), **tools}
        for key, messages in curated.select("id", "messages").iter_rows()
    ]


def check_prompt(system: str) -> None:
    """Raise InputError for a blank prompt, in whose place the template would put one of its own."""
    if not system.strip():
        raise InputError("the student's prompt is blank; write config/prompts/agent.jinja")


def check_origins(
    curated: pl.DataFrame, questions: pl.DataFrame, teacher: str | None, trees: bool
) -> None:
    """Check that every record traces to a seed question and was written by the named teacher.

    `curated`: `schemas.Curated`; `questions`: `schemas.Questions`; `teacher`: null to leave the
    model unchecked; `trees`: whether questions of research trees grown from seed answers count.
    Raises InputError naming the rollout, what it traces to, and the remedy.
    """
    origins = ["seed", "tree"] if trees else ["seed"]
    known = questions.filter(pl.col("origin").is_in(origins)).select(
        pl.col("id").alias("question_id"), "question"
    )
    stray = curated.join(known, on=["question_id", "question"], how="anti")
    if not stray.is_empty():
        row = stray.row(0, named=True)
        raise InputError(
            f"task.seed_data_only: rollout {row['id']!r} ({row['question'][:60]!r}) traces to no"
            f" seed question ({stray.height} such rollouts); rebuild questions.parquet and the"
            " trajectories from data.train alone"
        )
    if teacher is None:
        return
    models = curated.select("id", model=pl.col("lineage").struct.field("model"))
    for key, model in models.iter_rows():
        if not is_same_model(model, teacher):
            raise InputError(
                f"task.teacher: rollout {key!r} was written by {model!r}, not by {teacher!r};"
                " rebuild the trajectories with the named teacher"
            )


def make_dataset_info(file_name: str, tools: bool = False) -> dict[str, Any]:
    """The content of `dataset_info.json`: every column and tag named, since LLaMA-Factory takes
    an unnamed column for absent."""
    columns = {"messages": "conversations", "system": "system"}
    return {
        DATASET: {
            "file_name": file_name,
            "formatting": "sharegpt",
            "columns": columns | ({"tools": "tools"} if tools else {}),
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "human",
                "assistant_tag": "gpt",
                "observation_tag": "observation",
                "function_tag": CALL,
                "system_tag": "system",
            },
        }
    }


def make_report(
    records: Mapping[str, Sequence[Mapping[str, Any]]],
    mix: Mapping[str, Any] | None,
    answers: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """`sft_report.json`: what the data set is made of, so that nothing is left out in silence.

    `records`: origin (`search`, `mixed`) -> its records; `mix`: as from `mixing.mix_records`, None
    when nothing is mixed in; `answers`: as from `count_answers`. Words are those of all
    turns, without the system prompt.
    """
    return {
        "records": sum(map(len, records.values())),
        "origins": {name: _measure_words(part) for name, part in records.items()},
        "mix": mix,
        "answers": dict(answers or {}),
    }


def count_answers(curated: pl.DataFrame) -> dict[str, int]:
    """How many answers of `schemas.Curated` stand as the model wrote them, and how many in another
    form, by how the model's own meant it (`form_change`)."""
    counts = Counter(change or "as_written" for change in curated["form_change"])
    return dict(sorted(counts.items()))


def _measure_words(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    words = [
        sum(len(turn["value"].split()) for turn in record["conversations"]) for record in records
    ]
    return {
        "records": len(records),
        "mean_words": round(sum(words) / max(len(words), 1), 1),
        "longest_words": max(words, default=0),
    }


def make_record(
    key: str, messages: Sequence[Mapping[str, str]], system: str, written: Format, student: Role
) -> dict[str, Any]:
    """The record of one stored conversation that ends with an assistant turn, without `tools`.

    `key`: its rollout's id, for messages; else as `make_records`.
    """
    body = messages[1:] if messages and messages[0]["role"] == "system" else messages
    for place, message in enumerate(body):
        expected = "user" if place == 0 else TURNS[place % 2]
        if message["role"] != expected:
            raise InputError(
                f"rollout {key!r}: message {place + 1} has role {message['role']!r} where"
                f" {expected!r} belongs; switch curate.rules.valid_grammar on"
            )
    if not body or len(body) % 2:
        raise InputError(
            f"rollout {key!r}: ends without an assistant turn ({len(body)} messages);"
            " switch curate.rules.answered and valid_grammar on"
        )
    stored = [{"role": "system", "content": system}, *body]
    sent, begun = written.make_request(stored)
    if begun:
        sent = [*sent, {"role": grammar.ASSISTANT, "content": begun}]
    sent = make_body(student, sent, 0)["messages"]
    first = sent.pop(0)["content"] if sent[0]["role"] == "system" else ""
    return {"conversations": make_turns(sent), "system": first}
