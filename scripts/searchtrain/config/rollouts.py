"""Settings of the stages that run the agent: the teacher's rollouts and the student's answers."""

from typing import Literal

from searchtrain.config.limits import Limits
from searchtrain.config.models import Sampling
from searchtrain.config.section import Section, setting, wiring
from searchtrain.config.values import Count, Natural, Share


class More(Section):
    """Further rollouts of a question that none so far has solved, which is that none passes
    curate.rules; they end with the first that does."""

    rollouts: Natural = setting(0, "at most, of each such question; 0: none")
    sampling: Sampling = setting(
        Sampling(temperature=1.0, top_p=1.0, max_tokens=256), reader="role"
    )


class Hints(Section):
    """Last rollouts of a question that is still unsolved: the teacher is told its first golden
    answer, in its system prompt, which no training record has (STaR). Kept only with evidence."""

    rollouts: Natural = setting(0, "at most, of each such question; 0: none")


class Trajectories(Section):
    """The teacher answers the questions by searching."""

    rollouts: Count = setting(1, "per question")
    shards: Count = setting(
        1, "jobs that share the questions, each with its own servers: one for each node"
    )
    accepted: Count | None = setting(
        None, "adaptive: end a question once so many rollouts pass curate.rules; null: never"
    )
    more: More = setting(More())
    hints: Hints = setting(Hints())
    seed: Natural = setting(1)
    sampling: Sampling = setting(
        Sampling(temperature=0.7, top_p=0.95, max_tokens=256), reader="role"
    )
    max_failed_share: Share = setting(
        0.02, "of the rollouts that end in a model or search error; of later rounds, too"
    )
    thought: Literal["short", "long"] = setting(
        "short", "reasoning that the teacher's prompt asks for: some sentences, or all it takes"
    )
    limits: Limits = setting(Limits())


class Predict(Section):
    """The student answers dev and test with the same agent."""

    seed: Natural = setting(1)
    untrained: bool = wiring(
        True,
        "also score the base model, on the test questions where their answers are known, else on"
        " dev: searching with the teacher's instructions, and after one search for the question as"
        " it stands (retrieve, then read)",
    )
    agreement: Count = setting(
        1,
        "rollouts of a question, of which the most frequent answer is given (self-consistency);"
        " above 1 it needs models.student.sampling.temperature above 0, and the task's letter does"
        " not allow it",
    )
    max_failed_share: Share = setting(0.0)
    clean: bool = setting(
        False,
        "answers lose what stands around them (quotes, markup, a full stop, 'The answer is'), those"
        " of the training data alike",
    )
    max_answer_words: Count = setting(
        12, "of a word or phrase; what is longer, quoted or marked up is counted", reader="metrics"
    )
    max_long_share: Share = setting(
        0.05, "of the test's answers that may be no word or phrase", reader="metrics"
    )
    long_answers: Literal["warn", "error"] = setting(
        "warn",
        "if more are: a warning in the log and in metrics.json; or error: no test.json is written",
        reader="metrics",
    )
    limits: Limits = setting(
        Limits(force_answer=True),
        "as in trajectories; of the student's rollouts in later rounds and in GRPO, too",
    )


class Refine(Section):
    """What a search returned, compressed by the model `refiner` before the agent reads it
    (SimpleDeepSearcher's summariser). What it cannot compress is shown as it came."""

    enabled: bool = wiring(False)
    seed: Natural = setting(1)
    sampling: Sampling = setting(Sampling(temperature=0.0, max_tokens=512), reader="role")
    max_document_chars: int = setting(3000, "of one passage as the refiner sees it", ge=200)
    max_failed_share: Share = setting(0.02, "of the queries")


class Judge(Section):
    """A model that says whether answers are right (LLM as a judge), beside exact match and F1."""

    enabled: bool = wiring(False)
    seed: Natural = setting(1)
    sampling: Sampling = setting(Sampling(temperature=0.0, max_tokens=256), reader="role")
    max_failed_share: Share = setting(0.02, "of the answers")
