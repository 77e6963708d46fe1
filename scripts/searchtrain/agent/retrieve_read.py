"""The plain baseline: one search for the question as it stands, its passages in the prompt, and the
model answers at once (retrieve, then read; RAG in the tables of Search-R1 and InfoSeeker).

Invariant: the model is asked once, for nothing but the answer.
"""

from searchtrain.agent import grammar
from searchtrain.agent.formats import find_thoughts
from searchtrain.agent.loop import Attempt, Policy
from searchtrain.agent.reader import render_request
from searchtrain.agent.reading import Reading, differ, read_answer, render_raw
from searchtrain.agent.trace import Said, Trace
from searchtrain.search import Search


async def read_once(attempt: Attempt, policy: Policy, search: Search, trace: Trace) -> str:
    """Search, read and answer; returns the stop reason. Fills in the trace as a rollout does."""
    limits, role = policy.harness.limits, policy.model.role
    (found,) = await search.search([attempt.question], limits.topk, attempt.exclude_urls)
    ids = [str(passage["id"]) for passage in found]
    trace.queries.append([attempt.question])
    trace.retrieved_ids.append(ids)
    trace.sources.append(ids)
    request = render_request(attempt.question, found, limits.max_observation_chars)
    trace.said[-1] = Said("user", request)
    completion = await policy.model.complete(trace.messages, seed=attempt.seed)
    trace.count(completion)
    answer, repairs = read_answer(completion, find_thoughts(role))
    turn = grammar.Turn("", answer=answer) if answer else None
    raw = differ(render_raw(completion), completion.text)
    trace.add_turn(Reading(completion.text, turn, None, tuple(repairs), raw))
    trace.answer = answer
    if answer:
        return "answered"
    return "token_limit" if completion.finish_reason == "length" else "invalid_turn"
