"""Settings of the run as a whole: its files, the task's constraints and the plan."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from searchtrain.config.section import Section, runtime, setting, wiring
from searchtrain.config.values import Amount, Count, Factor, Natural, Positive, Share, Text


class Qrels(Section):
    """Relevant documents of a benchmark, as TREC's four columns."""

    evidence: Text = wiring(..., "file")
    gold: Text | None = wiring(None, "file or null")


class Licenses(Section):
    """What the card of an exported data set says, as identifiers of Hugging Face (cc-by-4.0); null:
    not stated. The laptop world's own files are cc-by-4.0."""

    questions: Text | None = setting(None)
    corpus: Text | None = setting(None)


class Data(Section):
    """What the run is about. The defaults are the laptop world's files, made by rule `world`."""

    corpus: Text | None = wiring(
        "<results>/world/passages.jsonl",
        'JSON Lines (also .gz) or Parquet: {id, contents: "\\"Title\\"\\ntext", links?, url?}, as'
        " Search-R1 and FlashRAG publish them; null where only retriever.endpoint has it",
    )
    train: Text = wiring(
        "<results>/world/train.json",
        "JSON array, JSON Lines or Parquet of {id, question, golden_answers, source?,"
        " exclude_urls?}, as FlashRAG has them, or of Search-R1's rows: the seed questions",
    )
    dev: Text = wiring("<results>/world/dev.json", "same format; scored in metrics.json")
    test: Text = wiring(
        "<results>/world/test.json", "same without golden_answers; answered in test.json"
    )
    test_answers: Text | None = wiring(
        "<results>/world/test_answers.json",
        "For scoring a demo only: a file of {id, golden_answers, type?}. A real test set has none:"
        " null.",
    )
    types: Text | None = wiring(
        "<results>/world/types.json", "{id: type} for figures per question type, or null"
    )
    benchmarks: dict[Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")], Text] = wiring(
        {},
        "Files of published benchmarks to answer and score beside dev and test, by name: 2wiki,"
        " bamboogle, musique, frames, gaia, aime, browsecomp; or any other name with rows of {id,"
        " question, answer}.",
    )
    qrels: dict[str, Qrels] = wiring(
        {},
        "Relevant documents of a benchmark (TREC qrels), as BrowseComp-Plus has them: {browsecomp:"
        " {evidence: file, gold: file or null}}; target results/browsecomp/<name>/report.json.",
    )
    licenses: Licenses = setting(Licenses(), reader="export")


class Task(Section):
    """The search-augmented task's constraints; off here, on in config/presets/search_sft.yaml. A
    breach is an error when the workflow is read, and again where only a run can know."""

    enforced: bool = setting(False, "false: the three settings below mean nothing")
    teacher: Text | None = setting(
        None,
        "The only model that may write training data (the last part of its name counts), which"
        " predictions cannot reach; null: any.",
    )
    student: Text | None = setting(
        None, "the model to fine-tune: the last part of train.base; null: any"
    )
    seed_data_only: bool = setting(False, "true: nothing but data.train feeds synthesis")
    budget_hours: Positive | None = setting(
        None,
        "wall clock from the first run on; a plan that needs more is refused; null: no budget",
        reader="plan",
    )
    over_budget: Literal["warn", "error", "shrink"] = runtime(
        "warn",
        "or error: what a stage does if hours gone by and planned rest exceed the budget; shrink:"
        " the rest is planned anew before each stage and its optional parts are left out, in the"
        " order that plan.md says",
    )
    preference_pairs: bool = setting(
        False,
        "true: also preference training on the teacher's own rollouts. The letter of the task says"
        " supervised fine-tuning; the pairs keep to its rule on data. Ask before you submit it.",
        reader="workflow",
    )
    max_submissions: Count = wiring(3)
    submissions: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")], Text] = setting(
        {}, "name: its folder of results, for the table submissions.md", reader="submissions"
    )

    @model_validator(mode="after")
    def _switch_off(self) -> "Task":
        # A scale file names the models; whether nothing else may be used is the preset's to say.
        if not self.enforced:
            self.__dict__.update(teacher=None, student=None, seed_data_only=False)
        return self


class PlanQuestions(Section):
    """Questions to plan with."""

    train: Natural | None = setting(None)
    dev: Natural | None = setting(None)
    test: Natural | None = setting(None)


class PlanTokens(Section):
    """Tokens, on average: of the prompts of tagging, teacher and student; of a question, a turn
    (reasoning and action) and an observation. Defaults: the laptop world, with its own tokenizer.
    """

    tag_system: Amount = setting(330)
    tag_answer: Amount = setting(45)
    teacher_system: Amount = setting(360)
    student_system: Amount = setting(25)
    question: Amount = setting(25)
    turn: Amount = setting(35)
    observation: Amount = setting(105)


class ServerRates(Section):
    """How fast the servers of a role are."""

    gpus: Natural = setting(0, "that one server holds")
    prompt: Positive | None = setting(
        None,
        "Tokens/s that one server reads under the load of rollouts (those in its prefix cache not"
        " counted). A stage takes as long as the slower of reading and writing.",
    )
    output: Positive | None = setting(None, "tokens/s that it writes, of the same measurement")
    start: Amount = setting(0, "seconds until it is ready")


class TrainingRates(Section):
    """How fast training is."""

    tokens: Positive | None = setting(
        None, "tokens/s of one GPU of train.gpu, or of the whole machine without any"
    )
    start: Amount = setting(0, "seconds before the first step")


class EncodingRates(Section):
    """Passages/s of a dense encoder and the GPUs it holds."""

    passages: Positive | None = setting(None)
    gpus: Natural = setting(0)


class PlanRates(Section):
    """How fast things are, measured; null: unknown, and so are the hours of the stage."""

    teacher: ServerRates = setting(ServerRates())
    student: ServerRates = setting(ServerRates(), "as for the teacher")
    searches: Positive | None = setting(
        None, "queries/s of one retriever; null: it is never what a stage waits for"
    )
    training: TrainingRates = setting(TrainingRates())
    index: Amount | None = setting(None, "seconds for a million passages, corpus and BM25 index")
    encoding: EncodingRates = setting(
        EncodingRates(), "passages/s of a dense encoder and the GPUs it holds; null: none"
    )


class Unsolved(Section):
    """Questions that so many rollouts leave without one that curation keeps. It says how unequal
    questions are; null: every question has the same chance."""

    rollouts: Count = setting(8)
    share: Share | None = setting(None)


class Plan(Section):
    """What a run will take: targets plan.md before it, hours.md after it."""

    questions: PlanQuestions = setting(PlanQuestions(), "null: counted in the files")
    passages: Natural | None = setting(
        None, "of the corpus; null: corpus and index are not planned"
    )
    gpus: Natural = setting(0, "of the machine or the cluster")
    gpu_memory: Positive | None = setting(
        None, "GiB of one, as nvidia-smi says (79 of an H100); null: not checked"
    )
    billions: dict[str, Positive] = setting(
        {},
        "parameters of models by the last part of their names, where no folder has the weights:"
        " {QwQ-32B: 32.8}",
    )
    turns: Factor = setting(2.65, "of a rollout, on average; one less searches")
    kept_share: Share = setting(0.83, "of the teacher's rollouts that curation keeps")
    unsolved: Unsolved = setting(Unsolved())
    hinted_share: Share = setting(
        0.3, "of the questions that are left, those that rollouts with a hint solve"
    )
    pilot: Count | None = setting(
        None, "questions of the target pilot.json, whose figures then replace these; null: none"
    )
    reserve: Share = setting(
        0.15, "of the budget that a proposal leaves free, and of the time left that a stage does"
    )
    tokens: PlanTokens = setting(PlanTokens())
    rates: PlanRates = setting(PlanRates())
