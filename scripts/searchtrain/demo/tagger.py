"""The scripted tagger: a question's domain, and the points that its answer depends on."""

import re
from collections.abc import Collection

from searchtrain.demo.city_questions import list_hops, parse_city_question
from searchtrain.demo.descriptions import Description
from searchtrain.demo.passages import FACT_NAMES
from searchtrain.demo.requests import render_reply
from searchtrain.demo.tree_questions import parse_tree_question

DOMAINS = {
    "country": "city location",
    "time_zone": "time zones",
    "capital": "capitals",
    "currency_code": "currencies",
    "calling_code": "telephone codes",
    "internet_domain": "internet domains",
    "capital_population": "population",
    "capital_time_zone": "time zones",
    "larger_country": "population",
}
TREE_DOMAINS = {"country": "coordinates", "capital": "capital cities", "borders": "neighbours"}
"""Of tree questions, by the relation on their deepest level."""
KEYWORD_DOMAINS = (
    ("sport", "team player season league cup game games won score coach olympic nfl nba"),
    ("music", "song sang sings album band singer music lyrics"),
    ("film and television", "movie film episode show actor actress plays played character tv"),
    ("literature", "book novel author wrote poem written"),
    ("science", "cell element energy body gene disease chemical blood planet called"),
    ("politics", "president minister law court government amendment party election"),
    ("geography", "where country city river capital state island located mountain"),
    ("history", "when war first year century king empire"),
    ("people", "who name born married"),
)
"""For questions that are not of this world: a domain, and words that point to it."""
WORD = re.compile(r"[\w'-]+")


def tag_question(question: str, _: int, erring: Collection[str] = ()) -> str:
    """Name a question's domain and key points. `erring`: `prose_json`."""
    domain, key_points = _tag(question)
    if "prose_json" in erring:
        return f"This is a question about {domain}; it is about {' and '.join(key_points)}."
    return render_reply(domain=domain, key_points=key_points)


def _tag(question: str) -> tuple[str, list[str]]:
    parsed = parse_city_question(question)
    if parsed is not None:
        relation, cities = parsed
        return DOMAINS[relation], [*cities, *(FACT_NAMES[fact] for _, fact in list_hops(relation))]
    if tree := parse_tree_question(question):
        relation, _ = (*tree.list_levels()[0].relations, ("country", ""))[0]
        return TREE_DOMAINS[relation], _list_key_points(tree)
    words = WORD.findall(question)
    lowered = {word.lower() for word in words}
    domain = next(
        (domain for domain, keys in KEYWORD_DOMAINS if lowered & set(keys.split())), "other"
    )
    points = list(dict.fromkeys(sorted(words, key=len, reverse=True)))[:3]
    points = [word for word in words if word in points]
    return domain, list(dict.fromkeys([*points, domain, "question"]))[: max(2, len(points))]


def _list_key_points(description: Description) -> list[str]:
    """What an answer depends on: names and facts of the question, the deepest first."""
    points = [
        value
        for level in description.list_levels()
        for _, value in (*level.relations, *level.attributes)
        if isinstance(value, str)
    ]
    return list(dict.fromkeys([*points, description.kind, "place"]))[: max(2, min(4, len(points)))]
