"""Write a run's data in the formats that others read (rule export).

The folder is a Hugging Face data set with its card (README.md): what was kept (data/) and every
rollout (trajectories/). Beside them are openai/train.jsonl and tool_calls/train.jsonl, the kept
ones as OpenAI's fine-tuning takes them, and atif/trajectories.jsonl, every rollout.
"""

from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.export import atif, dataset
from searchtrain.export.card import CONFIGS, Facts, render_card
from searchtrain.training.chats import make_chats

FORMS = {"openai": "tags", "tool_calls": "tool_calls"}
"""Folder -> the format of its turns."""


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(
        "trajectories", "curated", "verdicts", "questions",
        prompt="the student's system prompt", seeds="seeds_report.json",
        sampling="sampling_report.json", out="the folder to make",
    )  # fmt: skip
    args = parser.parse()
    trajectories = schemas.read_table(args.trajectories, schemas.Trajectories)
    curated = schemas.read_table(args.curated, schemas.Curated)
    verdicts = schemas.read_table(args.verdicts, schemas.Verdicts)
    questions = schemas.read_table(args.questions, schemas.Questions)
    written = {f"rollouts {number}": key for number, key in enumerate(
        dict.fromkeys(each["prompt"] for each in trajectories["lineage"]), 1)}  # fmt: skip
    facts = Facts(
        args.config, files.read_json(args.seeds), files.read_json(args.sampling),
        trajectories, verdicts, curated,
        {**written, "student": files.digest(args.prompt.read_text(encoding="utf-8"))},
    )  # fmt: skip
    rollouts = dataset.make_rollouts(trajectories, verdicts)
    with files.replace_folder(args.out) as folder:
        for name, form in FORMS.items():
            chats = make_chats(curated, args.config, args.prompt, form)
            files.write_jsonl(chats, folder / name / "train.jsonl")
            if name == "openai":
                kept = dataset.make_kept(curated, questions, chats)
                dataset.write_config(kept, folder / CONFIGS["default"])
        dataset.write_config(rollouts, folder / CONFIGS["trajectories"])
        documents = map(atif.make_trajectory, rollouts.iter_rows(named=True))
        files.write_jsonl(documents, folder / "atif" / "trajectories.jsonl")
        files.write_text(render_card(facts), folder / "README.md")
    cli.logger.info(
        "%s: %d conversations, %d rollouts", args.out, curated.height, trajectories.height
    )


if __name__ == "__main__":
    cli.run(main)
