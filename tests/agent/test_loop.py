"""One rollout against real servers that follow a script: every way in which it can end."""

import asyncio
import json

import pytest
from werkzeug import Response

from helpers.library import ANSWER, OSLO, SEARCH, TASK, Library
from searchtrain.agent import grammar, loop
from searchtrain.agent.refiner import Refined
from searchtrain.config import Limits, Sampling, read_config
from searchtrain.core.errors import ModelError, SearchTrainError, ServiceError
from searchtrain.data import schemas
from searchtrain.models.client import ModelClient, open_model
from searchtrain.models.role import Role


def run(httpserver, turns, *, library=None, task=TASK, dialect="openai", **limits):
    """Roll out against a model that says `turns` one after the other."""
    said = iter(turns)

    def speak(_request):
        turn = next(said)
        if isinstance(turn, int):
            return Response("broken", status=turn)
        text, finish = turn if isinstance(turn, tuple) else (turn, "stop")
        message = {"role": "assistant", "content": text}
        return Response(
            json.dumps(
                {
                    "id": "1", "object": "chat.completion", "created": 1, "model": "m",
                    "choices": [{"index": 0, "finish_reason": finish, "message": message}],
                    "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
                }
            ),
            content_type="application/json",
        )  # fmt: skip

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(speak)

    async def go():
        role = Role("teacher", "m", attempts=1, dialect=dialect, revision="r1")
        client = ModelClient(role, httpserver.url_for("").rstrip("/"), None)
        own = Limits(**{"topk": 3, **limits})
        policy = loop.Policy(client, loop.Harness("system text", "digest", own))
        try:
            return await loop.rollout(task, policy, library or Library())
        finally:
            await client.close()

    row, error = asyncio.run(go())
    frame = loop.pl.DataFrame([row], schema=schemas.empty_table(schemas.Trajectories).schema)
    schemas.validate_table(frame, schemas.Trajectories, "row")
    return row, error


def test_searches_then_answers(httpserver):
    library = Library()
    row, error = run(httpserver, [SEARCH, ANSWER], library=library, topk=2)
    assert (row["answer"], row["stop_reason"], error) == ("Norway", "answered", None)
    assert library.asked == [(["Oslo"], 2)]
    assert (row["turns"], row["searches"], row["completion_tokens"]) == (2, 1, 8)
    assert row["queries"] == [["Oslo"]] and row["retrieved_ids"] == [["7"]]
    assert [m["role"] for m in row["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert "Oslo is a city in Norway." in row["messages"][3]["content"]
    assert row["lineage"] == {"model": "m", "revision": "r1", "prompt": "digest", "seed": 11}
    grammar.validate_trajectory(row["messages"])


def test_the_evidence_budget_cuts_the_last_observation_and_ends_the_search(httpserver):
    # One observation of Oslo has about 100 characters: two whole ones, a cut one, and then none.
    first = grammar.render_observation([("Oslo", [OSLO])], 1200)
    library = Library()
    row, _ = run(
        httpserver,
        [SEARCH, SEARCH, SEARCH, SEARCH, ANSWER],
        library=library,
        max_evidence_chars=2 * len(first) + loop.LEAST_EVIDENCE + 1,
        topk=1,
    )
    shown = [m["content"] for m in row["messages"] if m["role"] == "tool"]
    assert row["stop_reason"] == "answered" and row["searches"] == 3 == len(library.asked)
    assert shown[:2] == [first, first] and len(shown[2]) <= loop.LEAST_EVIDENCE + 1
    assert loop.NO_SEARCH_LEFT in shown[3]
    grammar.validate_trajectory(row["messages"])


def test_several_queries_run_in_one_search_up_to_the_limit(httpserver):
    library = Library()
    many = grammar.render_turn("Both.", queries=["Oslo", "Bergen", "Hamar"])
    row, _ = run(httpserver, [many, ANSWER], library=library, max_queries=2)
    assert library.asked == [(["Oslo", "Bergen"], 3)]
    assert row["queries"] == [["Oslo", "Bergen"]] and row["retrieved_ids"] == [["7", "7"]]


def test_an_invalid_turn_is_explained_and_forgiven_once(httpserver):
    row, _ = run(httpserver, ["Oslo is in Norway.", ANSWER])
    assert row["stop_reason"] == "answered"
    assert "not valid" in row["messages"][3]["content"]
    httpserver.clear()
    row, _ = run(httpserver, ["Oslo.", "Norway."])
    assert (row["stop_reason"], row["answer"]) == ("invalid_turn", "")


def test_turn_limit(httpserver):
    row, error = run(httpserver, [SEARCH, SEARCH, SEARCH], max_turns=2)
    assert (row["stop_reason"], row["turns"], row["answer"], error) == ("turn_limit", 2, "", None)


def test_search_limit_is_said(httpserver):
    library = Library()
    row, _ = run(httpserver, [SEARCH, SEARCH, ANSWER], library=library, max_searches=1)
    assert row["answer"] == "Norway" and len(library.asked) == 1
    assert loop.NO_SEARCH_LEFT in row["messages"][5]["content"]


def test_token_limits(httpserver):
    row, _ = run(httpserver, [SEARCH, SEARCH], max_completion_tokens=5)
    assert row["stop_reason"] == "token_limit"
    httpserver.clear()
    row, _ = run(httpserver, [("<think>I wonder and", "length")])
    assert row["stop_reason"] == "token_limit"


def test_closed_book_never_searches_and_is_made_to_answer(httpserver):
    library = Library()
    row, _ = run(
        httpserver, [SEARCH, "Norway</answer>"],
        library=library, dialect="vllm", max_searches=0, force_answer=True,
    )  # fmt: skip
    assert (row["answer"], row["stop_reason"]) == ("Norway", "forced_answer")
    assert library.asked == [] and row["searches"] == 0
    assert row["messages"][-1]["content"].startswith(grammar.FORCED_PREFIX)
    assert len(row["messages"]) == 3


def test_failures_are_rows(httpserver):
    row, error = run(httpserver, [SEARCH, 500])
    assert (row["stop_reason"], row["error"]) == ("model_error", "http_500")
    assert error is not None and row["searches"] == 1
    httpserver.clear()
    row, error = run(httpserver, [SEARCH], library=Library(fails=True))
    assert (row["stop_reason"], row["error"], error.kind) == (
        "search_error",
        "connection",
        "connection",
    )


class Odd(Library):
    """A search that breaks its promise about passages."""

    async def search(self, queries, topk, exclude=()):
        return [[{"id": "7"}] for _ in queries]


def test_a_fault_of_the_program_is_a_row(httpserver):
    row, error = run(httpserver, [SEARCH], library=Odd())
    assert (row["stop_reason"], row["error"]) == ("model_error", "internal")
    assert error.kind == "internal" and "KeyError: 'contents'" in str(error)
    assert len(row["messages"]) == 3 and row["turns"] == 1


def test_what_ends_a_stage_is_no_row(httpserver):
    with pytest.raises(ServiceError, match="HTTP 401"):
        run(httpserver, [401])


def test_the_row_names_who_answered(httpserver):
    for names, expected in ((["m-1", "m-1"], "m-1"), (["m-1", "m-2"], "m-1, m-2"), ([""], "m")):
        turns = [SEARCH, ANSWER][-len(names) :]
        said = [
            {**make_completion(turn), "model": name}
            for turn, name in zip(turns, names, strict=True)
        ]
        httpserver.clear()
        for each in said:
            httpserver.expect_ordered_request("/v1/chat/completions").respond_with_json(each)

        async def go():
            client = ModelClient(Role("teacher", "m"), httpserver.url_for(""), None)
            policy = loop.Policy(client, loop.Harness("s", "d", Limits()))
            return await loop.rollout(TASK, policy, Library())

        row, _ = asyncio.run(go())
        assert row["lineage"]["model"] == expected


def test_seeds_depend_on_question_and_rollout_only():
    frame = loop.pl.DataFrame(
        {
            "id": ["a", "b"],
            "question": ["q", "r"],
            "golden_answers": [["x"], ["y"]],
            "source": ["s", "s"],
            "exclude_urls": [[], ["answers.example"]],
        }
    )
    tasks = loop.make_attempts(frame, 2, 1)
    assert [(task.question_id, task.rollout) for task in tasks] == [
        ("a", 0), ("a", 1), ("b", 0), ("b", 1),
    ]  # fmt: skip
    assert len({task.seed for task in tasks}) == 4
    fewer = loop.make_attempts(frame.tail(1), 1, 1)
    assert fewer[0] == tasks[2]


def test_a_stage_fails_when_too_many_rollouts_fail(httpserver):
    httpserver.expect_request("/v1/chat/completions").respond_with_data("boom", status=500)

    async def go():
        role = Role("teacher", "m", attempts=1, concurrency=4)
        client = ModelClient(role, httpserver.url_for("").rstrip("/"), None)
        policy = loop.Policy(client, loop.Harness("s", "d", Limits()))
        tasks = [loop.Attempt(str(n), "q", ("a",), "s", (), 0, n) for n in range(60)]
        await loop.run_rollouts(tasks, policy, Library(), 0.1, "trajectories.max_failed_share")

    with pytest.raises(
        SearchTrainError, match=r"of 60 rows failed \(http_500 .*max_failed_share.*boom"
    ):
        asyncio.run(go())
    assert len(httpserver.log) < 60


class Compressor:
    """A refiner that keeps the last passage, and fails for queries about Bergen."""

    def __init__(self, model):
        self.model = model
        self.asked = []

    async def refine(self, question, query, passages, budget):
        self.asked.append((question, query, budget))
        if "Bergen" in query:
            return Refined(list(passages)[:1], ModelError("prose", "not_json"))
        return Refined([{**passages[-1], "contents": '"Oslo"\nrefined'}])


def run_all(httpserver, tasks, speak, *, refine=False, enough=None, **limits):
    """Run tasks through `run_rollouts` against a model that answers `speak(body)`."""

    def reply(request):
        body = request.get_json()
        return Response(json.dumps(make_completion(speak(body))), content_type="application/json")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(reply)
    library = Library()

    async def go():
        role = Role("teacher", "m", attempts=1, concurrency=4)
        client = ModelClient(role, httpserver.url_for("").rstrip("/"), None)
        compressor = Compressor(client) if refine else None
        own = Limits(**{"topk": 3, **limits})
        policy = loop.Policy(client, loop.Harness("s", "d", own, compressor))
        rows = await loop.run_rollouts(tasks, policy, library, 0.0, "setting", enough)
        report = loop.report_rollouts(rows, len(tasks), policy, library)
        await client.close()
        return rows, report, library, compressor

    rows, report, library, compressor = asyncio.run(go())
    schemas.validate_table(rows, schemas.Trajectories, "rows")
    return rows, report, library, compressor


def make_completion(text):
    return {
        "id": "1", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }  # fmt: skip


def search_then_answer(body):
    if len(body["messages"]) > 2:
        return ANSWER
    return grammar.render_turn("I look.", queries=["Oslo", "Bergen"])


def test_the_agent_reads_what_the_refiner_made_and_the_row_says_so(httpserver):
    task = loop.Attempt("q1", "Where is Oslo?", ("Norway",), "test", ("answers.example",), 0, 11)
    rows, report, library, compressor = run_all(
        httpserver, [task], search_then_answer, refine=True, max_observation_chars=1000
    )
    row = rows.row(0, named=True)
    assert library.asked == [(["Oslo", "Bergen"], 3)]
    assert library.excluded == [("answers.example",)]
    assert compressor.asked == [("Where is Oslo?", "Oslo", 500), ("Where is Oslo?", "Bergen", 500)]
    assert row["retrieved_ids"] == [["7", "7"]] and row["sources"] == [["7", "7"]]
    assert row["fallbacks"] == report["fallbacks"] == 1
    observation = row["messages"][3]["content"]
    assert "refined" in observation and "Query: Bergen\nDoc 1" in observation
    assert report["rollouts"] == {"planned": 1, "run": 1, "saved": 0, "saved_share": 0.0}


def accept(row):
    return row["answer"] == "Norway"


def make_tasks(questions, rollouts):
    return [
        loop.Attempt(name, name, ("Norway",), "test", (), number, number)
        for name in questions
        for number in range(rollouts)
    ]


def test_adaptive_mode_ends_a_question_with_enough_accepted_rollouts(httpserver):
    def speak(body):
        question, seed = body["messages"][1]["content"], body["seed"]
        right = {"easy": True, "hard": False, "second": seed >= 1}[question]
        return grammar.render_turn("So.", answer="Norway" if right else "Sweden")

    tasks = make_tasks(["easy", "hard", "second"], 5)
    rows, report, _, _ = run_all(httpserver, tasks, speak, enough=loop.Enough(2, accept))
    done = [(row["question_id"], row["rollout"]) for row in rows.iter_rows(named=True)]
    assert done == [
        ("easy", 0), ("easy", 1),
        ("hard", 0), ("hard", 1), ("hard", 2), ("hard", 3), ("hard", 4),
        ("second", 0), ("second", 1), ("second", 2),
    ]  # fmt: skip
    assert report["rollouts"] == {
        "planned": 15, "run": 10, "saved": 5, "saved_share": 0.3333, "tokens_saved": 75,
    }  # fmt: skip
    assert len(httpserver.log) == 10
    again, _, _, _ = run_all(httpserver, tasks, speak, enough=loop.Enough(2, accept))
    assert again.equals(rows)


def test_without_adaptive_mode_every_rollout_is_run(httpserver):
    tasks = make_tasks(["easy"], 4)
    rows, report, _, _ = run_all(httpserver, tasks, lambda body: ANSWER)
    assert rows["rollout"].to_list() == [0, 1, 2, 3] and report["rollouts"]["saved"] == 0


def test_a_rollout_is_asked_with_its_role_sampling_and_its_own_seed(httpserver):
    httpserver.expect_request("/v1/chat/completions").respond_with_json(make_completion(ANSWER))
    role = {"model": "m", "serve": None, "concurrency": 2, "timeout": 5, "attempts": 1}
    config = read_config({"models": {"teacher": role}})
    servers = {"teacher": httpserver.url_for("").rstrip("/")}
    sampling = Sampling(temperature=0.7, max_tokens=9)

    async def go():
        client = open_model(config, "teacher", servers, sampling, None)
        await loop.rollout(TASK, loop.Policy(client, loop.Harness("s", "d", Limits())), Library())
        await client.close()

    asyncio.run(go())
    body = httpserver.log[0][0].get_json()
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.7, 9, 11)
