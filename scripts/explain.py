"""Tell the story of a row by its id: a question, a rollout, an answer, a research tree, or a record
of the SFT data (sft_dataset.json:17)."""

import json
from pathlib import Path

from searchtrain.core import cli
from searchtrain.data.results import Results
from searchtrain.story.chapters import format_story
from searchtrain.story.story import tell_story


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("id", help="as it stands in the tables; rounds/2/ID: that round's")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder")
    parser.add_argument("--json", action="store_true", help="as JSON, with whole texts")
    args = parser.parse()
    story = tell_story(Results(args.results), args.id)
    as_json = json.dumps(story.to_json(), ensure_ascii=True, indent=1) if args.json else ""
    cli.show(as_json or format_story(story))


if __name__ == "__main__":
    cli.run(main)
