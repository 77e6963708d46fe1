"""Settings of the laptop world and its tiny base model."""

from typing import Self

from pydantic import model_validator

from searchtrain.config.section import Section, setting
from searchtrain.config.values import Count, Natural, Positive, Share


class Sizes(Section):
    """Questions of each file."""

    train: Count = setting(4000)
    dev: Count = setting(200)
    test: Count = setting(300)


class Shares(Section):
    """Shares of the question types."""

    single_hop: Share = setting(0.25)
    two_hop: Share = setting(0.35)
    three_hop: Share = setting(0.15)
    comparison: Share = setting(0.25)


class World(Section):
    """The laptop world: facts from GeoNames as linked passages, and questions over them."""

    seed: Natural = setting(1)
    cities_per_country: int = setting(30, "the most populous ones", ge=2)
    sizes: Sizes = setting(Sizes(), "questions")
    shares: Shares = setting(Shares(), "of the question types")
    max_answer_share: Share = setting(
        0.04, "of a question type's questions that may have the same answer"
    )
    details: bool = setting(
        False,
        "true: longer passages, with coordinates, continents and borders (for research trees)",
    )
    wordings: int = setting(
        1,
        "of each fact; above 1 a page has two passages and says some things of no use",
        ge=1,
        le=4,
    )
    notations: bool = setting(
        False, "true: numbers, codes and currencies are written in several ways, in golds in one"
    )
    aliases: bool = setting(False, "true: cities are said to be in Deutschland, golds say Germany")
    distractors: Share = setting(
        0.0, "of the passages that also say something of another place, or deny something"
    )
    namesakes: bool = setting(False, "true: also places whose names hold those of others")

    @model_validator(mode="after")
    def _check_language(self) -> Self:
        harder = [name for name in ("notations", "aliases", "distractors") if getattr(self, name)]
        if harder and self.wordings == 1:
            raise ValueError(f"{harder[0]} needs wordings above 1: set wordings, too")
        if self.wordings > 1 and self.details:
            raise ValueError("details are written in one wording: set wordings to 1 or details off")
        return self


class Base(Section):
    """The tiny base model of the laptop world; vLLM on CPU serves head size 32 (hidden / heads)."""

    seed: Natural = setting(1)
    hidden: int = setting(96, ge=32, multiple_of=32)
    layers: Count = setting(3)
    heads: Count = setting(3)
    kv_heads: Count = setting(3)
    feed_forward: int = setting(288, ge=32)
    vocabulary: int = setting(1024, ge=512)
    positions: int = setting(1024, "tokens of the longest conversation", ge=64)
    rope_theta: Positive = setting(10000)
    tied: bool = setting(True, "input and output embeddings share their weights")
