"""The students of a run: what each is called, where it lies, what it starts and learns from.

| student     | place         | starts from                | learns from                         |
|-------------|---------------|----------------------------|-------------------------------------|
| `untrained` | `untrained/`  | (it is `train.base`)       | nothing: it is only scored          |
| `round<n>`  | `rounds/<n>/` | base, or the round before  | sft_dataset.json of round n         |
| `student`   | (none)        | the same                   | sft_dataset.json of the last round  |
| `grpo`      | `grpo/`       | `student`                  | its own rollouts on the questions   |

A place is where a student's results lie below `<results>`, with a slash at its end; that of the
student whose answers are the product is empty. SFT round n has its data in `rounds/<n>/`, round 1
directly in `<results>`. Invariant: every rule on students and rounds is one rule whose wildcard is
a place.
"""

from dataclasses import dataclass

from searchtrain.config import Config
from searchtrain.config.rounds import plan_rollouts
from searchtrain.core.errors import InputError

PILOT = "pilot/"
"""The place of a pilot: the first round's data of `plan.pilot` questions."""
DATA = rf"(?:rounds/[1-9]\d*/|{PILOT})?"
"""The place of a round's data, the pilot's among them, as a regular expression."""
ROUND = r"(?:rounds/[1-9]\d*/)?"
"""The place of a student that SFT made."""
SCORED = r"(?:rounds/[1-9]\d*/|grpo/)?"
"""The place of a student with scores of its own."""
STUDENT = r"(?:rounds/[1-9]\d*/|grpo/|untrained/)?"
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
    return {student.place: student for student in students}


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
    return 1 if place in ("", PILOT) else int(place.split("/")[1])


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
    return number_of(place) if place else config.rounds.count


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
    if place == PILOT:
        return [f"<results>/{place}curated.parquet"]
    number = number_of(place)
    rounds = range(1, number + 1) if config.rounds.data == "all" else [number]
    return [f"<results>/{place_of(each)}curated.parquet" for each in rounds]


# The same by the place of a student.


def find_dataset(config: Config, place: str) -> str:
    """What a student learns from."""
    return f"<results>/{place_of(round_of(config, place))}sft_dataset.json"


def find_info(config: Config, place: str) -> str:
    """How LLaMA-Factory reads it."""
    return f"<results>/{place_of(round_of(config, place))}dataset_info.json"


def find_base(config: Config, place: str) -> str:
    """The folder of the model that a student starts from."""
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


def list_predictions(config: Config, place: str) -> list[str]:
    """The predictions that are scored together: beside the product's the untrained model's."""
    untrained = not place and scores_untrained(config)
    places = [place, *["untrained/"] * untrained]
    return [f"<results>/{each}predictions.parquet" for each in places]
