"""The students of a run: what each is called, where it lies, what it starts and learns from.

| student     | place         | starts from                | learns from                         |
|-------------|---------------|----------------------------|-------------------------------------|
| `untrained` | `untrained/`  | (it is `train.base`)       | nothing: it is only scored          |
| `round<n>`  | `rounds/<n>/` | base, or the round before  | sft_dataset.json of round n         |
| `student`   | (none)        | the same                   | sft_dataset.json of the last round  |
| `trial_<n>` | `trials/<n>/` | base, or another candidate | its sft_dataset.json, or pairs      |
| `grpo`      | `grpo/`       | `student`                  | its own rollouts on the questions   |

With candidates (`trials`) the student is the one of them that is best on dev.

A place is where a student's results lie below `<results>`, with a slash at its end; that of the
student whose answers are the product is empty. SFT round n has its data in `rounds/<n>/`, round 1
directly in `<results>`. Invariant: every rule on students and rounds is one rule whose wildcard is
a place.
"""

from dataclasses import dataclass

from searchtrain.config import Config
from searchtrain.config.rounds import (
    find_candidate,
    list_data_places,
    plan_rollouts,
    plan_training,
)
from searchtrain.config.trials import AVERAGE
from searchtrain.core.errors import InputError

PILOT = "pilot/"
"""The place of a pilot: the first round's data of `plan.pilot` questions."""
TRIAL = r"trials/[a-z0-9_]+/"
"""The place of a candidate, as a regular expression."""
DATA = rf"(?:rounds/[1-9]\d*/|{PILOT}|{TRIAL})?"
"""The place of a round's data, the pilot's and candidates' among them."""
ROUND = r"(?:rounds/[1-9]\d*/)?"
"""The place of a student that SFT made."""
SCORED = r"(?:rounds/[1-9]\d*/|grpo/)?"
"""The place of a student with scores of its own."""
STUDENT = rf"(?:rounds/[1-9]\d*/|grpo/|untrained/|{TRIAL})?"
"""The place of any student."""


@dataclass(frozen=True, slots=True)
class Student:
    """One model that answers evaluation questions."""

    name: str
    place: str
    folder: str
    """Of its weights."""
    splits: tuple[str, ...]
    """The questions that it answers."""


def list_students(config: Config) -> dict[str, Student]:
    """Every student by its place."""
    benchmarks = ["benchmarks"] * bool(config.data.benchmarks)
    closed_book = ["test_closed_book"] * (config.data.test_answers is not None)
    splits = ("dev", "test", *benchmarks)
    scored = "test" if closed_book else "dev"  # questions whose answers are known
    baselines = (f"{scored}_untrained", f"{scored}_retrieve_read")
    students = [
        Student("student", "", "<results>/checkpoint", ("dev", "test", *closed_book, *benchmarks)),
        Student("untrained", "untrained/", config.train.base, baselines),
        Student("grpo", "grpo/", "<results>/grpo/checkpoint", splits),
    ]
    for number in range(1, config.rounds.count):
        place = f"rounds/{number}/"
        students.append(Student(f"round{number}", place, f"<results>/{place}checkpoint", splits))
    for name in list_candidates(config):
        place = f"trials/{name}/"
        students.append(Student(f"trial_{name}", place, f"<results>/{place}checkpoint", ("dev",)))
    return {student.place: student for student in students}


def list_candidates(config: Config) -> list[str]:
    """The names of the trials that dev decides between, in their order."""
    trials = config.trials
    return [*trials.candidates, *[AVERAGE] * bool(trials.average)]


def find_trained(config: Config) -> str:
    """The places of the students that a training of their own makes, as a regular expression."""
    return rf"trials/(?!{AVERAGE}/)[a-z0-9_]+/" if config.trials.candidates else ROUND


def find_first(config: Config) -> str:
    """The place of the first candidate."""
    return f"trials/{next(iter(config.trials.candidates))}/"


def check_average(config: Config) -> None:
    """Raise InputError when the first candidate keeps fewer states than are averaged.

    Here, since scripts get the candidates in another order.
    """
    if not (wanted := config.trials.average):
        return
    place = find_first(config)
    args = plan_training(config, 1, place).args
    strategy, limit = args.get("save_strategy", "steps"), args.get("save_total_limit")
    if strategy == "no" or (limit is not None and limit < wanted):
        raise InputError(
            f"configuration: trials.average: {wanted} states are averaged, and {place[:-1]} keeps"
            f" fewer (save_strategy {strategy!r}, save_total_limit {limit}); keep as many"
        )


def find_student(config: Config, place: str) -> Student:
    """The student of a place; raises InputError when the run has none there."""
    students = list_students(config)
    if place not in students:
        places = ", ".join(repr(place) for place in students)
        raise InputError(f"{place}: no student of this run (rounds.count: {config.rounds.count});"
                         f" students are in {places}")  # fmt: skip
    return students[place]


def number_of(place: str) -> int:
    """The number of the round whose data lies in `place`."""
    return int(place.split("/")[1]) if place.startswith("rounds/") else 1


def count_drawn(config: Config, place: str) -> int | None:
    """How many of the questions a round's rollouts are about; None: all."""
    if place == PILOT:
        return config.plan.pilot
    return plan_rollouts(config, number_of(place)).questions


def place_of(number: int) -> str:
    """Where the data of round `number` lies."""
    return "" if number == 1 else f"rounds/{number}/"


def student_after(config: Config, number: int) -> Student:
    """The student that round `number` trains; the last round's is the product's."""
    return find_student(config, "" if number == config.rounds.count else f"rounds/{number}/")


def round_of(config: Config, place: str) -> int:
    """The round that trains the student of a place."""
    return number_of(place) if place.startswith("rounds/") else config.rounds.count


def scores_untrained(config: Config) -> bool:
    """Whether the base model's answers are scored beside the student's."""
    return config.predict.untrained and not config.models.student.endpoint


# Inputs and parameters of rules, by the place of a round's data.


def find_before(config: Config, place: str) -> str | list[str]:
    """The folder of the student whose rollouts a later round learns from; none for the first."""
    number = number_of(place)
    return [] if number == 1 else student_after(config, number - 1).folder


def list_curated(config: Config, place: str) -> list[str]:
    """The kept rollouts that a round learns from, the teacher's first."""
    return [f"<results>/{each}curated.parquet" for each in list_data_places(config, place)]


# The same by the place of a student.


def find_data(config: Config, place: str) -> str:
    """Where the data set of a student lies: a candidate's own, if it has other rows."""
    candidate = find_candidate(config, place)
    if candidate and candidate.preference:
        return "<results>/preferences/preference_"
    own = place if candidate and candidate.rows else place_of(round_of(config, place))
    return f"<results>/{own}sft_"


def find_dataset(config: Config, place: str) -> str:
    """What a student learns from."""
    return f"{find_data(config, place)}dataset.json"


def find_info(config: Config, place: str) -> str:
    """How LLaMA-Factory reads it."""
    return f"{find_data(config, place).rpartition('/')[0]}/dataset_info.json"


def find_base(config: Config, place: str) -> str:
    """The folder of the model that a student starts from."""
    candidate = find_candidate(config, place)
    if candidate and candidate.after:
        return f"<results>/trials/{candidate.after}/checkpoint"
    number = round_of(config, place)
    if number == 1 or config.rounds.base == "first":
        return config.train.base
    return student_after(config, number - 1).folder


def find_prompt(config: Config, place: str) -> str:
    """The prompt of its agent, by name: what was not trained to search is told in full."""
    return "agent_teacher" if place == "untrained/" else "agent"


def find_folder(config: Config, place: str) -> str:
    """The folder of a student's weights."""
    return find_student(config, place).folder


def list_splits(config: Config, place: str) -> list[str]:
    """The questions that a student answers."""
    return list(find_student(config, place).splits)


def list_costs(config: Config) -> list[str]:
    """The reports of a run that say what asking models cost, in the order of its stages."""
    trees = ["trees", "written_trees", "tree_questions"] * config.trees.enabled
    each = [
        "trajectories",
        *["shortcuts"] * config.shortcuts.enabled,
        *["equivalents"] * config.curate.answers.judge,
    ]
    rounds = [
        f"{place_of(number)}{name}" for number in range(1, config.rounds.count + 1) for name in each
    ]
    judge = ["judge"] * config.judge.enabled
    return [f"<results>/{name}_report.json" for name in (*trees, *rounds, *judge)]


def list_predictions(config: Config, place: str) -> list[str]:
    """The predictions that are scored together: beside the product's the untrained model's."""
    untrained = not place and scores_untrained(config)
    places = [place, *["untrained/"] * untrained]
    return [f"<results>/{each}predictions.parquet" for each in places]
