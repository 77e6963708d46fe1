"""One process of a training run: LLaMA-Factory as a rendered recipe says.

python -m searchtrain.training.worker sft.yaml    # or under torch.distributed.run
"""

import argparse
import json
from pathlib import Path

import yaml
from llamafactory.train.tuner import run_exp

from searchtrain.training import processor
from searchtrain.training.served import Options


def main() -> None:
    """Train as a rendered recipe says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--served", type=json.loads, help="train on the tokens of this server")
    args = parser.parse_args()
    processor.install(Options(**args.served) if args.served else None)
    run_exp(yaml.safe_load(args.recipe.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
