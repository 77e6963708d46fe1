"""Write the tiny base model: random Qwen2 weights and a tokenizer trained on the world's text."""

from pathlib import Path

from searchtrain.config.command import add_config_argument
from searchtrain.core import cli
from searchtrain.demo.base import write_base


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--passages", type=Path, required=True, help="passages.jsonl")
    parser.add_argument("--train", type=Path, required=True, help="train.json")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    add_config_argument(parser)
    args = cli.parse(parser)
    write_base(args.out, args.passages, args.train, args.config.base)


if __name__ == "__main__":
    cli.run(main)
