"""Questions as they are loaded, and as they are tagged."""

import json

import polars as pl

from searchtrain.data import question_file

GOOD = {"id": "a", "question": "Who wrote Emma?", "golden_answers": ["Jane Austen"]}


def write(folder, rows, name="train.json"):
    path = folder / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows), encoding="utf-8")
    return path


def make_frame(*texts, start=0):
    return pl.DataFrame(
        [
            {**GOOD, "id": str(number), "question": text, "source": "train", "exclude_urls": []}
            for number, text in enumerate(texts, start)
        ],
        schema=question_file.QUESTION,
    )


def make_tagged(rows):
    """`rows`: (domain, key points[, question])."""
    return pl.DataFrame(
        [
            {
                "id": str(number),
                "question": rest[0] if rest else f"question {number}",
                "golden_answers": ["x"],
                "source": "test",
                "exclude_urls": [],
                "domain": domain,
                "key_points": list(points),
            }
            for number, (domain, points, *rest) in enumerate(rows)
        ],
        schema_overrides={name: pl.List(pl.String) for name in ("exclude_urls", "key_points")},
    )
