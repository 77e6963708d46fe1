"""Time and memory of curating 200,000 rollouts.

    python tests/benchmarks/bench_curation.py [ROWS [WORKERS]]

A rollout has one to four searches of three passages of about 100 words, and thinks 30 to 150 words
a turn, which are as frequent as words are (Zipf's law); 40 in 100 are wrong, 5 in 100 break the
grammar, and one turn in ten names something in Chinese, Russian or with accents. Every rule is on.
"""

import random
import resource
import sys
import time
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from searchtrain.agent import grammar
from searchtrain.config import Curate
from searchtrain.curation.choice import curate_rollouts
from searchtrain.data import schemas

ROLLOUTS = 5
RULES = {
    "answered": True,
    "unforced": True,
    "exact_match": True,
    "normalised_match": True,
    "contains_answer": True,
    "valid_grammar": True,
    "supported": True,
    "no_repeated_query": True,
    "repairs": 1,
    "first_turn_words": 300,
    "turn_words": 300,
    "total_words": 3000,
    "turns": 10,
    "hedging_per_turn": 3,
    "hedging_total": 3,
    "language": 0.3,
    "repetition": 0.3,
    "looping": 0.5,
    "min_searches": 1,
    "distinct_sources": 0.9,
    "fallbacks": 1,
}
QUESTION_RULES = {"all_correct": 0.8, "min_correct_share": 0.1, "max_correct_share": 1.0}


def make_trajectories(rows: int) -> pl.DataFrame:
    """`schemas.Trajectories` rows of five rollouts a question."""
    draw = random.Random(0)
    words = [make_word(draw, rank) for rank in range(5_000)]
    weights = [1 / (rank + 2.7) for rank in range(len(words))]
    passages = [
        {
            "id": str(i),
            "contents": f'"Title {i}"\n{" ".join(draw.choices(words, weights, k=100))}, the end.',
        }
        for i in range(3_000)
    ]
    observations = []
    for i in range(3_000):
        found = draw.sample(passages, 3)
        text = grammar.render_observation([(f"query {i}", found)], 8000)
        observations.append((text, [passage["id"] for passage in found]))
    thoughts = [make_thought(draw, words, weights) for _ in range(20_000)]
    chunks = []
    for begin in range(0, rows, 10_000):
        numbers = range(begin, min(begin + 10_000, rows))
        part = [make_rollout(number, draw, words, thoughts, observations) for number in numbers]
        chunks.append(pl.DataFrame(part, schema=schemas.empty_table(schemas.Trajectories).schema))
    return pl.concat(chunks)


def make_word(draw: random.Random, rank: int) -> str:
    """A word of English letters, the shorter the more frequent it is."""
    return "".join(draw.choices("etaoinshrdlucmfw", k=2 + rank.bit_length() // 2))


def make_thought(draw: random.Random, words: list[str], weights: list[float]) -> str:
    """Some sentences of reasoning."""
    text = draw.choices(words, weights, k=draw.randint(30, 150))
    for place in range(11, len(text), 12):
        text[place] += "."
        text[place - 11] = text[place - 11].capitalize()
    if draw.random() < 0.3:
        text[0] = draw.choice(["Wait,", "Hmm,", "Alternatively,"])
    if draw.random() < 0.1:
        text[5] = draw.choice(["三体", "Москва", "São", "Kraków"])
    return " ".join(text)


def make_rollout(
    number: int,
    draw: random.Random,
    words: list[str],
    thoughts: list[str],
    observations: list[tuple[str, list[str]]],
) -> dict[str, object]:
    """One rollout, right in three cases of five."""
    question, rollout = divmod(number, ROLLOUTS)
    searches = draw.randint(1, 4)
    gold = words[question % len(words)]
    answer = gold if draw.random() < 0.6 else "something else"
    messages = [
        {"role": "system", "content": "Search and answer."},
        {"role": "user", "content": f"what is number {question}?"},
    ]
    queries = [[f"query {draw.randrange(3_000)}"] for _ in range(searches)]
    found = draw.choices(observations, k=searches)
    for turn, (observation, _) in zip(queries, found, strict=True):
        think = draw.choice(thoughts)
        messages.append({"role": "assistant", "content": grammar.render_turn(think, queries=turn)})
        observation = observation.replace("the end", f"of {gold}", 1)
        messages.append({"role": "tool", "content": observation})
    final = grammar.render_turn(draw.choice(thoughts), answer=answer)
    if draw.random() < 0.05:
        final = final.replace("<think>", "")
    messages.append({"role": "assistant", "content": final})
    return {
        "id": f"{question}#{rollout}",
        "question_id": str(question),
        "rollout": rollout,
        "question": f"what is number {question}?",
        "golden_answers": [gold],
        "source": "synthetic",
        "messages": messages,
        "answer": answer,
        "stop_reason": "answered",
        "error": "",
        "turns": searches + 1,
        "searches": searches,
        "queries": queries,
        "retrieved_ids": [ids for _, ids in found],
        "sources": [ids for _, ids in found],
        "fallbacks": 0,
        "repairs": [],
        "raw": [""] * len(messages[2::2]),
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "lineage": {"model": "m", "revision": "r", "prompt": "p", "seed": number},
    }


def read_peak(whose: int = resource.RUSAGE_SELF) -> float:
    """The most memory that this process, or the largest of its workers, had at one time, in MB."""
    return resource.getrusage(whose).ru_maxrss / 1024


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    rows, workers = [*numbers, *(200_000, 2)[len(numbers) :]]
    trajectories = make_trajectories(rows)
    size = trajectories.estimated_size("mb")
    before = read_peak()
    begun = time.perf_counter()
    settings = Curate(rules=RULES, question_rules=QUESTION_RULES, max_kept=100_000)
    curated, verdicts = curate_rollouts(trajectories, settings, workers)
    seconds = time.perf_counter() - begun
    print(
        f"{rows:,} rollouts ({size:,.0f} MB), {workers} workers: {curated.height:,} kept,"
        f" {verdicts.height:,} verdicts, {seconds:.1f} s,"
        f" peak {read_peak():,.0f} MB ({before:,.0f} before),"
        f" of a worker {read_peak(resource.RUSAGE_CHILDREN):,.0f} MB"
    )
