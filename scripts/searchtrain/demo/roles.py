"""Which scripted role a request is for, and its answer.

The fields of the answer's schema name the role; without a schema it is the agent. The first user
message is the question, or the JSON that the role is sent; system prompts may say anything.

Invariant: an answer is a function of (messages, response format, seed) and the rates.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from searchtrain.agent.grammar import FORCED_REQUEST, OBSERVATION
from searchtrain.demo.browser import extend_tree
from searchtrain.demo.draws import draw_share
from searchtrain.demo.judge import judge_answer, judge_trajectory
from searchtrain.demo.planner import plan_step
from searchtrain.demo.refiner import refine_documents
from searchtrain.demo.requests import Refusal
from searchtrain.demo.solver import solve_closed_book, verify_question
from searchtrain.demo.tagger import tag_question
from searchtrain.demo.teacher import decide_turn, finish_turn
from searchtrain.demo.writer import word_question
from searchtrain.models.request import CLOSED, OPENED

Role = Callable[[str, int, Collection[str]], str]
"""From the user message, the seed and the mistakes to make to the answer."""

ROLES: Mapping[tuple[str, ...], Role] = {
    ("domain", "key_points"): tag_question,
    ("findings",): refine_documents,
    ("correct",): judge_answer,
    ("action",): plan_step,
    ("tree",): extend_tree,
    ("question",): word_question,
    ("answers",): verify_question,
    ("answer",): solve_closed_book,
    ("genuine",): judge_trajectory,
}
"""Roles by the fields of the answer's schema that only they have; the first that fits counts."""


def write_reply(body: Mapping[str, Any], rates: Mapping[str, float]) -> str:
    """Write the assistant's message for one request; raises Refusal if the request is unusable."""
    messages = _read_messages(body)
    seed = body.get("seed") or 0
    text = next((content for role, content in messages if role == "user"), None)
    if text is None:
        raise Refusal("the request has no user message")
    fields = _read_schema(body.get("response_format"))
    if fields is None:
        if messages[-1][0] == "assistant":
            return finish_turn(text, messages)
        if messages[-1][0] == "user" and messages[-1][1].endswith(FORCED_REQUEST):
            return finish_turn(text.removesuffix(FORCED_REQUEST).rstrip(), messages)
        return decide_turn(text, messages, seed, rates)[0]
    play = next((role for names, role in ROLES.items() if fields.issuperset(names)), None)
    if play is None:
        raise Refusal(f"this teacher plays no role that answers with {sorted(fields)}")
    erring = {kind for kind in rates if draw_share(rates, kind, messages, seed)}
    try:
        return play(text, seed, erring)
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise Refusal(f"the request lacks what this role needs: {error!r}") from None


def _read_messages(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The messages as (role, text); raises Refusal when the body has another form."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal("messages must be a non-empty list")
    if body.get("stream") or (body.get("n") or 1) != 1:
        raise Refusal("this teacher writes one whole message: no stream, n = 1")
    pairs = []
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Refusal(f"messages[{place}] must be an object with a role")
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
        if not isinstance(content, str):
            raise Refusal(f"messages[{place}].content must be text")
        role = message["role"]
        if role == "user" and content.startswith(OPENED) and content.endswith(CLOSED):
            role, content = OBSERVATION, content[len(OPENED) : -len(CLOSED)]
        pairs.append((role, content))
    return pairs


def _read_schema(response_format: Any) -> set[str] | None:
    """The fields that a json_schema response format asks for; None when text is asked for."""
    if not isinstance(response_format, dict) or response_format.get("type") in (None, "text"):
        return None
    if response_format["type"] != "json_schema":
        raise Refusal(f"response_format {response_format['type']!r} is not json_schema")
    schema = (response_format.get("json_schema") or {}).get("schema") or {}
    return set(schema.get("properties") or {})
