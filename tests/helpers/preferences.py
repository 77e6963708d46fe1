"""A preference data set as LLaMA-Factory's own loader reads it."""

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer


def list_kinds(pairs):
    return [pair.kind for pair in pairs]


def load_pairs(folder, base, template):
    """(prompt, chosen, rejected) of every example as text; a turn ends with its mark."""
    args = {
        "stage": "dpo", "do_train": True, "model_name_or_path": str(base), "template": template,
        "dataset": "preference_dataset", "dataset_dir": str(folder), "cutoff_len": 4000,
        "output_dir": str(folder / "out"), "use_cpu": True, "overwrite_cache": True,
        "preprocessing_num_workers": 1, "report_to": "none",
    }  # fmt: skip
    model_args, data_args, training_args, _, _ = get_train_args(args)
    tokenizer = load_tokenizer(model_args)["tokenizer"]
    renderer = get_template_and_fix_tokenizer(tokenizer, data_args)
    read = get_dataset(renderer, model_args, data_args, training_args, "rm", tokenizer)
    examples = []
    for row in read["train_dataset"]:
        turns = []
        for side in ("chosen", "rejected"):
            labels = row[f"{side}_labels"]
            start = next(place for place, label in enumerate(labels) if label != -100)
            assert labels[start:] == row[f"{side}_input_ids"][start:]
            turns.append((start, row[f"{side}_input_ids"]))
        (start, chosen), (other, rejected) = turns
        assert chosen[:start] == rejected[:other]
        texts = (chosen[:start], chosen[start:], rejected[other:])
        examples.append(tuple(map(tokenizer.decode, texts)))
    return examples
