"""The typed settings: the only source of names, types, ranges, defaults and descriptions."""

from searchtrain.config.config import Config, read_config
from searchtrain.config.curation import Curate, Mix, QuestionRules, Rules, Shortcuts
from searchtrain.config.limits import Limits, describe_limits
from searchtrain.config.models import Mistakes, Models, Price, Role, Sampling, Student, Vllm
from searchtrain.config.questions import Sample, Seeds, Tag
from searchtrain.config.rollouts import Judge, Predict, Refine, Trajectories
from searchtrain.config.search import Embedder, Fusion, Index, Pages, Retriever, Trouble, Web
from searchtrain.config.section import Section, merge_values
from searchtrain.config.task import Data, Plan, Qrels, Task
from searchtrain.config.training import Grpo, Rounds, Train
from searchtrain.config.trees import Trees, Verify
from searchtrain.config.world import Base, World

__all__ = [
    "Base",
    "Config",
    "Curate",
    "Data",
    "Embedder",
    "Fusion",
    "Grpo",
    "Index",
    "Judge",
    "Limits",
    "Mistakes",
    "Mix",
    "Models",
    "Pages",
    "Plan",
    "Predict",
    "Price",
    "Qrels",
    "QuestionRules",
    "Refine",
    "Retriever",
    "Role",
    "Rounds",
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
    "Trajectories",
    "Trees",
    "Trouble",
    "Verify",
    "Vllm",
    "Web",
    "World",
    "describe_limits",
    "merge_values",
    "read_config",
]
