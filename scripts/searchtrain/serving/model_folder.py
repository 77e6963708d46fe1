"""What every folder of a model must have, checked before it is loaded; and how one is linked.

Standard library only: servers are started in the environment of what they serve.
"""

from pathlib import Path

from searchtrain.core.errors import InputError
from searchtrain.core.files import link_tree

FILES = {
    "configuration": ("config.json",),
    "tokenizer": ("tokenizer.json", "vocab.json", "tokenizer.model", "tekken.json"),
}
"""Each in one of these files (Hugging Face's, SentencePiece's, Mistral's)."""


def check_model_folder(folder: Path, user: str) -> None:
    """Raise InputError for what is missing; `user` is the server or setting that names the folder.

    vLLM takes a minute to find it missing, and transformers may go on with an empty tokenizer.
    """
    for what, names in FILES.items():
        if not any((folder / name).is_file() for name in names):
            raise InputError(
                f"{user}: {folder}: no {what} in this folder ({' or '.join(names)}); copy it there"
                " from where the model comes from"
            )


def link_model_folder(source: Path, target: Path) -> None:
    """Hard-link a model's folder, but for Snakemake's time stamp.

    Snakemake touches that file in the new folder, and as a link it would make the old one newer.
    """
    link_tree(source, target)
    (target / ".snakemake_timestamp").unlink(missing_ok=True)
