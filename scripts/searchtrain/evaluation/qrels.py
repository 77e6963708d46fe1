"""Relevance judgements in TREC's form: which documents answer a query.

Invariant: only documents that were judged relevant are in it.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.core.files import read_text

logger = logging.getLogger(__name__)

Qrels = Mapping[str, set[str]]
"""Query id -> relevant documents."""
COLUMNS = "query id, Q0, document id, relevance"


def read_qrels(path: str | Path) -> dict[str, set[str]]:
    """Read TREC qrels, four columns a line; returns query id -> relevant documents.

    A relevance of 0 or less is a document judged irrelevant, so it is left out. Raises InputError
    naming file, line, value and remedy.
    """
    qrels: dict[str, set[str]] = {}
    for number, line in enumerate(read_text(path, "TREC qrels").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        fault = f"{line[:80]!r} has {len(fields)} columns"
        try:
            query, _, document, relevance = fields
            fault = f"relevance {relevance!r} is no whole number"
            relevant = {document} if int(relevance) > 0 else set()
        except ValueError:
            raise InputError(
                f"{path}: line {number}: {fault}; give four columns ({COLUMNS})"
            ) from None
        qrels.setdefault(query, set()).update(relevant)
    return qrels


def check_queries(queries: Sequence[str], qrels: Qrels, path: Any) -> None:
    """Raise InputError naming a query without a relevant document; warn of queries left over."""
    missing = [query for query in queries if not qrels.get(query)]
    if missing:
        raise InputError(
            f"{path}: no relevant document for query {missing[0]!r} ({len(missing)} of"
            f" {len(queries)} queries); give the qrels of this benchmark"
        )
    unused = len(qrels.keys() - set(queries))
    if unused:
        logger.warning("%s: %d of its queries have no run", path, unused)
