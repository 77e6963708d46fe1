"""One process of a training run: LLaMA-Factory, with the attention that the run asks for.

python -m searchtrain.training.worker sft.yaml            # or under torch.distributed.run
python -m searchtrain.training.worker sft.yaml --varlen   # packed records apart by length
"""

import argparse
from pathlib import Path

import yaml
from llamafactory.train.tuner import run_exp


def main() -> None:
    """Train as a rendered recipe says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--varlen", action="store_true")
    args = parser.parse_args()
    if args.varlen:
        from searchtrain.training import attention  # needs what only this attention needs

        attention.install()
    run_exp(yaml.safe_load(args.recipe.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
