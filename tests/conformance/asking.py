"""Requests as tests send them to an imitation: raw bodies, no client of the project."""

import json

import httpx

from searchtrain.agent import grammar

CLIENT = httpx.Client(timeout=30)
QUESTION = "What is the time zone of Lyon?"
ANSWER = "Europe/Paris"
LYON = {"contents": f'"Lyon"\nA city in France with 500,000 people. Time zone {ANSWER}.'}
OBSERVATION = grammar.render_observation([("city Lyon", [LYON])], 500)
SEARCH = grammar.render_turn("I need Lyon.", queries=["city Lyon"])
SYSTEM = {"role": "system", "content": "Think in <think>, then <search> or <answer>."}
TAGGER = {"role": "system", "content": 'Answer in JSON: {"domain": "film", "key_points": ["age"]}'}
USER = {"role": "user", "content": QUESTION}
ASK = [SYSTEM, USER]
TURN = {"role": "assistant", "content": SEARCH}
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "search", "arguments": '{"queries":["x"]}'},
}
CALLED = {"role": "assistant", "content": "I need Lyon.", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": OBSERVATION}
TOOL = [*ASK, TURN, {"role": "tool", "content": OBSERVATION}]
AS_USER = [
    *ASK, TURN, {"role": "user", "content": f"<tool_response>\n{OBSERVATION}\n</tool_response>"},
]  # fmt: skip
FORCED = f"<think>\n{grammar.FORCED_THINK}\n</think>\n\n<answer>"
FUNCTION = {
    "type": "function",
    "function": {
        "name": "search",
        "parameters": {
            "type": "object",
            "properties": {"queries": {"type": "array", "items": {"type": "string"}}},
            "required": ["queries"],
        },
    },
}
FILLER = {"role": "user", "content": QUESTION + " word" * 4000}


def schema_format(schema, name="answer", strict=True):
    """OpenAI's response format for a schema."""
    inner = {"name": name, "schema": schema, "strict": strict}
    return {"type": "json_schema", "json_schema": inner}


def post(served, path="/v1/chat/completions", headers=None, **body):
    """A request that fits the kind, but for what `body` says; None takes a field out."""
    usual = {"model": served.model, "messages": ASK}
    if served.kind.models == ("qwen3-32b",):
        usual["enable_thinking"] = False
    body = {key: value for key, value in {**usual, **body}.items() if value is not None}
    return CLIENT.post(served.root + path, json=body, headers=headers)


def choose(reply):
    """The only choice of an answer."""
    assert reply.status_code == 200, reply.text
    [choice] = reply.json()["choices"]
    return choice


def say(served, **body):
    return choose(post(served, **body))["message"]


def refuse(served, status, **body):
    """The body of a refusal."""
    reply = post(served, **body)
    assert reply.status_code == status, reply.text
    assert served.ledger.refused == 1 and served.ledger.answers == 0
    return reply.json()


def join(reply):
    """The texts of a stream, by field."""
    texts = {"content": "", "reasoning_content": "", "reasoning": ""}
    for line in reply.text.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                for field in texts:
                    texts[field] += choice["delta"].get(field) or ""
    assert reply.text.rstrip().endswith("data: [DONE]")
    return texts
