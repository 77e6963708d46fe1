"""LLaMA-Factory's processor with the served chat template in place of its own (`train.tokens`).

Invariant: a record's tokens are those of the served text tokenised as a whole, and only what the
student writes has loss: what a response holds of the environment's has none.
"""

from collections.abc import Sequence
from typing import Any

from llamafactory.data.data_utils import Role
from llamafactory.data.processor import SupervisedDatasetProcessor
from llamafactory.extras.constants import IGNORE_INDEX

from searchtrain.training.records import CALL, SPEAKERS, list_messages, list_tools
from searchtrain.training.served import Options, Served

TAGS = {
    Role.USER.value: SPEAKERS["user"],
    Role.ASSISTANT.value: SPEAKERS["assistant"],
    Role.OBSERVATION.value: SPEAKERS["tool"],
    Role.FUNCTION.value: CALL,
}


class Processor(SupervisedDatasetProcessor):  # type: ignore[misc]
    """It reads the records that LLaMA-Factory's converter has aligned."""

    served: Options
    """Of the server that the records are encoded for."""

    def _encode_data_example(
        self,
        prompt: Sequence[dict[str, str]],
        response: Sequence[dict[str, str]],
        system: str | None,
        tools: str | None,
        images: Sequence[Any],
        videos: Sequence[Any],
        audios: Sequence[Any],
    ) -> tuple[list[int], list[int]]:
        """Token ids and labels, cut at `cutoff_len` as LLaMA-Factory does. Raises InputError for a
        record that the chat template would not serve as it is."""
        turns = [
            {"from": TAGS[turn["role"]], "value": turn["content"]} for turn in [*prompt, *response]
        ]
        record = {"conversations": turns, "system": system or "", "tools": tools or ""}
        encoded = Served(self.tokenizer, self.served).encode(
            list_messages(record), list_tools(record)
        )
        labels = [
            token if own else IGNORE_INDEX
            for token, own in zip(encoded.ids, encoded.own, strict=True)
        ]
        cutoff = self.data_args.cutoff_len
        return encoded.ids[:cutoff], labels[:cutoff]


def install(options: Options) -> None:
    """Make LLaMA-Factory train on the served tokens from now on, in this process."""
    SupervisedDatasetProcessor.served = options
    SupervisedDatasetProcessor._encode_data_example = Processor._encode_data_example
