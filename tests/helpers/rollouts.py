"""Rows of trajectories and predictions, right unless a test changes them."""

import polars as pl

from searchtrain.agent import grammar
from searchtrain.config import Curate, Rules
from searchtrain.curation.choice import curate_rollouts
from searchtrain.data import schemas

OSLO = "Oslo is the capital of Norway, founded in 1,040."


def make_rollout(
    question="q1", number=0, *, answer="Oslo", queries=(("capital of Norway",),), passage=OSLO,
    think="I look it up.", last="Now I know.", stop="answered", tamper=None,
    asked="What is the capital?", hits=None, fallbacks=0, repairs=(), wave="first",
):  # fmt: skip
    """One row of `schemas.Trajectories`; `tamper` edits the messages."""
    messages = [
        {"role": "system", "content": "The teacher's prompt."},
        {"role": "user", "content": asked},
    ]
    for turn in queries:
        found = [(query, [{"contents": f'"Oslo"\n{passage}'}]) for query in turn]
        messages.append({"role": "assistant", "content": grammar.render_turn(think, queries=turn)})
        messages.append({"role": "tool", "content": grammar.render_observation(found, 2000)})
    if answer:
        final = grammar.render_turn(last, answer=answer)
        messages.append({"role": "assistant", "content": final})
    if tamper:
        tamper(messages)
    return {
        "id": f"{question}#{number}",
        "question_id": question,
        "rollout": number,
        "wave": wave,
        "question": asked,
        "golden_answers": ["Oslo", "Kristiania"],
        "source": "test",
        "messages": messages,
        "answer": answer,
        "stop_reason": stop,
        "error": "",
        "turns": len(queries) + 1,
        "searches": len(queries),
        "queries": [list(turn) for turn in queries],
        "retrieved_ids": [[str(n)] for n in range(len(queries))] if hits is None else hits,
        "sources": [["1"] for _ in queries],
        "fallbacks": fallbacks,
        "repairs": list(repairs),
        "raw": [""] * sum(message["role"] == "assistant" for message in messages),
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "lineage": {"model": "m", "revision": "r", "prompt": "p", "seed": 1},
    }


def make_frame(*rollouts):
    return pl.DataFrame(list(rollouts), schema=schemas.empty_table(schemas.Trajectories).schema)


def curate(*rollouts):
    return curate_rollouts(
        make_frame(*rollouts), Curate(rules=Rules(**dict.fromkeys(Rules.model_fields)))
    )[0]


def make_predictions(rows):
    """`rows`: (split, question id, answer)."""
    return pl.DataFrame(
        [
            {
                "id": f"{split}/{key}#{rollout}",
                "question_id": str(key),
                "rollout": rollout,
                "wave": "first",
                "question": "?",
                "golden_answers": [],
                "source": "x",
                "messages": [],
                "answer": answer,
                "stop_reason": "answered" if answer else "turn_limit",
                "error": "",
                "turns": 2,
                "searches": 1,
                "queries": [["q"]],
                "retrieved_ids": [["1"]],
                "sources": [["1"]],
                "fallbacks": 0,
                "repairs": [],
                "raw": [],
                "prompt_tokens": 1,
                "completion_tokens": 1,
                "lineage": {"model": "m", "revision": "r", "prompt": "p", "seed": 1},
                "split": split,
            }
            for split, key, answer, *rest in rows
            for rollout in rest or [0]
        ],
        schema=schemas.empty_table(schemas.Predictions).schema,
    )
