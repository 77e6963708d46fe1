"""What a server notes of what it was sent, for tests to look at."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any


class Ledger:
    """Counts of one server; written by its thread, read by the test."""

    def __init__(self) -> None:
        self.requests = 0
        """Chat requests, refused ones included."""
        self.answers = 0
        self.refusals: Counter[str] = Counter()
        """By reason: `Refused.reason`, and `rate`, `quota`, `key`, `path`, `json`, `error_200`."""
        self.fields: Counter[frozenset[str]] = Counter()
        """Every distinct set of body fields."""
        self.forms: Counter[str] = Counter()
        """Observations in answered requests by wire form: tool, user, tool_calls, assistant."""
        self.deviations: Counter[str] = Counter()
        """What the model was made to do, by name (`habits`, `endless`, `mention`, `empty`, `lost`).

        `lost`: the model could not make sense of the conversation."""
        self.prefills = 0
        """Answers that went on with a message."""
        self.early = 0
        """Requests that came again before they were told to."""
        self.in_flight = 0
        self.peak = 0
        """Most requests at the same time."""
        self.attempts: Counter[str] = Counter()
        """Requests by digest of their body."""
        self.bodies: list[dict[str, Any]] = []
        """Every body, in order."""

    def begin(self, body: Mapping[str, Any], digest: str) -> int:
        """Note one request; returns how often it came, this time included."""
        self.fields[frozenset(body)] += 1
        self.attempts[digest] += 1
        self.bodies.append(dict(body))
        return self.attempts[digest]

    @property
    def refused(self) -> int:
        """Refusals of any reason."""
        return self.refusals.total()

    def sent(self, field: str) -> list[Any]:
        """The distinct values of a body field, in the order in which they came first."""
        values = [body[field] for body in self.bodies if field in body]
        distinct = {json.dumps(value, sort_keys=True): value for value in values}
        return list(distinct.values())

    def summarise(self) -> dict[str, Any]:
        """All counts, for a failure's message."""
        return {
            "requests": self.requests,
            "answers": self.answers,
            "refusals": dict(self.refusals),
            "fields": [sorted(fields) for fields in self.fields],
            "forms": dict(self.forms),
            "deviations": dict(self.deviations),
            "prefills": self.prefills,
            "early": self.early,
            "peak": self.peak,
        }
