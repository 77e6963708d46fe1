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

ROUND = r"(?:rounds/[1-9]\d*/)?"
"""The place of a round's data, as a regular expression."""
SCORED = r"(?:rounds/[1-9]\d*/|grpo/)?"
"""The place of a student with scores of its own."""
STUDENT = r"(?:rounds/[1-9]\d*/|grpo/|untrained/)?"
"""The place of any student."""
CLOSED_BOOK = "test_closed_book"
UNTRAINED = "test_untrained"


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
    asked = ("dev", "test", *["benchmarks"] * bool(config.data.benchmarks))
    known = [CLOSED_BOOK] * (config.data.test_answers is not None)
    students = [
        Student("student", "", "<results>/checkpoint", (*asked[:2], *known, *asked[2:])),
        Student("untrained", "untrained/", config.train.base, (UNTRAINED,)),
        Student("grpo", "grpo/", "<results>/grpo/checkpoint", asked),
    ]
    for number in range(1, config.rounds.count):
        place = f"rounds/{number}/"
        students.append(Student(f"round{number}", place, f"<results>/{place}checkpoint", asked))
    return {student.place: student for student in students}


def number_of(place: str) -> int:
    """The number of the round whose data lies in `place`."""
    return int(place.split("/")[1]) if place else 1


def place_of(number: int) -> str:
    """Where the data of round `number` lies."""
    return "" if number == 1 else f"rounds/{number}/"


def student_after(config: Config, number: int) -> Student:
    """The student that round `number` trains; the last round's is the product's."""
    place = "" if number == config.rounds.count else f"rounds/{number}/"
    return list_students(config)[place]


def round_of(config: Config, student: str) -> int:
    """The round that trains the student of the place `student`."""
    return number_of(student) if student else config.rounds.count


def base_of(config: Config, number: int) -> str:
    """The folder of the model that round `number` starts from."""
    if number == 1 or config.rounds.base == "first":
        return config.train.base
    return student_after(config, number - 1).folder


def list_curated(config: Config, number: int) -> list[str]:
    """The kept rollouts that round `number` learns from, the teacher's first."""
    rounds = range(1, number + 1) if config.rounds.data == "all" else [number]
    return [f"<results>/{place_of(each)}curated.parquet" for each in rounds]


def scores_untrained(config: Config) -> bool:
    """Whether the base model's answers are scored beside the student's."""
    known = config.data.test_answers is not None
    return known and config.predict.untrained and not config.models.student.endpoint
