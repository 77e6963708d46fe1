"""Rows of `schemas.Scores`: which answers are right, and why the others are not."""

import polars as pl

from searchtrain.data import schemas


def make_scores(right, split="dev", *, causes=None, kinds=None, first=0):
    """One question for each truth value in `right`; a wrong one lacks `reading` unless said."""
    rows = [
        {
            "split": split, "question_id": f"q{number}", "source": "s",
            "type": kinds[place] if kinds else None, "hops": None, "em_strict": good,
            "em_normalised": good, "substring": good, "f1": float(good),
            "meaning": "exact" if good else "", "retrieved": True, "read": True,
            "cause": "" if good else causes[place] if causes else "reading",
            "searches": 1, "calls": 1, "stop_reason": "answered",
        }
        for place, (number, good) in enumerate(enumerate(right, first))
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=schemas.empty_table(schemas.Scores).schema)
