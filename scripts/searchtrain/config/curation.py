"""Settings of curation: which rollouts are good enough to learn from, and what is mixed in."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, PlainSerializer, WithJsonSchema, model_validator

from searchtrain.config.models import Sampling
from searchtrain.config.section import OWN, Section, setting, wiring
from searchtrain.config.values import Amount, Count, Natural, Positive, Share, Text


def _refuse_true(value: bool) -> bool:
    if value:
        raise ValueError("a threshold is a number")
    return value


Switch = bool | None
"""Whether a rule without a threshold is on."""
Off = Annotated[bool, AfterValidator(_refuse_true), WithJsonSchema({"const": False})]
"""False, and no 0."""
AS_IT_IS = PlainSerializer(lambda value: value)
Threshold = Annotated[Amount | Off | None, AS_IT_IS]
ShareThreshold = Annotated[Share | Off | None, AS_IT_IS]


class Rules(Section):
    """Rule: threshold (null or false is off). In brackets what SimpleDeepSearcher publishes; every
    rule's verdict on every rollout stands in curation.parquet."""

    exact_match: Switch = setting(
        True, "correctness: the task's exact match, equal to a golden answer but for letter case"
    )
    normalised_match: Switch = setting(None, "the same without articles and punctuation [true]")
    contains_answer: Switch = setting(None, "a golden answer stands in the answer [true]")
    same_meaning: Switch = setting(
        None, "the answer means a golden one (curate.answers, which can put it in place of these)"
    )
    answered: Switch = setting(True, "format: the rollout ended with an answer")
    unforced: Switch = setting(True, "the model wrote its last turn itself")
    valid_grammar: Switch = setting(True, "every turn and observation follows the grammar [true]")
    repairs: Threshold = setting(
        None, "most repairs that its turns took (the model's own text is in column raw)"
    )
    first_turn_words: Threshold = setting(
        None, "reasoning path: most words in the first turn's reasoning [300]"
    )
    turn_words: Threshold = setting(60, "in any turn's [300]")
    total_words: Threshold = setting(150, "in all turns [3000]")
    turns: Threshold = setting(6, "most assistant turns")
    hedging_per_turn: Threshold = setting(
        3, "most of each of alternatively, hmm, wait in one turn [3]"
    )
    hedging_total: Threshold = setting(3, "most of alternatively in the rollout [3]")
    language: ShareThreshold = setting(
        0.1, "largest share of reasoning in a script that is not the question's [0]"
    )
    repetition: ShareThreshold = setting(
        0.3, "largest share of one word trigram in the reasoning [0.3]"
    )
    looping: ShareThreshold = setting(0.3, "largest share of a turn that says what it said before")
    supported: Switch = setting(
        True, "search effectiveness: the answer stands in what was retrieved"
    )
    hint_unnamed: Switch = setting(
        True, "of rollouts with a hint: their reasoning does not speak of it"
    )
    hint_supported: Switch = setting(
        True, "of rollouts with a hint: the answer stands in what was retrieved"
    )
    no_repeated_query: Switch = setting(True, "no query is asked twice")
    first_query_copies: ShareThreshold = setting(
        None,
        "largest share of the question's content words in one query of the first search; 0.9 drops"
        " copies of multi-hop questions, and single-hop ones that are asked as they stand",
    )
    min_searches: Threshold = setting(1, "fewest searches [1]")
    distinct_sources: ShareThreshold = setting(
        None, "smallest share of the hits that are different ones [0.95]"
    )
    fallbacks: Threshold = setting(None, "most queries that the refiner failed on")
    levels_reached: Switch = setting(
        None,
        "shortcuts (InfoSeek), on rollouts of tree questions only: the pages of every level of the"
        " tree were found",
    )
    searches_per_level: Threshold = setting(None, "fewest searching turns per level of the tree")
    genuine: Switch = setting(None, "the judge found no shortcut; needs shortcuts.enabled")


class QuestionRules(Section):
    """Rules on a question by the share of its rollouts that are right (difficulty; 1 is easy)."""

    all_correct: ShareThreshold = setting(
        None, "probability that a question is dropped whose rollouts are all right [0.8]"
    )
    min_correct_share: ShareThreshold = setting(None, "smallest share that is right")
    max_correct_share: ShareThreshold = setting(None, "largest share that is right")


class AnswerForms(Section):
    """When a rollout's answer is right, and in which form it is learnt."""

    equivalent: bool = setting(
        False,
        "an answer that means a golden one is right: same_meaning takes the place of the other"
        " rules on correctness, and supported holds if the trace has it in any notation",
    )
    form: Literal["kept", "gold"] = setting(
        "kept",
        "or gold: the last turn states the shortest golden answer that the trace supports, word for"
        " word",
    )
    max_words: Count = setting(
        12, "of an answer in which a golden one may stand", reader=(OWN, "equivalents")
    )
    judge: bool = wiring(
        False,
        "the judge says of answers that no rule takes for right whether they mean a golden one;"
        " needs equivalent",
    )
    seed: Natural = setting(1, "of the judge", reader="equivalents")
    sampling: Sampling = setting(Sampling(temperature=0.0, max_tokens=256), reader="role")
    max_failed_share: Share = setting(0.02, "of the judged answers", reader="equivalents")

    @model_validator(mode="after")
    def _check_judge(self) -> Self:
        if self.judge and not self.equivalent:
            raise ValueError(
                "curate.answers.judge: its verdicts count with curate.answers.equivalent: true only"
            )
        return self


class Curate(Section):
    """Which rollouts are good enough to learn from."""

    rules: Rules = setting(Rules())
    answers: AnswerForms = setting(AnswerForms())
    question_rules: QuestionRules = setting(QuestionRules())
    per_question: Count = setting(
        1, "rollouts kept of one question at most: fewest searches, then fewest words [1]"
    )
    max_kept: Count | None = setting(
        None, "rollouts kept in all at most, the hardest first; null: all [871]"
    )
    order: Literal["input", "hardest"] = setting(
        "input", "or hardest: the order of what is kept [hardest]"
    )
    seed: Natural = setting(1, "of the draw that drops easy questions")


class Shortcuts(Section):
    """Rejection sampling (InfoSeek): the judge reads the right rollouts of tree questions for
    shortcuts."""

    enabled: bool = wiring(False)
    seed: Natural = setting(1)
    sampling: Sampling = setting(Sampling(temperature=0.5, max_tokens=512), reader="role")
    max_failed_share: Share = setting(0.02, "of the rollouts")


class Mix(Section):
    """Other chat data beside the trajectories in the SFT data set."""

    file: Text | None = setting(
        None,
        "JSON array, JSON Lines or Parquet: {messages}, {conversations}, {prompt, output}, or"
        " Alpaca's; null: nothing",
    )
    ratio: Positive = setting(0.1, "mixed records per trajectory")
    seed: Natural = setting(1, "of the draw of the records")
