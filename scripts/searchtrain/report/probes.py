"""One cheap request of each kind that a run makes, sent as the run would send it.

Invariant: prompt, schema, sampling, dialect and the loop are the run's own; only the question is
always the same.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchtrain.agent import grammar, loop, setup
from searchtrain.agent.refiner import FINDINGS_SCHEMA, render_request
from searchtrain.config import Config
from searchtrain.core.errors import ProtocolError, SearchTrainError
from searchtrain.curation.shortcuts import GENUINE_SCHEMA
from searchtrain.models.asker import Asker
from searchtrain.models.client import ModelClient
from searchtrain.models.prompts import render_prompt
from searchtrain.models.verdicts import VERDICT_SCHEMA
from searchtrain.models.verdicts import render_request as render_verdict_request
from searchtrain.questions.tag_form import TAG_SCHEMA
from searchtrain.search import Search
from searchtrain.trees.growth import BROWSE_SCHEMA, PLAN_SCHEMA
from searchtrain.trees.verification import SOLVER_SCHEMA, VERIFIER_SCHEMA
from searchtrain.trees.writing import QUESTION_SCHEMA

SEED = 1
QUESTION = "In which country is the city of Oslo?"
TITLE, TEXT = "Oslo", "Oslo is the capital and largest city of Norway."
PASSAGE = {"id": "probe", "contents": f'"{TITLE}"\n{TEXT}', "score": 1.0}
PAGE = {"id": "probe", "title": TITLE, "text": TEXT, "links": [{"id": "n", "title": "Norway"}]}
DOCUMENT = {"number": 1, "title": TITLE, "text": TEXT}
TREE = {
    "id": "A", "entity": None, "page": "probe", "kind": "city",
    "claims": [{"target_id": "B", "claim": "A is a city in B."}],
    "children": [{"id": "B", "entity": "Norway", "page": "n", "kind": "country", "claims": [],
                  "children": []}],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """A request for one JSON object."""

    prompt: str
    """Name of the prompt file."""
    schema: Mapping[str, Any]
    request: str | Mapping[str, Any]


VERDICT = Kind("judge", VERDICT_SCHEMA, render_verdict_request(QUESTION, ["Norway"], "Norway"))
TURNS = "trajectories"
"""The stage whose probe is a whole rollout."""
KINDS: Mapping[tuple[str, str], Kind] = {
    ("tag", "teacher"): Kind("tag", TAG_SCHEMA, QUESTION),
    ("refine", "refiner"): Kind(
        "refine", FINDINGS_SCHEMA, render_request(QUESTION, "Oslo", [PASSAGE], 3000)
    ),
    ("trees", "planner"): Kind(
        "plan",
        PLAN_SCHEMA,
        {
            "root": {"title": TITLE, "text": TEXT}, "tree": None, "nodes": [], "min_vertices": 3,
            "max_vertices": 6, "legal": [{"action": "initialise", "targets": []},
                                         {"action": "quit", "targets": []}], "faults": [],
        },
    ),
    ("trees", "browser"): Kind(
        "browse",
        BROWSE_SCHEMA,
        {"action": "initialise", "target": None, "tree": None, "page": PAGE, "next_id": "A",
         "faults": []},
    ),
    ("written_trees", "writer"): Kind(
        "write_question", QUESTION_SCHEMA, {"tree": TREE, "faults": []}
    ),
    ("verify", "solver"): Kind("solve", SOLVER_SCHEMA, {"question": QUESTION}),
    ("verify", "verifier"): Kind(
        "verify", VERIFIER_SCHEMA, {"question": QUESTION, "documents": [DOCUMENT]}
    ),
    ("shortcuts", "judge"): Kind(
        "judge_trajectory", GENUINE_SCHEMA, {"question": QUESTION, "trajectory": []}
    ),
    ("equivalents", "judge"): VERDICT,
    ("judge", "judge"): VERDICT,
}  # fmt: skip
"""By the stage that sends it and the role that answers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one probe."""

    what: str
    state: str
    """`works`, `adapted` (works in another form than the config says) or `refused`."""
    note: str
    requests: int = 0
    tokens: int = 0
    dollars: float = 0.0
    seconds: float = 0.0


class OnePassage:
    """A search that always finds the same."""

    async def search(
        self, queries: Sequence[str], topk: int, exclude: Sequence[str] = ()
    ) -> list[list[dict[str, Any]]]:
        """See `Search.search`."""
        return [[PASSAGE] for _ in queries]

    stop, report, close = Search.stop, Search.report, Search.close


async def probe(stage: str, client: ModelClient, config: Config, prompts: Path) -> Finding:
    """Send what `stage` would send to the role of `client`, and say what came of it.

    `prompts`: the folder of the prompt files.
    """
    role, begun = client.role, time.monotonic()
    what = f"{role.name} for {stage} ({role.model} at {client.url})"
    try:
        if stage == TURNS:
            note = await _roll_out(client, config, prompts)
        else:
            note = await _ask(client, KINDS[stage, role.name], prompts)
    except SearchTrainError as error:
        return Finding(what, "refused", str(error), seconds=time.monotonic() - begun)
    finally:
        await client.close()
    learnt, usage = client.list_learnt(), client.usage
    if learnt:
        note = f"set models.{role.name}.wire to {learnt}; {note}"
    priced = any(role.price.values())
    return Finding(
        what,
        "adapted" if learnt else "works",
        "; ".join(filter(None, (note, "" if priced else "no price is set"))),
        usage["requests"] + usage["cached"],
        sum(count for name, count in usage.items() if name.endswith("_tokens")),
        client.cost(cached=True),
        time.monotonic() - begun,
    )


async def _ask(client: ModelClient, kind: Kind, prompts: Path) -> str:
    system = render_prompt(prompts / f"{kind.prompt}.jinja")
    asker = Asker(client, system, kind.schema, repairs=1)
    value = await asker.ask(kind.request, dict, seed=SEED)
    repaired = "its first answer was no such object; " * bool(client.usage["repairs"])
    return f"{repaired}answers {', '.join(value)}"


async def _roll_out(client: ModelClient, config: Config, prompts: Path) -> str:
    """A rollout of at most two turns; raises SearchTrainError when one is not valid."""
    few = config.trajectories.limits.model_copy(update={"max_turns": 2})
    harness = setup.make_harness(config, client.role, few, prompts / "agent_teacher.jinja")
    attempt = loop.Attempt("probe", QUESTION, (), "probe", (), 0, SEED)
    row, error = await loop.rollout(attempt, loop.Policy(client, harness), OnePassage())
    if error is not None:
        raise error
    for place, message in enumerate(row["messages"]):
        if message["role"] == grammar.ASSISTANT:
            _check_turn(message["content"], client, first=place == 2)
    repaired = f"{len(row['repairs'])} repairs ({', '.join(sorted(set(row['repairs'])))}), "
    return f"{repaired * bool(row['repairs'])}{row['searches']} searches, then {row['stop_reason']}"


def _check_turn(text: str, client: ModelClient, *, first: bool) -> None:
    try:
        grammar.parse_turn(text)
    except ProtocolError as fault:
        role = client.role
        remedy = "check its reasoning, format and dialect"
        if not first and role.speaks.observations == "tool":
            # Templates of R1 and Llama have no use for role `tool`.
            remedy = "set its wire to {observations: user}"
        raise SearchTrainError(
            f"{'the first turn' if first else 'a turn after an observation'} of a rollout is not"
            f" valid ({fault.kind}): {text[:200]!r}; {remedy} (models.{role.name})"
        ) from None
