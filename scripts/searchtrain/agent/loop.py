"""One rollout as one coroutine: think, search or answer, read, until it ends.

Teacher synthesis, dev and test inference, closed-book runs and RL rollouts all run `rollout`;
they differ in model, sampling and limits only. Invariant: a failure inside a rollout, foreseen or
not, is a row with a `stop_reason`, so one bad rollout costs one row; an exception ends the stage.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import polars as pl

from searchtrain.agent import grammar
from searchtrain.agent.calls import read_turn
from searchtrain.agent.forced import force_answer
from searchtrain.agent.formats import FORMATS, Format, find_thoughts
from searchtrain.agent.pace import Pace
from searchtrain.agent.reading import Reading, read_strict
from searchtrain.agent.trace import Trace
from searchtrain.agent.validity import ValidityCheck
from searchtrain.agent.waves import ANSWER, AT_ONCE, FIRST, Accept, Wave, make_further
from searchtrain.config.limits import Limits
from searchtrain.core.errors import BoundaryError, ModelError, SearchError
from searchtrain.core.files import digest
from searchtrain.data.schemas import Trajectories, empty_table
from searchtrain.models.failures import attribute_failures
from searchtrain.models.model import Model
from searchtrain.models.pool import FailureLimit, run_pool
from searchtrain.models.progress import StageProgress
from searchtrain.search import Search

if TYPE_CHECKING:
    # Without a refiner its code decides nothing.
    from searchtrain.agent.refiner import Refiner

logger = logging.getLogger(__name__)

NO_SEARCH_LEFT = "No more searches are allowed. Answer now."
ATTEMPTED = ("question_id", "rollout", "wave", "question", "source")
TRACED = (
    "messages", "answer", "turns", "queries", "retrieved_ids", "sources", "fallbacks", "repairs",
    "raw", "prompt_tokens", "completion_tokens",
)  # fmt: skip
"""Columns of a row that are an attribute of its attempt or its trace."""
ENDLESS = ("context_length", "empty")
"""Failures of a model that has no room left, or that never comes to an end of its thought."""
LEAST_EVIDENCE = 100
"""Characters of the evidence budget below which a search could show nothing."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One rollout to do: a question, and which try at it this is."""

    question_id: str
    question: str
    golden_answers: tuple[str, ...]
    source: str
    exclude_urls: tuple[str, ...]
    rollout: int
    seed: int
    wave: str = FIRST


@dataclass(frozen=True, slots=True)
class Harness:
    """What surrounds a model in a rollout: prompt, limits, format, refiner."""

    system: str
    """Rendered system prompt."""
    prompt_digest: str
    limits: Limits
    refiner: "Refiner | None" = None
    """Compresses what a search returned; None shows the passages as they are."""
    format: Format = FORMATS["tags"]
    """How turns are written."""
    repairs: bool = True
    """Whether a turn is repaired, and a rollout taken back to where it can answer. Not where a
    model is trained on the tokens that it wrote."""

    def write_system(self, attempt: Attempt) -> str:
        """The system prompt of one rollout; a hinted one has the question's first golden answer."""
        return self.system.replace(ANSWER, next(iter(attempt.golden_answers), ""))


@dataclass(frozen=True, slots=True)
class Policy:
    """Who answers: a model in its harness."""

    model: Model
    harness: Harness
    answer: "Answer | None" = None
    """How a question is answered; None: turn after turn."""

    def models(self) -> list[Model]:
        """Every model that a rollout asks."""
        refiner = self.harness.refiner
        return [self.model, *([refiner.model] if refiner else [])]


@dataclass(frozen=True, slots=True)
class Enough:
    """When a question has rollouts enough (adaptive mode), and what is tried when none is good."""

    accepted: int | None
    """Accepted rollouts that end a question; None: it has all of its first wave."""
    accept: Accept
    waves: Sequence[Wave] = ()
    """What follows as long as no rollout is accepted."""
    deadline: float | None = None
    """When all must be done (seconds since the epoch): later rollouts begin only while the first
    ones that are left still fit; None: there is time."""


Answer = Callable[[Attempt, Policy, Search, Trace], Awaitable[str]]
"""Answers a question and fills in the trace; returns the stop reason."""


async def rollout(
    attempt: Attempt, policy: Policy, search: Search
) -> tuple[dict[str, Any], BoundaryError | None]:
    """Run one rollout; returns its row (`schemas.Trajectories`) and the failure that ended it.

    Raises a SearchTrainError that is no BoundaryError: then no other rollout could be run either.
    """
    row, error, _ = await _roll_out(attempt, policy, search)
    return row, error


async def _roll_out(
    attempt: Attempt, policy: Policy, search: Search
) -> tuple[dict[str, Any], BoundaryError | None, Trace]:
    """The same with the trace."""
    trace = Trace(attempt.question, policy.harness.write_system(attempt))
    role = policy.model.role
    error: BoundaryError | None = None
    try:
        with attribute_failures():
            stop_reason = await (policy.answer or _answer)(attempt, policy, search, trace)
    except SearchError as caught:
        error, stop_reason = caught, "search_error"
    except BoundaryError as caught:
        error = caught
        stop_reason = "token_limit" if caught.kind in ENDLESS else "model_error"
    row = {
        **{name: getattr(attempt, name) for name in ATTEMPTED},
        **{name: getattr(trace, name) for name in TRACED},
        "id": f"{attempt.question_id}#{attempt.rollout}",
        "golden_answers": list(attempt.golden_answers),
        "stop_reason": stop_reason,
        "error": error.kind if error else "",
        "searches": len(trace.queries),
        "lineage": {
            "model": ", ".join(trace.models) or role.model,
            "revision": role.revision,
            "prompt": policy.harness.prompt_digest,
            "seed": attempt.seed,
        },
    }
    return row, error if stop_reason in ("model_error", "search_error") else None, trace


async def _answer(attempt: Attempt, policy: Policy, search: Search, trace: Trace) -> str:
    """All turns, and the forced answer where it is due; returns the stop reason."""
    harness = policy.harness
    reason = "turn_limit"
    try:
        reason = await _take_turns(attempt, policy, search, trace)
    except ModelError as error:
        if error.kind not in ENDLESS or not harness.limits.force_answer or not harness.repairs:
            raise
        reason = "token_limit"
    if reason == "answered" or not harness.limits.force_answer:
        return reason
    if not harness.repairs and reason != "turn_limit":
        return reason
    return await force_answer(attempt, policy, trace, reason)


async def _take_turns(attempt: Attempt, policy: Policy, search: Search, trace: Trace) -> str:
    """Turn after turn until the rollout ends; returns the stop reason."""
    limits = policy.harness.limits
    while trace.turns < limits.max_turns:
        reading, cut = await _take_turn(attempt, policy, trace)
        trace.add_turn(reading)
        turn = reading.turn
        if turn and turn.answer is not None:
            trace.answer = turn.answer
            return "answered"
        if cut or trace.completion_tokens > limits.max_completion_tokens:
            return "token_limit"
        if turn is None:
            if trace.invalid > limits.max_invalid_turns:
                return "invalid_turn"
            assert reading.fault is not None
            observation = grammar.render_notice(policy.harness.format.explain(reading.fault))
        elif len(trace.queries) < limits.max_searches and _measure_budget(limits, trace):
            observation = await _search(turn, attempt, policy.harness, search, trace)
        elif limits.force_answer:
            return "turn_limit"  # the forced turn takes the place of the one that would search
        else:
            observation = grammar.render_notice(NO_SEARCH_LEFT)
        trace.add_observation(observation)
    return "turn_limit"


async def _take_turn(attempt: Attempt, policy: Policy, trace: Trace) -> tuple[Reading, bool]:
    """The model's next turn, and whether it was cut before it had an end.

    No stop strings for a model that thinks by itself: they would be found in its thought. Where
    one has ended another's thought, the turn is asked for once more without.
    """
    harness, model = policy.harness, policy.model
    form, thoughts = harness.format, find_thoughts(model.role)
    messages, prefill = form.make_request(trace.messages)
    ask = partial(model.complete, messages, seed=attempt.seed, prefill=prefill, tools=form.tools)
    stop = form.stop if thoughts == "written" or form.in_thought else ()
    completion = await ask(stop=stop)
    trace.count(completion)
    if not harness.repairs:
        reading = read_strict(completion)
        return reading, reading.turn is None and completion.finish_reason == "length"
    reading = read_turn(completion, form, thoughts)
    if reading.open and stop and completion.finish_reason == "stop":
        whole = await ask()
        trace.count(whole)
        again = read_turn(whole, form, thoughts)
        reading = again if again.turn else read_strict(completion)
    endless = reading.open and thoughts == "native"
    return reading, reading.turn is None and (endless or completion.finish_reason == "length")


async def _search(
    turn: grammar.Turn, attempt: Attempt, harness: Harness, search: Search, trace: Trace
) -> str:
    """Run a turn's queries together, refine what each returned, and render the observation."""
    limits = harness.limits
    budget = _measure_budget(limits, trace)
    queries = list(turn.queries[: limits.max_queries])
    found = await search.search(queries, limits.topk, attempt.exclude_urls)
    shown = found
    if harness.refiner:
        share = budget // len(queries)
        refined = await asyncio.gather(
            *(
                harness.refiner.refine(attempt.question, query, hits, share)
                for query, hits in zip(queries, found, strict=True)
            )
        )
        shown = [result.passages for result in refined]
        trace.fallbacks += sum(result.error is not None for result in refined)
    trace.queries.append(queries)
    trace.retrieved_ids.append(_list_ids(found))
    trace.sources.append(_list_ids(shown))
    observation = grammar.render_observation(list(zip(queries, shown, strict=True)), budget)
    trace.evidence += len(observation)
    return observation


def _measure_budget(limits: Limits, trace: Trace) -> int:
    """Characters that the next observation may have; 0 when the evidence budget is spent."""
    if limits.max_evidence_chars is None:
        return limits.max_observation_chars
    left = limits.max_evidence_chars - trace.evidence
    return min(limits.max_observation_chars, left) if left >= LEAST_EVIDENCE else 0


def _list_ids(found: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    return [str(passage["id"]) for hits in found for passage in hits]


def forbid_search(policy: Policy) -> Policy:
    """The same policy closed-book: it may think once, then it can only answer."""
    closed = {"max_searches": 0, "force_answer": True}
    limits = policy.harness.limits.model_copy(update=closed)
    return replace(policy, harness=replace(policy.harness, limits=limits))


def make_attempts(questions: pl.DataFrame, rollouts: int, seed: int) -> list[Attempt]:
    """One attempt per question and rollout, in the questions' order (`schemas.Seeds` columns).

    A rollout's sampling seed depends on `seed`, its question and its number only, so adding
    questions or rollouts leaves the others as they were.
    """
    columns = ("id", "question", "golden_answers", "source", "exclude_urls")
    return [
        Attempt(
            question_id=row["id"],
            question=row["question"],
            golden_answers=tuple(row["golden_answers"]),
            source=row["source"],
            exclude_urls=tuple(row["exclude_urls"]),
            rollout=number,
            seed=draw_seed(seed, row["id"], number),
        )
        for row in questions.select(columns).iter_rows(named=True)
        for number in range(rollouts)
    ]


def draw_seed(seed: int, question: str, number: int) -> int:
    """The sampling seed of a question's rollout."""
    return int(digest([seed, question, number])[:7], 16)


def report_rollouts(
    rows: pl.DataFrame, planned: int, policy: Policy, search: Search
) -> dict[str, Any]:
    """What a stage's rollouts came to and what they cost, for people.

    `rows`: `schemas.Trajectories`; `planned`: attempts of the first wave; adaptive mode runs fewer.
    Requests, tokens and dollars of `models` and `search` are those paid for now, not cached ones.
    """
    tokens = {kind: int(rows[f"{kind}_tokens"].sum()) for kind in ("prompt", "completion")}
    first = rows.filter(pl.col("wave") == FIRST)
    spent = first.select(pl.sum("prompt_tokens") + pl.sum("completion_tokens")).item()
    rollouts = count_rollouts(planned, first.height, spent)
    if rollouts["saved"]:
        logger.info(
            "adaptive: %d of %d rollouts not run (%.1f %%), about %d tokens saved",
            rollouts["saved"], planned, 100 * rollouts["saved"] / planned, rollouts["tokens_saved"],
        )  # fmt: skip
    return {
        "rollouts": rollouts,
        "stop_reasons": dict(sorted(Counter(rows["stop_reason"]).items())),
        "tokens": tokens,
        "fallbacks": int(rows["fallbacks"].sum()),
        "repairs": dict(sorted(Counter(chain(*rows["repairs"])).items())),
        "models": {
            client.role.name: {**client.usage, "dollars": round(client.cost(), 6)}
            for client in policy.models()
        },
        "search": search.report(),
    }


def count_rollouts(planned: int, run: int, tokens: int) -> dict[str, float]:
    """The rollouts of a report; `tokens` were written and read in those that were run."""
    saved = planned - run
    share = round(saved / max(planned, 1), 4)
    counts = {"planned": planned, "run": run, "saved": saved, "saved_share": share}
    # Those not run would have cost what those that were run did, on average.
    return counts | ({"tokens_saved": round(tokens / run * saved)} if saved else {})


async def run_rollouts(
    attempts: Sequence[Attempt],
    policy: Policy,
    search: Search,
    max_failed_share: float,
    setting: str,
    enough: Enough | None = None,
    *,
    needs_turns: bool = False,
    seed: int = 0,
) -> pl.DataFrame:
    """Run all rollouts; returns `schemas.Trajectories` rows in the order of the attempts.

    With `enough` a question's rollouts that it makes needless are not run and have no row, and
    those of its later waves stand behind the question's first ones (`seed`: of their draws). Raises
    SearchTrainError when more than `max_failed_share` of them end in a failure of a model, of the
    search or of the program; `setting` is what the config calls that limit. Also when the first
    rollouts have no valid turn at all and `needs_turns`, as the teacher's do: without, a student
    that has learnt nothing may still be scored.
    """
    failures = FailureLimit(len(attempts), max_failed_share, setting)
    waves = enough.waves if enough else ()
    models = [
        model for each in (policy, *(wave.policy for wave in waves)) for model in each.models()
    ]
    check = ValidityCheck(policy.model.role, policy.harness.format.name, ends=needs_turns)
    progress = StageProgress(len(attempts), models)
    pace = Pace(len(attempts), enough.deadline if enough else None)

    async def work(attempt: Attempt, policy: Policy = policy) -> dict[str, Any]:
        row, error, trace = await _roll_out(attempt, policy, search)
        progress.advance(failed=error is not None)
        pace.count(attempt.wave == FIRST)
        failures.count(error)
        check.count(trace)
        return row

    async def work_off(group: Sequence[Attempt]) -> list[dict[str, Any]]:
        """One question: as many rollouts at a time as are still missing, then its later waves."""
        if enough is None:
            return [await work(attempt) for attempt in group]
        rows: list[dict[str, Any]] = []
        while len(rows) < len(group):
            missing = len(group) - len(rows)
            if enough.accepted is not None:
                accepted = sum(map(enough.accept, rows))
                if accepted >= enough.accepted:
                    progress.skip(missing)
                    pace.skip(missing)
                    break
                missing = min(missing, enough.accepted - accepted)
            rows += await asyncio.gather(*map(work, group[len(rows) : len(rows) + missing]))
        return rows + await work_on(group, rows, enough)

    async def work_on(
        group: Sequence[Attempt], rows: Sequence[Mapping[str, Any]], enough: Enough
    ) -> list[dict[str, Any]]:
        """The later waves of a question, until a rollout of it is accepted."""
        asked, further = list(group), list[dict[str, Any]]()
        solved = not enough.waves or any(map(enough.accept, rows))
        for wave in enough.waves:
            attempts = make_further(wave, asked, partial(draw_seed, seed, group[0].question_id))
            asked += attempts
            while attempts and not solved:
                if not pace.allows():
                    return further
                chunk, attempts = attempts[:AT_ONCE], attempts[AT_ONCE:]
                progress.skip(-len(chunk))
                done = await asyncio.gather(*(work(attempt, wave.policy) for attempt in chunk))
                further += done
                solved = any(map(enough.accept, done))
        return further

    def stop() -> None:
        for model in models:
            model.stop()
        search.stop()

    # Without `enough` every rollout is a group of its own.
    groups = [
        list(group) for _, group in groupby(attempts, lambda a: a.question_id if enough else a)
    ]
    try:
        # Half of the workers wait for a search while the other half wait for the model.
        rows = await run_pool(
            groups, work_off, workers=2 * policy.model.role.concurrency, stop=stop
        )
    finally:
        progress.finish()
        if spent := search.report():
            logger.info("web: %s", ", ".join(f"{name} {count}" for name, count in spent.items()))
    return pl.DataFrame([*chain(*rows)], schema=empty_table(Trajectories).schema)
