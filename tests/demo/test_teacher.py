"""The scripted teacher: it answers from what it reads, and errs only as it is told to."""

import json
from typing import Any

import pytest

from searchtrain import config
from searchtrain.agent import grammar
from searchtrain.agent.refiner import FINDINGS_SCHEMA, read_findings, render_request
from searchtrain.core.errors import ModelError, ProtocolError
from searchtrain.demo import mistakes, splits, world
from searchtrain.demo.city_questions import QUESTION_TYPES, TYPES, Question
from searchtrain.demo.draws import draw_share
from searchtrain.demo.passages import FACT_NAMES
from searchtrain.demo.requests import cut_at_stop
from searchtrain.demo.roles import write_reply

CONFIG: dict[str, Any] = {
    "seed": 3,
    "cities_per_country": 8,
    "sizes": {"train": 200, "dev": 20, "test": 40},
    "shares": {"single_hop": 0.25, "two_hop": 0.25, "three_hop": 0.25, "comparison": 0.25},
    "max_answer_share": 0.2,
}
TAGS_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "tags",
        "schema": {
            "type": "object",
            "properties": {
                "domain": {"type": "string"},
                "key_points": {"type": "array", "items": {"type": "string"}},
            },
        },
    },
}
FINDINGS_FORMAT = {"type": "json_schema", "json_schema": {"schema": FINDINGS_SCHEMA}}
VERDICT_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "schema": {
            "type": "object",
            "properties": {"reason": {"type": "string"}, "correct": {"type": "boolean"}},
        }
    },
}
QUESTION = "Which currency code is used in the country of Ponferrada?"


@pytest.fixture(scope="module")
def laptop_world() -> world.World:
    return world.build_world(CONFIG["cities_per_country"])


@pytest.fixture(scope="module")
def questions(laptop_world: world.World) -> list[Question]:
    settings = config.World(**CONFIG)
    return splits.write_questions(laptop_world.facts, laptop_world.subjects, settings)["train"]


def look_up(laptop_world: world.World, query: str) -> list[dict[str, Any]]:
    """The passage whose title ends the query, behind one that does not help."""
    titles = [title for title in laptop_world.passages if f" {query}".endswith(f" {title}")]
    first, *_ = laptop_world.passages.values()
    found = [laptop_world.passages[max(titles, key=len)]] if titles else []
    return [passage.to_row() for passage in [first, *found]]


def roll_out(
    laptop_world: world.World,
    question: str,
    rates: dict[str, float] | None = None,
    *,
    seed: int = 0,
    system: str = "Answer.",
    refine: bool = False,
    page: str = "{}",
) -> list[dict[str, str]]:
    """A rollout as the agent does it: stop strings, one second chance for a broken turn.

    `refine`: the teacher is the refiner, too. `page`: how a passage's text stands on its page.
    """
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    for _ in range(10):
        body = {"messages": messages, "seed": seed, "stop": list(grammar.STOP)}
        text, _ = cut_at_stop(write_reply(body, rates or {}), body["stop"])
        text = grammar.close_turn(text)
        messages.append({"role": "assistant", "content": text})
        try:
            turn = grammar.parse_turn(text)
        except ProtocolError:
            notice = grammar.render_notice("The turn breaks the grammar.")
            messages.append({"role": "tool", "content": notice})
            continue
        if turn.answer is not None:
            break
        results = []
        for query in turn.queries:
            found = [put_on_page(row, page) for row in look_up(laptop_world, query)]
            if refine:
                found = refine_passages(question, query, found)
            results.append((query, found))
        observation = grammar.render_observation(results, max_chars=4000)
        messages.append({"role": "tool", "content": observation})
    return messages


def put_on_page(row: dict[str, Any], page: str) -> dict[str, Any]:
    title, _, text = row["contents"].partition("\n")
    return {**row, "contents": f"{title}\n{page.format(text)}"}


def refine_passages(
    question: str, query: str, passages: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What the teacher as refiner leaves of the passages."""
    request = render_request(question, query, passages, 3000)
    return read_findings(json.loads(ask(request, FINDINGS_FORMAT)), passages)


def ask(content: str, response_format: Any, rates: Any = None, seed: int = 0) -> str:
    """The teacher's answer to one user message."""
    body = {"messages": [{"role": "user", "content": content}], "seed": seed}
    return write_reply({**body, "response_format": response_format}, rates or {})


def read_turns(messages: list[dict[str, str]]) -> list[grammar.Turn]:
    return [grammar.parse_turn(m["content"]) for m in messages if m["role"] == "assistant"]


def test_it_answers_every_type_by_searching(
    laptop_world: world.World, questions: list[Question]
) -> None:
    searches = {"single_hop": 1, "two_hop": 2, "three_hop": 3, "comparison": 1}
    for question in questions:
        messages = roll_out(laptop_world, question.text)
        turns = grammar.validate_trajectory(messages)
        kind = QUESTION_TYPES[question.relation]
        assert turns[-1].answer == question.answers[0], messages
        assert len(turns) == searches[kind] + 1
        assert len(turns[0].queries) == (2 if kind == "comparison" else 1)


def test_it_survives_any_system_prompt(
    laptop_world: world.World, questions: list[Question]
) -> None:
    for system in ("", "Reply in French.", "<think>Which country?</think> <search>x</search>"):
        assert (
            roll_out(laptop_world, questions[0].text, system=system)[2:]
            == roll_out(laptop_world, questions[0].text)[2:]
        )


def test_it_knows_no_facts() -> None:
    """With passages that say otherwise it answers otherwise, without passages it searches."""
    question = "In which country is Berlin-Mitte?"
    first = write_reply({"messages": [{"role": "user", "content": question}]}, {})
    assert grammar.parse_turn(first).queries == ("city Berlin-Mitte",)
    row = {"contents": '"Berlin-Mitte"\nA city in Narnia with 12 people. Time zone Old/Narnia.'}
    observation = grammar.render_observation([("city Berlin-Mitte", [row])], max_chars=500)
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": first},
        {"role": "tool", "content": observation},
    ]
    second = grammar.parse_turn(write_reply({"messages": messages}, {}))
    assert second.answer == "Narnia"


def test_it_searches_once_more_in_other_words_then_gives_up() -> None:
    messages = [{"role": "user", "content": QUESTION}]
    queries = []
    for _ in range(4):
        text = write_reply({"messages": messages}, {})
        turn = grammar.parse_turn(text)
        if turn.answer is not None:
            break
        queries.append(turn.queries[0])
        observation = grammar.render_observation([(turn.queries[0], [])], max_chars=500)
        messages += [
            {"role": "assistant", "content": text},
            {"role": "tool", "content": observation},
        ]
    assert queries == ["city Ponferrada", "Ponferrada"]
    assert turn.answer


def test_it_answers_when_no_search_is_left() -> None:
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "<think>a</think>\n<search>b</search>"},
        {"role": "tool", "content": grammar.render_notice("No more searches are allowed.")},
    ]
    assert grammar.parse_turn(write_reply({"messages": messages}, {})).answer


def test_it_finishes_a_turn_that_the_client_began() -> None:
    prefix = {"role": "assistant", "content": grammar.FORCED_PREFIX}
    text = write_reply({"messages": [{"role": "user", "content": QUESTION}, prefix]}, {})
    assert grammar.parse_turn(grammar.FORCED_PREFIX + text).answer


def test_an_unknown_question_is_searched_and_answered_from_the_top_passage() -> None:
    question = "who wrote the origin of species"
    messages = [{"role": "user", "content": question}]
    first = write_reply({"messages": messages}, {})
    assert grammar.parse_turn(first).queries == (question,)
    row = {"contents": '"Origin"\nA book that Charles Darwin wrote in 1859.'}
    observation = grammar.render_observation([(question, [row])], max_chars=500)
    messages += [{"role": "assistant", "content": first}, {"role": "tool", "content": observation}]
    assert grammar.parse_turn(write_reply({"messages": messages}, {})).answer == ("Charles Darwin")


PAGE = """We edit this atlas with care. It has many pages.
{}
Capital letters begin a name. A place may have several."""


@pytest.mark.parametrize("page", ["{}", PAGE, PAGE.replace("\n", " "), "Atlas\r\n{}\r\nTerms"])
@pytest.mark.parametrize("refine", [False, True])
def test_it_answers_from_pages_and_from_refined_pages(
    laptop_world: world.World, questions: list[Question], page: str, refine: bool
) -> None:
    """As from passages: on every type of question, in as many turns."""
    by_type = {QUESTION_TYPES[question.relation]: [] for question in questions}
    for question in questions:
        by_type[QUESTION_TYPES[question.relation]].append(question)
    assert set(by_type) == set(TYPES)
    for question in [question for some in by_type.values() for question in some[:15]]:
        messages = roll_out(laptop_world, question.text, refine=refine, page=page)
        turns = grammar.validate_trajectory(messages)
        assert turns[-1].answer == question.answers[0], messages
        assert len(turns) == len(grammar.validate_trajectory(roll_out(laptop_world, question.text)))


def test_it_reads_a_snippet_that_is_cut() -> None:
    question = "What is the time zone of Berlin-Mitte?"
    whole = "A city in Narnia with 12 people. Time zone Old/Narnia."
    for snippet in ("... Time zone Old/Narnia.", "A city in Narnia with 12 people. ...\n" + whole):
        row = {"contents": f'"Berlin-Mitte"\n{snippet}'}
        messages = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": "<think>a</think>\n<search>b</search>"},
            {
                "role": "tool",
                "content": grammar.render_observation([("b", [row])], max_chars=500),
            },
        ]
        turn = grammar.parse_turn(write_reply({"messages": messages}, {}))
        assert turn.answer == "Old/Narnia"


def test_the_refiner_keeps_the_facts_of_the_place_that_is_asked_for() -> None:
    passages = [
        {"id": "1", "contents": '"Guinea"\nA country. Capital Conakry. Currency code GNF.'},
        {
            "id": "2",
            "contents": f'"Equatorial Guinea"\n{PAGE.format("A country. Capital Malabo.")}',
        },
        {"id": "3", "contents": '"Bata"\nA city in Equatorial Guinea with 9 people.'},
    ]
    question = "What is the capital of the country where Bata is?"
    kept = refine_passages(question, "country Equatorial Guinea", passages)
    assert [passage["id"] for passage in kept] == ["2", "3"]
    assert "We edit" not in kept[0]["contents"]
    assert kept[1]["contents"] == passages[2]["contents"]
    assert refine_passages("In which country is Oslo?", "city Oslo", passages) == []


def test_the_refiner_of_another_world_keeps_sentences_that_share_words() -> None:
    text = "The sea is blue. Charles Darwin wrote the Origin of Species in 1859. Fish swim."
    passages = [
        {"id": "1", "contents": '"Fish"\nFish swim. They are cold.'},
        {"id": "2", "contents": f'"Darwin"\n{text}'},
    ]
    kept = refine_passages("who wrote the origin of species", "origin of species", passages)
    assert [passage["contents"] for passage in kept] == [
        '"Darwin"\nCharles Darwin wrote the Origin of Species in 1859.'
    ]


def test_a_refiner_errs_in_its_own_ways() -> None:
    passages = [{"id": "1", "contents": '"Oslo"\nA city in Norway with 9 people.'}]
    request = render_request("In which country is Oslo?", "city Oslo", passages, 3000)
    with pytest.raises(json.JSONDecodeError):
        json.loads(ask(request, FINDINGS_FORMAT, {"refiner_prose": 1}))
    invented = json.loads(ask(request, FINDINGS_FORMAT, {"refiner_invents": 1}))
    with pytest.raises(ModelError, match="names document 2"):
        read_findings(invented, passages)
    answers = {ask(request, FINDINGS_FORMAT, {"refiner_prose": 0.5}, seed) for seed in range(30)}
    assert len(answers) == 2


@pytest.mark.parametrize(
    ("golds", "answer", "correct"),
    [
        (["Paris"], "paris.", True),
        (["Lima", "Paris"], "the city of Paris", True),
        (["the United States of America"], "United States", True),
        (["Mali"], "Somalia", False),
        (["12"], "1912", False),
        (["Paris"], "", False),
        (["Paris"], "Rome", False),
    ],
)
def test_the_judge(golds: list[str], answer: str, correct: bool) -> None:
    request = {"question": "Where?", "golden_answers": golds, "predicted_answer": answer}
    verdict = json.loads(ask(json.dumps(request), VERDICT_FORMAT))
    assert verdict["correct"] is correct and verdict["reason"]
    with pytest.raises(json.JSONDecodeError):
        json.loads(ask(json.dumps(request), VERDICT_FORMAT, {"judge_prose": 1}))


def test_it_has_a_name_for_every_fact_of_a_passage() -> None:
    passages = world.build_world(1, details=True).passages.values()
    assert {fact for passage in passages for fact in passage.facts} == set(FACT_NAMES)


def test_tags(questions: list[Question]) -> None:
    domains = set()
    for text in [*(question.text for question in questions), "who won the cup in 1999", "?", "hm"]:
        body = {
            "messages": [{"role": "user", "content": text}],
            "response_format": TAGS_FORMAT,
        }
        tags = json.loads(write_reply(body, {}))
        assert set(tags) == {"domain", "key_points"}
        assert tags["domain"] and 2 <= len(tags["key_points"]) <= 4, (text, tags)
        assert all(point.strip() for point in tags["key_points"])
        domains.add(tags["domain"])
    assert len(domains) >= 6


def test_bad_query_still_ends_in_an_answer(
    laptop_world: world.World, questions: list[Question]
) -> None:
    messages = roll_out(laptop_world, questions[0].text, {"bad_query": 1})
    turns = grammar.validate_trajectory(messages)
    good = grammar.validate_trajectory(roll_out(laptop_world, questions[0].text))
    assert turns[0].queries != good[0].queries
    assert turns[-1].answer == questions[0].answers[0]
    assert len(turns) == len(good) + 1


def test_wrong_answer(laptop_world: world.World, questions: list[Question]) -> None:
    for question in questions[:50]:
        messages = roll_out(laptop_world, question.text, {"wrong_answer": 1})
        answer = grammar.validate_trajectory(messages)[-1].answer
        assert answer and answer not in question.answers


def test_repeated_query(laptop_world: world.World, questions: list[Question]) -> None:
    messages = roll_out(laptop_world, questions[0].text, {"repeated_query": 1})
    turns = grammar.validate_trajectory(messages)
    assert turns[0].queries == turns[1].queries
    assert turns[-1].answer == questions[0].answers[0]


def test_unsupported_answer(laptop_world: world.World, questions: list[Question]) -> None:
    for question in questions[:50]:
        messages = roll_out(laptop_world, question.text, {"unsupported_answer": 1})
        turns = grammar.validate_trajectory(messages)
        assert len(turns) == 1 and turns[0].answer


def test_overlong_think(laptop_world: world.World, questions: list[Question]) -> None:
    messages = roll_out(laptop_world, questions[0].text, {"overlong_think": 1})
    assert len(grammar.validate_trajectory(messages)[0].think.split()) > 100


def test_hedging_repetition_and_foreign_sentences_are_in_one_short_turn(
    laptop_world: world.World, questions: list[Question]
) -> None:
    for question in questions[:50]:
        for kind in ("hedging", "foreign_language", "repetition"):
            messages = roll_out(laptop_world, question.text, {kind: 1})
            first, *others = [turn.think for turn in grammar.validate_trajectory(messages)]
            assert len(first.split()) <= 60
            signs = {
                "hedging": min(first.count(word) for word in ("Wait", "Hmm", "Alternatively")) > 3,
                "foreign_language": any("\u4e00" <= letter <= "\u9fff" for letter in first),
                "repetition": first.count("again and") > 10,
            }
            assert [name for name, shown in signs.items() if shown] == [kind]
            plain = grammar.validate_trajectory(roll_out(laptop_world, question.text))
            assert others == [turn.think for turn in plain[1:]]


def test_long_trace(laptop_world: world.World, questions: list[Question]) -> None:
    for question in questions[:50]:
        messages = roll_out(laptop_world, question.text, {"long_trace": 1})
        turns = grammar.validate_trajectory(messages)
        plain = grammar.validate_trajectory(roll_out(laptop_world, question.text))
        assert max(len(turn.think.split()) for turn in turns) <= 60
        words, usual = (sum(len(t.think.split()) for t in some) for some in (turns, plain))
        assert words > 150 and words > 2 * usual
        assert turns[-1].answer == question.answers[0]


def test_redundant_search(laptop_world: world.World, questions: list[Question]) -> None:
    for question in questions[:50]:
        turns = grammar.validate_trajectory(
            roll_out(laptop_world, question.text, {"redundant_search": 1})
        )
        plain = grammar.validate_trajectory(roll_out(laptop_world, question.text))
        assert turns[:-2] == plain[:-1] and turns[-1] == plain[-1]
        assert len(turns[-2].queries) == len(plain[-2].queries)
        for query, before in zip(turns[-2].queries, plain[-2].queries, strict=True):
            assert query != before and query.startswith(before)


def test_a_kind_more_leaves_the_draws_of_the_others_alone(
    laptop_world: world.World, questions: list[Question]
) -> None:
    old = {"bad_query": 0.3, "wrong_answer": 0.3, "broken_tags": 0.1}
    new = {"hedging": 0.3, "redundant_search": 0.3, "judge_prose": 0.3, "shortcut": 1}
    for question in questions[:60]:
        drawn = {kind for kind in new if draw_share(new, kind, question.text, 3)}
        drawn.discard("shortcut")  # there is none to a question without a tree
        if not drawn:
            both = roll_out(laptop_world, question.text, {**old, **new}, seed=3)
            assert both == roll_out(laptop_world, question.text, old, seed=3)


def test_broken_tags(questions: list[Question]) -> None:
    faults = set()
    for question in questions[:100]:
        body = {"messages": [{"role": "user", "content": question.text}], "seed": 5}
        text, _ = cut_at_stop(write_reply(body, {"broken_tags": 1}), grammar.STOP)
        with pytest.raises(ProtocolError) as caught:
            grammar.parse_turn(grammar.close_turn(text))
        faults.add(caught.value.kind)
    assert len(faults) >= 3


def test_a_broken_turn_gets_a_second_chance(
    laptop_world: world.World, questions: list[Question]
) -> None:
    """Broken tags are decided per request: a rollout recovers, and goes on where it stood."""
    recovered = 0
    for question in questions[:100]:
        messages = roll_out(laptop_world, question.text, {"broken_tags": 0.3}, seed=1)
        last = grammar.parse_turn(messages[-1]["content"])
        broken = sum("breaks the grammar" in message["content"] for message in messages)
        recovered += bool(broken) and last.answer == question.answers[0]
    assert recovered > 20


def test_prose_where_json_is_asked() -> None:
    body = {"messages": [{"role": "user", "content": QUESTION}], "response_format": TAGS_FORMAT}
    with pytest.raises(json.JSONDecodeError):
        json.loads(write_reply(body, {"prose_json": 1}))
    asked = 50
    prose = 0
    for seed in range(asked):
        text = write_reply({**body, "seed": seed}, {"prose_json": 0.5})
        prose += not text.startswith("{")
    assert 10 < prose < 40


ORDINARY_KINDS = [kind for kind in mistakes.ROLLOUT_KINDS if kind != "shortcut"]
"""Those that a question of any kind may meet; see test_tree_roles.py for the other one."""


@pytest.mark.parametrize("kind", ORDINARY_KINDS)
def test_rates_are_met_and_errors_are_reproducible(
    laptop_world: world.World, questions: list[Question], kind: str
) -> None:
    rates = {kind: 0.3}
    changed = 0
    for question in questions:
        messages = roll_out(laptop_world, question.text, rates, seed=7)
        assert messages == roll_out(laptop_world, question.text, rates, seed=7)
        changed += messages != roll_out(laptop_world, question.text)
    assert 0.2 < changed / len(questions) < 0.4
