"""What is trained on and what is served, under the true chat templates of published families."""

import itertools

import pytest

from helpers.checkout import ROOT
from helpers.conversations import (
    CASES,
    LLAMA,
    QWEN3,
    QWEN25,
    QWQ,
    R1,
    make_record,
    make_student,
)
from helpers.families import FAMILIES, FOLDER, write_tokenizer
from searchtrain.agent.formats import FORMATS
from searchtrain.config import Train
from searchtrain.core.errors import InputError
from searchtrain.core.files import write_json
from searchtrain.demo.base import CHAT_TEMPLATE
from searchtrain.training import parity, recipe, sharegpt
from searchtrain.training.records import list_messages, list_tools
from searchtrain.training.served import Served, read_options

CHAT = {
    "conversations": [
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello"},
        {"from": "human", "value": "What is 2 + 2?"},
        {"from": "gpt", "value": "4"},
    ],
    "system": "",
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Folder of each family's tiny tokenizer."""
    if not FOLDER.is_dir():
        pytest.skip(f"no chat templates in {FOLDER}")
    folders = {name: tmp_path_factory.mktemp("base") for name in FAMILIES}
    for name, folder in folders.items():
        write_tokenizer(name, folder)
    return folders


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """The same with the laptop's template, which is Qwen2.5's but for native calls."""
    folder = tmp_path_factory.mktemp("laptop")
    write_tokenizer(QWEN25, folder, CHAT_TEMPLATE)
    return folder


def check(folder, records, base, family, tokens, student, form, **args):
    """The check of a data set, as the script runs it."""
    data, info = folder / "sft_dataset.json", folder / "dataset_info.json"
    write_json(records, data)
    write_json(sharegpt.make_dataset_info(data.name, "tools" in records[0]), info)
    args = {"template": FAMILIES[family].template, "cutoff_len": 5000, **args}
    told = recipe.render_recipe(args, base, data)
    options = read_options(student, form)
    return parity.check_tokens(data, info, told, options, options if tokens == "served" else None)


@pytest.mark.parametrize("tokens", ["template", "served"])
@pytest.mark.parametrize(
    ("family", "form", "reasoning", "template", "served"), CASES, ids=lambda value: str(value)[:20]
)
def test_what_is_trained_on_is_what_is_served_or_is_refused(
    bases, tmp_path, family, form, reasoning, template, served, tokens
):
    student = make_student(reasoning)
    record = make_record(form, student)
    fault = served if tokens == "served" else template

    def run():
        return check(tmp_path, [record], bases[family], family, tokens, student, form)

    if fault is None:
        assert run()["compared"] == 1
    else:
        with pytest.raises(InputError, match=rf"sft_dataset\.json: record 1: .*{fault}"):
            run()


@pytest.mark.parametrize(
    ("family", "form", "reasoning"),
    [(family, form, reasoning) for family, form, reasoning, _, served in CASES if served is None],
)
def test_the_student_learns_what_it_writes_and_nothing_else(bases, family, form, reasoning):
    student = make_student(reasoning)
    record = make_record(form, student)
    served = Served(load(bases[family]), read_options(student, form))
    encoded = served.encode(list_messages(record), list_tools(record))
    marked = [token if own else None for token, own in zip(encoded.ids, encoded.own, strict=True)]
    runs = [list(run) for own, run in itertools.groupby(marked, bool) if own]
    texts = [served.tokenizer.decode(run) for run in runs]
    thoughts, ends = ["I look it up.", "I look it up.", "Now I know."], served.tokenizer.eos_token
    assert len(texts) == 3
    for text, thought in zip(texts, thoughts, strict=True):
        assert thought in text and "1,040; " not in text and "Answer by searching" not in text
    assert [text.count(ends) for text in texts] == [form != "search_r1", form != "search_r1", 1]
    assert '"founding of Oslo' in texts[1] or "<search>founding of Oslo" in texts[1]
    assert texts[2].split(ends)[0].endswith("<answer>Oslo</answer>")


def test_a_token_that_begins_in_the_students_text_is_the_students(laptop):
    """Qwen's tokenizer joins the end of `</search>` with the line breaks behind it."""
    student = make_student()
    record = make_record("search_r1", student)
    served = Served(load(laptop), read_options(student, "search_r1"))
    encoded = served.encode(list_messages(record))
    (joined,) = set(served.tokenize(">\n\n"))
    own = [own for token, own in zip(encoded.ids, encoded.own, strict=True) if token == joined]
    assert own == [True, False] * 2  # behind </search>, behind </information>


def test_a_kind_of_record_that_is_rare_is_compared_too(laptop, tmp_path):
    """Without a system prompt Qwen2.5's chat template writes one, and that of LLaMA-Factory for
    another family does not."""
    student = make_student()
    records = [make_record("tags", student)] * 200

    def run(template):
        args = {"template": template}
        base = laptop
        return check(tmp_path, records, base, QWEN25, "template", student, "tags", **args)

    assert run("qwen3_nothink")["compared"] == parity.SAMPLE
    records.insert(150, CHAT)
    lengths = run("qwen")
    assert lengths["records"] == 201 and parity.SAMPLE / 2 < lengths["compared"] <= parity.SAMPLE
    fault = r"record 151: turn 1: trained on is '.*user\\nHi.*, served is '.*system\\nYou are Qwen"
    with pytest.raises(InputError, match=fault):
        run("qwen3_nothink")


def test_a_chat_whose_thoughts_the_template_drops_is_named(bases, tmp_path):
    student = make_student()
    thinking = [*CHAT["conversations"]]
    thinking[1] = {"from": "gpt", "value": "<think>A greeting.</think>Hello"}
    records = [make_record("tags", student), CHAT, {**CHAT, "conversations": thinking}]
    with pytest.raises(InputError, match="record 3: the chat template leaves out a part of turn 1"):
        check(tmp_path, records, bases[QWEN3], QWEN3, "served", student, "tags")
    records.pop()
    assert check(tmp_path, records, bases[QWEN3], QWEN3, "served", student, "tags")["compared"] == 2


def test_thinking_that_requests_switch_off_is_part_of_the_prompt(bases, tmp_path):
    """Qwen3's template then begins the reply with an empty thought."""
    quiet = {"chat_template_kwargs": {"enable_thinking": False}}
    student = make_student(sampling=quiet)
    with pytest.raises(
        InputError, match=r"turn 1 does not stand behind its own prompt: .*</think>"
    ):
        check(
            tmp_path, [make_record("tags", student)], bases[QWEN3], QWEN3, "served", student, "tags"
        )


def test_observations_go_as_the_students_server_takes_them(laptop, tmp_path):
    student = make_student(wire={"observations": "user"})
    record = make_record("tags", student)
    turns = [turn["from"] for turn in record["conversations"]]
    assert turns == ["human", "gpt", "human", "gpt", "human", "gpt"]
    assert record["conversations"][2]["value"].startswith("<tool_response>\n<information>")
    check(tmp_path, [record], laptop, QWEN25, "template", student, "tags")


def test_mixed_chats_go_with_records_that_have_tools(bases, tmp_path):
    student = make_student()
    records = [make_record("tool_calls", student), {**CHAT, "tools": ""}]
    for tokens in ("template", "served"):
        lengths = check(tmp_path, records, bases[QWEN25], QWEN25, tokens, student, "tool_calls")
        assert lengths["compared"] == 2


def test_an_unknown_template_is_named(laptop, tmp_path):
    student = make_student()
    records = [make_record("tags", student)]
    with pytest.raises(InputError, match=r"train\.args\.template: Template qwenn does not exist"):
        check(tmp_path, records, laptop, QWEN25, "template", student, "tags", template="qwenn")


def test_long_records_are_counted_and_too_many_are_an_error(laptop, tmp_path):
    student = make_student()
    long = make_record("tags", student)
    records = [CHAT, CHAT, long]

    def run(**args):
        args = {"cutoff_len": 100, **args}
        base = laptop
        return check(tmp_path, records, base, QWEN25, "template", student, "tags", **args)

    lengths = run()
    assert (lengths["records"], lengths["longer_than_cutoff"]) == (3, 1)
    assert lengths["longest"] > 100 and lengths["tokens"] > lengths["longest"]
    # A packed row has room for one token less.
    longest = lengths["longest"]
    assert run(cutoff_len=longest)["longer_than_cutoff"] == 0
    assert run(cutoff_len=longest, neat_packing=True)["longer_than_cutoff"] == 1

    def settle(share):
        args = {"template": "qwen", "cutoff_len": 100}
        return Train(attention=None, args=args, max_cut_share=share)

    recipe.check_lengths(lengths, tmp_path, settle(0.5))
    with pytest.raises(InputError, match="1 of 3 records are longer than cutoff_len 100"):
        recipe.check_lengths(lengths, tmp_path, settle(0.1))


def test_the_page_on_bases_says_what_goes_with_what():
    bases = {QWEN25: "Qwen2.5", QWEN3: "Qwen3", QWQ: "QwQ", R1: "R1 distill", LLAMA: "Llama 3"}
    rows = {family: {} for family in bases}
    for family, form, reasoning, template, served in CASES:
        if served is None:
            word = "`served`" + ", native" * (reasoning == "native") if template else "as it is"
            rows[family][form] = word
    page = (ROOT / "docs/bases.md").read_text().splitlines()
    for family, base in bases.items():
        words = [rows[family].get(form, "refused") for form in FORMATS]
        cells = [f"{base}, `{FAMILIES[family].template}`", *words]
        assert f"| {' | '.join(cells)} |" in page


def load(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)
