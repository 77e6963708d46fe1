"""One pandera model per artefact, and the only way to read or write one.

Every table is Parquet (zstd), written to a temporary name and renamed. Invariant: a table's columns
keep the order in which its class names them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from searchtrain.core.errors import InputError
from searchtrain.core.files import replace_file
from searchtrain.data.equivalence import KINDS

GROUP = 5000
"""Rows that are compressed together: whoever wants one row reads so many."""
MESSAGE = pl.Struct({"role": pl.String, "content": pl.String})
STRINGS = {"inner": pl.String}
NODE = pl.Struct(
    dict.fromkeys(("id", "parent", "entity", "page", "kind", "claim"), pl.String)
    | {"candidates": pl.Int64}
)
"""A node of a research tree: `parent` and `claim` (of the parent on this child) are empty for the
root, `entity` for an attribute; `candidates` fit all claims of an inner node, -1 is unknown."""
LINEAGE = dict.fromkeys(("model", "revision", "prompt"), pl.String) | {"seed": pl.Int64}
ANSWERED = ["answered", "forced_answer"]
CUT_SHORT = ["turn_limit", "token_limit", "invalid_turn", "model_error", "search_error"]
"""How a rollout ends: with an answer, or without."""
WAVES = ["first", "more", "hinted"]
"""Why a rollout was made: of every question, of one that none had solved, with a hint."""
FORM_CHANGES = ["", *KINDS, "alias", "judged", "cleaned"]
"""`alias`: another golden answer than the one that was meant is what the trace supports; `judged`:
a judge says that it is meant (`curation.equivalents`)."""
SPLITS = [
    "dev", "test", "test_closed_book", "test_untrained", "test_retrieve_read", "dev_untrained",
    "dev_retrieve_read", "benchmarks",
]  # fmt: skip
"""What a student answers, and how. The first word says which questions: `benchmarks` are those of
all benchmark files. Alone it is the product's way; `closed_book`: without searching; of the
untrained model `untrained`: searching with the teacher's instructions, and `retrieve_read`: after
one search for the question as it stands."""


def name_questions(split: str) -> str:
    """Which questions a split is about: dev, test or benchmarks."""
    return split.partition("_")[0]


class Table(pa.DataFrameModel):
    """Base of all tables: closed (no other columns) and strict about types."""

    class Config:
        strict = True
        ordered = True


class Seeds(Table):
    """A question as it was given."""

    id: str = pa.Field(unique=True, str_length={"min_value": 1})
    question: str = pa.Field(str_length={"min_value": 1})
    golden_answers: pl.List = pa.Field(dtype_kwargs=STRINGS)
    """Acceptable answers, at least one, none empty."""
    source: str
    """Where the question came from (a data set, a generator)."""
    exclude_urls: pl.List = pa.Field(dtype_kwargs=STRINGS)
    """Hosts and URLs that a web search may not show for this question."""

    @pa.check("golden_answers")
    @classmethod
    def has_an_answer(cls, data: pa.PolarsData) -> pl.LazyFrame:
        answers = pl.col(data.key)
        return data.lazyframe.select(
            (answers.list.len() > 0)
            & answers.list.eval(pl.element().str.strip_chars().str.len_chars() > 0).list.all()
        )


class Tagged(Seeds):
    """A question with what a tagger said of it (SimpleDeepSearcher, query sampling)."""

    domain: str = pa.Field(str_length={"min_value": 1})
    key_points: pl.List = pa.Field(dtype_kwargs=STRINGS)


class Sampled(Tagged):
    """A question that sampling chose, in the order in which it was chosen."""

    units: int = pa.Field(ge=0)
    """Interrogative words in the question (SimpleDeepSearcher's unit complexity)."""
    bucket: str
    """The domain whose quota it used; `other` holds the small domains."""
    sampling_pass: int = pa.Field(ge=1, alias="pass")
    """The pass over the bucket in which it was chosen."""


class Trees(Table):
    """A research tree (InfoSeek) as it was when it ended; `fault` says what truncated it."""

    id: str = pa.Field(unique=True)
    status: str = pa.Field(isin=["done", "quit", "truncated"])
    """Whether the planner ended it, kept (`done`) or not (`quit`), or a step failed for good."""
    fault: str
    """The kind of the step's failure; empty unless truncated."""
    page: str
    """The root's passage."""
    answer: str
    """The root's title."""
    aliases: pl.List = pa.Field(dtype_kwargs=STRINGS)
    """Other names of the root that are right, too."""
    vertices: int = pa.Field(ge=0)
    """Nodes, root and attributes included; 0 when the tree was never begun."""
    nodes: pl.List = pa.Field(dtype_kwargs={"inner": NODE})
    """In the order of creation, so that every prefix is an earlier state of the tree."""
    levels: pl.List = pa.Field(dtype_kwargs={"inner": pl.List(pl.String)})
    """Passages of the inner nodes, level by level, the deepest first and the root last."""
    steps: int = pa.Field(ge=0)
    """Steps tried, refused ones included."""
    cost: float = pa.Field(ge=0)
    """US dollars that its requests cost, cached ones included."""


class WrittenTrees(Trees):
    """A finished tree with its question."""

    question: str
    """Empty when there is none."""
    leak: str
    """A hidden name that stood in the question after the last attempt, or empty."""


class TreeQuestions(WrittenTrees):
    """A tree's question with the verdict of every filter."""

    closed_book: pl.List = pa.Field(dtype_kwargs=STRINGS)
    """What a model answered without searching, try by try."""
    difficult: bool
    """Whether all of these were wrong."""
    found: pl.List = pa.Field(dtype_kwargs=STRINGS)
    """The answers that fit the gold pages and distractors."""
    verifiable: bool
    """Whether there was exactly one, the right one."""
    error: str
    """The kind of the failure that left a verdict open; empty when none did."""
    kept: bool
    split: str = pa.Field(isin=["train", "test", "none"])
    """What a kept question is for; the others have none."""


class Questions(Seeds):
    """A question to roll out, from any source."""

    origin: str = pa.Field(isin=["seed", "tree"])
    vertices: int = pa.Field(ge=0)
    """Of its tree; 0 for a seed."""
    levels: pl.List = pa.Field(dtype_kwargs={"inner": pl.List(pl.String)})
    """As in `Trees`; empty for a seed."""


class Trajectories(Table):
    """One rollout, finished or not; `stop_reason` says how it ended."""

    id: str = pa.Field(unique=True)
    """`<question_id>#<rollout>`."""
    question_id: str
    rollout: int = pa.Field(ge=0)
    wave: str = pa.Field(isin=WAVES)
    question: str
    golden_answers: pl.List = pa.Field(dtype_kwargs=STRINGS)
    source: str
    messages: pl.List = pa.Field(dtype_kwargs={"inner": MESSAGE})
    """The whole conversation, system prompt first; roles system, user, assistant, tool."""
    answer: str
    """The answer as the model gave it; empty when there is none."""
    stop_reason: str = pa.Field(isin=[*ANSWERED, *CUT_SHORT])
    error: str
    """The kind of the failure that ended the rollout; empty when none did."""
    turns: int = pa.Field(ge=0)
    searches: int = pa.Field(ge=0)
    """Turns that searched."""
    queries: pl.List = pa.Field(dtype_kwargs={"inner": pl.List(pl.String)})
    """Per searching turn, its queries."""
    retrieved_ids: pl.List = pa.Field(dtype_kwargs={"inner": pl.List(pl.String)})
    """Per searching turn, the ids of the passages that came back, best first."""
    sources: pl.List = pa.Field(dtype_kwargs={"inner": pl.List(pl.String)})
    """Per searching turn, the ids of the passages that its observation shows."""
    fallbacks: int = pa.Field(ge=0)
    """Queries whose refinement failed, so that the passages were shown as they came."""
    repairs: pl.List = pa.Field(dtype_kwargs=STRINGS)
    """What was repaired in its turns (`agent.reading`), one short word for each repair."""
    raw: pl.List = pa.Field(dtype_kwargs=STRINGS)
    """Per assistant turn of `messages` what the model wrote, all fields of it; empty where that is
    the stored text."""
    prompt_tokens: int = pa.Field(ge=0)
    completion_tokens: int = pa.Field(ge=0)
    lineage: pl.Struct = pa.Field(dtype_kwargs={"fields": LINEAGE})
    """Which model and revision wrote it, the digest of its prompt, and its sampling seed."""


class Verdicts(Table):
    """One rollout and one rule: the funnel of curation, in long form."""

    id: str
    """The rollout's id."""
    question_id: str
    rule: str
    passed: bool
    value: float = pa.Field(nullable=True)
    """The number that the rule measured, 1 or 0 where it only holds or not; null where there was
    nothing to measure, so that the rule is passed."""
    threshold: float
    """What the number was compared with; 1 of a rule that is only on or off."""
    kept: bool
    """Whether the rollout passed every rule and was its question's best."""


class Curated(Trajectories):
    """A rollout that passed every rule and was its question's best."""

    difficulty: float = pa.Field(in_range={"min_value": 0, "max_value": 1})
    """Share of the question's rollouts that were right (1 is easy)."""
    rank: int = pa.Field(ge=0)
    """Its place among the question's valid rollouts, best is 0."""
    gold_form: str
    """The golden answer that `answer` and the last turn state in place of the model's own words
    (which are then in `raw`); empty where they stay."""
    form_change: str = pa.Field(isin=FORM_CHANGES)
    """How the model's own answer meant it; `cleaned` where its own words only lost what stood
    around them (`predict.clean`); empty where they stay."""


class Shortcuts(Table):
    """Whether a right rollout reasons its way to the answer, as a judge sees it (InfoSeek)."""

    id: str = pa.Field(unique=True)
    """The rollout's id."""
    genuine: bool = pa.Field(nullable=True)
    """Null when the judge gave no usable verdict."""
    reason: str
    error: str
    """The kind of the failure; empty when there is a verdict."""


class Equivalents(Table):
    """Whether an answer that no rule takes for right means a golden one, as a judge sees it."""

    id: str = pa.Field(unique=True)
    """The rollout's id."""
    equivalent: bool = pa.Field(nullable=True)
    """Null when the judge gave no usable verdict."""
    reason: str
    error: str
    """The kind of the failure; empty when there is a verdict."""


class Predictions(Trajectories):
    """A rollout of the student on an evaluation question."""

    id: str
    """`<question_id>#<rollout>`, unique within its split."""
    split: str = pa.Field(isin=SPLITS)

    class Config:
        unique = ("split", "id")


class Scores(Table):
    """How one prediction was scored, and what it lacks (`evaluation.gaps`)."""

    split: str = pa.Field(isin=SPLITS)
    question_id: str
    source: str
    type: str = pa.Field(nullable=True)
    hops: int = pa.Field(nullable=True)
    """Null where neither type nor id says how many."""
    em_strict: bool
    em_normalised: bool
    substring: bool
    f1: float = pa.Field(in_range={"min_value": 0, "max_value": 1})
    meaning: str
    """How the answer means a golden one (`data.equivalence`); empty when it does not."""
    retrieved: bool = pa.Field(nullable=True)
    """Whether a golden answer stands in a passage that came back; null where that is not known."""
    read: bool = pa.Field(nullable=True)
    """The same of what the observations show; null of yes and no, which stand in no passage."""
    cause: str = pa.Field(isin=["", "form", "stopping", "retrieval", "reading"])
    """Why it is strictly wrong; empty when it is right."""
    searches: int = pa.Field(ge=0)
    calls: int = pa.Field(ge=0)
    """Queries of all searches."""
    stop_reason: str = pa.Field(isin=[*ANSWERED, *CUT_SHORT])

    class Config:
        unique = ("split", "question_id")


class Judgements(Table):
    """What the judge said of one prediction; every prediction that it was sent has a row."""

    split: str = pa.Field(isin=SPLITS)
    question_id: str
    correct: bool = pa.Field(nullable=True)
    """Null when the judge gave no usable verdict."""
    reason: str
    """The judge's own words."""
    error: str
    """The kind of the failure; empty when there is a verdict."""

    class Config:
        unique = ("split", "question_id")


def read_table(path: str | Path, table: type[Table]) -> pl.DataFrame:
    """Read and validate an artefact; raises InputError naming file, column, row and value."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; build it with snakemake")
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.ComputeError as error:
        raise InputError(f"{path}: not a Parquet file ({error}); delete it and rebuild") from None
    return validate_table(frame, table, path)


def read_columns(path: str | Path, table: type[Table], columns: Sequence[str]) -> pl.DataFrame:
    """Some columns of an artefact, validated alone; the others are not read. See `read_table`."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; build it with snakemake")
    try:
        frame = pl.read_parquet(path, columns=list(columns))
    except (pl.exceptions.ComputeError, pl.exceptions.ColumnNotFoundError) as error:
        raise InputError(f"{path}: {error}; delete it and rebuild") from None
    schema = table.to_schema().select_columns(list(columns))
    schema.unique = None  # of the whole table's columns
    try:
        return schema.validate(frame.select(columns), lazy=True)
    except SchemaErrors as errors:
        raise InputError(_describe(errors, frame, table, path)) from None


def read_tables(paths: Iterable[str | Path], table: type[Table]) -> pl.DataFrame:
    """The rows of several artefacts of one kind, one after the other; see `read_table`."""
    return pl.concat(read_table(path, table) for path in paths)


def write_table(frame: pl.DataFrame, path: str | Path, table: type[Table]) -> pl.DataFrame:
    """Validate and write an artefact atomically; returns the frame as written."""
    frame = validate_table(frame, table, path)
    with replace_file(path) as partial:
        frame.write_parquet(partial, compression="zstd", row_group_size=GROUP)
    return frame


def validate_table(frame: pl.DataFrame, table: type[Table], path: str | Path) -> pl.DataFrame:
    """Validate a frame against its model; `path` is only for the message."""
    try:
        return table.validate(frame, lazy=True)
    except SchemaErrors as errors:
        raise InputError(_describe(errors, frame, table, path)) from None


def empty_table(table: type[Table]) -> pl.DataFrame:
    """A frame without rows that has the model's columns and types."""
    columns = table.to_schema().columns
    return pl.DataFrame(schema={name: column.dtype.type for name, column in columns.items()})


def _describe(errors: SchemaErrors, frame: pl.DataFrame, table: type, path: str | Path) -> str:
    first = errors.schema_errors[0]
    cases = errors.failure_cases.row(0, named=True)
    row = cases.get("index")
    place = f"column {cases.get('column')!r}" if cases.get("column") else "columns"
    if row is not None and "id" in frame.columns and row < frame.height:
        place += f", row {row} (id {frame['id'][row]!r})"
    more = errors.failure_cases.height - 1
    return (
        f"{path}: {place}: {cases.get('check')} fails for {cases.get('failure_case')!r}"
        f" ({table.__name__}{f', and {more} more' if more else ''}):"
        f" {first.reason_code.name.lower()}"
    )
