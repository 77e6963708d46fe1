"""Check the passages to search in and write them as results/corpus.jsonl."""

from pathlib import Path

from searchtrain.core import cli
from searchtrain.search.corpus import build_corpus


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--source", type=Path, required=True, help="passages, .jsonl or .jsonl.gz")
    parser.add_argument("--out", type=Path, required=True)
    args = cli.parse(parser)
    build_corpus(args.source, args.out)


if __name__ == "__main__":
    cli.run(main)
