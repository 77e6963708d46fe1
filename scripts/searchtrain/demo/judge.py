"""The scripted judges: of a predicted answer, and of how a rollout came to its answer."""

from collections.abc import Collection

from searchtrain.agent.grammar import parse_turn
from searchtrain.core.errors import ProtocolError
from searchtrain.data.answers import normalise_answer
from searchtrain.demo.requests import read_request, render_reply
from searchtrain.demo.tree_questions import parse_tree_question


def judge_answer(text: str, _: int, erring: Collection[str] = ()) -> str:
    """Say whether a predicted answer is right. `erring`: `judge_prose`.

    Right is what equals a golden answer but for case, punctuation and articles, or holds it, or is
    held by it, as words.
    """
    body = read_request(text, "judge", golden_answers=list, predicted_answer=str)
    said = f" {normalise_answer(body['predicted_answer'])} "
    correct, reason = False, "The answer names something else."
    if not said.strip():
        reason = "There is no answer."
    for gold in map(str, body["golden_answers"]):
        wanted = f" {normalise_answer(gold)} "
        if said.strip() and wanted.strip() and (wanted in said or said in wanted):
            correct, reason = True, f"The answer means the same as {gold}."
            break
    if "judge_prose" in erring:
        return f"{reason} So the answer is {'right' if correct else 'wrong'}."
    return render_reply(reason=reason, correct=correct)


def judge_trajectory(text: str, _: int, __: Collection[str] = ()) -> str:
    """Whether a rollout reasons its way to the answer: short queries, level by level."""
    body = read_request(text, "judge of trajectories", question=str, trajectory=list)
    question = body["question"]
    description = parse_tree_question(question)
    levels = len(description.list_levels()) if description else 1
    searches, answer, shown = [], "", ""
    for message in body["trajectory"]:
        if message["role"] != "assistant":
            shown += message["content"] if message["role"] == "tool" else ""
            continue
        try:
            turn = parse_turn(message["content"])
        except ProtocolError:
            continue
        answer = turn.answer or answer
        searches += [turn.queries] if turn.queries else []
    whole = {_bare(question)} & {_bare(query) for queries in searches for query in queries}
    faults = {
        "It searches for the whole question at once.": levels > 1 and whole,
        f"It searches {len(searches)} times where {levels} things must be found in turn.": (
            len(searches) < levels
        ),
        "Nothing that it read names the answer.": answer.lower() not in shown.lower(),
    }
    fault = next((reason for reason, found in faults.items() if found), None)
    reason = fault or "Each search follows from what was found before."
    return render_reply(reason=reason, genuine=fault is None)


def _bare(text: str) -> str:
    return " ".join(text.lower().split()).rstrip("?. ")
