"""The typed settings: the only source of names, types, ranges, defaults and descriptions."""

from searchtrain.config.config import Config, check_grpo, read_config
from searchtrain.config.curation import AnswerForms, Curate, Mix, QuestionRules, Rules, Shortcuts
from searchtrain.config.limits import Limits, describe_limits
from searchtrain.config.models import Mistakes, Role, Sampling, Student
from searchtrain.config.questions import Sample, Seeds, Tag
from searchtrain.config.rollouts import Judge, Predict
from searchtrain.config.rows import Preferences, Rows
from searchtrain.config.search import Embedder, Fusion, Index, Pages, Reranker, Retriever, Web
from searchtrain.config.section import Section
from searchtrain.config.task import Plan, Task
from searchtrain.config.training import Grpo, Train
from searchtrain.config.trees import Trees, Verify
from searchtrain.config.world import Base, World

__all__ = [
    "AnswerForms",
    "Base",
    "Config",
    "Curate",
    "Embedder",
    "Fusion",
    "Grpo",
    "Index",
    "Judge",
    "Limits",
    "Mistakes",
    "Mix",
    "Pages",
    "Plan",
    "Predict",
    "Preferences",
    "QuestionRules",
    "Reranker",
    "Retriever",
    "Role",
    "Rows",
    "Rules",
    "Sample",
    "Sampling",
    "Section",
    "Seeds",
    "Shortcuts",
    "Student",
    "Tag",
    "Task",
    "Train",
    "Trees",
    "Verify",
    "Web",
    "World",
    "check_grpo",
    "describe_limits",
    "read_config",
]
