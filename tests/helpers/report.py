"""A run as its report sees it, small and complete unless a test changes it."""

from helpers.rollouts import make_frame, make_predictions, make_rollout
from searchtrain.config import read_config
from searchtrain.curation.choice import curate_rollouts
from searchtrain.evaluation.gaps import CAUSES
from searchtrain.report.run import PREDICTIONS, ROLLOUTS, Run

REASONS = {"duplicate": 1, "equal_in_dev": 0, "ngram_in_dev": 2, "equal_in_test": 0,
           "ngram_in_test": 3}  # fmt: skip


def make_score(right, n=20, *, causes=(0, 0, 0, 0), **groups):
    """The scores of a split; `causes`: wrong answers by cause."""
    low, high = max(0, right - 0.1), min(1, right + 0.1)
    names = ("em_strict", "em_normalised", "f1")
    gains = {cause: count / n for cause, count in zip(CAUSES, causes, strict=True)}
    return {
        "n": n,
        **dict.fromkeys(names, right),
        "intervals": {name: [low, high] for name in names},
        "mean_searches": 1.5,
        "solved": right,
        "questions": n,
        "gaps": {"gains": gains},
        **groups,
    }


def make_sampling(*labels):
    """`sampling_report.json` of labels, the first the most frequent."""
    counts = [{"label": label, "before": 9 - n, "after": 6 - n} for n, label in enumerate(labels)]
    part = {
        "distinct": {"before": len(labels), "after": len(labels)},
        "evenness": {"before": 0.5, "after": 0.75},
        "counts": counts,
    }
    return {
        "questions": {"tagged": 14, "repeated": 0, "before": 14, "after": 10},
        "domains": part,
        "key_points": part,
    }


def make_rollouts():
    """Ten questions: six answers are right, of which one asks a query twice; four are wrong."""
    again = (("capital of Norway",), ("capital of Norway",))
    return [
        make_rollout(
            f"q{number}",
            answer="Oslo" if number < 6 else "Bergen",
            queries=again if number == 0 else (("capital of Norway",),),
        )
        for number in range(10)
    ]


def make_run(messages=None, settings=None, label="film", **changes):
    """A run of which everything is there but GRPO; `label`: of a domain and a type."""
    config = read_config(settings or {})
    frame = make_frame(*(messages or make_rollouts()))
    curated, verdicts = curate_rollouts(frame, config.curate)
    predictions = make_predictions([("test", "t1", "Oslo"), ("dev", "d1", "")])
    kinds = {label: make_score(0.5, 10, causes=(0, 2, 1, 2)), "art": make_score(1.0, 10)}
    hops = {"1": kinds[label], "2": kinds["art"]}
    test = make_score(0.75, causes=(0, 2, 1, 2), by_type=kinds, by_hops=hops)
    values = {
        "config": config,
        "seeds": {
            "rows_in": 20, "rows_out": 14, "reasons": REASONS, "ngram": 8, "phrase_count": 10,
        },
        "sampling": make_sampling(label, "art"),
        "questions": {"seed": {"rows": 10}},
        "rollouts": frame.select(ROLLOUTS),
        "verdicts": verdicts,
        "records": {"records": curated.height, "mix": None},
        "yields": make_score(0.6, causes=(1, 1, 1, 1), by_type=kinds),
        "checkpoint": {
            "loss": [{"step": 10, "loss": 3.0}, {"step": 20, "loss": 1.0}],
            "records": curated.height,
            "tokens": 900,
        },
        "metrics": {
            "dev": make_score(0.8, by_type=kinds),
            "test": test,
            "test_closed_book": make_score(0.1, by_type=kinds),
            "test_untrained": make_score(0.0),
            "test_json": {"answers": 20, "empty": 0, "broken": 0},
        },
        "predictions": predictions.select(PREDICTIONS),
        "costs": {
            "trajectories": {
                "models": {
                    "teacher": {
                        "requests": 20, "prompt_tokens": 600, "completion_tokens": 400,
                        "dollars": 1.0,
                    }
                }
            }
        },
        "hours": {"checkpoint": 0.5, "tag": 0.1},
    }  # fmt: skip
    return Run(**{**values, **changes})
