"""The last turn of a rollout that may go on no longer: it can only answer.

Asked of the last state that is of use: without turns that could not be read, were cut or searched
where no search was left, and short enough for the model's context. Where its server continues a
message the model continues `grammar.FORCED_PREFIX`; else, and where a model thinks by itself, a
user message asks. Invariant: the stored turn is `FORCED_PREFIX` with the answer, so that nobody
takes it for the model's own.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from searchtrain.agent import grammar
from searchtrain.agent.formats import Format, Stored, Thoughts, find_thoughts
from searchtrain.agent.reading import Reading, read_answer, read_strict, render_raw
from searchtrain.agent.trace import OPENING, Trace
from searchtrain.core.errors import ModelError
from searchtrain.models.model import Completion, Message

if TYPE_CHECKING:
    from searchtrain.agent.loop import Attempt, Policy


async def force_answer(attempt: "Attempt", policy: "Policy", trace: Trace, reason: str) -> str:
    """Ask for the answer; returns the stop reason, `reason` itself if none came.

    When the answer is blank it is asked for with the question alone, then in words, then with
    another seed. Raises ModelError when the model fails, or has no room for the question alone.
    """
    if reason == "invalid_turn":
        trace.drop_broken()
    trace.drop_open_turn()
    if not policy.harness.repairs:
        return await _force_strictly(attempt, policy, trace)
    role, seed = policy.model.role, attempt.seed
    thoughts = find_thoughts(role)
    continues = role.continues and thoughts == "written" and not policy.harness.format.tools
    while True:
        try:
            completion = await _ask(seed, policy, trace, continues)
        except ModelError as error:
            if error.kind == "context_length" and trace.drop_turn():
                continue
            if error.kind == "http_400" and continues:
                continues = False
                continue
            if error.kind != "empty":
                raise
            reading = None
        else:
            reading = _read(completion, thoughts, continues)
        if reading and reading.turn:
            trace.add_turn(reading)
            trace.answer = reading.turn.answer or ""
            return "forced_answer"
        if len(trace.said) > OPENING:
            while trace.drop_turn():
                pass
        elif continues:
            continues = False
        elif seed == attempt.seed:
            seed += 1
        else:
            return reason


async def _ask(seed: int, policy: "Policy", trace: Trace, continues: bool) -> Completion:
    """The rest of a message that begins to answer, or a reply to `grammar.FORCED_REQUEST`."""
    form = policy.harness.format
    if continues:
        messages, begun = form.make_request(trace.messages)
        prefill = begun + grammar.FORCED_PREFIX
        completion = await policy.model.complete(
            messages, seed=seed, stop=form.stop, prefill=prefill
        )
    else:
        messages = request_answer(form, trace.messages)
        completion = await policy.model.complete(messages, seed=seed, brief=True)
    trace.count(completion)
    return completion


def request_answer(form: Format, conversation: Stored) -> list[Message]:
    """The conversation and the request; two user messages in turn are one."""
    *earlier, last = form.render_messages(conversation)
    if last["role"] != "user":
        return [*earlier, last, {"role": "user", "content": grammar.FORCED_REQUEST}]
    return [
        *earlier,
        {**last, "content": f"{last['content'].rstrip()}\n\n{grammar.FORCED_REQUEST}"},
    ]


def _read(completion: Completion, thoughts: Thoughts, continues: bool) -> Reading | None:
    """The answer as the turn that is stored; None if there is none."""
    begun = grammar.FORCED_PREFIX if continues else ""
    rest = completion.text.removeprefix(begun)
    answer, repairs = read_answer(replace(completion, text=rest), thoughts, continued=continues)
    if not answer:
        return None
    turn = grammar.Turn(grammar.FORCED_THINK, answer=answer)
    text = grammar.render_turn(turn.think, answer=answer)
    whole = grammar.close_turn(begun + rest) == text
    return Reading(text, turn, None, tuple(repairs), "" if whole else render_raw(completion))


async def _force_strictly(attempt: "Attempt", policy: "Policy", trace: Trace) -> str:
    """The same with the answer as it came, for a model that is trained on what it wrote."""
    completion = await _ask(attempt.seed, policy, trace, continues=True)
    begun = grammar.FORCED_PREFIX
    text = begun + completion.text.removeprefix(begun)
    reading = read_strict(replace(completion, text=text))
    trace.add_turn(reading)
    if reading.turn is None:
        return "invalid_turn"
    trace.answer = reading.turn.answer or ""
    return "forced_answer"
