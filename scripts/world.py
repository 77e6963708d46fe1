"""Write the laptop world: passages, train, dev and test questions, and the test answers."""

from searchtrain.config.command import Parser
from searchtrain.core import cli
from searchtrain.demo.world import write_world


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(out="folder to write into")
    args = parser.parse()
    write_world(args.out, args.config.world)


if __name__ == "__main__":
    cli.run(main)
