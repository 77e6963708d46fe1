"""What the passages of a rollout say, put together by title.

Invariant: of two passages that state the same fact the earlier one counts.
"""

from searchtrain.demo.passages import Passages, read_text
from searchtrain.demo.varied import read_varied


def read_facts(passages: Passages) -> dict[str, dict[str, str]]:
    """The facts of each title, as the passages write them.

    A place of the harder world (`demo.varied`) also has its title as `name`, and stands under its
    local name, too, once a passage has said it.
    """
    found: dict[str, dict[str, str]] = {}
    for title, texts in passages.items():
        place = found[title] = {}
        for text in reversed(texts):
            plain, _ = read_text(text)
            place |= plain or read_varied(title, text)
            if not plain:
                place["name"] = title
    for place in list(found.values()):
        if local := place.get("local_name"):
            found.setdefault(local, place)
    return found
