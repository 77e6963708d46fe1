"""The scripted verifier: it finds every answer that fits a question by the documents alone."""

from collections.abc import Collection

from searchtrain.demo.descriptions import list_matches
from searchtrain.demo.reading import read_facts
from searchtrain.demo.requests import read_request, render_reply
from searchtrain.demo.tree_questions import parse_tree_question


def verify_question(text: str, _: int, erring: Collection[str] = ()) -> str:
    """Every answer that fits the question by the documents alone. `erring`: `verifier_prose`."""
    body = read_request(text, "verifier", question=str, documents=list)
    passages: dict[str, list[str]] = {}
    for row in body["documents"]:
        passages.setdefault(str(row["title"]), []).append(str(row["text"]))
    description = parse_tree_question(body["question"])
    answers = list_matches(description, read_facts(passages)) if description else []
    reason = f"The documents show {len(answers)} places that fit."
    if "verifier_prose" in erring:
        return " ".join([reason, *answers])
    return render_reply(reason=reason, answers=answers)
