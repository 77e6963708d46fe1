"""The scripted teacher: an OpenAI-compatible server that plays every role over the laptop world.

It knows how to read and to plan, and no facts: what it answers it has read in the observations
of the conversation at hand (or it guesses). It reads the first user message (the question, or the
JSON that a refiner and a judge are sent), `response_format`, and the turns that follow; system
prompts may say anything. The fields of the schema name the role: `domain` tags, `findings`
refines, `correct` judges, `action` plans a tree, `tree` browses, `question` writes, `answer`
solves closed-book, `answers` verifies, `genuine` judges a trajectory, and without a schema it is
the agent.

It errs at configured rates. `ROLLOUT_KINDS` are decided once per rollout, from (question, seed);
`REQUEST_KINDS` per request, from (messages, seed), `http_500` and `hang` also from how often this
request came before, so that a retry may succeed (at rate 1 it never does).

Invariant: the answer is a function of (messages, response format, seed) and the rates.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from searchtrain.agent.grammar import OBSERVATION, parse_turn, render_turn
from searchtrain.core.errors import InputError, ProtocolError
from searchtrain.data.answers import normalise_answer
from searchtrain.demo import researcher
from searchtrain.demo.reading import Passages, read_documents, read_facts, read_text
from searchtrain.demo.script import Refusal, Step, draw_share, hash_parts, read_request
from searchtrain.demo.searcher import (
    choose_tree_evidence,
    choose_tree_step,
    guess_answer,
    list_key_points,
    read_query,
)
from searchtrain.demo.tree_language import Description
from searchtrain.demo.tree_language import parse_question as parse_tree_question
from searchtrain.demo.world import RELATIONS, parse_number, parse_question

ROLLOUT_KINDS = (
    "bad_query",
    "wrong_answer",
    "repeated_query",
    "unsupported_answer",
    "overlong_think",
    "hedging",
    "foreign_language",
    "repetition",
    "long_trace",
    "redundant_search",
    "shortcut",
)
REQUEST_KINDS = (
    "broken_tags",
    "prose_json",
    "refiner_prose",
    "refiner_invents",
    "judge_prose",
    "planner_prose",
    "planner_illegal",
    "browser_prose",
    "browser_rewrites",
    "browser_drops_root",
    "browser_invents_link",
    "browser_huge",
    "writer_leaks",
    "verifier_prose",
    "http_500",
    "hang",
)
KINDS = ROLLOUT_KINDS + REQUEST_KINDS

HANG_SECONDS = 3600
SHUTDOWN_SECONDS = 10

NAMES = {
    "country": "country",
    "time_zone": "time zone",
    "population": "population",
    "capital": "capital",
    "currency_code": "currency code",
    "calling_code": "calling code",
    "internet_domain": "internet domain",
    "latitude": "latitude",
    "longitude": "longitude",
    "continent": "continent",
    "borders": "neighbours",
}
"""How the teacher speaks of a fact."""

DOMAINS = {
    "country": "city location",
    "time_zone": "time zones",
    "capital": "capitals",
    "currency_code": "currencies",
    "calling_code": "telephone codes",
    "internet_domain": "internet domains",
    "capital_population": "population",
    "capital_time_zone": "time zones",
    "larger_country": "population",
}
TREE_DOMAINS = {"country": "coordinates", "capital": "capital cities", "borders": "neighbours"}
"""Of tree questions, by the relation on their deepest level."""
KEYWORD_DOMAINS = (
    ("sport", "team player season league cup game games won score coach olympic nfl nba"),
    ("music", "song sang sings album band singer music lyrics"),
    ("film and television", "movie film episode show actor actress plays played character tv"),
    ("literature", "book novel author wrote poem written"),
    ("science", "cell element energy body gene disease chemical blood planet called"),
    ("politics", "president minister law court government amendment party election"),
    ("geography", "where country city river capital state island located mountain"),
    ("history", "when war first year century king empire"),
    ("people", "who name born married"),
)
"""For questions that are not of this world: a domain, and words that point to it."""

GUESSES = {
    "country": ("France", "Brazil", "Japan", "Kenya"),
    "time_zone": ("Europe/Paris", "Asia/Tokyo", "America/Lima", "Africa/Nairobi"),
    "population": ("100,000", "250,000", "1,000,000", "12,000"),
    "capital": ("Paris", "Lima", "Tokyo", "Nairobi"),
    "currency_code": ("EUR", "USD", "JPY", "KES"),
    "calling_code": ("33", "55", "81", "254"),
    "internet_domain": (".fr", ".br", ".jp", ".ke"),
    "city": ("Lyon", "Salvador", "Osaka", "Mombasa"),
}

PHRASES = (
    "Answer the question. Think, search when you need facts, then give a short answer.",
    "I need the country of A.",
    "A is in B. I need the currency code of B. The calling code of B is C.",
    "The internet domain of B is C. I need the time zone of A. The time zone of A is C.",
    "The capital of B is C. I need the population of C. The population of C is D.",
    "I need the population of A and of B.",
    "A in B has 1 people, 5 digits. The larger is the first, in B. The larger is the second.",
    "The passages do not tell me about A. I search again.",
    "city A",
    "country B",
)
"""Samples of the teacher's language, for whoever trains a tokenizer on it."""
TREE_PHRASES = (
    "I need the city at latitude 1 N and longitude 2 E in A.",
    "The city is B.",
    "No passage shows the country. No passage shows the city.",
    "I need the country that borders A and borders B and has the currency code C.",
    "I need the country that is on the continent A and has as its capital B.",
    "The country is A. I need the city at longitude 3 W in A.",
    "city A latitude 4 S longitude 5 W",
    "country currency code A continent B borders C",
    "country capital A",
)
"""The same for tree questions, which only a world with details has."""

DIGRESSION = "Let me think about this once more, step by step, before I go on with the question."
HEDGES = (
    "Wait, is that so? Hmm, perhaps. Alternatively, not. Wait, maybe it is. Hmm, or both."
    " Alternatively, neither. Wait, which one? Hmm, hard to say. Alternatively, the other."
    " Wait, slower. Hmm, no. Alternatively, yes."
)
FOREIGN = "首先我需要弄清楚这个问题在问什么。然后我再去查找相关的资料。"
REPETITION = "again and "
REPETITIONS = 20
ASIDES = (
    "The question names one thing and asks for something else about it.",
    "I go step by step and write down what each of them gives me.",
    "What I know from memory may be out of date, so passages count for more.",
    "A short query with the right name in it finds the right page.",
    "Names that look alike are easy to mix up, so I compare them with care.",
    "The answer should be spelled just as the best passage spells it.",
    "So far nothing speaks against the way that I have chosen here.",
    "If one passage says too little, another may tell me the rest.",
)
LONG_TURN_WORDS = 58
"""A long trace's turns have at most so much reasoning: each alone is short enough."""
LONG_SEARCHES = 3
"""A long trace has at least so many searches."""
REWORDINGS = ("information", "details", "profile")
"""Words that make another query of a query and find nothing else in this world."""

YEAR = re.compile(r"\b(?:1\d|20)\d\d\b")
NAME = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+)+")
WORD = re.compile(r"[\w'-]+")
SENTENCE_END = re.compile(r"(?<=[.!?]) (?=\S)")
MOST_SENTENCES = 8
"""Sentences that a refiner copies for a question of another world."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A turn and the mistakes that were put into it."""

    text: str
    mistakes: tuple[str, ...] = ()


class Ledger:
    """Counts answered requests by digest; a file keeps the count across restarts."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.file: int | None = None
        if path is not None:
            path = Path(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self.counts.update(path.read_text(encoding="utf-8").split())
            self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, digest: str) -> None:
        """Count one answered request; one unbuffered line, so that a kill loses nothing."""
        self.counts[digest] += 1
        if self.file is not None:
            os.write(self.file, f"{digest}\n".encode())

    def summarise(self) -> dict[str, int]:
        """Requests answered, how many of them differ, and how many came again."""
        answered, distinct = self.counts.total(), len(self.counts)
        return {"answered": answered, "distinct": distinct, "repeated": answered - distinct}


def check_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """Fill in missing kinds with 0; raises InputError for an unknown kind or a bad rate."""
    for kind, rate in rates.items():
        if kind not in KINDS:
            raise InputError(f"teacher.rates: unknown kind {kind!r}; known are {', '.join(KINDS)}")
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise InputError(f"teacher.rates.{kind}: {rate!r} is not a share; give 0 to 1")
    return {kind: float(rates.get(kind, 0)) for kind in KINDS}


def write_reply(body: Mapping[str, Any], rates: Mapping[str, float]) -> str:
    """Write the assistant's message for one request; raises Refusal if the request is unusable."""
    messages = _read_messages(body)
    seed = body.get("seed") or 0
    question = next((text for role, text in messages if role == "user"), None)
    if question is None:
        raise Refusal(400, "the request has no user message")
    fields = _read_schema(body.get("response_format"))
    if fields is not None:
        erring = {kind for kind in REQUEST_KINDS if draw_share(rates, kind, messages, seed)}
        if {"domain", "key_points"} <= fields:
            return write_tags(question, err="prose_json" in erring)
        if "findings" in fields:
            return write_findings(question, erring)
        if "correct" in fields:
            return write_verdict(question, err="judge_prose" in erring)
        for field, play in researcher.ROLES.items():
            if field in fields:
                return researcher.play_role(play, question, seed, erring)
        raise Refusal(400, f"this teacher plays no role that answers with {sorted(fields)}")
    if messages[-1][0] == "assistant":
        return _continue_turn(question, messages)
    return write_turn(question, messages, seed, rates)


def write_tags(question: str, *, err: bool = False) -> str:
    """Name a question's domain and key points as JSON; with `err` in prose."""
    domain, key_points = _tag(question)
    if err:
        return f"This is a question about {domain}; it is about {' and '.join(key_points)}."
    return json.dumps({"domain": domain, "key_points": key_points}, ensure_ascii=False)


def write_findings(request: str, erring: Collection[str] = ()) -> str:
    """Copy what the documents say for the question, as `refiner.FINDINGS_SCHEMA` has it.

    `request`: see `refiner.render_request`. `erring`: `refiner_prose`, `refiner_invents`.
    """
    question, query, documents = _read_refinement(request)
    tree = parse_tree_question(question)
    wanted = read_query(_strip_rewording(query)) if tree else None
    if parse_question(question):
        chosen = _choose_evidence(f"{query} {question}", documents)
    elif tree and wanted:
        chosen = choose_tree_evidence(wanted, tree, documents)
    else:
        chosen = _choose_sentences(query if tree else f"{query} {question}", documents)
    findings = [{"source": documents[place][0], "text": text} for place, text in chosen]
    if "refiner_prose" in erring:
        return " ".join(["Here is what I found.", *(finding["text"] for finding in findings)])
    if "refiner_invents" in erring:
        findings.append({"source": len(documents) + 1, "text": "Another page says the same."})
    return json.dumps({"findings": findings}, ensure_ascii=False)


def write_verdict(request: str, *, err: bool = False) -> str:
    """Say whether a predicted answer is right, as JSON; with `err` in prose.

    `request`: JSON with `question`, `golden_answers` and `predicted_answer`. Right is what equals a
    golden answer but for case, punctuation and articles, or holds it, or is held by it, as words.
    """
    body = read_request(request)
    golds, answer = body.get("golden_answers"), body.get("predicted_answer")
    if not isinstance(golds, list) or not isinstance(answer, str):
        raise Refusal(400, "a judge needs golden_answers, a list, and predicted_answer, a text")
    said = f" {normalise_answer(answer)} "
    correct, reason = False, "The answer names something else."
    if not said.strip():
        reason = "There is no answer."
    for gold in map(str, golds):
        wanted = f" {normalise_answer(gold)} "
        if said.strip() and wanted.strip() and (wanted in said or said in wanted):
            correct, reason = True, f"The answer means the same as {gold}."
            break
    if err:
        return f"{reason} So the answer is {'right' if correct else 'wrong'}."
    return json.dumps({"reason": reason, "correct": correct}, ensure_ascii=False)


def write_turn(
    question: str, messages: Sequence[tuple[str, str]], seed: int, rates: Mapping[str, float]
) -> str:
    """Write the next turn of a rollout. `messages`: (role, text) pairs, system and user too."""
    return decide_turn(question, messages, seed, rates).text


def decide_turn(
    question: str, messages: Sequence[tuple[str, str]], seed: int, rates: Mapping[str, float]
) -> Decision:
    """The next turn of a rollout and the mistakes in it; see `write_turn`."""
    drawn = {kind for kind in ROLLOUT_KINDS if draw_share(rates, kind, question, seed)}
    observations = [text for role, text in messages if role == OBSERVATION]
    asked = _read_queries(messages)
    passages = read_documents(observations)
    tree = parse_tree_question(question)
    hasty = "shortcut" in drawn and tree is not None and len(tree.list_levels()) > 1
    if hasty and asked and asked[0] == (question,):
        answer = _choose_answer(question, passages)
        right = Step("I take what the search shows.", answer=answer, wants=tree.kind)
    else:
        right = _choose_step(question, passages, asked)
    ended = bool(observations) and "No more searches" in observations[-1]
    if right.queries and ended:
        right = Step("I can not search any more.", answer=_choose_answer(question, passages))
    step = right
    again = () if ended or right.answer is None else _reword(asked, drawn)
    mistakes = []
    if not asked and "unsupported_answer" in drawn:
        wants = _name_final_fact(question)
        step = Step("I know this.", answer=_guess(wants, question, seed), wants=wants)
        mistakes.append("unsupported_answer")
    elif not asked and "bad_query" in drawn and step.queries:
        step = Step(step.think, queries=("more information about it",))
        mistakes.append("bad_query")
    elif hasty and not asked and step.queries:
        step = Step("I search for all of it at once.", queries=(question,))
        mistakes.append("shortcut")
    elif "repeated_query" in drawn and len(asked) == 1:
        step = Step("I am not sure yet. I search again.", queries=asked[0])
        mistakes.append("repeated_query")
    elif again:
        step = Step("I have what I need, and still I search for it once more.", queries=again)
        mistakes += drawn & {"redundant_search"}
    elif "wrong_answer" in drawn and step.answer is not None:
        step = _spoil_answer(step, passages, question, seed)
        mistakes.append("wrong_answer")
    think, bad_manners = _spoil_think(step.think, drawn, asked)
    if draw_share(rates, "broken_tags", messages, seed):
        text = _break_tags(think, step, hash_parts(messages, seed))
        return Decision(text, ("broken_tags",))
    text = render_turn(think, queries=step.queries, answer=step.answer)
    return Decision(text, (*mistakes, *bad_manners))


def make_app(rates: Mapping[str, float], ledger: Ledger, model: str = "teacher") -> Starlette:
    """The HTTP application. Routes: POST /v1/chat/completions, GET /v1/models, /health, /stats."""
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", _serve_chat, methods=["POST"]),
            Route("/v1/models", _serve_models),
            Route("/health", _serve_health),
            Route("/stats", _serve_stats),
        ]
    )
    app.state.rates = check_rates(rates)
    app.state.ledger = ledger
    app.state.model = model
    app.state.attempts = Counter()
    return app


async def _serve_chat(request: Request) -> Response:
    state = request.app.state
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        return _send_error(400, f"the body is not JSON: {error}")
    if not isinstance(body, dict):
        return _send_error(400, "the body is not a JSON object")
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    state.attempts[digest] += 1
    attempt = state.attempts[digest]
    if draw_share(state.rates, "hang", digest, attempt):
        await asyncio.sleep(HANG_SECONDS)
    if draw_share(state.rates, "http_500", digest, attempt):
        return _send_error(500, "the teacher fails on purpose (teacher.rates.http_500)")
    try:
        reply = _make_completion(body, write_reply(body, state.rates), digest, state.model)
    except Refusal as refusal:
        return _send_error(refusal.status, str(refusal))
    return CountedResponse(orjson.dumps(reply), state.ledger, digest)


async def _serve_models(request: Request) -> Response:
    card = {"id": request.app.state.model, "object": "model", "created": 0, "owned_by": "demo"}
    return _send_json({"object": "list", "data": [card]})


async def _serve_health(request: Request) -> Response:
    return _send_json({"status": "ok"})


async def _serve_stats(request: Request) -> Response:
    return _send_json(request.app.state.ledger.summarise())


class CountedResponse(Response):
    """A response that enters the ledger once it was sent: a request cut off does not count."""

    media_type = "application/json"

    def __init__(self, content: bytes, ledger: Ledger, digest: str) -> None:
        super().__init__(content)
        self.ledger = ledger
        self.digest = digest

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)
        self.ledger.add(self.digest)


def _send_json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _send_error(status: int, message: str) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return _send_json({"error": {"message": message, "type": kind, "code": status}}, status)


def _make_completion(body: Mapping[str, Any], text: str, digest: str, model: str) -> dict[str, Any]:
    """Wrap a message as vLLM does: cut at the first stop string and at `max_tokens` words."""
    text, stopped_by = cut_at_stop(text, body.get("stop"))
    finish = "stop"
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    words = text.split()
    if limit and len(words) > limit:
        text, finish, stopped_by = " ".join(words[:limit]), "length", None
    prompt = sum(len(str(message.get("content") or "").split()) for message in body["messages"])
    completion = min(len(words), limit or len(words))
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": finish,
        "stop_reason": stopped_by,
    }
    return {
        "id": f"chatcmpl-{digest[:24]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.get("model") or model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }


def cut_at_stop(text: str, stop: str | Sequence[str] | None) -> tuple[str, str | None]:
    """Cut a text before its earliest stop string, as a server does; returns both."""
    strings = [stop] if isinstance(stop, str) else stop or []
    found = [(text.find(string), string) for string in strings if string and string in text]
    if not found:
        return text, None
    place, string = min(found)
    return text[:place], string


def _read_messages(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The messages as (role, text); raises Refusal when the body has another form."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal(400, "messages must be a non-empty list")
    if body.get("stream") or (body.get("n") or 1) != 1:
        raise Refusal(400, "this teacher writes one whole message: no stream, n = 1")
    pairs = []
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Refusal(400, f"messages[{place}] must be an object with a role")
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
        if not isinstance(content, str):
            raise Refusal(400, f"messages[{place}].content must be text")
        pairs.append((message["role"], content))
    return pairs


def _read_schema(response_format: Any) -> set[str] | None:
    """The fields that a json_schema response format asks for; None when text is asked for."""
    if not isinstance(response_format, dict) or response_format.get("type") in (None, "text"):
        return None
    if response_format["type"] != "json_schema":
        raise Refusal(400, f"response_format {response_format['type']!r} is not json_schema")
    schema = (response_format.get("json_schema") or {}).get("schema") or {}
    return set(schema.get("properties") or {})


def _continue_turn(question: str, messages: Sequence[tuple[str, str]]) -> str:
    """Finish a turn that the client began (`continue_final_message`) with the best answer known."""
    passages = read_documents([text for role, text in messages if role == OBSERVATION])
    answer = _choose_answer(question, passages)
    prefix = messages[-1][1]
    opening = "" if prefix.endswith("<answer>") else "<answer>"
    return f"{opening}{answer}</answer>"


def _read_queries(messages: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """The queries of every searching turn so far; turns that break the grammar do not count."""
    asked = []
    for role, text in messages:
        if role == "assistant" and "<search>" in text:
            try:
                asked.append(parse_turn(text).queries)
            except ProtocolError:
                continue
    return asked


def _choose_step(question: str, passages: Passages, asked: Sequence[tuple[str, ...]]) -> Step:
    """Choose the next step from what was read: look up the next missing thing, or answer."""
    parsed = parse_question(question)
    if parsed is None:
        tree = parse_tree_question(question)
        if tree is not None:
            return _choose_tree_step(tree, passages, asked)
        return _choose_open_step(question, passages, asked)
    relation, cities = parsed
    facts = read_facts(passages)
    if RELATIONS[relation] == "comparison":
        return _compare(cities, facts, asked)
    city = cities[0]
    wants = relation if RELATIONS[relation] == "single_hop" else "country"
    if wants not in facts.get(city, {}):
        return _look_up(city, "city", wants, "", asked, facts)
    found = facts[city][wants]
    said = _say(city, wants, found)
    if RELATIONS[relation] == "single_hop":
        return Step(said, answer=found, wants=wants)
    country = found
    wants = relation if RELATIONS[relation] == "two_hop" else "capital"
    if wants not in facts.get(country, {}):
        return _look_up(country, "country", wants, said, asked, facts)
    found = facts[country][wants]
    said = _say(country, wants, found)
    if RELATIONS[relation] == "two_hop":
        return Step(said, answer=found, wants=wants)
    wants = relation.removeprefix("capital_")
    if wants not in facts.get(found, {}):
        return _look_up(found, "city", wants, said, asked, facts)
    value = facts[found][wants]
    return Step(_say(found, wants, value), answer=value, wants=wants)


def _look_up(
    title: str,
    kind: str,
    wants: str,
    said: str,
    asked: Sequence[tuple[str, ...]],
    facts: Mapping[str, Mapping[str, str]],
) -> Step:
    """Search for one thing: first by kind and name, then by name alone, then give up."""
    before = {query for queries in asked for query in queries}
    for query in (f"{kind} {title}", title):
        if query in before:
            said = f"The passages do not tell me about {title}."
        else:
            think = f"{said} I need the {NAMES[wants]} of {title}.".strip()
            return Step(think, queries=(query,), wants=wants)
    values = [place[wants] for place in facts.values() if wants in place]
    return Step(said, answer=values[0] if values else GUESSES[wants][0], wants=wants)


def _compare(
    cities: Sequence[str],
    facts: Mapping[str, Mapping[str, str]],
    asked: Sequence[tuple[str, ...]],
) -> Step:
    """Look both cities up in one turn, then compare their populations."""
    before = {query for queries in asked for query in queries}
    missing = [city for city in cities if "population" not in facts.get(city, {})]
    for prefix in ("city ", ""):
        queries = tuple(f"{prefix}{city}" for city in missing if f"{prefix}{city}" not in before)
        if queries:
            names = " and of ".join(missing)
            return Step(f"I need the population of {names}.", queries=queries)
    known = [city for city in cities if city not in missing]
    if not known:
        return Step(f"The passages do not tell me about {cities[0]}.", answer=GUESSES["country"][0])
    parts = []
    for city in known:
        country, people = facts[city]["country"], facts[city]["population"]
        digits = sum(map(str.isdigit, people))
        parts.append(f"{city} in {country} has {people} people, {digits} digits.")
    best = max(known, key=lambda city: parse_number(facts[city]["population"]))
    country = facts[best]["country"]
    place = "first" if best == cities[0] else "second"
    parts.append(f"The larger is the {place}, in {country}.")
    return Step(" ".join(parts), answer=country)


def _choose_tree_step(
    tree: Description, passages: Passages, asked: Sequence[tuple[str, ...]]
) -> Step:
    """As `choose_tree_step`; what can not be found is guessed."""
    step = choose_tree_step(tree, read_facts(passages), asked)
    if step.queries or step.answer is not None:
        return step
    return Step(step.think, answer=GUESSES[tree.kind][0], wants=tree.kind)


def _choose_open_step(question: str, passages: Passages, asked: Sequence[tuple[str, ...]]) -> Step:
    """A question of another world: search for it as it stands, then answer from the top passage."""
    if not asked:
        return Step("I search for the question itself.", queries=(" ".join(question.split()),))
    if not passages:
        return Step("No passage helps.", answer="unknown", wants="country")
    title, (text, *_) = next(iter(passages.items()))
    lowered = question.lower()
    answer = title
    if lowered.startswith("when") or " year" in lowered:
        answer = found[0] if (found := YEAR.search(text)) else title
    elif lowered.startswith("who"):
        answer = found[0] if (found := NAME.search(text)) else title
    return Step(f"The first passage is about {title}.", answer=answer)


def _choose_answer(question: str, passages: Passages) -> str:
    """The best answer that can be given without another search."""
    step = _choose_step(question, passages, ())
    if step.answer is None and (tree := parse_tree_question(question)):
        found = guess_answer(tree, read_facts(passages))
        return found or _guess(tree.kind, question, 0)
    if step.answer is None and parse_question(question) is None:
        step = _choose_open_step(question, passages, (("",),))
    if step.answer is not None:
        return step.answer
    return _guess(_name_final_fact(question), question, 0)


def _read_refinement(request: str) -> tuple[str, str, list[tuple[int, str, str]]]:
    """A refiner's question, query and documents as (number, title, text)."""
    body = read_request(request)
    documents = body.get("documents")
    if not isinstance(documents, list) or not isinstance(body.get("question"), str):
        raise Refusal(400, "a refiner needs question, query and documents")
    rows = [
        (int(row["number"]), str(row["title"]), str(row["text"]))
        for row in documents
        if isinstance(row, dict) and {"number", "title", "text"} <= set(row)
    ]
    return body["question"], str(body.get("query") or ""), rows


def _choose_evidence(
    asked: str, documents: Sequence[tuple[int, str, str]]
) -> Iterator[tuple[int, str]]:
    """Of every document whose title is named, its facts; (place, text) pairs.

    Longer titles first: a document on Guinea says nothing of Equatorial Guinea.
    """
    left = _fold(asked)
    named = set()
    for title in sorted({_fold(title) for _, title, _ in documents}, key=len, reverse=True):
        if title.strip() and title in left:
            named.add(title)
            left = left.replace(title, " | ")
    for place, (_, title, text) in enumerate(documents):
        evidence = read_text(text)[1]
        if evidence and _fold(title) in named:
            yield place, evidence


def _choose_sentences(
    asked: str, documents: Sequence[tuple[int, str, str]]
) -> Iterator[tuple[int, str]]:
    """The sentences that share most words with what is asked; (place, text) pairs in order."""
    wanted = {word for word in _fold(asked).split() if len(word) > 3 or word.isdigit()}
    ranked = []
    for place, (_, title, text) in enumerate(documents):
        for number, sentence in enumerate(SENTENCE_END.split(" ".join(text.split()))):
            shared = len(wanted & set(_fold(f"{title} {sentence}").split()))
            ranked.append((-shared, place, number, sentence))
    best = sorted(row for row in ranked if row[0] and row[3])[:MOST_SENTENCES]
    for _, place, _, sentence in sorted(best, key=lambda row: row[1:3]):
        yield place, sentence


def _fold(text: str) -> str:
    """A text's words in lower case, with a space on either side of each."""
    return f" {' '.join(WORD.findall(text.lower()))} "


def _say(title: str, wants: str, value: str) -> str:
    """Spell out one fact in the teacher's words."""
    if wants == "country":
        return f"{title} is in {value}."
    return f"The {NAMES[wants]} of {title} is {value}."


def _name_final_fact(question: str) -> str:
    """The fact that a question asks for in the end; a country when it is foreign."""
    if parse_question(question) is None and (tree := parse_tree_question(question)):
        return tree.kind
    relation = (parse_question(question) or ("country",))[0]
    return "country" if RELATIONS[relation] == "comparison" else relation.removeprefix("capital_")


def _guess(wants: str, question: str, seed: int) -> str:
    options = GUESSES[wants]
    return options[hash_parts("guess", question, seed) % len(options)]


def _reword(asked: Sequence[tuple[str, ...]], drawn: Collection[str]) -> tuple[str, ...]:
    """The last queries in other words, unless that was done often enough for what is drawn."""
    plain = [queries for queries in asked if not queries[0].endswith(REWORDINGS)]
    wanted = int("redundant_search" in drawn)
    if "long_trace" in drawn:
        wanted = max(wanted, LONG_SEARCHES - len(plain))
    done = len(asked) - len(plain)
    if not plain or done >= wanted:
        return ()
    return tuple(f"{query} {REWORDINGS[done]}" for query in plain[-1])


def _spoil_think(
    think: str, drawn: Collection[str], asked: Sequence[tuple[str, ...]]
) -> tuple[str, list[str]]:
    """The reasoning with the bad manners that are drawn, and their names."""
    mistakes = []
    openings = {
        "overlong_think": [DIGRESSION] * 10,
        "hedging": [HEDGES],
        "foreign_language": [FOREIGN],
        "repetition": [(REPETITION * REPETITIONS).strip()],
    }
    for kind, opening in openings.items():
        if kind in drawn and not asked:
            think = " ".join([*opening, think])
            mistakes.append(kind)
    if "long_trace" in drawn:
        mistakes.append("long_trace")
        for number in range(len(ASIDES)):
            aside = ASIDES[(3 * len(asked) + number) % len(ASIDES)]
            if len(think.split()) + len(aside.split()) > LONG_TURN_WORDS:
                break
            think = f"{think} {aside}"
    return think, mistakes


def _spoil_answer(step: Step, passages: Passages, question: str, seed: int) -> Step:
    """Take another value of the same kind: one from the passages at hand, or a guess."""
    assert step.answer is not None
    places = read_facts(passages)
    if step.wants == "city":
        values = [title for title, facts in places.items() if "population" in facts]
    else:
        values = [facts.get(step.wants) for facts in places.values()]
    others = [value for value in values if value and value != step.answer]
    others += [value for value in GUESSES[step.wants] if value != step.answer]
    wrong = others[hash_parts("wrong", question, seed) % len(others)]
    return Step(step.think.replace(step.answer, wrong), answer=wrong, wants=step.wants)


def _break_tags(think: str, step: Step, number: int) -> str:
    """Write a turn that breaks the grammar in one of five ways."""
    turn = render_turn(think, queries=step.queries, answer=step.answer)
    action = turn.partition("</think>\n")[2]
    broken = (
        turn.replace("</think>", "", 1),
        action,
        f"<think>{think}</think>\n",
        f"<think>{think}</think>\nHere is what I do next.\n{action}",
        f"<think>{think}</think>\n{turn}",
    )
    return broken[number % len(broken)]


def _strip_rewording(query: str) -> str:
    """A query as it was before `_reword`."""
    for word in REWORDINGS:
        query = query.removesuffix(f" {word}")
    return query


def _tag(question: str) -> tuple[str, list[str]]:
    parsed = parse_question(question)
    if parsed is not None:
        relation, cities = parsed
        hops = {"two_hop": ["country"], "three_hop": ["country", "capital"]}
        wanted = NAMES[relation.removeprefix("capital_").replace("larger_country", "population")]
        points = [*cities, *hops.get(RELATIONS[relation], []), wanted]
        return DOMAINS[relation], points[:4]
    if tree := parse_tree_question(question):
        relation, _ = (*tree.list_levels()[0].relations, ("country", ""))[0]
        return TREE_DOMAINS[relation], list_key_points(tree)
    words = WORD.findall(question)
    lowered = {word.lower() for word in words}
    domain = next(
        (domain for domain, keys in KEYWORD_DOMAINS if lowered & set(keys.split())), "other"
    )
    points = list(dict.fromkeys(sorted(words, key=len, reverse=True)))[:3]
    points = [word for word in words if word in points]
    return domain, list(dict.fromkeys([*points, domain, "question"]))[: max(2, len(points))]


def main() -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are finished first."""
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rates", type=json.loads, default={}, help="JSON: error kind -> share")
    parser.add_argument("--ledger", type=Path, help="file that counts answered requests")
    parser.add_argument("--model", default="teacher")
    args = parser.parse_args()
    app = make_app(args.rates, Ledger(args.ledger), args.model)
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    main()
