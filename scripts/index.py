"""Build the index of a corpus, a folder that the retriever serves."""

import os

from searchtrain.config.command import Parser
from searchtrain.core import cli
from searchtrain.search.index import build_index
from searchtrain.serving.gpu_lease import lease_gpus


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(
        "corpus",
        work="folder of results: an interrupted build leaves its vectors in .partial/index/",
        out="the folder to write",
    )
    parser.add_paths(
        required=False,
        encoder="dense, hybrid: the encoder's folder",
        faiss="an index of another's making, in place of encoding",
    )
    args = parser.parse()
    retriever = args.config.retriever
    gpus = retriever.embedder.gpu if args.encoder and not args.faiss else 0
    with lease_gpus(gpus, "index") as leased:
        os.environ.update(leased.variables)  # read when the first tensor reaches a GPU
        build_index(
            args.corpus, args.out, retriever.index, embedder=retriever.embedder,
            partial=args.work / ".partial/index", model=args.encoder, gpus=gpus,
            source=args.faiss,
        )  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
