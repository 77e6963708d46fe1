"""Build the index of a corpus, a folder that the retriever serves."""

import os
from pathlib import Path

from searchtrain.config.command import add_config_argument
from searchtrain.core import cli
from searchtrain.search.index import build_index
from searchtrain.serving.gpu_lease import lease_gpus


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="dense, hybrid: the encoder's folder")
    parser.add_argument(
        "--work", type=Path, required=True,
        help="folder of results: an interrupted build leaves its vectors in .partial/index/",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    add_config_argument(parser)
    args = cli.parse(parser)
    retriever = args.config.retriever
    gpus = retriever.embedder.gpu if args.encoder else 0
    with lease_gpus(gpus, "index") as leased:
        os.environ.update(leased.variables)  # read when the first tensor reaches a GPU
        build_index(
            args.corpus, args.out, retriever.index, embedder=retriever.embedder,
            partial=args.work / ".partial/index", model=args.encoder, gpus=gpus,
        )  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
