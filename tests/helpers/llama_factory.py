"""A data set as LLaMA-Factory's own loader reads it."""

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer

IGNORED = -100


def load_dataset(folder, base, template, name, stage="sft", **args):
    """The rows of token ids and labels, and the tokenizer; `args`: LLaMA-Factory's."""
    args = {
        "stage": {"rm": "dpo"}.get(stage, stage), "do_train": True, "template": template,
        "model_name_or_path": str(base), "dataset": name, "dataset_dir": str(folder),
        "cutoff_len": 4000, "output_dir": str(folder / "out"), "use_cpu": True,
        "overwrite_cache": True, "preprocessing_num_workers": 1, "report_to": "none", **args,
    }  # fmt: skip
    model_args, data_args, training_args, _, _ = get_train_args(args)
    tokenizer = load_tokenizer(model_args)["tokenizer"]
    renderer = get_template_and_fix_tokenizer(tokenizer, data_args)
    read = get_dataset(renderer, model_args, data_args, training_args, stage, tokenizer)
    return list(read["train_dataset"]), tokenizer


def load_pairs(folder, base, template):
    """(prompt, chosen, rejected) of every example as text; a turn ends with its mark."""
    rows, tokenizer = load_dataset(folder, base, template, "preference_dataset", "rm")
    examples = []
    for row in rows:
        turns = []
        for side in ("chosen", "rejected"):
            ids, labels = row[f"{side}_input_ids"], row[f"{side}_labels"]
            start = next(place for place, label in enumerate(labels) if label != IGNORED)
            assert labels[start:] == ids[start:]
            turns.append((ids[:start], ids[start:]))
        (prompt, chosen), (other, rejected) = turns
        assert prompt == other
        examples.append(tuple(map(tokenizer.decode, (prompt, chosen, rejected))))
    return examples


def load_learnt(folder, base, template, **args):
    """Per row of the SFT data the stretches that have loss, as text, and all of it."""
    rows, tokenizer = load_dataset(folder, base, template, "sft_dataset", **args)
    read = []
    for row in rows:
        stretches = [[]]
        for label in row["labels"]:
            if label != IGNORED:
                stretches[-1].append(label)
            elif stretches[-1]:
                stretches.append([])
        learnt = [tokenizer.decode(stretch) for stretch in stretches if stretch]
        read.append((learnt, tokenizer.decode(row["input_ids"])))
    return read
