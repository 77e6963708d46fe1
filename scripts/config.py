"""Write config/config.yaml and config/schema.json from the models (`make config`)."""

from pathlib import Path

from searchtrain.config.rendering import render_config, render_schema
from searchtrain.core import cli, files

FOLDER = Path(__file__).parents[1] / "config"


def main() -> None:
    """Write both files."""
    parser = cli.Parser(__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder to write to")
    args = parser.parse()
    for name, text in {"config.yaml": render_config(), "schema.json": render_schema()}.items():
        files.write_text(text, args.out / name)


if __name__ == "__main__":
    cli.run(main)
