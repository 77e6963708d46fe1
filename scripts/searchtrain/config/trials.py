"""TEMP."""

from typing import Any

from searchtrain.config.section import Section, setting
from searchtrain.config.values import Natural


class Candidate(Section):
    """TEMP."""

    args: dict[str, Any] = setting({})
    rows: dict[str, Any] = setting({})
    preference: bool = setting(False)
    after: str = setting("")


class Trials(Section):
    """TEMP."""

    candidates: dict[str, Candidate] = setting({})
    average: Natural = setting(0)
