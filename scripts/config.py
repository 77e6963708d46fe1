"""Write config/config.yaml and config/schema.json from the models (`make config`)."""

from pathlib import Path

from searchtrain.config.rendering import render_config, render_schema
from searchtrain.core import cli
from searchtrain.core.files import replace_file

FOLDER = Path(__file__).parents[1] / "config"


def main() -> None:
    """Write both files."""
    parser = cli.make_parser(__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder to write to")
    args = cli.parse(parser)
    for name, text in {"config.yaml": render_config(), "schema.json": render_schema()}.items():
        with replace_file(args.out / name) as partial:
            partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
