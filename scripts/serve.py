"""Serve one model or retriever for one consumer, and take it down with this process.

The one service rule runs this; by hand:

    python scripts/serve.py --server retriever --endpoint retriever.json --log retriever.log \\
        --spec '{"serve": "retriever", "index": "results/index", "corpus": "results/corpus.jsonl"}'
"""

import json
from pathlib import Path

from searchtrain.core import cli
from searchtrain.serving.supervisor import supervise


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("--server", required=True, help="the server's name in the configuration")
    parser.add_argument("--spec", type=json.loads, required=True, help="what to serve, as JSON")
    parser.add_paths(endpoint="the file to keep")
    parser.set_defaults(log=Path("/dev/null"))
    args = parser.parse()
    supervise(args.server, args.spec, args.endpoint, args.log)


if __name__ == "__main__":
    cli.run(main)
