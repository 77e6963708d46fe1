"""The answer on which most of a question's rollouts agree (self-consistency, Wang et al.
2022).

Invariant: one row a question, in the order of the questions; with one rollout each, the rows as
they are.
"""

from collections import Counter
from collections.abc import Sequence

import polars as pl

from searchtrain.data.answers import normalise_answer

SPENT = ("prompt_tokens", "completion_tokens")


def choose_agreed(rollouts: pl.DataFrame) -> pl.DataFrame:
    """Of each question's rollouts the first with the answer that most of them have.

    `rollouts`: rows of `schemas.Trajectories`, those of a question one after the other, in the
    order of their numbers. Answers are compared as `normalise_answer` sees them; among equally
    frequent ones the first given wins, and no answer counts as none. The chosen row has the tokens
    of all its question's rollouts, since that is what its answer took.
    """
    spent = [pl.col(name).sum().over("question_id") for name in SPENT]
    chosen: list[int] = []
    groups = rollouts.with_row_index("row").group_by("question_id", maintain_order=True)
    for _, group in groups:
        chosen.append(group["row"][find_agreed(group["answer"].to_list())])
    return rollouts.with_columns(spent)[chosen]


def find_agreed(answers: Sequence[str]) -> int:
    """The place of the first answer that is as frequent as any."""
    keys = [normalise_answer(answer) or answer.strip().lower() for answer in answers]
    votes = Counter(key for key in keys if key)
    return max(range(len(keys)), key=lambda place: (votes[keys[place]], -place))
