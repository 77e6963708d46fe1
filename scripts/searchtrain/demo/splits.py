"""The questions of train, dev and test.

Invariant: every answer follows from the passages, and no city that one split asks about is asked
about in another.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from searchtrain import config
from searchtrain.core.errors import InputError
from searchtrain.demo.city_questions import PHRASINGS, QUESTION_TYPES, TYPES, Question, solve
from searchtrain.demo.passages import Facts

SPLITS = ("test", "dev", "train")
"""In the order in which they take their cities: the size of train leaves the others alone."""


def write_questions(
    facts: Facts, subjects: Sequence[str], settings: config.World
) -> dict[str, list[Question]]:
    """Write the questions of every split about the cities that are its subjects.

    No answer serves more than `max_answer_share` of a split's questions of one type, so that
    guessing does not pay. The populations in a comparison differ in their number of digits: a model
    of a million parameters learns to compare lengths, not numbers.
    Raises InputError when the world has too few cities for the sizes.
    """
    rng = random.Random(settings.seed)
    cities = list(subjects)
    rng.shuffle(cities)
    splits = {}
    for split in SPLITS:
        size = getattr(settings.sizes, split)
        # One city and a half a question: a comparison takes two, and some questions fail a rule.
        wanted = len(cities) if split == "train" else round(size * 1.5)
        if wanted > len(cities) or wanted < 2:
            raise InputError(
                f"world.sizes.{split}: {size} questions need {wanted} cities and {len(cities)}"
                " are left; raise world.cities_per_country or lower world.sizes"
            )
        pool, cities = cities[:wanted], cities[wanted:]
        splits[split] = list(_write_split(facts, split, pool, settings, rng))
    return splits


def _write_split(
    facts: Facts, split: str, pool: Sequence[str], settings: config.World, rng: random.Random
) -> Iterator[Question]:
    size = getattr(settings.sizes, split)
    quotas = _share_out(size, settings.shares.model_dump())
    # Every city of the pool once in random order, over and over.
    cities = (city for _ in itertools.count() for city in rng.sample(pool, len(pool)))
    seen: set[str] = set()
    for kind, quota in quotas.items():
        relations = [relation for relation, its_kind in QUESTION_TYPES.items() if its_kind == kind]
        limit = max(1, int(settings.max_answer_share * quota))
        answers: Counter[str] = Counter()
        written = failed = 0
        while written < quota:
            relation = relations[written % len(relations)]
            question = _write_question(facts, relation, cities, rng)
            if question is None or question.text in seen or answers[question.answers[0]] >= limit:
                failed += 1
                if failed > 50 * quota + 1000:
                    raise InputError(
                        f"world.sizes.{split}: no more {kind} questions than {written} of {quota};"
                        " lower world.sizes or raise world.max_answer_share"
                    )
                continue
            seen.add(question.text)
            answers[question.answers[0]] += 1
            written += 1
            yield question


def _write_question(
    facts: Facts, relation: str, cities: Iterator[str], rng: random.Random
) -> Question | None:
    names = tuple(itertools.islice(cities, 2 if QUESTION_TYPES[relation] == "comparison" else 1))
    if len(names) == 2:
        first, second = (facts[name] for name in names)
        alike = len(first["population"]) == len(second["population"])
        if alike or first["country"] == second["country"]:
            return None
    text = rng.choice(PHRASINGS[relation]).format(**dict(zip("ab", names, strict=False)))
    answer = solve(text, facts)
    if answer is None:
        return None
    forms = [answer, answer.replace(",", "")] if relation == "capital_population" else [answer]
    if len(names) == 2:
        forms += [facts[answer].get("local_name", answer)]
    return Question(relation, names, text, tuple(dict.fromkeys(forms)))


def _share_out(size: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Split `size` by shares, largest remainder first, so that the parts add up."""
    total = sum(shares.values())
    exact = {kind: size * shares[kind] / total for kind in TYPES}
    parts = {kind: int(value) for kind, value in exact.items()}
    by_remainder = sorted(TYPES, key=lambda kind: parts[kind] - exact[kind])
    for kind in by_remainder[: size - sum(parts.values())]:
        parts[kind] += 1
    return parts
