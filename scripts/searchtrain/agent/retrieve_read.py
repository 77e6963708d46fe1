"""The plain baseline: one search for the question as it stands, its passages in the prompt, and the
model answers at once (retrieve, then read; RAG in the tables of Search-R1 and InfoSeeker).

Invariant: the model is asked once, and whatever it writes is its answer.
"""

import re

from searchtrain.agent import grammar
from searchtrain.agent.loop import Attempt, Policy, Trace
from searchtrain.search import Search
from searchtrain.search.contents import split_contents

THOUGHT = re.compile(r"(?:<think>)?.*</think>|<think>.*", re.DOTALL)
ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL)
LABEL = re.compile(r"^(?:the )?(?:final )?answer(?: is)?:?\s+", re.IGNORECASE)


async def read_once(attempt: Attempt, policy: Policy, search: Search, trace: Trace) -> str:
    """Search, read and answer; returns the stop reason. Fills in the trace as a rollout does."""
    limits = policy.harness.limits
    (found,) = await search.search([attempt.question], limits.topk, attempt.exclude_urls)
    ids = [str(passage["id"]) for passage in found]
    trace.queries.append([attempt.question])
    trace.retrieved_ids.append(ids)
    trace.sources.append(ids)
    passages = "\n\n".join("\n".join(split_contents(passage)) for passage in found)
    shown = passages[: limits.max_observation_chars]
    trace.messages[1]["content"] = f"{shown}\n\nQuestion: {attempt.question}\nAnswer:".lstrip()
    completion = await policy.model.complete(trace.messages, seed=attempt.seed)
    trace.count(completion)
    trace.add(grammar.ASSISTANT, completion.text)
    trace.answer = find_answer(completion.text)
    if trace.answer:
        return "answered"
    return "token_limit" if completion.finish_reason == "length" else "invalid_turn"


def find_answer(text: str) -> str:
    """The answer in what a model wrote: without a thought, tags, or the word «answer» before it."""
    text = THOUGHT.sub("", text).strip()
    tagged = ANSWER.search(text)
    first, *_ = (tagged[1] if tagged else text).strip().splitlines() or [""]
    return LABEL.sub("", first).strip()
