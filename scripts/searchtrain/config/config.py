"""The whole config."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from searchtrain.config.curation import Curate, Mix, Shortcuts
from searchtrain.config.models import Models
from searchtrain.config.questions import Sample, Seeds, Tag
from searchtrain.config.rollouts import Judge, Predict, Refine, Trajectories
from searchtrain.config.rows import Preferences, Rows
from searchtrain.config.search import Retriever, Web
from searchtrain.config.section import Section, runtime, setting
from searchtrain.config.task import Data, Plan, Task
from searchtrain.config.training import Grpo, Rounds, Train
from searchtrain.config.trees import Trees, Verify
from searchtrain.config.trials import Trials
from searchtrain.config.values import Text
from searchtrain.config.view import View
from searchtrain.config.world import Base, World
from searchtrain.core.errors import InputError


class Config(Section):
    """All sections, in the order of config.yaml."""

    pathvars: dict[str, Text] = runtime(
        {}, "Snakemake's path variables, for instance {results: elsewhere}"
    )
    data: Data = setting(Data())
    task: Task = setting(Task())
    plan: Plan = setting(Plan())
    cache: Text = runtime(
        ".cache/requests",
        "the request cache; outside results/, so that a clean rebuild pays for nothing twice",
    )
    world: World = setting(World())
    seeds: Seeds = setting(Seeds())
    tag: Tag = setting(Tag())
    sample: Sample = setting(Sample())
    trees: Trees = setting(Trees())
    verify: Verify = setting(Verify())
    trajectories: Trajectories = setting(Trajectories())
    curate: Curate = setting(Curate())
    shortcuts: Shortcuts = setting(Shortcuts())
    mix: Mix = setting(Mix())
    rows: Rows = setting(Rows())
    preferences: Preferences = setting(Preferences())
    train: Train = setting(Train())
    trials: Trials = setting(Trials())
    rounds: Rounds = setting(Rounds())
    grpo: Grpo = setting(Grpo())
    predict: Predict = setting(Predict())
    base: Base = setting(Base())
    refine: Refine = setting(Refine())
    judge: Judge = setting(Judge())
    models: Models = setting(Models())
    probe: bool = runtime(
        True, "ask endpoints one cheap request of each kind before a run spends anything on them"
    )
    search: Literal["retriever", "web"] = setting(
        "retriever", "what the agent searches; each has a section below"
    )
    web: Web = setting(Web())
    retriever: Retriever = setting(Retriever())
    view: View = setting(View())

    @model_validator(mode="after")
    def _check_trials(self) -> Self:
        trials = self.trials
        if trials.candidates and self.rounds.count > 1:
            raise ValueError(
                f"trials.candidates: rounds.count is {self.rounds.count}; dev decides between"
                " candidates of one round: set rounds.count: 1"
            )
        pairs = [name for name, each in trials.candidates.items() if each.preference]
        if pairs and self.train.tokens == "served":
            raise ValueError(
                f"trials.candidates.{pairs[0]}.preference: LLaMA-Factory's DPO writes the tokens of"
                " its own template; set train.tokens: template"
            )
        return self

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        for name, args in (("train", self.train.args), ("rounds", self.rounds.args)):
            if self.curate.order == "hardest" and args.get("disable_shuffling", True) is not True:
                raise ValueError(
                    f"{name}.args.disable_shuffling: {args['disable_shuffling']!r} undoes"
                    " curate.order: hardest; take one of them out"
                )
        return self

    @model_validator(mode="after")
    def _check_corpus(self) -> Self:
        if self.data.corpus is None:
            elsewhere = self.web if self.search == "web" else self.retriever
            if self.trees.enabled or not elsewhere.endpoint:
                needs = "research trees need" if self.trees.enabled else f"this {self.search} needs"
                raise ValueError(
                    f"data.corpus: null goes with an endpoint that has the passages, and {needs}"
                    " them here; set data.corpus to the file"
                )
        return self

    @model_validator(mode="after")
    def _check_agreement(self) -> Self:
        if self.predict.agreement > 1 and self.models.student.sampling.temperature == 0:
            raise ValueError(
                f"predict.agreement: {self.predict.agreement}: rollouts at temperature 0 are all"
                " alike; set models.student.sampling.temperature above 0, or predict.agreement: 1"
            )
        return self


def read_config(values: Mapping[str, Any]) -> Config:
    """The config with `values` laid over the defaults, as Snakemake lays config files.

    Raises InputError with one short message: key, value, what is allowed.
    """
    return Config.parse(values)


def check_grpo(config: Config) -> None:
    """Raise InputError for a student that GRPO can not train."""
    if config.models.student.format != "tags":
        raise InputError(
            f"configuration: models.student.format: GRPO knows format: tags only, and this is"
            f" {config.models.student.format}; set tags, or leave results/grpo out"
        )
