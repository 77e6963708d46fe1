"""What a model that thinks by itself writes before it speaks.

Invariant: a thought names no tag unless it is told to; its sentences do not repeat within the
lengths that are asked for here but in an endless one.
"""

import itertools

from searchtrain.demo.draws import hash_parts

SUBJECTS = (
    "The question", "The name in it", "What is asked for", "The first passage", "The place at hand",
    "My last step", "The country", "The figure", "The order of things", "The next query",
    "The second passage", "Its title",
)  # fmt: skip
PREDICATES = (
    "tells me where to begin", "has to be read with care", "leaves one thing open",
    "agrees with what was found", "is what the rest hangs on", "should be settled first",
    "can be looked up in one go", "fits the description", "is spelled as in the passages",
    "decides what I do now", "needs a source of its own", "does not contradict the others",
)  # fmt: skip
MENTION = (
    "I could write <search> with a query in it and close that with </search>,"
    " or give <answer> at once and end with </answer>."
)
"""A thought that names the tags: a server stops inside it if it is told to stop there."""


def write_thought(core: str, tokens: int, key: str, *, mentions: bool = False) -> str:
    """A thought of about so many tokens that ends with `core`."""
    start = hash_parts("thought", key)
    pairs = list(itertools.product(SUBJECTS, PREDICATES))
    sentences = ["Okay, let me see."]
    size = len(core) + len(sentences[0])
    if mentions:
        sentences.append(MENTION)
        size += len(MENTION)
    for number in itertools.count():
        if size >= 4 * tokens:
            break
        # 55 and 144 have no common factor, so every sentence comes once before one comes again.
        subject, predicate = pairs[(start + 55 * number) % len(pairs)]
        sentences.append(f"{subject} {predicate}.")
        size += len(sentences[-1]) + 1
    return " ".join([*sentences, core])
