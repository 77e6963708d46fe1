"""By which requests a stored rollout was made: under which keys the cache has their answers.

A stored conversation is what its model has read, so each turn's request is made of the messages
before it, as `loop` and `forced` make it. Invariant: nobody is asked anything. The requests of a
turn that was taken back, and of the refiner, left no message and are not found.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from searchtrain.agent import grammar
from searchtrain.agent.forced import request_answer
from searchtrain.agent.formats import Format, Stored, find_thoughts
from searchtrain.models.request import make_body, make_key
from searchtrain.models.role import Role


class Asked(NamedTuple):
    """The requests for one turn, counted from 1; `keys`: of all forms that they may have had."""

    turn: int
    keys: tuple[str, ...]


def list_requests(
    messages: Sequence[Mapping[str, str]], seed: int, role: Role, form: Format
) -> list[Asked]:
    """The requests of a stored conversation (`schemas.Trajectories`), turn by turn.

    Of one that ends without a turn of the model's, those behind it, too, which brought no answer.
    """
    places = [n for n, each in enumerate(messages) if each["role"] == grammar.ASSISTANT]
    if messages and messages[-1]["role"] != grammar.ASSISTANT:
        places.append(len(messages))
    asked = []
    for number, place in enumerate(places, 1):
        before, turn = messages[:place], "".join(each["content"] for each in messages[place:][:1])
        keys = [*_list_turn(before, seed, role, form)]
        if not turn or turn.startswith(grammar.FORCED_PREFIX):
            # A turn that was cut, or searched where it may not, is asked for before it is forced.
            keys += [key for again in (0, 1) for key in _list_forced(before, seed + again, role,
                                                                    form)]  # fmt: skip
        asked.append(Asked(number, tuple(dict.fromkeys(keys))))
    return asked


def _list_turn(before: Stored, seed: int, role: Role, form: Format) -> Iterator[str]:
    sent, begun = form.make_request(before)
    asked = {"prefill": begun, "tools": form.tools, "brief": bool(begun)}
    if find_thoughts(role) == "written" or form.in_thought:
        yield _make_key(role, sent, seed, stop=form.stop, **asked)
    yield _make_key(role, sent, seed, **asked)


def _list_forced(before: Stored, seed: int, role: Role, form: Format) -> Iterator[str]:
    if role.continues and not form.tools:
        sent, begun = form.make_request(before)
        begun += grammar.FORCED_PREFIX
        yield _make_key(role, sent, seed, stop=form.stop, prefill=begun, brief=True)
    yield _make_key(role, request_answer(form, before), seed, brief=True)


def _make_key(role: Role, messages: Sequence[Mapping[str, Any]], seed: int, **asked: Any) -> str:
    return make_key(role, make_body(role, messages, seed, **asked))
