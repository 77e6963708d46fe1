"""Which rollouts a student learns from: rules on rollouts and questions, then a choice.

Every rule judges every rollout, so the funnel can say what a rule alone costs. Of each question
the best valid rollouts are kept, and of those the hardest questions' if there is a cap.
Invariant: equal input gives equal output.
"""

import gc
import io
import logging
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import polars as pl

from searchtrain import config
from searchtrain.agent.waves import FIRST
from searchtrain.core.errors import InputError
from searchtrain.curation.funnel import format_funnel
from searchtrain.curation.ranking import CAP, rank_rollouts
from searchtrain.curation.restating import restate_answers
from searchtrain.curation.rollouts import (
    EXACT,
    Question,
    Rollout,
    join_levels,
    join_verdicts,
)
from searchtrain.curation.rules import (
    CORRECTNESS,
    QUESTION_RULES,
    RULES,
    Rule,
    Threshold,
    select_rollout_rules,
    select_rules,
)
from searchtrain.data.schemas import Curated, Verdicts, empty_table, validate_table
from searchtrain.serving.process import end_with_parent

logger = logging.getLogger(__name__)

CHUNK = 200
"""Rollouts that are Python objects at one time: few enough to stay in the processor's cache."""
SLICE = 5_000
"""Rollouts whose verdicts are Python objects at one time, and a worker's piece of work."""
READ = [
    "messages", "question", "golden_answers", "answer", "stop_reason", "searches", "queries",
    "retrieved_ids", "fallbacks", "repairs", "wave",
]  # fmt: skip
"""Columns that a rule may read."""
JOINED = ["levels", "genuine", "equivalent"]
"""The same where the questions and the judge's verdicts are given."""


def curate_rollouts(
    trajectories: pl.DataFrame,
    settings: config.Curate,
    workers: int = 1,
    questions: pl.DataFrame | None = None,
    shortcuts: pl.DataFrame | None = None,
    may_be_empty: bool = False,
    *,
    equivalents: pl.DataFrame | None = None,
    clean: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judge every rollout and keep the best of each question.

    `trajectories`: `schemas.Trajectories`; `questions`: `schemas.Questions`, without which no
    question has a tree; `shortcuts`: `schemas.Shortcuts`; `equivalents`: `schemas.Equivalents`;
    `clean`: what stands around an answer is taken away (`predict.clean`). A question's best valid
    rollout has the fewest searches, then the fewest words, then the lowest number
    (SimpleDeepSearcher keeps the fewest searches); those with a hint come behind the others, and
    those whose queries a better one has behind those with queries of their own. Its last turn
    states what is learnt (`restating`).
    Hardest is the question with the smallest share of right rollouts, then the one whose right
    rollouts needed the most searches at least (SimpleDeepSearcher), then the first of the input.
    `workers`: processes that judge, if there are more rollouts than `SLICE`.
    Returns `schemas.Curated` and `schemas.Verdicts`. Raises InputError when nothing is left, if
    that is not allowed, or the questions or verdicts do not belong to the rollouts.
    """
    rules = select_rollout_rules(settings)
    question_rules = select_rules(settings.question_rules, QUESTION_RULES)
    joined = _join_trees(trajectories, rules, questions, shortcuts)
    if equivalents is not None:
        joined = join_verdicts(joined, equivalents, "equivalent", "equivalents")
    judged = judge_rollouts(joined, rules, workers, settings.answers)
    judged = judge_questions(judged, question_rules, settings.seed)
    thresholds = {**rules, **question_rules}
    ranked = rank_rollouts(judged, thresholds, settings.per_question, settings.max_kept)
    if settings.max_kept is not None:
        thresholds[CAP] = settings.max_kept
    funnel = format_funnel(ranked, thresholds)
    logger.info("%d of %d rollouts kept:\n%s", ranked["kept"].sum(), ranked.height, funnel)
    if not ranked["kept"].any():
        failed = ", ".join(f"{name} {ranked.height - ranked[name].sum()}" for name in thresholds)
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
    curated = restate_answers(joined[kept["row"]], settings.answers, clean=clean)
    curated = curated.select(
        *trajectories.columns, kept["difficulty"], kept["rank"], "gold_form", "form_change"
    )
    return validate_table(curated, Curated, "curated"), _list_verdicts(ranked, thresholds)


def make_acceptance(settings: config.Curate) -> Callable[[Mapping[str, Any]], bool]:
    """A test of one row of `schemas.Trajectories`: does it pass every rule that is on?

    No judge has seen it yet, so what only a judge takes for right is not accepted.
    """
    thresholds = select_rollout_rules(settings)

    def accept(row: Mapping[str, Any]) -> bool:
        rollout = Rollout(row, settings.answers)
        return all(RULES[name].passes(rollout, value) for name, value in thresholds.items())

    return accept


def judge_rollouts(
    trajectories: pl.DataFrame,
    rules: Mapping[str, Threshold],
    workers: int = 1,
    answers: config.AnswerForms = EXACT,
) -> pl.DataFrame:
    """One row per rollout: ids, `correct`, `words`, and per rule `<rule>` and `<rule>_value`.

    Right is what passes any rule on correctness that is on (so difficulty is SimpleDeepSearcher's
    with `contains_answer`); without such a rule, an exact match. `trajectories`:
    `schemas.Trajectories`, with the columns `JOINED` where they are known.
    """
    read = trajectories.select(*READ, *(name for name in JOINED if name in trajectories.columns))
    slices = [read.slice(start, SLICE) for start in range(0, max(read.height, 1), SLICE)]
    if workers > 1 and len(slices) > 1:
        verdicts = _judge_in_processes(slices, rules, min(workers, len(slices)), answers)
    else:
        verdicts = [_judge_slice(part, rules, answers) for part in slices]
    columns = ("id", "question_id", "rollout", "searches", "wave", "queries")
    ids = trajectories.select(columns).with_row_index("row")
    return pl.concat([ids, pl.concat(verdicts)], how="horizontal")


def judge_questions(
    judged: pl.DataFrame, rules: Mapping[str, Threshold], seed: int
) -> pl.DataFrame:
    """Add `difficulty` and, per rule on questions, `<rule>` and `<rule>_value` to every rollout.

    Difficulty is the share of right ones of the first wave: only hard questions have later ones.
    """
    first = judged.filter(pl.col("wave") == FIRST)
    questions = first.group_by("question_id", maintain_order=True).agg(
        pl.len().alias("rollouts"), pl.col("correct").mean().alias("difficulty")
    )
    measured = [
        Question(key, rollouts, share, seed) for key, rollouts, share in questions.iter_rows()
    ]
    columns: list[pl.Series] = []
    for name, threshold in rules.items():
        rule = QUESTION_RULES[name]
        columns += _make_columns(name, rule, threshold, list(map(rule.measure, measured)))
    return judged.join(
        questions.drop("rollouts").with_columns(columns),
        on="question_id",
        how="left",
        maintain_order="left",
    )


def _join_trees(
    trajectories: pl.DataFrame,
    rules: Mapping[str, Threshold],
    questions: pl.DataFrame | None,
    shortcuts: pl.DataFrame | None,
) -> pl.DataFrame:
    """Add the columns `levels` and `genuine` as far as they are known."""
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
    return join_verdicts(joined, shortcuts, "genuine", "shortcuts")


def _judge_in_processes(
    slices: Sequence[pl.DataFrame],
    rules: Mapping[str, Threshold],
    workers: int,
    answers: config.AnswerForms,
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
            waiting.append(pool.submit(_judge_file, file.getvalue(), rules, answers))
        return [*done, *(future.result() for future in waiting)]


def _start_worker() -> None:
    """End when the parent ends, however that is; only the parent heeds Ctrl-C."""
    gc.disable()  # no rule makes cycles, and looking for some takes a tenth of the time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def _judge_file(
    file: bytes, rules: Mapping[str, Threshold], answers: config.AnswerForms
) -> pl.DataFrame:
    return _judge_slice(pl.read_ipc(file), rules, answers)


def _judge_slice(
    trajectories: pl.DataFrame, rules: Mapping[str, Threshold], answers: config.AnswerForms
) -> pl.DataFrame:
    # A list per column: at 20 rules, a row per rollout and its way into columns would take as long
    # as the dearest rule.
    values: dict[str, list[float | None]] = {name: [] for name in rules}
    steps = [(RULES[name].measure, column.append) for name, column in values.items()]
    exact_match = RULES["exact_match"].measure
    words, matches = [], []
    rows = (row for chunk in trajectories.iter_slices(CHUNK) for row in chunk.to_dicts())
    for row in rows:
        rollout = Rollout(row, answers)
        words.append(rollout.words)
        matches.append(exact_match(rollout))
        for measure, add_value in steps:
            add_value(measure(rollout))
    right = [name for name in rules if RULES[name].dimension == CORRECTNESS]
    columns = [pl.Series("words", words, dtype=pl.Int64)]
    for name, threshold in rules.items():
        columns += _make_columns(name, RULES[name], threshold, values[name])
    judged = pl.DataFrame([pl.Series("exact", matches, dtype=pl.Boolean), *columns])
    correct = pl.any_horizontal(right) if right else pl.col("exact")
    return judged.select(correct.alias("correct"), pl.exclude("exact"))


def _make_columns(
    name: str, rule: Rule[Any], threshold: Threshold, values: list[float | None]
) -> list[pl.Series]:
    measured = pl.Series(f"{name}_value", values, dtype=pl.Float64)
    passed: pl.Series = rule.bound(measured, float(threshold))
    return [passed.fill_null(True).alias(name), measured]


def _list_verdicts(ranked: pl.DataFrame, thresholds: Mapping[str, Threshold]) -> pl.DataFrame:
    """`schemas.Verdicts`: rollout by rollout, rule by rule."""
    if not thresholds:
        return empty_table(Verdicts)
    long = ranked.select(
        "id",
        "question_id",
        pl.concat_list([pl.lit(name) for name in thresholds]).alias("rule"),
        pl.concat_list(list(thresholds)).alias("passed"),
        pl.concat_list([f"{name}_value" for name in thresholds]).alias("value"),
        pl.concat_list([pl.lit(float(value)) for value in thresholds.values()]).alias("threshold"),
        "kept",
    ).explode("rule", "passed", "value", "threshold")
    return validate_table(long, Verdicts, "curation")
