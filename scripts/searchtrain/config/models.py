"""Settings of the models that the stages ask: roles, their servers and their sampling."""

from typing import Any, Literal, Self

from pydantic import ConfigDict, SerializerFunctionWrapHandler, model_serializer, model_validator

from searchtrain.config.dialects import DialectName, find_dialect
from searchtrain.config.section import OWN, Section, runtime, setting, wiring
from searchtrain.config.values import (
    Amount,
    Count,
    Endpoint,
    Environment,
    Natural,
    Port,
    Positive,
    Share,
    Temperature,
    Text,
    TopP,
    Variable,
)

STUDENT = "student"
CALLING = {"enable-auto-tool-choice", "tool-call-parser"}
"""Arguments without which vLLM refuses requests with functions."""
OWN_SAMPLING = {"generation-config": "vllm"}
"""vLLM's default, `auto`, fills what a request leaves out from the model's own file: Qwen2.5's has
a repetition penalty and top_k 20."""


class Sampling(Section):
    """Sent with every request; null, or left out: not sent. Other fields are sent as they are."""

    model_config = ConfigDict(extra="allow")

    temperature: Temperature | None = setting(None)
    top_p: TopP | None = setting(None)
    max_tokens: Count | None = setting(None)

    def tracked(self, reader: str = OWN) -> dict[str, Any]:
        """What is sent."""
        return _drop_null(super().tracked(reader))

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _drop_null(dump(self))


class Price(Section):
    """US dollars per million tokens; 0: not set, or free."""

    prompt: Amount = runtime(0)
    completion: Amount = runtime(0)


class Vllm(Section):
    """vLLM's OpenAI server; arguments are named as on its command line."""

    args: dict[str, Any] = setting(
        OWN_SAMPLING,
        "arguments that may change an answer; generation-config vllm: sampling is what a request"
        " says, and nothing of the model's generation_config.json",
    )
    tuning: dict[str, Any] = runtime(
        {}, "arguments that only make it faster or fit the machine, as tensor-parallel-size"
    )
    env: Environment = runtime({}, "environment variables")


class Mistakes(Section):
    """Mistakes that the scripted roles make, as shares: of the rollouts or, where said, of other
    things."""

    bad_query: Share = setting(0, "teacher: a search that finds nothing of use")
    wrong_answer: Share = setting(0)
    repeated_query: Share = setting(0)
    unsupported_answer: Share = setting(0)
    overlong_think: Share = setting(0)
    broken_tags: Share = setting(0, "of its turns")
    prose_json: Share = setting(0, "of the tags")
    hedging: Share = setting(0)
    foreign_language: Share = setting(0)
    repetition: Share = setting(0)
    long_trace: Share = setting(0)
    redundant_search: Share = setting(0)
    shortcut: Share = setting(0)
    lost_hop: Share = setting(0, "of its lookups after the first: it guesses and answers")
    long_answer: Share = setting(0, "its answer is a sentence")
    own_notation: Share = setting(
        0, "it answers in the passage's notation; above 0 the other rollouts answer in the golds'"
    )
    hasty_name: Share = setting(
        0, "it answers with a country's local name; above 0 the others look its English name up"
    )
    copied_query: Share = setting(0, "its first query is the question")
    named_hint: Share = setting(0, "of the rollouts with a hint: it speaks of the known answer")
    refiner_prose: Share = setting(0, "refiner: of its answers, as the following")
    refiner_invents: Share = setting(0)
    judge_prose: Share = setting(0, "judge")
    planner_prose: Share = setting(0, "planner, browser, writer, verifier of research trees")
    planner_illegal: Share = setting(0)
    browser_prose: Share = setting(0)
    browser_rewrites: Share = setting(0)
    browser_drops_root: Share = setting(0)
    browser_invents_link: Share = setting(0)
    browser_huge: Share = setting(0)
    writer_leaks: Share = setting(0)
    verifier_prose: Share = setting(0)
    http_500: Share = setting(0, "the server: of the attempts")
    hang: Share = setting(0)


class Asked(Section):
    """A model that stages ask."""

    model: Text = setting(...)
    endpoint: Endpoint | None = runtime(
        None, "base URL of an OpenAI-compatible server, for instance https://host/v1"
    )
    dialect: DialectName = setting("openai", "the kind of endpoint: config/dialects.py")
    wire: dict[str, Any] = setting({}, "single properties of the dialect that differ here")
    reasoning: Literal["none", "native"] = setting(
        "none", "native: the model thinks by itself, as QwQ, R1 and DeepSeek V4 do"
    )
    format: Literal["tags", "search_r1", "tool_calls"] = setting(
        "tags",
        "how it writes the turns of a rollout: chat turns with tags, one growing message (needs a"
        " dialect that continues messages), or native function calls",
        reader="role",
    )
    thought_tokens: Natural = setting(
        4096, "native: tokens for the thought, beside max_tokens, before a JSON answer"
    )
    api_key_env: Variable = runtime("", "environment variable that holds the endpoint's key")
    concurrency: Count = runtime(32, "requests in flight")
    timeout: Positive = runtime(60, "seconds for one attempt")
    attempts: Count = runtime(4)
    ready_timeout: Positive = runtime(300, "seconds that the server may take to start")
    port: Port | None = runtime(None, "null takes a free one")
    gpu: Natural = runtime(0, "GPUs that one server holds")
    vllm: Vllm = setting(Vllm(), reader="serve")

    @property
    def runs_vllm(self) -> bool:
        """Whether the workflow starts vLLM for it; a student has no `serve`, its checkpoint is
        served."""
        return not self.endpoint and getattr(self, "serve", "vllm") == "vllm"

    @model_validator(mode="after")
    def _check_wire(self) -> Self:
        find_dialect(self.dialect, self.wire)
        return self

    @model_validator(mode="after")
    def _check_calls(self) -> Self:
        given = {name.replace("_", "-") for name in (*self.vllm.args, *self.vllm.tuning)}
        if self.runs_vllm and self.format == "tool_calls" and not given >= CALLING:
            raise ValueError(
                "format: tool_calls needs vllm.args {enable-auto-tool-choice: true,"
                " tool-call-parser: hermes}; hermes is Qwen's, `vllm serve --help` lists the others"
            )
        return self


class Role(Asked):
    """A model that the stages ask; each role has these fields."""

    model: Text = setting(
        "scripted-teacher", "name in requests; with serve: vllm the folder or hub name"
    )
    serve: Literal["scripted", "vllm"] | None = runtime(
        "scripted", "scripted: the laptop world's teacher; vllm; or null with an endpoint"
    )
    revision: str = setting(
        "1", "part of every cache key: change it when the model behind the name changes"
    )
    price: Price = runtime(Price(), "US dollars per million tokens; 0: not set, or free")
    max_dollars: Positive | None = runtime(
        None,
        "what one job may spend at that price, null: no limit; a job that has spent it ends, and"
        " what it bought is kept",
    )
    scripted: Mistakes = setting(Mistakes(), reader="serve")
    same_as: Literal["teacher", "refiner", "judge", "planner"] | None = wiring(
        None, "use the model and server of that role; the other settings then mean nothing"
    )

    @model_validator(mode="after")
    def _check_limit(self) -> Self:
        if self.max_dollars and not (self.price.prompt or self.price.completion):
            raise ValueError("max_dollars limits nothing without a price: set price, too")
        return self


class Student(Asked):
    """The model that is trained; the workflow serves its checkpoints."""

    model: Text = setting("student", "name in requests")
    sampling: Sampling = setting(Sampling(temperature=0.0, max_tokens=128), reader="role")
    dialect: DialectName = setting("vllm")
    concurrency: Count = runtime(64)
    timeout: Positive = runtime(300)
    attempts: Count = runtime(3)
    ready_timeout: Positive = runtime(600)
    vllm: Vllm = setting(
        Vllm(
            args={**OWN_SAMPLING, "dtype": "float32", "max-model-len": 1024, "seed": 0},
            tuning={
                "max-num-seqs": 64,
                "max-num-batched-tokens": 4096,
                "enable-chunked-prefill": False,
                "enforce-eager": True,
                "kv-cache-memory-bytes": 400000000,
                "disable-uvicorn-access-log": True,
            },
            env={"VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
        ),
        "as of a role; with enable-chunked-prefill vLLM on CPU dies of seeded sampling, without"
        " multiprocessing it starts 10 s sooner",
        reader="serve",
    )

    @model_validator(mode="after")
    def _check_template(self) -> Self:
        if {"chat-template", "chat_template"} & {*self.vllm.args, *self.vllm.tuning}:
            raise ValueError(
                "vllm: chat-template: the student is trained and served with the template of its"
                " base; put another one into that folder, as chat_template.jinja"
            )
        return self


class Models(Section):
    """Roles. Each has either `serve` (the workflow starts the server) or `endpoint` (a URL)."""

    teacher: Role = setting(
        Role(
            scripted=Mistakes(
                bad_query=0.03,
                wrong_answer=0.04,
                repeated_query=0.03,
                unsupported_answer=0.03,
                overlong_think=0.03,
                broken_tags=0.02,
                prose_json=0.02,
            )
        )
    )
    refiner: Role = setting(
        Role(model="scripted-refiner"), "as the teacher, but for what is said here"
    )
    judge: Role = setting(Role(model="scripted-judge"), "as are the following")
    planner: Role = setting(Role(model="scripted-planner"), "grows research trees")
    browser: Role = setting(Role(model="scripted-planner", same_as="planner"))
    writer: Role = setting(Role(model="scripted-planner", same_as="planner"))
    solver: Role = setting(
        Role(model="scripted-planner", same_as="planner"), "answers without searching"
    )
    verifier: Role = setting(Role(model="scripted-planner", same_as="planner"))
    student: Student = setting(Student())

    def owner(self, role: str) -> str:
        """The role whose model and server `role` uses: its own, or the one that `same_as` names."""
        seen = [role]
        while other := getattr(getattr(self, seen[-1]), "same_as", None):
            if other in seen:
                raise ValueError(f"{role}.same_as goes in a circle: {' -> '.join([*seen, other])}")
            seen.append(other)
        return seen[-1]

    def resolve(self, role: str) -> Role:
        """The settings that count for a role but the student."""
        section = getattr(self, self.owner(role))
        assert isinstance(section, Role), role
        return section

    @model_validator(mode="after")
    def _check_owners(self) -> "Models":
        for role in type(self).model_fields:
            self.owner(role)
        return self


def _drop_null(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
