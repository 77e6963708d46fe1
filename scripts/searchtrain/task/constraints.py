"""The search-augmented task's constraints, and where a config or a run breaks them.

Invariant: with `task.teacher` set, what writes training data is that model, and nothing that
answers an evaluation question is that model, its endpoint or holds its key; with
`task.seed_data_only` nothing but the questions of `data.train` feeds synthesis.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from searchtrain.config import Config, Section, Task
from searchtrain.config.writers import list_writers
from searchtrain.core.errors import InputError
from searchtrain.models.identity import is_same_model
from searchtrain.models.role import find_section

HELD_OUT = ("dev", "test", "test_answers")
"""Files of section `data` that may not feed synthesis."""


def check_task(config: Config) -> None:
    """Check a whole config against its section `task`.

    Raises InputError with a line for each breach: key, value, remedy.
    """
    task, base = config.task, config.train.base
    faults = list(_check_submissions(task))
    if task.seed_data_only:
        faults += _check_sources(config)
    if config.mix.file and (task.seed_data_only or task.teacher):
        faults.append(
            f"mix.file: {config.mix.file}: the task's training data is what its teacher"
            " writes on seed questions; set mix.file: null"
        )
    if task.enforced and config.predict.agreement > 1:
        faults.append(
            f"predict.agreement: {config.predict.agreement}: the task's inference script is fixed,"
            " one rollout a question; set predict.agreement: 1"
        )
    pairs = [name for name, each in config.trials.candidates.items() if each.preference]
    if task.enforced and pairs and not task.preference_pairs:
        faults.append(
            f"trials.candidates.{pairs[0]}.preference: the task says supervised fine-tuning; leave"
            " it out, or say with task.preference_pairs: true that the rules allow it"
        )
    if task.student and not is_same_model(base, task.student):
        faults.append(
            f"train.base: {base}: is not the task's student {task.student!r} (task.student,"
            " compared with the last part of the path); start from that model"
        )
    if task.teacher:
        faults += [*_check_writers(config, task.teacher), *_check_predictors(config, task.teacher)]
    if faults:
        raise InputError("configuration: " + "\n".join(faults))


def list_predictors(config: Config) -> dict[str, Section]:
    """What a prediction or the scoring of one may ask: config key -> its section."""
    roles = ["student", *["refiner"] * config.refine.enabled, *["judge"] * config.judge.enabled]
    sections: dict[str, Section] = {config.search: getattr(config, config.search)}
    return sections | {f"models.{role}": find_section(config, role) for role in roles}


def list_secrets(config: Config) -> list[str]:
    """Environment variables that a prediction may not see: the keys of the teacher's endpoints."""
    if not config.task.teacher:
        return []
    sections = [find_section(config, role) for role in list_writers(config)]
    return sorted(set(filter(None, (getattr(each, "api_key_env", "") for each in sections))))


def _check_submissions(task: Task) -> Iterator[str]:
    folders, most = task.submissions, task.max_submissions
    if len(folders) > most:
        yield (
            f"task.submissions: {len(folders)} ({', '.join(folders)}) where task.max_submissions is"
            f" {most}; take {len(folders) - most} out"
        )
    places = [str(Path(folder)) for folder in folders.values()]
    for folder in sorted({place for place in places if places.count(place) > 1}):
        yield (
            f"task.submissions: {folder!r} stands there twice; give each its own folder of results"
        )


def _check_sources(config: Config) -> Iterator[str]:
    only = "task.seed_data_only is true, and only data.train may feed synthesis"
    trees = config.trees
    if trees.enabled and trees.roots != "answers":
        yield (
            f"trees.roots: {trees.roots}: {only}; set trees.roots: answers (trees grown from"
            " answers of seed questions) or trees.enabled: false"
        )
    if config.seeds.ngram is None:
        yield (f"seeds.ngram: null: {only}, without what overlaps dev or test; set seeds.ngram: 8")
    data = config.data
    others = {f"data.{key}": file for key in HELD_OUT if (file := getattr(data, key))}
    others |= {f"data.benchmarks.{name}": file for name, file in data.benchmarks.items()}
    for key, file in others.items():
        if Path(file).resolve() == Path(data.train).resolve():
            yield f"data.train: {data.train}: is {key} as well, and {only}; name the seed file"


def _check_writers(config: Config, teacher: str) -> Iterator[str]:
    for role, reason in list_writers(config).items():
        model = find_section(config, role).model
        if not is_same_model(model, teacher):
            remedy = {
                "teacher": f"set models.teacher.model: {teacher}",
                # It works at inference, too, where the teacher may not.
                "refiner": "set refine.enabled: false",
            }.get(role, f"set models.{role}.same_as: teacher, or {reason}: false")
            yield (
                f"models.{role}.model: {model}: only {teacher!r} (task.teacher) may write training"
                f" data, and this role does ({reason}); {remedy}"
            )
    rounds = config.rounds.count
    if rounds > 1:
        yield (
            f"rounds.count: {rounds}: a later round learns from the student's own rollouts, and"
            f" only {teacher!r} (task.teacher) may write training data; set rounds.count: 1"
        )


def _check_predictors(config: Config, teacher: str) -> Iterator[str]:
    why = f"{teacher!r} (task.teacher) may not be reached from predictions"
    hosts = {
        urlsplit(section.endpoint).netloc: role
        for role in list_writers(config)
        for section in [find_section(config, role)]
        if section.endpoint and is_same_model(section.model, teacher)
    }
    secrets = list_secrets(config)
    for key, section in list_predictors(config).items():
        remedy = {
            "models.student": "let the workflow serve it (models.student.endpoint: null)",
            "models.refiner": "set refine.enabled: false (a refiner works at inference, too)",
            "models.judge": "set judge.enabled: false, or name another judge",
        }.get(key, f"name another {key}.endpoint")
        model, endpoint = getattr(section, "model", ""), getattr(section, "endpoint", None)
        host, key_env = urlsplit(endpoint or "").netloc, getattr(section, "api_key_env", "")
        if model and is_same_model(model, teacher):
            yield f"{key}.model: {model}: {why}; {remedy}"
        elif host and host in hosts:
            yield (
                f"{key}.endpoint: {endpoint}: is where models.{hosts[host]} is, and {why}; {remedy}"
            )
        elif endpoint and key_env in secrets:
            yield (
                f"{key}.api_key_env: {key_env}: is the teacher's key, and {why};"
                " give it a key of its own"
            )
    base = config.train.base
    if is_same_model(base, teacher):
        yield f"train.base: {base}: {why}; start from the student's base"
