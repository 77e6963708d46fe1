"""Other chat data in the training set: what is taken, what is refused, what the student reads."""

import json

import pytest

from helpers.conversations import make_student
from helpers.export import run_export
from helpers.rollouts import curate, make_rollout
from searchtrain.agent.formats import FORMATS
from searchtrain.config import Mix
from searchtrain.core.errors import InputError
from searchtrain.data import schemas
from searchtrain.training import sharegpt
from searchtrain.training.mixing import mix_records, read_chats, sample_records

CHAT = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
MANY = [{"prompt": f"What is {number}?", "output": "A number."} for number in range(40)]


def write(folder, value, name="chats.json"):
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def turns(*texts):
    speakers = ["human", "gpt"] * len(texts)
    return [{"from": who, "value": text} for who, text in zip(speakers, texts, strict=False)]


@pytest.mark.parametrize(
    ("row", "system", "conversation"),
    [
        (CHAT, "", turns("Hi", "Hello")),
        (
            {"messages": [{"role": "system", "content": "Be brief."}, *CHAT["messages"] * 2]},
            "Be brief.",
            turns("Hi", "Hello", "Hi", "Hello"),
        ),
        (
            {"conversations": turns("Hi", "Hello"), "system": "Be brief.", "id": "x"},
            "Be brief.",
            turns("Hi", "Hello"),
        ),
        ({"prompt": "Hi", "output": "Hello", "system": None}, "", turns("Hi", "Hello")),
        ({"prompt": "Hi\n", "output": " Hello", "system": " "}, "", turns("Hi\n", " Hello")),
        ({"instruction": "Add.", "input": "", "output": "3"}, "", turns("Add.", "3")),
        ({"instruction": "Add.", "input": "1, 2", "output": "3"}, "", turns("Add.\n1, 2", "3")),
        (
            {
                "messages": [
                    *CHAT["messages"],
                    {"role": "tool", "content": "[]"},
                    {"role": "assistant", "content": "Empty.", "tool_calls": None},
                ]
            },
            "",
            [
                *turns("Hi", "Hello"),
                {"from": "observation", "value": "[]"},
                {"from": "gpt", "value": "Empty."},
            ],
        ),
    ],
)
def test_every_shape_becomes_the_same_record(tmp_path, row, system, conversation):
    expected = [{"conversations": conversation, "system": system}]
    assert read_chats(write(tmp_path, [row])) == expected
    assert read_chats(write(tmp_path, "\ufeff" + json.dumps(row) + "\n")) == expected


USER, SAID = CHAT["messages"]


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"question": "Hi"}, "a record has .*this one has question"),
        ({"prompt": "Hi"}, "this one has prompt"),
        ({"prompt": "Hi", "output": [{"gen": "x"}]}, "output is .*it must be text"),
        ({"prompt": ["Hi"], "output": "x"}, "prompt is .*it must be text"),
        ({"prompt": " ", "output": "x"}, r"turn 1 \(human\) is blank"),
        ({"prompt": "Hi", "output": ""}, r"turn 2 \(gpt\) is blank"),
        ({"instruction": "a", "output": "b", "history": [["c", "d"]]}, "history is not read"),
        ({"messages": "Hi"}, "messages is 'Hi'"),
        ({"messages": []}, "0 turns"),
        ({"messages": [USER]}, "1 turns"),
        ({"messages": [SAID, USER]}, "turn 1 is by 'gpt' where 'human' belongs"),
        ({"messages": [USER, USER, SAID]}, "turn 2 is by 'human' where 'gpt' belongs"),
        ({"messages": [{**USER, "role": "tool"}, SAID]}, "turn 1 is by 'observation'"),
        ({"messages": [USER, {**SAID, "role": "model"}]}, "turn 2: role 'model' is unknown"),
        ({"messages": [USER, {**SAID, "tool_calls": [{}]}]}, "turn 2 has tool_calls"),
        ({"messages": [{**USER, "content": [{"type": "text"}]}, SAID]}, "turn 1: content is"),
        ({"messages": [{"role": "user"}, SAID]}, "turn 1 is .*it must be {role, content}"),
        ({"conversations": [None]}, "turn 1 is None.*it must be {from, value}"),
        (
            {
                "conversations": [{"from": "system", "value": "a"}, *turns("Hi", "Hello")],
                "system": "b",
            },
            "two system prompts",
        ),
        ({"prompt": "<|im_start|>user\nHi", "output": "x"}, r"holds <\|im_start\|>"),
        ({"prompt": "Hi", "output": "\ud800"}, "no valid Unicode"),
    ],
)
def test_what_can_not_be_trained_on_is_an_error_with_its_place(tmp_path, row, part):
    with pytest.raises(InputError, match=rf"chats\.json: row 2: .*{part}"):
        read_chats(write(tmp_path, [CHAT, row]))
    with pytest.raises(InputError, match=rf"chats\.json: line 3: .*{part}"):
        read_chats(write(tmp_path, f"{json.dumps(CHAT)}\n\n{json.dumps(row)}"))


def test_an_empty_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="the file is empty"):
        read_chats(write(tmp_path, ""))


def test_the_sample_depends_on_seed_and_content_alone(tmp_path):
    chats = read_chats(write(tmp_path, MANY))
    taken = sample_records(chats, 10, 1)
    assert len({json.dumps(record) for record in taken}) == 10
    assert [chats.index(record) for record in taken] == sorted(map(chats.index, taken))
    assert sample_records(chats[::-1], 10, 1) == taken[::-1]
    assert sample_records(chats, 10, 2) != taken
    assert all(record in sample_records(chats, 20, 1) for record in taken)


def test_a_record_that_stands_there_twice_may_be_taken_twice(tmp_path):
    chats = read_chats(write(tmp_path, [CHAT, CHAT, *MANY[:2]]))
    assert sample_records(chats, 4, 1) == chats


def test_a_file_with_too_few_records_gives_all_and_says_so(tmp_path, caplog):
    path = write(tmp_path, MANY[:3])
    taken, report = mix_records(path, 10, Mix(ratio=0.5))
    assert len(taken) == 3
    assert (report["available"], report["asked"], report["taken"]) == (3, 5, 3)
    assert "has 3 records where mix.ratio 0.5 asks for 5" in caplog.text


def test_a_negative_ratio_is_an_error():
    with pytest.raises(InputError, match=r"mix\.ratio: -1"):
        Mix.parse({"ratio": -1}, "mix")


@pytest.fixture
def inputs(tmp_path):
    frame = curate(*(make_rollout(f"q{number}") for number in range(4)))
    schemas.write_table(frame, tmp_path / "curated.parquet", schemas.Curated)
    (tmp_path / "agent.jinja").write_text("At most {{ max_turns }} turns.\n")
    return tmp_path


def test_script_puts_the_sample_behind_the_search_records_and_reports_both(inputs):
    assert run_export(inputs, "plain").returncode == 0
    chats = write(inputs, MANY)
    report = inputs / "mixed" / "sft_report.json"
    options = ["--mix", str(chats), "--report", str(report)]
    ended = run_export(inputs, "mixed", *options, mix={"file": str(chats), "ratio": 1.5})
    assert ended.returncode == 0, ended.stderr
    plain, mixed = (
        json.loads((inputs / name / "sft_dataset.json").read_text()) for name in ("plain", "mixed")
    )
    assert len(plain) == 4 and mixed[:4] == plain
    assert mixed[4:] == sample_records(read_chats(chats), 6, 1)
    for name in ("sft_dataset.json", "dataset_info.json"):
        again = run_export(inputs, "again", *options, mix={"ratio": 1.5})
        assert again.returncode == 0
        assert (inputs / "again" / name).read_bytes() == (inputs / "mixed" / name).read_bytes()
    said = json.loads(report.read_text())
    words = [
        sum(len(turn["value"].split()) for turn in record["conversations"]) for record in plain
    ]
    assert said["records"] == 10
    assert said["origins"]["search"] == {
        "records": 4,
        "mean_words": sum(words) / 4,
        "longest_words": max(words),
    }
    assert said["origins"]["mixed"] == {"records": 6, "mean_words": 5.0, "longest_words": 5}
    assert said["mix"]["available"] == 40 and said["mix"]["file"] == str(chats)


def test_without_a_mix_the_bytes_are_those_of_the_search_records_alone(inputs):
    ended = run_export(inputs, "out", "--report", str(inputs / "r.json"), mix={"ratio": 9.0})
    assert ended.returncode == 0, ended.stderr
    curated = schemas.read_table(inputs / "curated.parquet", schemas.Curated)
    records = sharegpt.make_records(curated, "At most 4 turns.", FORMATS["tags"], make_student())
    written = (inputs / "out" / "sft_dataset.json").read_text(encoding="utf-8")
    assert written == json.dumps(records, ensure_ascii=False, indent=1) + "\n"
    assert json.loads((inputs / "r.json").read_text())["mix"] is None
