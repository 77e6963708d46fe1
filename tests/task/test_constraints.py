"""The search-augmented task's constraints: what breaks one is refused, and says how to fix it."""

import asyncio
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest
import yaml
from snakemake.utils import update_config

from searchtrain.config import read_config
from searchtrain.core.errors import InputError, ServiceError
from searchtrain.models.client import ModelClient, open_model
from searchtrain.models.identity import check_folder, check_name
from searchtrain.models.request_cache import RequestCache
from searchtrain.models.role import Role
from searchtrain.task.constraints import check_task, list_secrets
from searchtrain.training.sharegpt import check_origins

CONFIG = Path(__file__).parents[2] / "config"
PRESET = "config/presets/search_sft.yaml"
TEACHER = "Qwen2.5-72B-Instruct"


def load(*layers):
    config = yaml.safe_load((CONFIG / "config.yaml").read_text())
    for layer in layers:
        update_config(config, yaml.safe_load((CONFIG / layer).read_text()))
    return config


@pytest.fixture
def config():
    """The task with a teacher at an endpoint, as at full size."""
    config = load("presets/search_sft.yaml")
    config["task"] |= {"teacher": TEACHER, "student": "Qwen2.5-7B-Instruct"}
    config["train"]["base"] = "/models/Qwen2.5-7B-Instruct"
    config["models"]["teacher"] |= {
        "serve": None, "endpoint": "http://10.0.0.1:8000/v1", "model": f"Qwen/{TEACHER}",
        "api_key_env": "TEACHER_KEY",
    }  # fmt: skip
    check_task(read_config(config))
    return config


def set_in(config, place, value):
    *sections, key = place.split(".")
    for section in sections:
        config = config[section]
    config[key] = value


@pytest.mark.parametrize(
    ("changes", "said", "remedy"),
    [
        ({"mix.file": "chat.jsonl"}, "mix.file: chat.jsonl", "set mix.file: null"),
        ({"trees.enabled": True}, "trees.roots: corpus", "set trees.roots: answers"),
        ({"seeds.ngram": None}, "seeds.ngram: null", "set seeds.ngram: 8"),
        ({"data.train": "d.json", "data.dev": "x/../d.json"}, "d.json: is data.dev", "name the"),
        (
            {"data.train": "b.json", "data.benchmarks": {"musique": "b.json"}},
            "data.train: b.json: is data.benchmarks.musique", "name the seed file",
        ),
        ({"train.base": "/models/Qwen2.5-3B"}, "train.base: /models/Qwen2.5-3B", "start from that"),
        (
            {"models.teacher.model": "Qwen/Qwen2.5-32B-Instruct"},
            "models.teacher.model: Qwen/Qwen2.5-32B-Instruct",
            f"set models.teacher.model: {TEACHER}",
        ),
        (
            {"refine.enabled": True},
            "models.refiner.model: scripted-refiner", "set refine.enabled: false",
        ),
        (
            {"refine.enabled": True, "models.refiner.model": TEACHER},
            f"models.refiner.model: {TEACHER}: '{TEACHER}' (task.teacher) may not be reached",
            "set refine.enabled: false",
        ),
        (
            {"shortcuts.enabled": True},
            "models.judge.model: scripted-judge", "set models.judge.same_as: teacher",
        ),
        (
            {"trees.enabled": True, "trees.roots": "answers"},
            "models.planner.model: scripted-planner", "set models.planner.same_as: teacher",
        ),
        ({"rounds.count": 2}, "rounds.count: 2", "set rounds.count: 1"),
        (
            {"models.student.endpoint": "http://10.0.0.1:8000/v1"},
            "models.student.endpoint: http://10.0.0.1:8000/v1: is where models.teacher is",
            "let the workflow serve it",
        ),
        ({"models.student.model": TEACHER}, f"models.student.model: {TEACHER}", "let the workflow"),
        (
            {"retriever.endpoint": "http://10.0.0.1:8000"},
            "retriever.endpoint: http://10.0.0.1:8000: is where models.teacher is", "name another",
        ),
        (
            {"search": "web", "web.endpoint": "https://e.test/s", "web.api_key_env": "TEACHER_KEY"},
            "web.api_key_env: TEACHER_KEY: is the teacher's key", "a key of its own",
        ),
        (
            {"judge.enabled": True, "models.judge.same_as": "teacher"},
            f"models.judge.model: Qwen/{TEACHER}", "set judge.enabled: false",
        ),
        (
            {"task.student": TEACHER, "train.base": f"/models/{TEACHER}"},
            f"train.base: /models/{TEACHER}: '{TEACHER}' (task.teacher) may not be", "start from",
        ),
        (
            {"predict.agreement": 4, "models.student.sampling.temperature": 0.7},
            "predict.agreement: 4: the task's inference script is fixed",
            "set predict.agreement: 1",
        ),
        (
            {"task.submissions": {name: f"results/{name}" for name in "abcd"}},
            "task.submissions: 4 (a, b, c, d) where task.max_submissions is 3", "take 1 out",
        ),
        (
            {"task.submissions": {"a": "results/x", "b": "results/./x"}},
            "task.submissions: 'results/x' stands there twice", "its own folder",
        ),
    ],
)  # fmt: skip
def test_a_breach_names_key_value_and_remedy(config, changes, said, remedy):
    for place, value in changes.items():
        set_in(config, place, value)
    settings = read_config(config)
    with pytest.raises(InputError) as caught:
        check_task(settings)
    line = next(line for line in str(caught.value).splitlines() if said in line)
    assert remedy in line


def test_without_a_task_nothing_is_refused():
    check_task(read_config(load("presets/infoseek.yaml")))
    check_task(read_config(load("presets/simpledeepsearcher.yaml")))
    assert list_secrets(read_config(load())) == []


@pytest.mark.parametrize("name", ["traces", "reader", "preference"])
def test_the_submissions_of_the_preset_have_the_folder_that_it_names(name):
    config = read_config(load("presets/search_sft.yaml", f"submissions/{name}.yaml"))
    check_task(config)
    assert config.task.submissions[name] == config.pathvars["results"]


def test_the_workflow_refuses_a_breach_when_it_is_read(checkout):
    overlay = checkout.path / "breach.yaml"
    overlay.write_text("mix: {file: tests/files/chat.jsonl}")
    ended = checkout.run("--dry-run", configfiles=[PRESET, str(overlay)])
    assert ended.returncode != 0 and "mix.file: tests/files/chat.jsonl" in ended.stdout


def test_no_prediction_and_none_of_its_servers_knows_the_teacher(checkout):
    """Walk the jobs of a whole run, with everything about the teacher made recognisable."""
    overlay = checkout.path / "teacher.yaml"
    teacher = {
        "serve": None, "endpoint": "http://127.0.0.1:9999/v1", "model": "xteacherx",
        "api_key_env": "XTEACHERX_KEY",
    }  # fmt: skip
    overlay.write_text(
        json.dumps({"task": {"teacher": "xteacherx"}, "models": {"teacher": teacher}})
    )
    ended = checkout.run(
        "out/results/test.json", "out/results/hours.md", "--dry-run", "--printshellcmds",
        configfiles=[PRESET, str(overlay)],
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    traces = re.compile("xteacherx|XTEACHERX|9999|agent_teacher")
    jobs = re.split(r"\n *\[(?=\w{3} \w{3} )", ended.stdout)
    found = {}
    for job in jobs:
        if match := re.search(r"\brule (\w+):", job):
            name, served = match[1], re.search(r"output: \S+/\.serve/(\S+)-\w+\.json", job)
            found.setdefault(f"{name} {served[1]}" if served else name, []).append(job)
    assert any('"teacher":"http://127.0.0.1:9999/v1"' in job for job in found["trajectories"])
    assert all('"teacher":"xteacherx"' in job for job in found["tag"] + found["trajectories"])
    assert len(found["predict"]) == 2 and all("--check-model" in job for job in found["predict"])
    guarded = [key for key in found if re.match(r"predict|metrics|serve predict", key)]
    assert {"predict", "metrics", "serve predict", "serve predict.untrained"} <= set(guarded)
    for key in guarded:
        for job in found[key]:
            # The one trace is that its key is taken away: by `unset`, or from what a server has.
            rest = job.replace("unset XTEACHERX_KEY && ", "").replace('"XTEACHERX_KEY":null', "")
            if "untrained/" in job:  # the base is told what the teacher is told, and asks nobody
                rest = rest.replace("agent_teacher.jinja", "")
            assert not traces.search(rest), rest
    assert all("unset XTEACHERX_KEY && exec python" in job for job in found["predict"])
    students = [job for job in found["serve predict"] if "--server student" in job]
    assert students and all('"XTEACHERX_KEY":null' in job for job in students)


def make_curated(**changes):
    row = {
        "id": "7#0", "question_id": "7", "question": "Where is Oslo?",
        "lineage": {"model": f"Qwen/{TEACHER}", "revision": "1", "prompt": "", "seed": 1},
    }  # fmt: skip
    return pl.DataFrame([row, {**row, "id": "8#0", "question_id": "8", **changes}])


QUESTIONS = pl.DataFrame(
    {"id": ["7", "8", "t1"], "question": ["Where is Oslo?"] * 3, "origin": ["seed", "seed", "tree"]}
)


def test_records_of_seed_questions_by_the_named_teacher_pass():
    check_origins(make_curated(), QUESTIONS, TEACHER, trees=False)
    check_origins(make_curated(question_id="t1"), QUESTIONS, TEACHER, trees=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"question_id": "9"}, "rollout '8#0' ('Where is Oslo?') traces to no seed question"),
        ({"question": "Who?"}, "rollout '8#0' ('Who?') traces to no seed question"),
        ({"question_id": "t1"}, "traces to no seed question (1 such rollouts)"),
        (
            {"lineage": {"model": "student", "revision": "1", "prompt": "", "seed": 1}},
            f"rollout '8#0' was written by 'student', not by '{TEACHER}'",
        ),
    ],
)
def test_a_record_of_another_source_or_model_is_refused(changes, said):
    with pytest.raises(InputError) as caught:
        check_origins(make_curated(**changes), QUESTIONS, TEACHER, trees=False)
    assert said in str(caught.value) and "rebuild" in str(caught.value)


class Server:
    """An OpenAI-compatible server that says what it is told to, and counts what it was asked."""

    def __init__(self, cards, answers_as=None):
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler):
                self.reply(handler, {"object": "list", "data": cards} if cards else None)

            def do_POST(handler):
                self.asked += 1
                body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
                message = {"role": "assistant", "content": "Norway"}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self.reply(
                    handler,
                    {"id": "1", "object": "chat.completion", "created": 0, "choices": [choice],
                     "model": answers_as or body["model"]},
                )  # fmt: skip

            def log_message(handler, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def reply(handler, value):
        handler.send_response(200 if value else 404)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        handler.wfile.write(json.dumps(value or {"error": "no such route"}).encode())


def card(name, **more):
    return {"id": name, "object": "model", "created": 0, "owned_by": "test", **more}


@pytest.fixture
def serve():
    servers = []

    def start(*cards, **options):
        servers.append(Server(list(cards), **options))
        return servers[-1]

    yield start
    for one in servers:
        one.server.shutdown()
        one.server.server_close()


def test_a_teacher_may_have_another_name_in_requests_if_its_root_is_the_named_model(serve):
    check_name(serve(card("teacher", root=f"/models/{TEACHER}")).url, "none", "teacher", TEACHER)
    check_name(serve(card(TEACHER)).url, "none", TEACHER, TEACHER)


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ([card(TEACHER, root="/models/Qwen2.5-7B-Instruct")], "is '/models/Qwen2.5-7B-Instruct'"),
        ([card("other")], f"serves 'other', not '{TEACHER}'"),
    ],
)
def test_a_server_of_another_model_is_refused_before_it_is_asked(serve, cards, said):
    server = serve(*cards)
    task = {"enforced": True, "teacher": TEACHER}
    config = read_config({"task": task, "models": {"teacher": {"model": TEACHER}}})
    with pytest.raises(ServiceError) as caught:
        open_model(config, "teacher", {"teacher": server.url}, config.tag.sampling, None)
    assert said in str(caught.value) and server.asked == 0


def test_a_server_that_does_not_say_what_it_serves_passes_with_a_warning(serve, caplog):
    check_name(serve().url, "none", TEACHER, TEACHER)
    assert "does not say which models it serves" in caplog.text


def ask(role, server, cache=None):
    async def complete():
        client = ModelClient(role, server.url, cache)
        try:
            return await client.complete([{"role": "user", "content": "Where is Oslo?"}], seed=1)
        finally:
            await client.close()

    return asyncio.run(complete())


def test_an_answer_of_another_model_than_the_named_one_ends_the_stage(serve):
    role = Role("teacher", TEACHER, only=TEACHER)
    assert ask(role, serve(answers_as=TEACHER)).text == "Norway"
    with pytest.raises(ServiceError, match=r"'Qwen2\.5-7B-Instruct' answered"):
        ask(role, serve(answers_as="Qwen2.5-7B-Instruct"))


def test_who_answers_must_be_the_checkpoint(serve, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    check_folder(serve(card("student", root=str(checkpoint))).url, "none", "student", checkpoint)
    others = [card("student", root=f"/models/{TEACHER}")], [card("student")], [card(TEACHER)], []
    for cards in others:
        with pytest.raises(ServiceError):
            check_folder(serve(*cards).url, "none", "student", checkpoint)


def test_what_the_teacher_answered_is_not_read_from_the_cache_for_the_student(serve, tmp_path):
    server = serve()
    roles = [
        Role("teacher", TEACHER, revision="1"),
        Role("student", "student", revision="sha of the checkpoint"),
        Role("student", "student", revision="sha of the checkpoint"),
    ]
    cached = []
    for number, role in enumerate(roles):
        cache = RequestCache(tmp_path, f"stage{number}")
        cached.append(ask(role, server, cache).cached)
        cache.close()
    assert cached == [False, False, True] and server.asked == 2
