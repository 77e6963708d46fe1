"""The table of stages: what makes which rule stale, checked room by room against every rule."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from searchtrain.config import read_config
from searchtrain.core.errors import ToldToModel
from searchtrain.workflow import code, servers
from searchtrain.workflow.code import LIBRARY, LOG_LEVELS, TOLD_TO_MODEL, digest_modules, list_files
from searchtrain.workflow.stages import STAGES, list_modules, list_settings, show_config

ROOT = Path(__file__).parents[2]
ROOMS = sorted(folder.name for folder in LIBRARY.iterdir() if (folder / "__init__.py").exists())
WEB = {"search": "web", "refine": {"enabled": True}, "trajectories": {"accepted": 1}}
DENSE = {"retriever": {"index": {"engine": "hybrid"}}, "train": {"attention": None}}
CONFIGS = {"laptop": {}, "web": WEB, "dense": DENSE}


def digest_all(library):
    """The code of every stage and of every server, by config and name."""
    digests = {}
    for name, values in CONFIGS.items():
        config = read_config(values)
        for stage in STAGES:
            digests[name, stage] = digest_modules(list_modules(config, stage), library)
        engine = config.retriever.index.engine
        digests[name, "serve retriever"] = digest_modules([f"search.{engine}"], library)
    digests["", "scripted roles"] = digest_modules(servers.SCRIPTED_CODE, library)
    digests["", "laptop's web"] = digest_modules(servers.WEB_CODE, library)
    return digests


@pytest.fixture
def library(tmp_path):
    """A copy of the library to change."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(LIBRARY, tmp_path / "searchtrain", ignore=ignored))


@pytest.fixture(scope="module")
def before():
    """The digests of the library as it is."""
    return digest_all(LIBRARY)


class Reword(ast.NodeTransformer):
    """Change every text for users: docstrings, log lines, the messages of errors."""

    def __init__(self):
        self.changed = 0

    def visit_Call(self, node):
        self.generic_visit(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        owner = getattr(getattr(node.func, "value", None), "id", "")
        logs = owner == "logger" and name in LOG_LEVELS
        error = name.endswith("Error") and name not in TOLD_TO_MODEL
        if (logs or error) and node.args:
            self.changed += 1
            node.args[0] = ast.Constant("another text")
        return node


def reword(file):
    visitor = Reword()
    tree = visitor.visit(ast.parse(file.read_text()))
    file.write_text('"""Another docstring."""\n' + ast.unparse(ast.fix_missing_locations(tree)))
    return visitor.changed


def test_every_room_has_texts_for_users_to_change():
    """Else the next test could not fail."""
    texts = {room: sum(map(count_texts, (LIBRARY / room).glob("*.py"))) for room in ROOMS}
    assert sum(texts.values()) > 200
    assert texts["curation"] and texts["agent"] and texts["training"] and texts["search"]


def count_texts(file):
    visitor = Reword()
    visitor.visit(ast.parse(file.read_text()))
    return visitor.changed


@pytest.mark.parametrize("room", ROOMS)
def test_messages_log_lines_and_docstrings_make_no_rule_stale(library, before, room):
    for file in (library / room).glob("*.py"):
        reword(file)
    assert digest_all(library) == before


@pytest.mark.parametrize("module", code.NEUTRAL)
def test_what_is_neutral_makes_no_rule_stale_whatever_it_does(library, before, module):
    path = library.joinpath(*module.split("."))
    files = list(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    assert files
    for file in files:
        file.write_text(file.read_text() + "\n\ndef more(value):\n    return value + 1\n")
    assert digest_all(library) == before


def test_command_lines_are_no_part_of_a_rule():
    files = {file for stage in STAGES for file in list_files(list_modules(read_config({}), stage))}
    assert all(LIBRARY in file.parents for file in files)
    assert LIBRARY / "core/cli.py" not in files


@pytest.mark.parametrize(
    ("module", "stale"),
    [
        ("curation/measures.py", {"curate", "shortcuts", "defects", "preferences", "figures"}),
        ("curation/choice.py", {"curate", "preferences"}),
        ("questions/tagging.py", {"tag"}),
        ("questions/sampling.py", {"sample"}),
        ("training/sharegpt.py", {"sft_dataset", "preferences", "export"}),
        ("training/records.py", {"sft_dataset", "checkpoint", "preferences", "export"}),
        ("export/atif.py", {"export"}),
        ("training/mixing.py", {"sft_dataset"}),
        ("training/pairs.py", {"preferences"}),
        ("training/processor.py", {"checkpoint"}),
        ("evaluation/agreement.py", set()),
        ("training/attention.py", {"checkpoint"}),
        ("agent/refiner.py", set()),
        ("agent/reading.py", {"trajectories", "shards", "predict", "grpo"}),
        ("agent/validity.py", set()),
        ("search/web.py", set()),
        ("search/extract.py", set()),
        ("search/dense.py", set()),
        ("search/bm25.py", {"index", "serve retriever"}),
        ("evaluation/metrics.py", {"metrics"}),
        ("trees/growth.py", {"trees"}),
        ("rl/rewards.py", {"grpo"}),
    ],
)
def test_a_change_of_what_is_done_concerns_the_stages_that_run_it(library, before, module, stale):
    """On the laptop's config, which searches by BM25 and has no refiner."""
    file = library / module
    file.write_text(file.read_text() + "\nMORE = 1\n")
    after = digest_all(library)
    changed = {name for (config, name) in before if config == "laptop" and
               before[config, name] != after[config, name]}  # fmt: skip
    assert changed == stale


def test_the_backend_that_the_config_names_counts_and_no_other():
    laptop, web = (read_config(CONFIGS[name]) for name in ("laptop", "web"))
    names = {file.relative_to(LIBRARY).as_posix() for file in list_code(laptop, "predict")}
    assert "agent/loop.py" in names and "agent/grammar.py" in names
    foreign = re.compile(r"search/(web|pages|extract|serper|dense|encoder|vectors|hybrid)|trees/")
    assert not [name for name in names if foreign.match(name)]
    names = {file.relative_to(LIBRARY).as_posix() for file in list_code(web, "predict")}
    assert {"search/web.py", "search/extract.py", "agent/refiner.py"} <= names
    accepting = {file.name for file in list_code(web, "trajectories")}
    assert "choice.py" in accepting


def list_code(config, stage):
    return list_files(list_modules(config, stage))


def test_every_rule_is_a_row_and_every_row_a_rule():
    text = "".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    assert set(re.findall(r"^ *rule (\w+):", text, re.MULTILINE)) - {"serve"} == set(STAGES)
    assert set(re.findall(r'stage\(\s*"(\w+)"', text)) == set(STAGES)


def test_errors_that_a_model_is_told_are_those_whose_text_counts():
    def below(kind):
        return {kind.__name__}.union(*map(below, kind.__subclasses__()))

    import searchtrain.trees.tree  # noqa: F401 (it has one of its own)

    told = below(ToldToModel) - {"ToldToModel"}
    assert {name for name in told if name.endswith("Error")} == set(TOLD_TO_MODEL)


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"models": {"teacher": {"concurrency": 1, "timeout": 9}}}, set()),
        ({"models": {"teacher": {"price": {"prompt": 1}}}}, {"transcripts", "export"}),
        ({"models": {"teacher": {"revision": "2"}}}, {"tag", "trajectories"}),
        ({"models": {"teacher": {"format": "tool_calls"}}}, {"trajectories"}),
        (
            {"models": {"student": {"format": "search_r1"}}},
            {"sft_dataset", "preferences", "predict"},
        ),
        ({"models": {"student": {"vllm": {"tuning": {"max-num-seqs": 1}}}}}, set()),
        ({"tag": {"seed": 2}}, {"tag"}),
        ({"tag": {"sampling": {"temperature": 1.0}}}, {"tag"}),
        ({"curate": {"rules": {"turns": 3}}}, {"curate", "preferences", "pilot"}),
        ({"rows": {"reader": 0.5}}, {"sft_dataset"}),
        ({"rows": {"seed": 2}}, set()),
        ({"preferences": {"max_pairs": 3}}, {"preferences"}),
        ({"predict": {"max_answer_words": 3}}, {"metrics"}),
        ({"predict": {"untrained": False}}, set()),
        ({"trees": {"train_questions": 5}}, {"questions"}),
        ({"trees": {"attempts": 5}}, {"trees", "written_trees"}),
        ({"train": {"gpu": 1, "threads": 9}}, set()),
        ({"train": {"tokens": "served"}}, {"checkpoint"}),
        ({"curate": {"order": "hardest"}}, {"curate", "checkpoint", "pilot"}),
        (
            {"models": {"student": {"wire": {"observations": "user"}}}},
            {"sft_dataset", "preferences", "predict"},
        ),
        ({"grpo": {"python": "python", "gpu": 1}}, set()),
        ({"predict": {"limits": {"max_evidence_chars": 9000}}}, {"predict", "grpo"}),
        ({"web": {"results": 5}}, set()),
        ({"search": "web"}, {"trajectories", "predict", "grpo"}),
        ({"task": {"budget_hours": 3.0}}, {"figures"}),
        ({"mix": {"ratio": 0.5}}, set()),
        ({"cache": "elsewhere"}, set()),
        ({"trajectories": {"shards": 2}}, {"trajectories"}),
    ],
)
def test_a_setting_makes_the_stages_stale_that_it_decides(change, stale):
    before, after = read_config({}), read_config(change)
    changed = {name for name in STAGES if list_settings(before, name) != list_settings(after, name)}
    assert changed - {"plan"} == stale


SEARCHING = {"trees", "verify", "trajectories", "predict", "grpo"}
THERE = {"endpoint": "http://127.0.0.1:8001"}


@pytest.mark.parametrize(
    ("retriever", "change", "stale"),
    [
        (THERE, {"revision": "e5 over wiki-18"}, SEARCHING),
        (THERE, {"endpoint": "http://127.0.0.1:8002", "answerable": 0.5}, set()),
        ({}, {"revision": "of no endpoint"}, set()),
        ({"index": {"engine": "dense"}}, {"index": {"faiss": "e5_Flat.index"}}, set()),
    ],
)
def test_what_runs_at_an_endpoint_decides_what_is_found(retriever, change, stale):
    """A FAISS index is a file, which Snakemake compares itself."""
    before = read_config({"retriever": retriever})
    after = read_config({"retriever": {**retriever, **change, "index": {
        **retriever.get("index", {}), **change.get("index", {})}}})  # fmt: skip
    changed = {name for name in STAGES if list_settings(before, name) != list_settings(after, name)}
    assert changed - {"plan"} == stale


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"reranker": {"model": "cross"}}, True),
        ({"reranker": {"model": "cross", "depth": 9}}, True),
        ({"reranker": {"depth": 9}}, False),
        ({"index": {"engine": "dense", "faiss": "x", "faiss_parameters": "nprobe=9"}}, True),
        ({"gpu": 3, "port": 9}, False),
    ],
)
def test_what_decides_the_answers_of_the_workflows_retriever(change, differs):
    before, after = (
        servers.identify_server(read_config({"retriever": each}), "retriever")
        for each in ({}, change)
    )
    assert (before != after) == differs


def test_who_may_answer_is_a_setting_like_others():
    config = read_config({})
    bound = read_config({"task": {"enforced": True, "teacher": "Qwen2.5-72B-Instruct"}})
    changed = {name for name in STAGES if list_settings(config, name) != list_settings(bound, name)}
    assert changed - {"plan"} == {"tag", "trajectories", "figures", "export"}


def test_the_students_format_reaches_whoever_writes_or_trains_in_it():
    config = read_config({"models": {"student": {"format": "search_r1"}}})
    for stage in ("sft_dataset", "grpo", "predict", "trajectories"):
        assert show_config(config, stage)["models"]["student"]["format"] == "search_r1"


def test_later_rounds_roll_out_as_section_rounds_says():
    config = read_config({"rounds": {"count": 2}})
    changed = read_config({"rounds": {"count": 2, "rollouts": 9}})
    assert list_settings(config, "trajectories", "") == list_settings(changed, "trajectories", "")
    second = [list_settings(each, "trajectories", "rounds/2/") for each in (config, changed)]
    assert second[0] != second[1]


def test_evaluation_is_told_nothing_of_the_teacher():
    secret = {"endpoint": "http://127.0.0.1:9999/v1", "model": "secret", "api_key_env": "SECRET"}
    config = read_config(
        {"models": {"teacher": secret}, "task": {"enforced": True, "teacher": "secret"}}
    )
    for stage in ("predict", "metrics", "judge", "benchmarks", "browsecomp"):
        assert "secret" not in str(show_config(config, stage)).lower()
    assert "secret" in str(show_config(config, "tag"))
