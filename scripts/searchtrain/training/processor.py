"""LLaMA-Factory's processors with what they cannot do: the served chat template in place of its own
(`train.tokens`), and records of which only the last turn has loss (`records.TRAINED`).

Invariant: with served tokens a record's tokens are those of the served text tokenised as a whole,
and only what the student writes has loss: what a response holds of the environment's has none. A
marked record has the tokens of the unmarked one.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from llamafactory.data import converter
from llamafactory.data.data_utils import Role
from llamafactory.data.processor import SupervisedDatasetProcessor
from llamafactory.extras.constants import IGNORE_INDEX

from searchtrain.training.records import (
    CALL,
    LAST,
    SPEAKERS,
    TRAINED,
    is_last_trained,
    list_messages,
    list_tools,
)
from searchtrain.training.served import Options, Served

TAGS = {
    Role.USER.value: SPEAKERS["user"],
    Role.ASSISTANT.value: SPEAKERS["assistant"],
    Role.OBSERVATION.value: SPEAKERS["tool"],
    Role.FUNCTION.value: CALL,
}
Encoding = tuple[list[int], list[int]]
_convert = converter.SharegptDatasetConverter.__call__
_encode = SupervisedDatasetProcessor._encode_data_example


class Converter(converter.SharegptDatasetConverter):  # type: ignore[misc]
    """It carries a record's mark on, with its last turn; columns get no further."""

    def __call__(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """The record as LLaMA-Factory aligns it."""
        aligned: dict[str, Any] = _convert(self, example)
        if TRAINED in example:
            mark = LAST if is_last_trained(example) else ""
            aligned["_response"] = [{**turn, TRAINED: mark} for turn in aligned["_response"]]
        return aligned


class Processor(SupervisedDatasetProcessor):  # type: ignore[misc]
    """It reads the records that the converter has aligned."""

    served: Options | None = None
    """Of the server that the records are encoded for; None: LLaMA-Factory's template."""

    def _encode_data_example(
        self,
        prompt: Sequence[dict[str, str]],
        response: Sequence[dict[str, str]],
        system: str | None,
        tools: str | None,
        images: Sequence[Any],
        videos: Sequence[Any],
        audios: Sequence[Any],
    ) -> Encoding:
        """Token ids and labels, cut at `cutoff_len` as LLaMA-Factory does. Raises InputError for a
        record that the chat template would not serve as it is."""
        last = response[-1].get(TRAINED) == LAST
        if self.served is not None:
            ids, labels = _encode_served(self, prompt, response, system, tools, last)
        elif last:
            ids, labels = _encode_last(
                self, prompt, response, system, tools, images, videos, audios
            )
        else:
            ids, labels = _encode(self, prompt, response, system, tools, images, videos, audios)
        cutoff = self.data_args.cutoff_len
        return ids[:cutoff], labels[:cutoff]


def install(options: Options | None) -> None:
    """Make LLaMA-Factory read marks, and with `options` train on the served tokens, from now on, in
    this process."""
    converter.SharegptDatasetConverter.__call__ = Converter.__call__
    SupervisedDatasetProcessor.served = options
    SupervisedDatasetProcessor._encode_data_example = Processor._encode_data_example


def _encode_served(
    processor: Any,
    prompt: Sequence[dict[str, str]],
    response: Sequence[dict[str, str]],
    system: str | None,
    tools: str | None,
    last: bool,
) -> Encoding:
    turns = [
        {"from": TAGS[turn["role"]], "value": turn["content"]} for turn in [*prompt, *response]
    ]
    record = {"conversations": turns, "system": system or "", "tools": tools or ""}
    encoded = Served(processor.tokenizer, processor.served).encode(
        list_messages(record), list_tools(record), last
    )
    labels = [
        token if own else IGNORE_INDEX for token, own in zip(encoded.ids, encoded.own, strict=True)
    ]
    return encoded.ids, labels


def _encode_last(processor: Any, *record: Any) -> Encoding:
    """LLaMA-Factory's tokens, and of its labels the last stretch: `mask_history` is for a whole run
    and makes other tokens with some templates."""
    settings = processor.data_args
    cutoff, settings.cutoff_len = settings.cutoff_len, sys.maxsize
    try:
        ids, labels = _encode(processor, *record)
    finally:
        settings.cutoff_len = cutoff
    begin = len(labels)
    while begin and labels[begin - 1] == IGNORE_INDEX:
        begin -= 1
    while begin and labels[begin - 1] != IGNORE_INDEX:
        begin -= 1
    return ids, [IGNORE_INDEX] * begin + labels[begin:]
