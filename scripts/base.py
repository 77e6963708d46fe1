"""Write the tiny base model: random Qwen2 weights and a tokenizer trained on the world's text."""

from searchtrain.config.command import Parser
from searchtrain.core import cli
from searchtrain.demo.base import write_base


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(passages="passages.jsonl", train="train.json", out="model folder to write")
    args = parser.parse()
    write_base(args.out, args.passages, args.train, args.config.base)


if __name__ == "__main__":
    cli.run(main)
