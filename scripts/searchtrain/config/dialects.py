"""Dialects: what the usual kinds of endpoints take, and how they answer.

Every one calls itself OpenAI-compatible, and no two take the same request. A preset is an
endpoint's behaviour as documented or measured in November 2026; `models.<role>.wire` corrects it.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from searchtrain.config.faults import explain_fault
from searchtrain.config.section import Section, setting

Fields = dict[str, Any]
NEUTRAL = {"top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
"""Sampling that leaves the distribution as it is. Servers that are left to choose take what stands
in the model's generation_config.json: Qwen2.5-Instruct's has a repetition penalty of 1.05, which
counts the prompt's tokens and so works against copying names out of it."""
TEMPLATE_OFF = {"chat_template_kwargs": {"enable_thinking": False}}


class Dialect(Section):
    """What one kind of endpoint takes; the defaults are those of OpenAI's chat models."""

    observations: Literal["tool", "user"] = setting(
        "user",
        "role of an observation that answers no native tool call: most refuse role tool there, and"
        " some chat templates drop thoughts or escape the text; user wraps it in <tool_response>,"
        " which Qwen's templates write for role tool themselves",
    )
    answers: Literal["json_schema", "json_object", "value", "none"] = setting(
        "json_schema",
        "response_format of a request for one JSON object; value: TGI's own form; with json_object"
        " and none the schema stands in the system prompt. One that is refused is replaced",
    )
    stop: bool = setting(True, "whether it takes stop strings")
    keeps_stop: Fields = setting({}, "fields that make it keep the stop string that it met")
    length: Literal["max_tokens", "max_completion_tokens"] = setting("max_tokens")
    continues: Fields = setting(
        {}, "fields that make it go on with the last assistant message; none: it can not"
    )
    refuses: list[str] = setting([], "fields that are never sent, whatever sampling says")
    always: Fields = setting({}, "fields of every request; sampling has precedence")
    thinks: Fields = setting({}, "fields that let a model with reasoning: native think")
    quiet: Fields = setting(
        {}, "fields that keep a thinking model from thinking: sent when JSON or the rest of a"
        " begun answer is asked for, and always with quiet_by_default"
    )  # fmt: skip
    quiet_by_default: bool = setting(
        False,
        "models think unless told not to, so one with reasoning: none is told in every request",
    )
    streams: bool = setting(False, "it answers only in a stream")


CONTINUES = {"continue_final_message": True, "add_generation_prompt": False}
DIALECTS: Mapping[str, Dialect] = {
    "openai": Dialect(),
    # The o-series and GPT-5 or later.
    "openai_reasoning": Dialect(
        stop=False,
        length="max_completion_tokens",
        refuses=["temperature", "top_p", "presence_penalty", "frequency_penalty"],
    ),
    "vllm": Dialect(
        observations="tool",
        keeps_stop={"include_stop_str_in_output": True},
        continues=CONTINUES,
        always={**NEUTRAL, "top_k": 0},
        quiet=TEMPLATE_OFF,
    ),
    "sglang": Dialect(
        observations="tool",
        keeps_stop={"no_stop_trim": True},
        continues={"continue_final_message": True},
        always={**NEUTRAL, "top_k": -1},
        quiet=TEMPLATE_OFF,
    ),
    # V4 thinks by default; temperature has no effect while it does.
    "deepseek": Dialect(
        answers="json_object",
        thinks={"thinking": {"type": "enabled"}},
        quiet={"thinking": {"type": "disabled"}},
        quiet_by_default=True,
    ),
    # Open-weight Qwen3 refuses to think without a stream.
    "dashscope": Dialect(
        answers="json_object",
        thinks={"enable_thinking": True},
        quiet={"enable_thinking": False},
        quiet_by_default=True,
    ),
    "openrouter": Dialect(quiet={"reasoning": {"enabled": False}}),
    "tgi": Dialect(observations="user", answers="value"),
    "llamacpp": Dialect(quiet=TEMPLATE_OFF),
}
"""Presets by name."""
DialectName = Literal[
    "openai", "openai_reasoning", "vllm", "sglang", "deepseek", "dashscope", "openrouter", "tgi",
    "llamacpp",
]  # fmt: skip


def find_dialect(name: str, wire: Mapping[str, Any]) -> Dialect:
    """The preset `name` with the overrides of `wire`; raises ValueError for a bad one."""
    values = {**dict(DIALECTS[name]), **wire}
    try:
        return Dialect.model_validate(values)
    except ValidationError as error:
        fault = explain_fault(error, Dialect, values, "wire")
        raise ValueError(fault.removeprefix("configuration: ")) from None
