"""Write the laptop world: passages, train, dev and test questions, and the test answers."""

import json
from pathlib import Path

from searchtrain.core import cli
from searchtrain.demo.world import write_world


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--config", type=json.loads, required=True, help="`world` as JSON")
    args = cli.parse(parser)
    write_world(args.out, args.config)


if __name__ == "__main__":
    cli.run(main)
