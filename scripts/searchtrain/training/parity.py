"""What LLaMA-Factory trains on against what a server reads, before a run begins.

Invariant: the trainer's side is LLaMA-Factory's own (its arguments, tokenizer, converter, template
and processor, as in the worker), the other side the base's chat template with the options of the
student's requests (`served`).
"""

import logging
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.core.files import read_json
from searchtrain.training.records import DATASET, is_last_trained, list_messages, list_tools
from searchtrain.training.served import Encoded, Options, Served, find_difference

logger = logging.getLogger(__name__)

SAMPLE = 32
"""Records that are compared, at least one of each kind."""
SHOWN = 24
"""Tokens of each side that a difference shows; it begins after the first third of them."""
ELSE = "models.student.format or another base"
REMEDY = (
    "set train.tokens: served (it trains on what the chat template writes), or use another"
    f" train.args.template, another {ELSE}"
)

Record = Mapping[str, Any]


class Trainer:
    """LLaMA-Factory's way from a record to tokens and labels."""

    def __init__(self, recipe: Mapping[str, Any], info: Path, served: Options | None) -> None:
        """`recipe`: as `recipe.render_recipe` makes it; `info`: dataset_info.json; `served`: with
        train.tokens served. Raises InputError for a template that LLaMA-Factory does not know."""
        from llamafactory.data import get_template_and_fix_tokenizer
        from llamafactory.data.parser import DatasetAttr
        from llamafactory.extras.constants import IGNORE_INDEX
        from llamafactory.hparams import DataArguments, ModelArguments
        from llamafactory.model import load_tokenizer
        from transformers import HfArgumentParser

        from searchtrain.training.processor import Converter, Processor

        parser = HfArgumentParser([ModelArguments, DataArguments])
        model_args, data_args = parser.parse_dict(dict(recipe), allow_extra_keys=True)
        self.capacity: int = data_args.cutoff_len
        """Tokens of the longest record that is trained on whole."""
        data_args.cutoff_len = sys.maxsize
        self.tokenizer = load_tokenizer(model_args)["tokenizer"]
        try:
            template = get_template_and_fix_tokenizer(self.tokenizer, data_args)
        except ValueError as error:
            raise InputError(f"train.args.template: {error}") from None
        columns = DatasetAttr("file", DATASET)
        columns.join(read_json(info)[DATASET])
        self._convert = Converter(columns, data_args)
        self._processor = Processor(template, self.tokenizer, None, data_args)
        self._processor.served = served
        self._ignored = IGNORE_INDEX

    def encode(self, record: Record, where: str) -> Encoded:
        """The tokens of a record, and which of them have loss; nothing is cut."""
        read = self._convert(record)
        try:
            ids, labels = self._processor._encode_data_example(
                read["_prompt"], read["_response"], read["_system"], read["_tools"], [], [], []
            )
        except InputError as error:
            raise InputError(f"{where}: {error}; use another {ELSE}") from None
        return Encoded(ids, [label != self._ignored for label in labels])


def check_tokens(
    dataset: Path,
    info: Path,
    recipe: Mapping[str, Any],
    options: Options,
    trained: Options | None,
) -> dict[str, int]:
    """Compare a sample of the records, and measure all: `records`, `tokens`, `longest`,
    `longer_than_cutoff`, `compared`.

    `recipe`: LLaMA-Factory's configuration; `options`: of the student's server; `trained`: the same
    with train.tokens served, else None. Raises InputError with the first difference: its record
    and turn, what is trained on, what is served, and the remedy.
    """
    trainer = Trainer(recipe, info, trained)
    served = Served(trainer.tokenizer, options)
    records = read_json(dataset)
    sample = choose_sample(records, SAMPLE)
    for place in sample:
        compare(trainer, served, records[place], f"{dataset}: record {place + 1}")
    logger.info("%d of %d records: what is trained on is what is served", len(sample), len(records))
    lengths = [
        len(trainer.encode(record, f"{dataset}: record {place}").ids)
        for place, record in enumerate(records, 1)
    ]
    return {
        "records": len(records),
        "tokens": sum(lengths),
        "longest": max(lengths),
        "longer_than_cutoff": sum(length > trainer.capacity for length in lengths),
        "compared": len(sample),
    }


def compare(trainer: Trainer, served: Served, record: Record, where: str) -> None:
    """Check that a record's tokens are those served and that its loss is on the student's own.

    Raises InputError with the first difference.
    """
    messages, tools = list_messages(record), list_tools(record)
    try:
        text, spans = served.split(messages, tools)
    except InputError as error:
        raise InputError(f"{where}: {error}; use another {ELSE}") from None
    if is_last_trained(record):
        spans = spans[-1:]
    expected, trained = served.mark(text, spans), trainer.encode(record, where)
    begins = [
        place
        for place, own in enumerate(expected.own)
        if own > (place > 0 and expected.own[place - 1])
    ]
    place = find_difference(trained.ids, expected.ids)
    if place < max(len(trained.ids), len(expected.ids)):
        raise InputError(
            f"{where}: turn {_count(begins, place)}: trained on is"
            f" {_show(trainer, trained.ids, place)}, served is"
            f" {_show(trainer, expected.ids, place)}; {REMEDY}"
        )
    place = find_difference(trained.own, expected.own)
    if place < len(expected.own):
        fault = (
            "has loss and is not the student's"
            if trained.own[place]
            else "is the student's and has no loss"
        )
        raise InputError(
            f"{where}: turn {_count(begins, place)}:"
            f" {_show(trainer, expected.ids, place, before=0)} {fault}; {REMEDY}"
        )
    for number, ((start, _), begin) in enumerate(zip(spans, begins, strict=True), 1):
        prompt = served.tokenize(text[:start])
        if prompt != expected.ids[:begin]:
            place = find_difference(prompt, expected.ids)
            raise InputError(
                f"{where}: turn {number}: its prompt ends {_show(trainer, prompt, place)} and goes"
                f" on {_show(trainer, expected.ids, place)} once it is written: the tokenizer joins"
                f" the two; use another {ELSE}"
            )
    if trainer.tokenizer.eos_token_id not in expected.ids[begins[-1] :]:
        raise InputError(
            f"{where}: the last turn ends {_show(trainer, expected.ids, len(expected.ids))}, which"
            f" has no {trainer.tokenizer.eos_token!r}, at which the server stops; use another"
            " train.args.template or base"
        )


def choose_sample(records: Sequence[Record], size: int) -> list[int]:
    """About `size` places spread over the data, some of every kind of record."""
    kinds: dict[Any, list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        speakers = frozenset(turn["from"] for turn in record["conversations"])
        told = (bool(record["system"]), bool(record.get("tools")), is_last_trained(record))
        kinds[speakers, *told].append(place)
    share = -(-size // max(1, len(kinds)))
    chosen = []
    for places in kinds.values():
        step = max(1, len(places) // share)
        chosen += places[::step][:share]
    return sorted(chosen)


def _count(begins: Sequence[int], place: int) -> int:
    """The turn, from 1, in which or before which a token stands."""
    return max(1, sum(begin <= place for begin in begins))


def _show(trainer: Trainer, ids: Sequence[int], place: int, before: int = SHOWN // 3) -> str:
    shown = ids[max(0, place - before) : place + SHOWN - before]
    return repr(trainer.tokenizer.decode(shown))
