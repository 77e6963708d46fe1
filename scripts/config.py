"""Write config.yaml, its schema and docs/config.md from the models (`make config`)."""

from pathlib import Path

from searchtrain.config.reference import render_reference
from searchtrain.config.rendering import render_config, render_schema
from searchtrain.core import cli, files

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Write the three files."""
    parser = cli.Parser(__doc__)
    parser.add_argument("--out", type=Path, default=ROOT, help="the checkout to write to")
    args = parser.parse()
    texts = {
        "config/config.yaml": render_config(),
        "config/schema.json": render_schema(),
        "docs/config.md": render_reference(),
    }
    for name, text in texts.items():
        files.write_text(text, args.out / name)


if __name__ == "__main__":
    cli.run(main)
