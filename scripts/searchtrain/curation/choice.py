"""Which rollouts a student learns from: rules on rollouts and questions, then a choice.

Every rule judges every rollout, so the funnel can say what a rule alone costs. Of each question
the best valid rollouts are kept, and of those the hardest questions' if there is a cap.
Invariant: equal input gives equal output.
"""

import gc
import io
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.core.errors import InputError
from searchtrain.core.text_table import format_table
from searchtrain.curation.rules import (
    CORRECTNESS,
    QUESTION_RULES,
    RULES,
    Question,
    QuestionRule,
    Rollout,
    Rule,
    Threshold,
    join_levels,
    select_rules,
)
from searchtrain.data.schemas import Curated, Verdicts, empty_table, validate_table

logger = logging.getLogger(__name__)

CHUNK = 200
"""Rollouts that are Python objects at one time: few enough to stay in the processor's cache."""
SLICE = 5_000
"""Rollouts whose verdicts are Python objects at one time, and a worker's piece of work."""
READ = [
    "messages", "question", "golden_answers", "answer", "stop_reason", "searches", "queries",
    "retrieved_ids", "fallbacks",
]  # fmt: skip
"""Columns that a rule may read."""
OF_TREES = ["levels", "genuine"]
"""The same where the questions and the judge's verdicts on shortcuts are given."""
BEST = "per_question"
CAP = "max_kept"


def curate_rollouts(
    trajectories: pl.DataFrame,
    settings: config.Curate,
    workers: int = 1,
    questions: pl.DataFrame | None = None,
    shortcuts: pl.DataFrame | None = None,
    may_be_empty: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judge every rollout and keep the best of each question.

    `trajectories`: `schemas.Trajectories`; `questions`: `schemas.Questions`, without which no
    question has a tree; `shortcuts`: `schemas.Shortcuts`. A question's best valid rollout has the
    fewest searches, then the fewest words, then the lowest number (SimpleDeepSearcher keeps the
    fewest searches).
    Hardest is the question with the smallest share of right rollouts, then the one whose right
    rollouts needed the most searches at least (SimpleDeepSearcher), then the first of the input.
    `workers`: processes that judge, if there are more rollouts than `SLICE`.
    Returns `schemas.Curated` and `schemas.Verdicts`. Raises InputError when nothing is left, if
    that is not allowed, or the questions or verdicts do not belong to the rollouts.
    """
    rules = select_rules(dict(settings.rules), RULES, "curate.rules")
    asked = select_rules(dict(settings.question_rules), QUESTION_RULES, "curate.question_rules")
    known = _join_trees(trajectories, rules, questions, shortcuts)
    judged = judge_questions(judge_rollouts(known, rules, workers), asked, settings.seed)
    ranked = _rank(judged, [*rules, *asked], settings)
    names = [*rules, *asked, *([CAP] if settings.max_kept else [])]
    logger.info("curation:\n%s", format_funnel(ranked, names))
    if not ranked["kept"].any():
        failed = ", ".join(f"{name} {ranked.height - ranked[name].sum()}" for name in names)
        message = f"no rollout of {ranked.height} passes every curation rule (dropped by: {failed})"
        if not may_be_empty:
            raise InputError(
                f"{message}; loosen curate.rules or curate.question_rules, or make better"
                " trajectories"
            )
        logger.warning("%s: this round adds nothing", message)
    kept = ranked.filter("kept").sort(
        "hardness" if settings.order == "hardest" else "place", "rank"
    )
    curated = trajectories[kept["row"]].with_columns(kept["difficulty"], kept["rank"])
    return validate_table(curated, Curated, "curated"), _list_verdicts(ranked, names)


def make_acceptance(rules: config.Rules) -> Callable[[Mapping[str, Any]], bool]:
    """A test of one row of `schemas.Trajectories`: does it pass every rule that is on?"""
    thresholds = select_rules(dict(rules), RULES, "curate.rules")

    def accept(row: Mapping[str, Any]) -> bool:
        rollout = Rollout(row)
        return all(RULES[name].check(rollout, value)[0] for name, value in thresholds.items())

    return accept


def judge_rollouts(
    trajectories: pl.DataFrame, rules: Mapping[str, Threshold], workers: int = 1
) -> pl.DataFrame:
    """One row per rollout: ids, `correct`, `words`, and per rule `<rule>` and `<rule>_value`.

    Right is what passes any rule on correctness that is on (so difficulty is SimpleDeepSearcher's
    with `contains_answer`); without such a rule, an exact match. `trajectories`:
    `schemas.Trajectories`, with the columns `OF_TREES` where they are known.
    """
    read = trajectories.select(*READ, *(name for name in OF_TREES if name in trajectories.columns))
    slices = [read.slice(start, SLICE) for start in range(0, max(read.height, 1), SLICE)]
    if workers > 1 and len(slices) > 1:
        verdicts = _judge_in_processes(slices, rules, min(workers, len(slices)))
    else:
        verdicts = [_judge_slice(part, rules) for part in slices]
    ids = trajectories.select("id", "question_id", "rollout", "searches").with_row_index("row")
    return pl.concat([ids, pl.concat(verdicts)], how="horizontal")


def judge_questions(
    judged: pl.DataFrame, rules: Mapping[str, Threshold], seed: int
) -> pl.DataFrame:
    """Add `difficulty` and, per rule on questions, `<rule>` and `<rule>_value` to every rollout."""
    questions = judged.group_by("question_id", maintain_order=True).agg(
        pl.len().alias("rollouts"), pl.col("correct").mean().alias("difficulty")
    )
    measured = [Question(*row) for row in questions.iter_rows()]
    columns = []
    for name, threshold in rules.items():
        verdicts = [QUESTION_RULES[name].check(each, threshold, seed) for each in measured]
        passed, values = ([verdict[place] for verdict in verdicts] for place in (0, 1))
        columns += _make_columns(name, passed, values)
    return judged.join(
        questions.drop("rollouts").with_columns(columns),
        on="question_id",
        how="left",
        maintain_order="left",
    )


def format_funnel(ranked: pl.DataFrame, rules: Sequence[str]) -> str:
    """A table for the log: what each rule drops, what it alone drops, and what is left after it."""
    judging = [name for name in rules if name != CAP]
    failures = pl.sum_horizontal(pl.lit(0), *(~pl.col(name) for name in judging))
    counted = ranked.with_columns(failures.alias("failures"))
    rows = [_make_line("rollouts", None, None, ranked)]
    left = ranked
    for name in judging:
        left = left.filter(name)
        failed = counted.filter(~pl.col(name))
        alone = failed.filter(pl.col("failures") == 1)
        rows.append(_make_line(name, failed.height, alone.height, left))
    best = left.filter(BEST)
    rows.append(_make_line("best of its question", left.height - best.height, None, best))
    if CAP in rules:
        kept = best.filter("kept")
        rows.append(_make_line(CAP, best.height - kept.height, None, kept))
    return format_table(rows)


def _join_trees(
    trajectories: pl.DataFrame,
    rules: Mapping[str, Threshold],
    questions: pl.DataFrame | None,
    shortcuts: pl.DataFrame | None,
) -> pl.DataFrame:
    """Add the columns `OF_TREES` as far as they are known."""
    if questions is None:
        return trajectories
    joined = join_levels(trajectories, questions)
    if shortcuts is None:
        if "genuine" in rules and (joined["levels"].list.len() > 0).any():
            raise InputError(
                "curate.rules.genuine: there are rollouts of tree questions, but no verdicts on"
                " them; switch shortcuts.enabled on or the rule off"
            )
        return joined
    stale = shortcuts["id"].filter(~shortcuts["id"].is_in(joined["id"].implode()))
    if not stale.is_empty():
        raise InputError(
            f"shortcuts: id {stale[0]!r} ({stale.len()} such ids) is no rollout of the"
            " trajectories; judge the present ones"
        )
    verdicts = shortcuts.select("id", "genuine")
    return joined.join(verdicts, on="id", how="left", maintain_order="left")


def _judge_in_processes(
    slices: Sequence[pl.DataFrame], rules: Mapping[str, Threshold], workers: int
) -> list[pl.DataFrame]:
    # Spawned, as threads of polars do not survive a fork. A slice goes as a file of its own, for a
    # pickled one drags the texts of the whole table along.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker) as pool:
        waiting: deque[Future[pl.DataFrame]] = deque()
        done = []
        for part in slices:
            if len(waiting) == 2 * workers:
                done.append(waiting.popleft().result())
            file = io.BytesIO()
            part.write_ipc(file)
            waiting.append(pool.submit(_judge_file, file.getvalue(), rules))
        return [*done, *(future.result() for future in waiting)]


def _start_worker() -> None:
    """End when the parent ends, however that is; only the parent heeds Ctrl-C."""
    gc.disable()  # no rule makes cycles, and looking for some takes a tenth of the time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()


def _judge_file(file: bytes, rules: Mapping[str, Threshold]) -> pl.DataFrame:
    return _judge_slice(pl.read_ipc(file), rules)


def _judge_slice(trajectories: pl.DataFrame, rules: Mapping[str, Threshold]) -> pl.DataFrame:
    # A list per column: at 20 rules, a tuple per verdict and its way into a column would take as
    # long as the dearest rule.
    passed: dict[str, list[bool]] = {name: [] for name in rules}
    values: dict[str, list[str]] = {name: [] for name in rules}
    steps = [
        (RULES[name].check, threshold, passed[name].append, values[name].append)
        for name, threshold in rules.items()
    ]
    exact_match = RULES["exact_match"].check
    words, matches = [], []
    for rollout in _read_rollouts(trajectories):
        words.append(rollout.words)
        matches.append(exact_match(rollout, True)[0])
        for check, threshold, add_passed, add_value in steps:
            verdict, value = check(rollout, threshold)
            add_passed(verdict)
            add_value(value)
    right = [name for name in rules if RULES[name].dimension == CORRECTNESS]
    columns = [pl.Series("words", words, dtype=pl.Int64)]
    for name in rules:
        columns += _make_columns(name, passed[name], values[name])
    judged = pl.DataFrame([pl.Series("exact", matches, dtype=pl.Boolean), *columns])
    correct = pl.any_horizontal(right) if right else pl.col("exact")
    return judged.select(correct.alias("correct"), pl.exclude("exact"))


def _make_columns(name: str, passed: list[bool], values: list[str]) -> list[pl.Series]:
    return [
        pl.Series(name, passed, dtype=pl.Boolean),
        pl.Series(f"{name}_value", values, dtype=pl.String),
    ]


def _read_rollouts(trajectories: pl.DataFrame) -> Iterator[Rollout]:
    for chunk in trajectories.iter_slices(CHUNK):
        for row in chunk.to_dicts():
            yield Rollout(row)


def _rank(judged: pl.DataFrame, rules: Sequence[str], settings: config.Curate) -> pl.DataFrame:
    """Add the choice and the two orders.

    `valid`; `rank` among the question's valid ones; `place` of the question in the input and
    `hardness` among the questions; whether it is one of the best (`per_question`), within the cap
    (`max_kept`; true for what is not chosen anyway), and `kept`.
    """
    order = pl.struct("searches", "words", "rollout", "row")
    fewest = pl.col("searches").filter("correct").min().over("question_id").fill_null(-1)
    ranked = (
        judged.with_columns(
            pl.all_horizontal(pl.lit(True), *rules).alias("valid"),
            pl.col("row").min().over("question_id").alias("place"),
            fewest.alias("fewest"),
        )
        .with_columns(
            pl.when("valid")
            .then(order.rank("ordinal").over("question_id", "valid").cast(pl.Int64) - 1)
            .alias("rank"),
            pl.struct("difficulty", -pl.col("fewest"), "place").rank("dense").alias("hardness"),
        )
        .with_columns(
            (pl.col("valid") & (pl.col("rank") < settings.per_question)).alias(BEST),
        )
    )
    if settings.max_kept is None:
        return ranked.with_columns(pl.col(BEST).alias("kept"))
    # Place in the queue of those that were chosen: the hardest question's best one is the first.
    queue = pl.when(BEST).then(pl.struct("hardness", "rank")).rank("ordinal")
    return (
        ranked.with_columns(queue.alias("queue"))
        .with_columns((pl.col("queue") <= settings.max_kept).fill_null(True).alias(CAP))
        .with_columns(
            (pl.col(BEST) & pl.col(CAP)).alias("kept"),
            pl.col("queue").cast(pl.String).fill_null("not chosen").alias(f"{CAP}_value"),
        )
    )


def _list_verdicts(ranked: pl.DataFrame, rules: Sequence[str]) -> pl.DataFrame:
    """`schemas.Verdicts`: rollout by rollout, rule by rule."""
    if not rules:
        return empty_table(Verdicts)
    long = ranked.select(
        "id",
        "question_id",
        pl.concat_list([pl.lit(name) for name in rules]).alias("rule"),
        pl.concat_list(rules).alias("passed"),
        pl.concat_list([f"{name}_value" for name in rules]).alias("value"),
        "kept",
    ).explode("rule", "passed", "value")
    return validate_table(long, Verdicts, "curation")


def _make_line(
    name: str, failed: int | None, alone: int | None, left: pl.DataFrame
) -> dict[str, Any]:
    rule: Rule | QuestionRule | None = RULES.get(name) or QUESTION_RULES.get(name)
    return {
        "rule": name,
        "dimension": rule.dimension if rule else None,
        "failed": failed,
        "failed only this": alone,
        "remaining": left.height,
        "questions": left["question_id"].n_unique(),
    }
