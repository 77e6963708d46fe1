"""Settings of what is made out of rollouts beside the conversations: rows that teach reading and
answering, and pairs for preference training."""

from typing import Literal

from searchtrain.config.section import Section, setting
from searchtrain.config.values import Amount, Count, Natural

PairKind = Literal["search", "answer", "form", "query", "repeat"]
"""What a preference pair is about (`training.pairs`)."""


class Rows(Section):
    """Rows beside the trajectories in the SFT data set, made of the same kept rollouts, per
    trajectory; above 1 every rollout gives as many."""

    reader: Amount = setting(
        0,
        "the question and the passages that its rollout retrieved, asked as retrieve-then-read asks"
        " (prompts/read.jinja), and the answer alone (CoRAG)",
    )
    answers: Amount = setting(
        0,
        "the rollout once more with loss on its last turn alone, which gives answers weight"
        " (SearchSkill's closure rows)",
    )
    seed: Natural = setting(1, "of the draw of the rows")


class Preferences(Section):
    """Pairs of a better and a worse turn at the same place, out of the teacher's own rollouts, for
    DPO; made when results/preferences/preference_dataset.json is asked for."""

    kinds: list[PairKind] = setting(
        ["search", "answer", "form", "query", "repeat"],
        "search: looking on against an answer that nothing read supports; answer: right against"
        " wrong after the same passages; form: the golden answer's form against another; query: a"
        " first query that led to the answer against one that did not; repeat: a new step against"
        " a query asked before",
    )
    per_question: Count = setting(2, "pairs of a kind out of one question's rollouts at most")
    max_pairs: Count | None = setting(
        10_000, "in all; null: no limit. Pairs of kind search are the last to be left out."
    )
    seed: Natural = setting(1, "of the draw of what is left out")
