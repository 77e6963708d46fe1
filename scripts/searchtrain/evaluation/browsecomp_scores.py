"""BrowseComp-Plus's scores of runs: accuracy, search calls, and recall of relevant documents.

Invariant: the scores are of the queries of the runs, each of which has relevant documents.
"""

import logging
from collections.abc import Mapping
from typing import Any

import polars as pl

from searchtrain.core.text_table import format_table
from searchtrain.data.answers import match_normalised, match_strict
from searchtrain.evaluation.browsecomp_runs import is_completed, list_retrieved
from searchtrain.evaluation.qrels import Qrels, check_queries

logger = logging.getLogger(__name__)

SCORES = ("em_strict", "em_normalised", "completed", "turns_searching", "queries")


def score_runs(
    rows: pl.DataFrame,
    evidence: Qrels,
    gold: Qrels | None,
    paths: Mapping[str, Any],
) -> dict[str, Any]:
    """Score runs as BrowseComp-Plus does, all means over the queries.

    `rows`: as from `select_runs`; `evidence`, `gold`: as from `read_qrels`, whose files `paths`
    names for messages. Recall is the mean of |retrieved and relevant| / |relevant|. Search calls
    are given as turns that search and as queries, since published figures count one or the other
    (BrowseComp-Plus: a call is one query; InfoSeeker does not say). Accuracy is exact match; a run
    that is not completed is wrong. Raises InputError for a query without relevant documents.
    """
    qrels = {"recall": evidence, **({"gold_recall": gold} if gold is not None else {})}
    for column, documents in qrels.items():
        check_queries(rows["query_id"].to_list(), documents, paths[column])
    per_query = [_score_run(row, qrels) for row in rows.iter_rows(named=True)]
    means = {
        column: round(sum(row[column] for row in per_query) / len(per_query), 6)
        for column in (*SCORES, *qrels)
    }
    table = format_table([{"queries": len(per_query), **means}])
    logger.info("%d runs:\n%s", len(per_query), table)
    return {
        "n": len(per_query),
        "accuracy": {name: means.pop(name) for name in ("em_strict", "em_normalised")},
        "completed": means.pop("completed"),
        "search_calls": {"turns": means.pop("turns_searching"), "queries": means.pop("queries")},
        **means,
        "per_query": per_query,
    }


def _score_run(row: Mapping[str, Any], qrels: Mapping[str, Qrels]) -> dict[str, Any]:
    retrieved = set(list_retrieved(row))
    completed = is_completed(row)
    answer, golds = row["answer"] if completed else "", row["golden_answers"]
    relevant = {column: documents[row["query_id"]] for column, documents in qrels.items()}
    return {
        "query_id": row["query_id"],
        "em_strict": match_strict(answer, golds),
        "em_normalised": match_normalised(answer, golds),
        "completed": completed,
        "turns_searching": len(row["queries"]),
        "queries": sum(map(len, row["queries"])),
        **{key: round(len(retrieved & own) / len(own), 6) for key, own in relevant.items()},
    }
