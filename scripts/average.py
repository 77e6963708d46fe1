"""Average the last saved states of the first candidate's training (rule average)."""

from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data.lineage import hash_model
from searchtrain.training import averaging


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths("out", model="checkpoint of the candidate", work="folder with .partial/train/")
    args = parser.parse()
    trained = files.read_json(args.model / "manifest.json")
    run = args.work / ".partial/train" / trained["run"]
    states = averaging.list_states(run, args.config.trials.average)
    with files.replace_folder(args.out) as partial:
        averaging.average_states(states, args.model, partial)
        averaged = [state.name for state in states]
        manifest = {**trained, "weights": hash_model(partial), "averaged": averaged}
        files.write_json(manifest, partial / "manifest.json")


if __name__ == "__main__":
    cli.run(main)
