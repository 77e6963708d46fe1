"""Check the passages to search in and write them as results/corpus.jsonl."""

import json
from pathlib import Path

from searchtrain.config.settings import parse_settings
from searchtrain.core import cli
from searchtrain.search.corpus import CorpusSettings, build_corpus


def main() -> None:
    """Run the rule `corpus`."""
    parser = cli.make_parser(__doc__)
    parser.add_argument("--source", type=Path, required=True, help="passages, .jsonl or .jsonl.gz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, default={}, help="settings as JSON")
    args = cli.parse(parser)
    settings = parse_settings(CorpusSettings, args.config, "corpus")
    build_corpus(args.source, args.out, settings)


if __name__ == "__main__":
    cli.run(main)
