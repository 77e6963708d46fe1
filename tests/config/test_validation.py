"""The config: closed, typed, and the only source of what stands in the files of config/."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from snakemake.utils import update_config

from searchtrain.config import Config, Limits, Seeds, read_config
from searchtrain.config.reference import render_reference
from searchtrain.config.rendering import WIDTH, render_config, render_schema
from searchtrain.core.errors import InputError
from searchtrain.models.role import make_role
from searchtrain.serving.command import render_arguments

CONFIG = Path(__file__).parents[2] / "config"
LAYERS = [
    [],
    ["presets/simpledeepsearcher.yaml"],
    ["presets/simpledeepsearcher.yaml", "scale/simpledeepsearcher.yaml"],
    ["presets/grpo.yaml"],
    ["presets/search_sft.yaml"],
    ["presets/search_sft.yaml", "scale/h200x8.yaml"],
    ["presets/search_sft.yaml", "submissions/preference.yaml"],
    ["presets/search_sft.yaml", "submissions/reader.yaml"],
    ["presets/search_sft.yaml", "submissions/traces.yaml"],
    ["presets/infoseek.yaml"],
    ["presets/infoseek.yaml", "presets/infoseek_without_trees.yaml"],
    ["presets/infoseek.yaml", "scale/infoseek.yaml"],
    ["presets/infoseek.yaml", "scale/h200x8.yaml"],
]


def load(name):
    return yaml.safe_load((CONFIG / name).read_text())


def test_the_files_are_what_the_models_say():
    """Else: `make config`."""
    assert (CONFIG / "config.yaml").read_text() == render_config()
    assert (CONFIG / "schema.json").read_text() == render_schema()
    assert (CONFIG.parent / "docs/config.md").read_text() == render_reference()


def test_config_yaml_holds_every_default_and_a_comment_fits_the_page():
    text = render_config()
    assert read_config(yaml.safe_load(text)) == Config()
    assert max(map(len, text.splitlines())) <= WIDTH
    assert set(yaml.safe_load(text)) == {*Config.model_fields} - {"pathvars"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sample": {"totl": 1}}, "unknown key sample.totl; known here: min_domain, total"),
        ({"sample": {"totl": 1, "x": 2}}, "unknown key sample.totl, sample.x;"),
        ({"smaple": {}}, "unknown key smaple; known here: base,"),
        ({"curate": {"rules": {"exact_mtch": True}}}, "unknown key curate.rules.exact_mtch"),
        (
            {"models": {"teacher": {"scripted": {"bad_qery": 0.1}}}},
            "unknown key models.teacher.scripted.bad_qery",
        ),
        ({"models": {"judge": {"temperature": 0.5}}}, "unknown key models.judge.temperature"),
        (
            {"models": {"student": {"format": "tool_calls"}}},
            "models.student: format: tool_calls needs vllm.args {enable-auto-tool-choice: true",
        ),
        (
            {"models": {"student": {"vllm": {"args": {"chat-template": "mine.jinja"}}}}},
            "models.student: vllm: chat-template: the student is trained and served with",
        ),
        (
            {"tag": {"max_failed_share": 2}},
            "tag.max_failed_share: 2 is not allowed; it must be a number from 0 to 1 (of the",
        ),
        (
            {"trajectories": {"rollouts": 0}},
            "trajectories.rollouts: 0 is not allowed; it must be a whole number of at least 1",
        ),
        (
            {"trajectories": {"limits": {"topk": "3"}}},
            "trajectories.limits.topk: '3' is not allowed; it must be a whole number",
        ),
        (
            {"seeds": {"ngram": True}},
            "seeds.ngram: True is not allowed; it must be a whole number of at least 2 or null",
        ),
        (
            {"grpo": {"learning_rate": "1e-5"}},
            "grpo.learning_rate: '1e-5' is not allowed; it must be a number of more than 0",
        ),
        ({"plan": {"turns": float("nan")}}, "plan.turns: nan is not allowed"),
        (
            {"models": {"teacher": {"endpoint": "myhost"}}},
            "models.teacher.endpoint: 'myhost' is not allowed; it must be text as ^https?:// or",
        ),
        (
            {"models": {"teacher": {"port": 99999}}},
            "models.teacher.port: 99999 is not allowed; it must be a whole number from 1 to 65535",
        ),
        ({"search": "wb"}, "search: 'wb' is not allowed; it must be retriever or web"),
        ({"train": None}, "train: None is not allowed; it must be a section"),
        ({"train": {"env": {"A": 1}}}, "train.env.A: 1 is not allowed; it must be text or null"),
        ({"train": {"args": {"cutoff_len": 9}}}, "train.args: cutoff_len must be at least 16"),
        (
            {"curate": {"rules": {"turns": True}}},
            "curate.rules.turns: True is not allowed; it must be a number of at least 0, false or",
        ),
        (
            {"curate": {"rules": {"answered": 1}}},
            "curate.rules.answered: 1 is not allowed; it must be true or false or null",
        ),
        (
            {"retriever": {"index": {"stopwords": 3}}},
            "retriever.index.stopwords: 3 is not allowed; it must be english or english_plus, a",
        ),
        ({"data": {"qrels": {"b": {"gold": "g"}}}}, "data.qrels.b.evidence: missing"),
        ({"data": {"benchmarks": {"A B": "f"}}}, "data.benchmarks: key 'A B' is not allowed"),
        (
            {"web": {"pages": {"allow_networks": ["10.0.0.1"]}}},
            "web.pages.allow_networks.0: '10.0.0.1' is not allowed",
        ),
        (
            {"trees": {"min_vertices": 9}},
            "trees.max_vertices: 6 is not allowed; it must be from trees.min_vertices (9) to 26",
        ),
        ({"verify": {"held_out": 1.5}}, "verify.held_out: 1.5 is not allowed; it must be a share"),
        (
            {"models": {"teacher": {"same_as": "judge"}, "judge": {"same_as": "teacher"}}},
            "models: teacher.same_as goes in a circle: teacher -> judge -> teacher",
        ),
    ],
)
def test_a_fault_names_the_key_its_value_and_what_is_allowed(values, said):
    with pytest.raises(InputError) as caught:
        read_config(values)
    assert str(caught.value).startswith(f"configuration: {said}") and len(str(caught.value)) < 600


def test_a_section_alone_is_read_with_the_same_messages():
    assert Seeds.parse({"ngram": None}, "seeds") == Seeds(ngram=None)
    with pytest.raises(InputError, match=r"unknown key seeds\.ngrams; known here: ngram, phrase"):
        Seeds.parse({"ngrams": 8}, "seeds")
    with pytest.raises(InputError, match=r"configuration: seeds: \[\] is not allowed"):
        Seeds.parse([], "seeds")


def test_infoseek_at_published_size_is_what_was_published():
    values = load("presets/infoseek.yaml")
    update_config(values, load("scale/infoseek.yaml"))
    config = read_config(values)
    shown = config.trees.max_page_chars
    assert shown == config.verify.max_document_chars == config.refine.max_document_chars == 4096
    assert (config.retriever.index.engine, config.retriever.embedder.model) == ("dense", "bge-m3")
    assert not (config.retriever.embedder.query_prefix or config.retriever.embedder.passage_prefix)
    limits = config.predict.limits
    assert (limits.topk, limits.max_searches, limits.max_evidence_chars) == (5, 6, 32000)
    assert (config.grpo.top_p, config.grpo.group_size, config.grpo.steps) == (1.0, 5, 200)


@pytest.mark.parametrize("layers", LAYERS)
def test_presets_and_scales_are_valid_and_their_changes_say_all(layers):
    values = load("config.yaml")
    for layer in layers:
        update_config(values, load(layer))
    config = read_config(values)
    assert read_config(config.changes()) == config
    assert bool(config.changes()) == bool(layers)


def test_values_are_laid_over_the_defaults_of_their_place():
    config = read_config(
        {"predict": {"limits": {"topk": 9}}, "web": {"pages": {"hosts": {"a": "b"}}}}
    )
    assert config.predict.limits == Limits(topk=9, force_answer=True)
    assert config.web.pages.hosts == {"atlas.test": "served", "a": "b"}


def test_changes_tell_apart_what_python_calls_equal():
    config = read_config(
        {
            "curate": {"rules": {"fallbacks": 0, "repetition": False}},
            "models": {"student": {"sampling": {"top_k": 4, "temperature": None}}},
            "data": {"qrels": {"bc": {"evidence": "e.txt"}}},
            "train": {"env": {"ACCELERATE_TORCH_DEVICE": None}},
        }
    )
    again = read_config(config.changes())
    assert again == config
    assert again.curate.rules.fallbacks is not False and again.curate.rules.repetition is False
    assert again.models.student.sampling.tracked() == {"max_tokens": 128, "top_k": 4}
    assert again.train.env["ACCELERATE_TORCH_DEVICE"] is None


def test_tracked_fields_stand_apart_from_what_only_changes_the_pace():
    config = read_config({"web": {"pages": {"per_host": 9}}, "models": {"teacher": {"gpu": 2}}})
    default = Config()
    assert config.web.tracked() == default.web.tracked()
    assert "timeout" not in config.web.tracked() and "timeout" not in config.web.tracked()["pages"]
    assert config.models.teacher.tracked() == {
        "model": "scripted-teacher", "dialect": "openai", "wire": {}, "reasoning": "none",
        "thought_tokens": 4096, "revision": "1",
    }  # fmt: skip
    assert set(config.models.student.tracked("serve")["vllm"]) == {"args"}
    assert set(config.trees.tracked("written_trees")) == {"attempts", "seed", "max_failed_share"}
    assert config.trees.tracked("questions") == {"train_questions": None}
    assert not {"enabled", "sampling", "train_questions"} & set(config.trees.tracked())
    form = {"max_answer_words": 12, "max_long_share": 0.05, "long_answers": "warn"}
    assert config.predict.tracked("metrics") == form
    changed = read_config({"tag": {"sampling": {"temperature": 0.5}}})
    assert changed.tag.tracked() == default.tag.tracked()
    assert changed.tag.tracked("role") != default.tag.tracked("role")


def test_a_role_uses_the_server_that_same_as_leads_to():
    models = read_config(
        {"models": {"planner": {"same_as": "teacher"}, "solver": {"gpu": 1}}}
    ).models
    assert models.owner("browser") == "teacher" and models.resolve("browser") is models.teacher
    assert models.owner("judge") == "judge" and models.owner("student") == "student"


def test_without_a_task_its_constraints_mean_nothing():
    named = {"teacher": "a", "student": "b", "seed_data_only": True}
    assert read_config({"task": named}).task.teacher is None
    assert read_config({"task": {**named, "enforced": True}}).task.tracked() == {
        "enforced": True, **named,
    }  # fmt: skip


def test_a_section_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Limits().topk = 3


def test_a_null_takes_a_key_out_of_the_sampling_of_a_stage():
    values = {"max_tokens": None, "temperature": None, "max_completion_tokens": 900}
    config = read_config({"trajectories": {"sampling": values}})
    # Scripts get what differs from the defaults; read again it must say the same.
    for each in (config, read_config(config.changes())):
        sent = each.trajectories.sampling.tracked()
        assert sent == {"top_p": 0.95, "max_completion_tokens": 900}


def test_a_student_may_stand_behind_a_key(monkeypatch):
    student = {"endpoint": "https://models.example/v1", "api_key_env": "STUDENT_KEY"}
    config = read_config({"models": {"student": student}})
    role = make_role(config, "student", config.models.student.sampling)
    with pytest.raises(InputError, match=r"models.student: environment variable STUDENT_KEY"):
        role.read_key()
    monkeypatch.setenv("STUDENT_KEY", "secret")
    assert role.read_key() == "secret"


@pytest.mark.parametrize(
    "section", [{"web": {"max_dollars": 5}}, {"models": {"judge": {"max_dollars": 5}}}]
)
def test_a_limit_of_dollars_needs_a_price(section):
    with pytest.raises(InputError, match="max_dollars limits nothing without a price"):
        read_config(section)


def test_vllm_samples_as_the_config_says_whatever_the_model_file_has():
    """Else vLLM takes what a request leaves out from generation_config.json."""
    own = {"vllm": {"args": {"dtype": "bfloat16"}}}
    config = read_config({"models": {"teacher": own, "student": own}})
    for role in ("teacher", "refiner", "student"):
        args = getattr(config.models, role).vllm.args
        assert "--generation-config vllm" in " ".join(render_arguments(args))
