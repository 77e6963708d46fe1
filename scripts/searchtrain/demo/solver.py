"""The scripted solver: it answers from memory; it remembers a few places, and guesses."""

from collections.abc import Collection, Sequence

from searchtrain.demo.draws import hash_parts
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
