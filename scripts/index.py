"""Build the index of a corpus, a folder that the retriever serves."""

import json
import os
from pathlib import Path

from searchtrain.config.settings import parse_settings
from searchtrain.core import cli
from searchtrain.search.index import IndexSettings, build_index
from searchtrain.serving.gpu_lease import lease_gpus


def main() -> None:
    """Run the rule `index`."""
    parser = cli.make_parser(__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="dense, hybrid: the encoder's folder")
    parser.add_argument("--gpus", type=int, default=0, help="dense, hybrid: that encode")
    parser.add_argument(
        "--work", type=Path, required=True,
        help="folder of results: an interrupted build leaves its vectors in .partial/index/",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--config", type=json.loads, default={}, help="settings as JSON")
    args = cli.parse(parser)
    settings = parse_settings(IndexSettings, args.config, "index")
    with lease_gpus(args.gpus, "index") as leased:
        os.environ.update(leased.variables)  # read when the first tensor reaches a GPU
        build_index(
            args.corpus, args.out, settings,
            partial=args.work / ".partial/index", model=args.encoder, gpus=args.gpus,
        )  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
