"""A rollout as token ids, and the figures of a step."""

import copy

import pytest

from helpers.conversations import make_student
from helpers.library import ANSWER, SEARCH, Library
from helpers.scribe import Scribe, encode, roll
from searchtrain.agent import grammar
from searchtrain.core.errors import InputError
from searchtrain.rl.generation import Generated
from searchtrain.rl.rollouts import measure_rollouts
from searchtrain.training.records import list_messages
from searchtrain.training.served import Served, read_options


def list_written(tokens):
    """The runs of tokens that the model wrote."""
    runs, last = [], 0
    for token, mask in zip(tokens.completion_ids, tokens.mask, strict=True):
        if mask and not last:
            runs.append([])
        if mask:
            runs[-1].append(token)
        last = mask
    return runs


def list_ids(tokens):
    return tokens.prompt_ids + tokens.completion_ids


def render_ids(tokenizer, messages):
    """The ids of a conversation up to the end of its last turn."""
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    return encode(tokenizer, text.removesuffix("\n"))


@pytest.mark.parametrize(
    "turns",
    [
        [ANSWER],
        [SEARCH, ANSWER],
        [SEARCH, "<think>I forgot the rest.</think>", SEARCH, ANSWER],
        [SEARCH.removesuffix("</search>"), ANSWER.removesuffix("</answer>")],
    ],
)
def test_a_rollouts_ids_are_those_of_the_served_template(tokenizer, turns):
    (rollout,) = roll(Scribe(tokenizer, turns), tokenizer)
    assert rollout.row["stop_reason"] == "answered"
    tokens = rollout.tokens
    assert list_ids(tokens) == render_ids(tokenizer, rollout.row["messages"])
    assert tokens.prompt_ids == render_ids(tokenizer, rollout.row["messages"][:2]) + encode(
        tokenizer, "\n<|im_start|>assistant\n"
    )
    assert list_written(tokens) == [encode(tokenizer, turn) for turn in turns]
    drawn = [logprob for logprob, mask in zip(tokens.logprobs, tokens.mask, strict=True) if mask]
    assert set(drawn) == {-0.5}
    assert sum(tokens.logprobs) == sum(drawn)


def test_a_rollout_is_tokenized_as_its_training_record_is(tokenizer):
    (rollout,) = roll(Scribe(tokenizer, [SEARCH, ANSWER]), tokenizer)
    speakers = {"user": "human", "assistant": "gpt", "tool": "observation"}
    system, *said = rollout.row["messages"]
    record = {
        "system": system["content"],
        "conversations": [
            {"from": speakers[message["role"]], "value": message["content"]} for message in said
        ],
    }
    assert list_messages(record) == rollout.row["messages"]
    ids = list_ids(rollout.tokens)
    served = Served(tokenizer, read_options(make_student(), "tags"))
    assert ids == served.encode(list_messages(record)).ids[: len(ids)]


def test_what_the_model_wrote_is_not_tokenized_again(tokenizer):
    # Letter by letter, as no tokenizer would write it.
    ids = [token for letter in SEARCH for token in encode(tokenizer, letter)]
    assert ids != encode(tokenizer, SEARCH)
    odd = Generated(ids, [-1.0] * len(ids), SEARCH, "stop")
    scribe = Scribe(tokenizer, [odd, ANSWER])
    (rollout,) = roll(scribe, tokenizer)
    assert list_written(rollout.tokens) == [ids, encode(tokenizer, ANSWER)]
    second = scribe.batches[1][0].ids
    assert list_ids(rollout.tokens)[: len(second)] == list(second)


def test_an_end_of_turn_that_the_model_wrote_is_not_doubled(tokenizer):
    end = tokenizer.eos_token_id
    turns = [
        Generated([*encode(tokenizer, text), end], [-1.0] * (len(encode(tokenizer, text)) + 1),
                  text, "stop")
        for text in ("<think>No action.</think>", ANSWER)
    ]  # fmt: skip
    (rollout,) = roll(Scribe(tokenizer, turns), tokenizer)
    assert rollout.row["stop_reason"] == "answered"
    assert list_ids(rollout.tokens) == render_ids(tokenizer, rollout.row["messages"])
    assert list_written(rollout.tokens) == [turn.ids for turn in turns]


def test_an_end_of_turn_before_a_closing_tag_is_what_the_server_hides(tokenizer):
    text = SEARCH.removesuffix("</search>")
    ids = [*encode(tokenizer, text), tokenizer.eos_token_id]
    (rollout,) = roll(
        Scribe(tokenizer, [Generated(ids, [-1.0] * len(ids), text, "stop"), ANSWER]), tokenizer
    )
    assert list_ids(rollout.tokens) == render_ids(tokenizer, rollout.row["messages"])
    assert list_written(rollout.tokens)[0] == ids[:-1]


def test_a_turn_that_was_replaced_by_a_forced_answer_is_not_trained_on(tokenizer):
    second = grammar.render_turn("Once more.", queries=["Norway"])
    scribe = Scribe(tokenizer, [SEARCH, second, "Norway</answer>"])
    (rollout,) = roll(scribe, tokenizer, max_searches=1, force_answer=True)
    assert rollout.row["stop_reason"] == "forced_answer"
    assert rollout.reward == 1
    assert list_ids(rollout.tokens) == render_ids(tokenizer, rollout.row["messages"])
    assert list_written(rollout.tokens) == [
        encode(tokenizer, SEARCH), encode(tokenizer, "Norway</answer>")
    ]  # fmt: skip


def test_a_closed_book_rollout_begins_with_the_forced_answer(tokenizer):
    scribe = Scribe(tokenizer, [SEARCH, "Norway</answer>"])
    (rollout,) = roll(scribe, tokenizer, max_searches=0, force_answer=True)
    assert list_ids(rollout.tokens) == render_ids(tokenizer, rollout.row["messages"])
    assert list_written(rollout.tokens) == [encode(tokenizer, "Norway</answer>")]


def test_a_conversation_that_outgrows_the_context_ends_the_rollout(tokenizer):
    scribe = Scribe(tokenizer, [SEARCH, ANSWER], context=150)
    (rollout,) = roll(scribe, tokenizer)
    assert (rollout.row["stop_reason"], rollout.reward) == ("token_limit", 0)
    assert list_written(rollout.tokens) == [encode(tokenizer, SEARCH)]
    (none,) = roll(Scribe(tokenizer, [SEARCH], context=10), tokenizer)
    assert none.tokens.mask == [0] and len(none.tokens.completion_ids) == 1


def test_a_failed_search_has_no_reward(tokenizer):
    (rollout,) = roll(Scribe(tokenizer, [SEARCH]), tokenizer, Library(fails=True))
    assert (rollout.row["stop_reason"], rollout.reward) == ("search_error", None)
    assert rollout.error.kind == "connection"
    assert list_ids(rollout.tokens) == render_ids(tokenizer, rollout.row["messages"])


def test_a_fault_of_the_program_has_no_reward_and_leaves_the_others_alone(tokenizer):
    class Odd(Library):
        async def search(self, queries, topk, exclude=()):
            return [[{"id": "7"}] for _ in queries]

    broken, whole = roll(Scribe(tokenizer, [SEARCH], [ANSWER]), tokenizer, Odd())
    assert (broken.row["error"], broken.error.kind, broken.reward) == ("internal", "internal", None)
    assert (whole.error, whole.reward) == (None, 1)


def test_the_turns_of_all_rollouts_are_written_together(tokenizer):
    scripts = [[ANSWER], [SEARCH, ANSWER], [SEARCH, SEARCH, ANSWER], [SEARCH, ANSWER]]
    scribe = Scribe(tokenizer, *scripts)
    rollouts = roll(scribe, tokenizer)
    assert [len(batch) for batch in scribe.batches] == [4, 3, 1]
    assert [rollout.row["searches"] for rollout in rollouts] == [0, 1, 2, 1]


def test_what_breaks_the_generator_ends_all_rollouts(tokenizer):
    scribe = Scribe(tokenizer, [SEARCH, ANSWER], [SEARCH])
    with pytest.raises(IndexError):
        roll(scribe, tokenizer)


def test_a_template_that_changes_earlier_turns_is_refused(tokenizer):
    forgetful = copy.deepcopy(tokenizer)
    forgetful.chat_template = (
        "{%- for message in messages -%}{{- message['role'] + '\\n' -}}"
        "{{- message['content'].split('</think>')[-1] + '<|im_end|>\\n' -}}{%- endfor -%}"
    )
    with pytest.raises(InputError, match="chat template"):
        roll(Scribe(tokenizer, [SEARCH, ANSWER]), forgetful)
    forgetful.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        roll(Scribe(tokenizer, [ANSWER]), forgetful)


def test_a_steps_figures(tokenizer):
    wrong = grammar.render_turn("It is there.", answer="Sweden")
    scripts = [[ANSWER], [SEARCH, wrong], [ANSWER], ["No tags.", ANSWER]]
    rollouts = roll(Scribe(tokenizer, *scripts), tokenizer)
    figures = measure_rollouts(rollouts, 2)
    assert figures["reward"] == 0.5
    assert figures["valid_turns"] == pytest.approx(5 / 6)
    assert figures["searches"] == 0.25
    assert figures["no_signal"] == 0
    assert measure_rollouts(rollouts[::2], 2)["no_signal"] == 1
    written = sum(len(encode(tokenizer, turn)) for script in scripts for turn in script)
    assert figures["completion_tokens"] == written / 4
    assert figures["stop_reasons"] == {"answered": 4}
