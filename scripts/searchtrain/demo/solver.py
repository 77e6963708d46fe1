"""Two scripted answerers: the solver from memory, the verifier from the documents it is shown.

Invariant: the solver remembers a few places and guesses; the verifier knows the documents alone.
"""

from collections.abc import Collection, Sequence

from searchtrain.demo.descriptions import list_matches
from searchtrain.demo.draws import hash_parts
from searchtrain.demo.facts import read_facts
from searchtrain.demo.requests import read_request, render_reply
from searchtrain.demo.tree_questions import parse_tree_question

FAMOUS = {
    "France": ("Paris", "Lyon", "Marseille"),
    "Japan": ("Tokyo", "Osaka", "Nagoya"),
    "Brazil": ("Sao Paulo", "Rio de Janeiro", "Salvador"),
    "India": ("Mumbai", "Delhi", "Chennai"),
    "Germany": ("Berlin", "Hamburg", "Munich"),
    "Kenya": ("Nairobi", "Mombasa", "Kisumu"),
    "Canada": ("Toronto", "Montreal", "Calgary"),
    "Egypt": ("Cairo", "Alexandria", "Giza"),
    "Peru": ("Lima", "Arequipa", "Trujillo"),
    "Australia": ("Sydney", "Melbourne", "Brisbane"),
}
"""What the solver remembers: places that come to its mind for a country."""


def solve_closed_book(text: str, seed: int, _: Collection[str] = ()) -> str:
    """The solver's answer from memory: a famous city of the country, or any."""
    question = read_request(text, "solver", question=str)["question"]
    description = parse_tree_question(question)
    country = dict(description.relations).get("country") if description else None
    options: Sequence[str] = [city for cities in FAMOUS.values() for city in cities]
    reason = "I do not know this, so I guess."
    if description is not None and description.kind == "country":
        options = tuple(FAMOUS)
    elif isinstance(country, str) and country in FAMOUS:
        options, reason = FAMOUS[country], f"I remember some cities in {country}."
    answer = options[hash_parts("memory", question, seed) % len(options)]
    return render_reply(reason=reason, answer=answer)


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
