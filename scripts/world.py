"""Write the laptop world: passages, train, dev and test questions, and the test answers."""

from pathlib import Path

from searchtrain.config.command import add_config_argument
from searchtrain.core import cli
from searchtrain.demo.world import write_world


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    add_config_argument(parser)
    args = cli.parse(parser)
    write_world(args.out, args.config.world)


if __name__ == "__main__":
    cli.run(main)
