"""Settings of the questions: seeds, their tags, and which of them are rolled out."""

from typing import Literal

from searchtrain.config.models import Sampling
from searchtrain.config.section import Section, setting
from searchtrain.config.values import Count, Natural, Share, Text


class Seeds(Section):
    """Seed questions: duplicates, and rows that also stand in dev or test, are dropped."""

    ngram: int | None = setting(
        8,
        "an overlap of so many words with a dev or test question drops the seed; null: equal"
        " questions only",
        ge=2,
    )
    phrase_count: int | None = setting(
        10, "such an overlap is a turn of phrase if so many seeds share it; null: never", ge=2
    )
    strict: bool = setting(
        False,
        "true: what is wrong in a row of train, dev or test (a blank answer, an id that is there"
        " twice) ends the run; false: it is mended or left out, and named in seeds_report.json",
    )


class Tag(Section):
    """Domain and key points of every question, asked of the teacher (SimpleDeepSearcher)."""

    sampling: Sampling = setting(Sampling(temperature=0.0, max_tokens=256), reader="role")
    seed: Natural = setting(1)
    max_failed_share: Share = setting(
        0.02, "of the questions; more failures than that end the stage"
    )
    aliases: dict[str, Text] = setting({}, "domain: canonical domain, for instance {movies: film}")


class Sample(Section):
    """Diversity-aware sampling (SimpleDeepSearcher): equal quota per domain, disjoint key
    points."""

    total: Count | None = setting(3600, "questions to keep, or null for all")
    min_domain: Count = setting(
        100, "smaller domains share the bucket `other` (500 in the published code)"
    )
    unit_words: Literal["interrogative", "all"] = setting(
        "interrogative", "who, what, …; `all` counts is, are, do, … too, as the published code does"
    )
