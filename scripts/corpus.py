"""Check the passages to search in and write them as results/corpus.jsonl."""

from searchtrain.core import cli
from searchtrain.search.corpus import build_corpus


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_paths("out", source="passages, .jsonl or .jsonl.gz")
    args = parser.parse()
    build_corpus(args.source, args.out)


if __name__ == "__main__":
    cli.run(main)
