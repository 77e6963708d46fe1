"""The plan against figures worked out by hand, and what happens when it does not fit the budget."""

import json
from pathlib import Path

import pytest

from helpers.scripts import run_script
from searchtrain.config import Config, read_config
from searchtrain.config.command import change_setting
from searchtrain.config.section import merge_values
from searchtrain.core.errors import InputError
from searchtrain.core.files import canonical_json, read_json
from searchtrain.task.budget import check_budget, check_rest, find_fit, start_clock, sum_rest
from searchtrain.task.plan import count_questions, format_plan, make_plan
from searchtrain.task.timings import compare_hours, read_timings
from searchtrain.workflow.stages import list_settings

ROOT = Path(__file__).parents[2]
COUNTS = {"train": 1000, "dev": 20, "test": 100}
SERVER = {"gpus": 4, "prompt": 10_000, "output": 1_000, "start": 360}
PLANNED = {
    "data": {"test_answers": None},
    "predict": {"untrained": False},
    "sample": {"total": 500},
    "trajectories": {"rollouts": 2, "shards": 2},
    "train": {"gpu": 8, "args": {"max_steps": -1, "num_train_epochs": 2}},
    "plan": {
        "questions": COUNTS,
        "passages": 2_000_000,
        "gpus": 8,
        "turns": 3,
        "kept_share": 0.5,
        "tokens": {
            "tag_system": 100, "tag_answer": 10, "teacher_system": 400, "student_system": 50,
            "question": 20, "turn": 80, "observation": 500,
        },
        "rates": {
            "teacher": SERVER,
            "student": {"gpus": 1, "prompt": 20_000, "output": 2_000, "start": 60},
            "training": {"tokens": 100, "start": 60},
            "index": 900,
        },
    },
}  # fmt: skip


def make_config(**changes):
    return read_config(merge_values(PLANNED, changes))


def list_stages(plan):
    return {stage["name"]: stage for stage in plan["stages"]}


def test_prices_that_are_not_set_are_named():
    assert make_plan(make_config(), COUNTS)["without_prices"] == []  # served by the workflow
    away, paid = {"endpoint": "http://host/v1"}, {"price": {"completion": 2.5}}
    models = {"teacher": away, "judge": away, "planner": {**away, **paid}, "solver": away}
    changes = {"models": {**models, "verifier": {"same_as": "judge"}}}
    assert make_plan(make_config(**changes), COUNTS)["without_prices"] == ["models.teacher.price"]
    changes |= {"trees": {"enabled": True}, "search": "web", "web": {"endpoint": "http://s/search"}}
    plan = make_plan(make_config(**changes), COUNTS)
    unset = ["models.teacher.price", "models.judge.price", "web.price"]
    assert plan["without_prices"] == unset  # the solver is the planner
    assert f"Prices: not set ({', '.join(unset)})" in format_plan(plan)


def test_every_stage_as_worked_out_by_hand():
    plan = make_plan(make_config(), COUNTS)
    stages = list_stages(plan)
    assert list(stages) == ["index", "tag", "trajectories", "checkpoint", "predict"]

    tag = stages["tag"]
    assert (tag["requests"], tag["prompt_tokens"], tag["output_tokens"]) == (1000, 120_000, 10_000)
    assert tag["hours"] == pytest.approx((360 + 10) / 3600, abs=1e-4)

    # 1,000 rollouts of three requests, which read 420, 1,000 and 1,580 tokens; new to the server
    # are the question and two observations.
    rollouts = stages["trajectories"]
    assert (rollouts["items"], rollouts["requests"]) == (1000, 3000)
    assert (rollouts["prompt_tokens"], rollouts["output_tokens"]) == (3_000_000, 240_000)
    assert rollouts["cached_share"] == 0.66
    assert rollouts["hours"] == pytest.approx((360 + 240 / 2) / 3600, abs=1e-4)
    assert rollouts["gpus"] == 8
    assert rollouts["gpu_hours"] == pytest.approx(8 * 480 / 3600, abs=1e-4)

    # A question is kept if one of two rollouts is good, 0.75 of 500; a record has
    # 50 + 20 + 3 * 80 + 2 * 500 tokens.
    training = stages["checkpoint"]
    assert (training["items"], training["output_tokens"]) == (375, 375 * 1310 * 2)
    assert training["hours"] == pytest.approx((60 + 982_500 / 800) / 3600, abs=1e-4)

    answers = stages["predict"]
    assert (answers["items"], answers["prompt_tokens"]) == (120, 234_000)
    assert answers["hours"] == pytest.approx((60 + 14.4) / 3600, abs=1e-4)
    assert (answers["gpus"], answers["gpu_hours"]) == (1, answers["hours"])

    # The index takes longer than tagging, and they run side by side.
    assert (stages["index"]["hours"], stages["index"]["beside"]) == (0.5, "tag")
    own = sum(stages[name]["hours"] for name in ("trajectories", "checkpoint", "predict"))
    assert plan["hours"] == pytest.approx(0.5 + own, abs=1e-3)
    assert plan["without_rates"] == {}


def test_a_dense_index_holds_gpus_and_waits_for_the_teacher():
    rates = {"encoding": {"passages": 1000, "gpus": 8}}
    plan = make_plan(make_config(plan={"rates": rates}), COUNTS)
    index = list_stages(plan)["index"]
    assert index["hours"] == pytest.approx((1800 + 2000) / 3600, abs=1e-4)
    assert (index["beside"], index["gpu_hours"]) == (
        None,
        pytest.approx(8 * index["hours"], abs=1e-3),
    )
    assert plan["hours"] == pytest.approx(sum(s["hours"] for s in plan["stages"]), abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "records"),
    [
        ({"curate": {"per_question": 2}}, 500),
        ({"curate": {"max_kept": 100}}, 100),
        ({"trajectories": {"rollouts": 1}}, 250),
        ({"sample": {"total": None}}, 750),
        ({"sample": {"total": 5000}}, 750),
    ],
)
def test_records_follow_the_settings_of_curation(changes, records):
    assert list_stages(make_plan(make_config(**changes), COUNTS))["checkpoint"]["items"] == records


def test_steps_decide_how_much_is_trained_where_they_are_given():
    args = {
        "max_steps": 10, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 3,
        "neat_packing": True, "cutoff_len": 640,
    }  # fmt: skip
    train = {"args": args, "processes": 4, "attention": None}
    plan = make_plan(make_config(train=train), COUNTS)
    assert list_stages(plan)["checkpoint"]["output_tokens"] == 10 * 2 * 3 * 4 * 640


def test_closed_book_is_planned_where_the_answers_are_known_and_the_base_on_what_is_known():
    base = {"predict": {"untrained": True}}
    stages = list_stages(make_plan(make_config(data={"test_answers": "a.json"}, **base), COUNTS))
    assert stages["predict"]["requests"] == 120 * 3 + 2 * 100
    assert stages["predict_untrained"]["requests"] == 100 * 3 + 100
    stages = list_stages(make_plan(make_config(**base), COUNTS))
    assert stages["predict"]["requests"] == 120 * 3
    assert stages["predict_untrained"]["requests"] == 20 * 3 + 20
    # Three prompts of the agent, which grow by a turn and an observation each, and one to read.
    agent, read = 3 * (400 + 20) + 3 * (80 + 500), 50 + 500 + 20
    assert stages["predict_untrained"]["prompt_tokens"] == 20 * (agent + read)


def test_a_slow_retriever_is_what_rollouts_wait_for():
    plan = make_plan(make_config(plan={"rates": {"searches": 1}}), COUNTS)
    assert list_stages(plan)["trajectories"]["hours"] == pytest.approx(
        (360 + 1000) / 3600, abs=1e-4
    )


def test_a_stage_without_rates_has_no_hours_and_says_which_setting_is_missing():
    config = make_config(plan={"rates": {"student": {"output": None}}}, task={"budget_hours": 24})
    plan = make_plan(config, COUNTS)
    assert list_stages(plan)["predict"]["hours"] is None
    assert plan["hours"] is None and plan["gpu_hours"] is None
    assert plan["without_rates"] == {"predict": "plan.rates.student.output"}
    check_budget(plan, config)


def test_more_gpus_than_there_are():
    with pytest.raises(InputError, match=r"plan.gpus: 3: tag needs 4; raise plan.gpus, or lower"):
        make_plan(make_config(plan={"gpus": 3}), COUNTS)


@pytest.mark.parametrize("budget", [0.7, 0.85, 1.0])
def test_the_remedy_fits_and_one_more_does_not(budget):
    settings = {
        "sample": {"total": 1000},
        "trajectories": {"rollouts": 6},
        "task": {"budget_hours": budget},
    }
    config = make_config(**settings)
    plan = make_plan(config, COUNTS)
    assert plan["hours"] > budget
    with pytest.raises(InputError) as caught:
        check_budget(plan, config)
    fits = find_fit(config, COUNTS)
    assert "sample.total" in fits
    for knob, value in fits.items():
        assert f"{knob}: {value}" in str(caught.value)
        fitting = change_setting(config, knob, value)
        assert make_plan(fitting, COUNTS)["hours"] <= budget
        larger = change_setting(config, knob, value + 1)
        assert make_plan(larger, COUNTS)["hours"] > budget


def test_where_nothing_would_fit_no_value_is_promised():
    config = make_config(task={"budget_hours": 0.4})
    assert find_fit(config, COUNTS) == {}
    with pytest.raises(InputError, match="would not fit; look at the other stages"):
        check_budget(make_plan(config, COUNTS), config)


def run_plan(folder, config, *more):
    return run_script(
        "plan", "--config", canonical_json(config.changes()), *more,
        "--out", folder / "plan.json", "--text", folder / "plan.md",
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"task": {"budget_hours": 3}},
        {"train": {"gpu": 2}},
        {"trajectories": {"shards": 2}},
        {"data": {"benchmarks": {"own": "b.json"}}},
    ],
)
def test_a_plan_is_stale_with_whatever_it_rests_on(changes):
    assert list_settings(read_config(changes), "plan") != list_settings(Config(), "plan")


def test_the_script_writes_a_plan_that_fits_and_none_that_does_not(tmp_path):
    ended = run_plan(tmp_path, make_config(task={"budget_hours": 0.7}))
    assert ended.returncode == 1 and "would fit" in ended.stderr
    assert list(tmp_path.iterdir()) == []
    ended = run_plan(tmp_path, make_config(task={"budget_hours": 24}))
    assert ended.returncode == 0, ended.stderr
    assert read_json(tmp_path / "plan.json")["budget_hours"] == 24
    assert "inside the budget of 24 h" in (tmp_path / "plan.md").read_text()
    ended = run_plan(tmp_path, make_config(), "--questions", "2000", "10000", "--rollouts", "3")
    assert "2000 of 2000 training questions" in ended.stdout
    assert "10000 of 10000 training questions, 3 rollouts" in ended.stdout


def test_questions_are_counted_in_the_files(tmp_path):
    config = make_config(plan={"questions": dict.fromkeys(COUNTS)})
    assert count_questions(config, tmp_path) == {"train": 4000, "dev": 200, "test": 300}
    (tmp_path / "world").mkdir()
    (tmp_path / "world/dev.json").write_text("[{}, {}]")
    config = change_setting(config, "plan.questions.test", 1000)
    assert count_questions(config, tmp_path) == {"train": 4000, "dev": 2, "test": 1000}
    config = change_setting(config, "data.train", str(tmp_path / "gone.json"))
    with pytest.raises(InputError, match=r"gone\.json: no such file"):
        count_questions(config, tmp_path)


@pytest.mark.build
def test_a_run_over_the_budget_is_refused_before_it_does_anything(checkout):
    overlay = checkout.path / "slow.yaml"
    rates = {"rates": {"teacher": {"prompt": 0.01, "output": 0.01}}}
    overlay.write_text(json.dumps({"plan": rates}))
    files = ["config/presets/search_sft.yaml", str(overlay)]
    ended = checkout.run("out/results/test.json", configfiles=files)
    assert ended.returncode != 0 and "task.budget_hours: 24: the plan needs" in ended.stdout
    assert not (checkout.path / "out/results/seeds.parquet").exists()
    # What needs none of the long stages may be built all the same.
    assert checkout.run("out/results/test.json", "-n", configfiles=files).returncode == 0


def test_hours_gone_by_count_and_the_clock_survives_restarts(tmp_path):
    started = start_clock(tmp_path)
    assert start_clock(tmp_path) == started
    config = make_config(task={"budget_hours": 1.2})
    plan = make_plan(config, COUNTS)
    stages = list_stages(plan)
    rest = sum_rest(plan, "checkpoint")
    assert rest == pytest.approx(stages["checkpoint"]["hours"] + stages["predict"]["hours"])
    assert sum_rest(plan, "index") == pytest.approx(plan["hours"])
    assert sum_rest(plan, "tag") == pytest.approx(plan["hours"] - 0.5 + stages["tag"]["hours"])
    assert check_rest("checkpoint", rest, 1.2 - rest - 0.01, 1.2, "error") is None
    said = check_rest("checkpoint", rest, 1.2 - rest + 0.01, 1.2, "warn")
    assert said is not None and "from checkpoint on the plan has 0.38 h more" in said
    with pytest.raises(InputError, match=r"task\.over_budget: warn"):
        check_rest("checkpoint", rest, 1.2, 1.2, "error")


@pytest.mark.parametrize(("mode", "status"), [("warn", 0), ("error", 1)])
def test_a_stage_begins_with_a_look_at_the_clock(tmp_path, mode, status):
    (tmp_path / "task_clock.json").write_text('{"started": 0}')
    ended = run_script(
        "budget", "--stage", "predict", "--rest", "1", "--budget", "24", "--over-budget", mode,
        "--cache", tmp_path,
    )  # fmt: skip
    assert ended.returncode == status and "from predict on the plan has 1.00 h" in ended.stderr


def test_planned_and_spent_hours_stand_side_by_side(tmp_path):
    for rule, seconds in (("corpus", 360), ("index", 720), ("trajectories", 1800), ("seeds", 36)):
        (tmp_path / f"{rule}.tsv").write_text(f"s\th:m:s\n{seconds}\t0:00:00\n")
    rows = compare_hours(make_plan(make_config(), COUNTS), read_timings(tmp_path))
    spent = {row["stage"]: row["spent_hours"] for row in rows}
    assert spent == {
        "index": 0.3, "tag": None, "trajectories": 0.5, "checkpoint": None, "predict": None,
        "others": 0.01,
    }  # fmt: skip
    assert rows[2]["planned_hours"] == 0.1333
    (tmp_path / "broken.tsv").write_text("nothing\n1\n")
    with pytest.raises(InputError, match=r"broken\.tsv"):
        read_timings(tmp_path)
