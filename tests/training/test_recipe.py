"""The order of the records, through LLaMA-Factory's packing."""

import pytest

from helpers.conversations import QWEN25
from helpers.families import write_tokenizer
from searchtrain.config import read_config
from searchtrain.config.rounds import plan_training
from searchtrain.core.errors import InputError
from searchtrain.core.files import write_json
from searchtrain.demo.base import CHAT_TEMPLATE
from searchtrain.training import recipe, sharegpt

COUNT = 120


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    write_tokenizer(QWEN25, folder, CHAT_TEMPLATE)
    return folder


def list_packed(folder, base, settings):
    """The number that each record asks for, row by row as the trainer gets them."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    records = [
        {
            "conversations": [
                {"from": "human", "value": f"No{number}No"},
                {"from": "gpt", "value": "a word " * (number * 37 % 23)},
            ],
            "system": "Answer.",
        }
        for number in range(COUNT)
    ]
    data = folder / "sft_dataset.json"
    write_json(records, data)
    write_json(sharegpt.make_dataset_info(data.name), folder / "dataset_info.json")
    args = {
        **recipe.render_recipe(settings.args, base, data),
        "output_dir": str(folder / "unused"),
    }
    model_args, data_args, training_args, _, _ = get_train_args(args)
    loaded = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
    found = get_dataset(template, model_args, data_args, training_args, stage="sft", **loaded)
    texts = [loaded["tokenizer"].decode(row["input_ids"]) for row in found["train_dataset"]]
    return [[int(part) for part in text.split("No")[1::2]] for text in texts]


@pytest.mark.parametrize("order", ["input", "hardest"])
def test_packed_records_keep_their_order_from_step_to_step_where_it_counts(tmp_path, base, order):
    args = {"neat_packing": True, "cutoff_len": 256, "per_device_train_batch_size": 1}
    settings = plan_training(
        read_config({"curate": {"order": order}, "train": {"args": args, "processes": 1}}), 1
    )
    alone = {name: value for name, value in settings.args.items() if name != "ddp_backend"}
    settings = settings.model_copy(update={"args": alone})
    assert recipe.keeps_order(settings) == (order == "hardest")
    if order == "hardest":
        settings = recipe.order_rows(settings, {"records": COUNT, "tokens": 60 * COUNT})
    rows = list_packed(tmp_path, base, settings)
    assert sorted(number for row in rows for number in row) == list(range(COUNT))
    assert len(rows) < COUNT / 2
    far = max(
        abs(place - number) for place, number in enumerate(number for row in rows for number in row)
    )
    batch = settings.args.get("preprocessing_batch_size", COUNT)
    assert (far < batch < COUNT / 4) == (order == "hardest")
    assert bool(settings.args.get("disable_shuffling")) == (order == "hardest")


@pytest.mark.parametrize("section", ["train", "rounds"])
def test_shuffling_does_not_go_with_an_order(section):
    values = {section: {"args": {"disable_shuffling": False}}}
    assert read_config(values)
    with pytest.raises(InputError, match=rf"{section}\.args\.disable_shuffling: False undoes"):
        read_config({**values, "curate": {"order": "hardest"}})
