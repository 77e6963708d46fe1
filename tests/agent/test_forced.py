"""A rollout that can still answer, answers: every way to end, and every way to ask."""

import pytest

from helpers.library import ANSWER, SEARCH
from helpers.transport import endless, roll_out, too_long
from searchtrain.agent import grammar
from searchtrain.core.errors import ModelError
from searchtrain.models.model import Completion

LONG = "word " * 40
CUT = ("<think>I wonder whether", "length")
BERGEN = grammar.render_turn("And Bergen.", queries=["Bergen"])


def is_asked(request):
    """Whether a request can only be answered."""
    return request["prefill"].endswith(grammar.FORCED_PREFIX) or (
        request["messages"][-1]["content"].endswith(grammar.FORCED_REQUEST)
    )


def answer_when_asked(replies, answer="Norway"):
    """Replies turn by turn, and with the answer once that is asked for."""
    left = list(replies)
    return lambda request: answer if is_asked(request) else left.pop(0)


CAUSES = {
    "search limit": ([SEARCH, BERGEN], {"max_searches": 1}),
    "no search at all": ([SEARCH], {"max_searches": 0}),
    "turn limit": ([SEARCH, BERGEN], {"max_turns": 2}),
    "evidence": ([SEARCH, BERGEN], {"max_evidence_chars": 100}),
    "broken turns": ([SEARCH, "Hm.", "Oslo."], {}),
    "only broken turns": (["Hm.", "Oslo."], {}),
    "cut turn": ([SEARCH, CUT], {}),
    "cut answer": ([SEARCH, ("<think>So.</think>\n<answer>Nor", "length")], {}),
    "token limit": ([SEARCH, f"<think>{LONG}</think>\n<search>Oslo</search>"],
                    {"max_completion_tokens": 30}),
    "full context": ([SEARCH, BERGEN, too_long()], {}),
    "endless thought": ([SEARCH, endless()], {}),
    "endless first thought": ([endless()], {}),
    "cut thought": ([("Okay, so the user asks where", "length")], {}),
}  # fmt: skip
ROLES = {
    "continues": {},
    "chat endpoint": {"dialect": "openai"},
    "thinks by itself": {"reasoning": "native"},
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("cause", CAUSES)
def test_no_cause_leaves_the_answer_blank(cause, role):
    replies, limits = CAUSES[cause]
    row, model = roll_out(answer_when_asked(replies), role=ROLES[role], force_answer=True, **limits)
    assert (row["answer"], row["stop_reason"], row["error"]) == ("Norway", "forced_answer", "")
    grammar.validate_trajectory(row["messages"])
    assert row["messages"][-1]["content"] == f"{grammar.FORCED_PREFIX}Norway</answer>"
    asked = [request for request in model.requests if is_asked(request)]
    assert len(asked) == 1 and bool(asked[0]["prefill"]) == (role == "continues")
    assert len(row["raw"]) == sum(m["role"] == "assistant" for m in row["messages"])


@pytest.mark.parametrize("cause", CAUSES)
def test_without_a_forced_answer_the_reason_stands(cause):
    replies, limits = CAUSES[cause]
    reasons = {
        "broken turns": "invalid_turn", "only broken turns": "invalid_turn",
        **dict.fromkeys(
            ["cut turn", "cut answer", "token limit", "full context", "endless thought",
             "endless first thought", "cut thought"], "token_limit"),
    }  # fmt: skip
    told = [*replies, *[SEARCH] * 6]
    row, model = roll_out(told, force_answer=False, **limits)
    assert row["stop_reason"] == reasons.get(cause, "turn_limit") and row["answer"] == ""
    assert not any(map(is_asked, model.requests))


@pytest.mark.parametrize("cause", ["cut turn", "broken turns", "search limit", "token limit"])
def test_the_last_usable_state_is_asked(cause):
    """The search that worked stays; what could not be read, was cut or came too late is gone."""
    replies, limits = CAUSES[cause]
    row, model = roll_out(answer_when_asked(replies), force_answer=True, **limits)
    told = model.requests[-1]["messages"]
    assert [message["role"] for message in told] == ["system", "user", "assistant", "tool"]
    assert told[2]["content"] == SEARCH and row["messages"][:4] == told
    assert row["searches"] == 1


def test_turns_are_dropped_until_the_conversation_fits():
    def reply(request):
        size = sum(len(message["content"]) for message in request["messages"])
        if size > 200:
            return too_long()
        return "Norway" if is_asked(request) else BERGEN

    row, model = roll_out(reply, force_answer=True)
    assert row["answer"] == "Norway" and row["stop_reason"] == "forced_answer"
    sizes = [len(request["messages"]) for request in model.requests]
    assert max(sizes) > 4 and sizes[-1] < max(sizes)
    assert row["messages"][:-1] == model.requests[-1]["messages"]


def test_a_question_that_does_not_fit_is_a_token_limit():
    row, model = roll_out(lambda request: too_long(), force_answer=True)
    assert (row["stop_reason"], row["error"], row["answer"]) == (
        "token_limit",
        "context_length",
        "",
    )
    assert len(model.requests) == 2


def test_a_complete_answer_beyond_the_token_limit_counts():
    replies = [SEARCH, f"<think>{LONG}</think>\n<answer>Norway</answer>"]
    for force in (True, False):
        row, model = roll_out(replies, force_answer=force, max_completion_tokens=30)
        assert (row["answer"], row["stop_reason"]) == ("Norway", "answered")
        assert len(model.requests) == 2


def test_a_blank_answer_is_asked_for_again_with_the_question_alone():
    replies = [SEARCH, BERGEN, "</answer>", "Norway</answer>"]
    row, model = roll_out(replies, force_answer=True, max_searches=1)
    assert (row["answer"], row["stop_reason"]) == ("Norway", "forced_answer")
    assert [len(request["messages"]) for request in model.requests] == [2, 4, 4, 2]
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]


def test_a_blank_rest_of_a_message_is_asked_for_in_words():
    row, model = roll_out([SEARCH, "", "Norway"], force_answer=True, max_searches=0)
    assert row["answer"] == "Norway" and not model.requests[-1]["prefill"]
    assert (
        model.requests[-1]["messages"][1]["content"]
        == f"Where is Oslo?\n\n{grammar.FORCED_REQUEST}"
    )


def test_who_never_answers_has_no_answer():
    row, model = roll_out(lambda request: "", force_answer=True, max_searches=0)
    assert (row["answer"], row["stop_reason"]) == ("", "invalid_turn")
    asked = [(bool(request["prefill"]), request["seed"]) for request in model.requests[2:]]
    assert asked == [(True, 11), (False, 11), (False, 12)]


def test_an_endpoint_that_refuses_the_prefill_is_asked_in_words():
    """Qwen3's template refuses a last message with a thought (HTTP 400)."""

    def reply(request):
        if request["prefill"]:
            return ModelError("HTTP 400: can not continue", "http_400")
        return "<answer>Norway</answer>" if is_asked(request) else BERGEN

    row, model = roll_out(reply, force_answer=True, max_searches=1)
    assert (row["answer"], row["error"]) == ("Norway", "")
    last = model.requests[-1]
    assert (
        last["messages"][-1] == {"role": "user", "content": grammar.FORCED_REQUEST}
        and not last["stop"]
    )


def test_failures_of_the_environment_are_no_answers():
    for kind in ("http_500", "timeout", "connection", "http_400"):
        row, model = roll_out([SEARCH, ModelError("gone", kind)], force_answer=True)
        assert (row["stop_reason"], row["error"], row["answer"]) == ("model_error", kind, "")
        assert len(model.requests) == 2


def test_the_answer_of_a_model_that_thinks_is_behind_its_thought():
    thinks = {"reasoning": "native"}
    for said in ("Okay. So.\n</think>\n\n<answer>Norway</answer>", "So.</think>\n\nNorway."):
        row, _ = roll_out(answer_when_asked([SEARCH], said), role=thinks, force_answer=True,
                          max_searches=0)  # fmt: skip
        assert row["answer"] == "Norway" and row["raw"][-1] == said
    held = Completion("The answer is Norway.", "stop", 1, 1, False, "m", thought="So.")
    row, _ = roll_out(answer_when_asked([SEARCH], held), role=thinks, force_answer=True,
                      max_searches=0)  # fmt: skip
    assert row["answer"] == "Norway" and "reasoning" in row["raw"][-1]
    assert row["repairs"] == ["sentence", "full_stop"]


def test_a_cut_answer_counts_where_nothing_else_is_left():
    cut = ("<answer>Nor", "length")
    row, _ = roll_out(answer_when_asked([SEARCH], cut), role={"dialect": "openai"},
                      force_answer=True, max_searches=0)  # fmt: skip
    assert (row["answer"], row["stop_reason"]) == ("Nor", "forced_answer")


@pytest.mark.parametrize("form", ["search_r1", "tool_calls"])
def test_every_format_is_forced(form):
    row, model = roll_out(
        answer_when_asked([SEARCH, BERGEN]), form=form, force_answer=True, max_searches=1
    )
    assert (row["answer"], row["stop_reason"]) == ("Norway", "forced_answer")
    last = model.requests[-1]
    if form == "search_r1":
        assert last["prefill"].startswith(SEARCH) and len(last["messages"]) == 1
        assert last["prefill"].endswith(f"</information>\n\n{grammar.FORCED_PREFIX}")
    else:
        assert last["messages"][-1] == {"role": "user", "content": grammar.FORCED_REQUEST}
        assert last["messages"][-2]["role"] == "tool" and not last["tools"]


def test_a_model_that_is_trained_is_forced_only_where_it_wrote_nothing_wrong():
    """Token ids are never made from text again, so no turn of it is taken back but a search."""
    for replies, reason in ([SEARCH, CUT], "token_limit"), (["Hm.", "Oslo."], "invalid_turn"):
        row, model = roll_out(answer_when_asked(replies), repairs=False, force_answer=True)
        assert row["stop_reason"] == reason and not any(map(is_asked, model.requests))


def test_an_answer_is_asked_for_only_when_it_is_due():
    row, model = roll_out([SEARCH, ANSWER], force_answer=True)
    assert row["stop_reason"] == "answered" and not any(map(is_asked, model.requests))
