"""What real models write is read as one turn, marked where it was repaired, or told to the model.

The texts are deviations seen of real models and servers (reference/real_models.md, section 3).
"""

import json

import pytest

from searchtrain.agent import grammar
from searchtrain.agent.calls import read_call
from searchtrain.agent.reading import read_answer, read_text
from searchtrain.agent.tidying import tidy_answer, tidy_queries
from searchtrain.models.model import Call, Completion

SEARCH = "<think>I need Oslo.</think>\n<search>Oslo</search>"
ANSWER = "<think>It is Norway.</think>\n<answer>Norway</answer>"


def complete(text, thought=None, calls=(), finish="stop"):
    return Completion(text, finish, 1, 1, False, "m", thought, calls)


def read(text, thoughts="written", **parts):
    return read_text(complete(text, **parts), thoughts)


def check(reading, text, repairs):
    """The turn is stored in the grammar's form, with what the model wrote beside it."""
    assert (reading.text, list(reading.repairs)) == (text, repairs), reading
    assert reading.turn == grammar.parse_turn(reading.text) and reading.fault is None
    return reading.raw


@pytest.mark.parametrize("text", [SEARCH, ANSWER])
def test_a_turn_in_the_grammars_form_is_left_alone(text):
    for thoughts in ("written", "native", "hidden"):
        assert check(read(text, thoughts), text, []) == ""
    closing = text[text.rindex("</") :]
    cut = text.removesuffix(closing)
    assert check(read(cut), text, []) == ""  # a server leaves the stop string out


@pytest.mark.parametrize("text", [
    "<think>\nI need Oslo.\n</think>\n\n<search>Oslo</search>",  # Qwen3
    "<think>I need Oslo.</think> \n<search>Oslo</search>\n",
])  # fmt: skip
def test_white_space_is_the_grammars(text):
    assert check(read(text), SEARCH, []) == text


@pytest.mark.parametrize(("text", "thought"), [
    ("\n\n<search>Oslo</search>", "I need Oslo."),  # a parser's field
    ("I need Oslo.\n</think>\n\n<search>Oslo</search>", None),  # opened by the template
    ("I need Oslo.</think>\n<search>Oslo", None),
    ("<think>\n\n</think>\n\n<search>Oslo</search>", "I need Oslo."),  # and an empty block
])  # fmt: skip
def test_a_thought_is_found_wherever_the_server_puts_it(text, thought):
    for thoughts in ("native", "written"):
        reading = read(text, thoughts, thought=thought)
        raw = check(reading, SEARCH, [])
        assert (json.loads(raw)["reasoning"] if thought else raw) == (thought or text)


def test_a_hidden_thought_is_an_empty_one():
    empty = "<think></think>\n<search>Oslo</search>"
    for thoughts in ("hidden", "native"):
        check(read("<search>Oslo</search>", thoughts), empty, [])
    assert read("<search>Oslo</search>").fault.kind == "no_think"
    check(read("<think>\n\n</think>\n\n<search>Oslo</search>"), empty, [])


@pytest.mark.parametrize(("text", "repairs"), [
    ("I need Oslo.\n<search>Oslo</search>", ["prose_as_thought"]),
    ("<think></think>I need Oslo.\n<search>Oslo</search>", ["prose_as_thought"]),
    ("Sure!\n<think>I need Oslo.</think>\n<search>Oslo</search>", ["prose"]),
    ("<think>I need Oslo.</think>\nI will look it up.\n<search>Oslo</search>", ["prose"]),
    ("```xml\n<think>I need Oslo.</think>\n<search>Oslo</search>\n```", ["fence"]),
    ("<think>I need Oslo.</think>\n```\n<search>Oslo</search>\n```", ["fence"]),
    ("<think>I need Oslo.</think>\n<search>\n```\nOslo\n```\n</search>", ["fence"]),
    ("<Think>I need Oslo.</THINK>\n< search >Oslo</ search>", ["tag_spelling"]),
    ("<think>I need Oslo.</think>\n<search>Oslo</search>\nI wait.", ["text_after"]),
    (f"{SEARCH}\n<search>Bergen</search>", ["second_action"]),
    (f"{SEARCH}\n<answer>Norway</answer>", ["second_action"]),
    (f"{SEARCH}\n<information>Oslo is in Norway.</information>\n{ANSWER}",
     ["invented_information"]),
    ("<think>I need Oslo.\n<search>Oslo</search>", ["unclosed_think"]),
    ("<think>I need Oslo.</think>\n<search>- Oslo</search>", ["bullet"]),
    ("<think>I need Oslo.</think>\n<search>1) Oslo</search>", ["numbering"]),
    ('<think>I need Oslo.</think>\n<search>"Oslo"</search>', ["quotes"]),
    ('<think>I need Oslo.</think>\n<search>["Oslo"]</search>', ["json"]),
    ('<think>I need Oslo.</think>\n<search>{"query": "Oslo"}</search>', ["json"]),
    ("<think>I need Oslo.</think>\n<search>**Oslo**</search>", ["markup"]),
    ("<think>I need Oslo.</think>\n<search>Query: Oslo</search>", ["label"]),
    ('Well,\n<think>I need Oslo.</think>\n<search>- "Oslo"</search>',
     ["prose", "bullet", "quotes"]),
])  # fmt: skip
def test_a_turn_that_deviates_is_repaired_and_marked(text, repairs):
    assert check(read(text), SEARCH, repairs) == text


def test_a_second_block_is_part_of_the_thought():
    text = "<think>I need Oslo.</think>\nHm.\n<think>Or not.</think>\n<search>Oslo</search>"
    both = "<think>I need Oslo.\nOr not.</think>\n<search>Oslo</search>"
    check(read(text), both, ["second_think", "prose"])
    # The one that the prompt asks for, beside a thought of the model's own or an empty one.
    asked = "<think>Or not.</think><search>Oslo</search>"
    check(read(asked, "native", thought="I need Oslo."), both, [])
    check(read(f"I need Oslo.</think>\n\n{asked}", "native"), both, [])
    check(read(f"<think>\n\n</think>\n\n{SEARCH}"), SEARCH, [])


def test_a_fence_in_a_thought_is_the_thoughts_own():
    thought = "Perhaps\n```\n1 + 1\n```\nOr not."
    text = f"{thought}</think>\n<search>Oslo</search>"
    check(read(text, "native"), f"<think>{thought}</think>\n<search>Oslo</search>", [])


@pytest.mark.parametrize("thoughts", ["written", "native"])
def test_a_tag_that_a_thought_names_is_no_action(thoughts):
    text = "<think>I can use <search> or </search>. <answer>?</think>\n<search>Oslo</search>"
    named = "<think>I can use search or /search. answer?</think>\n<search>Oslo</search>"
    assert check(read(text, thoughts), named, ["named_tag"]) == text
    check(read(text.removeprefix("<think>"), "native"), named, ["named_tag"])
    prose = "I use <search> for this.\n<search>Oslo</search>"
    plain = "<think>I use search for this.</think>\n<search>Oslo</search>"
    check(read(prose), plain, ["prose_as_thought", "named_tag"])


@pytest.mark.parametrize(("text", "thought", "finish"), [
    ("Okay, so I could write <search>Oslo</search> and then", None, "length"),
    ("Okay, so I could write <search>Oslo</search>", None, "stop"),
    ("<think>Okay, so <answer>Norway</answer>", None, "stop"),
    ("", "Okay, so <search>Oslo</search>", "length"),
])  # fmt: skip
def test_a_thought_that_never_ends_is_no_turn(text, thought, finish):
    reading = read(text, "native", thought=thought, finish=finish)
    assert reading.turn is None and reading.open and reading.fault is not None


@pytest.mark.parametrize(("text", "kind"), [
    ("Oslo is in Norway.", "no_think"),
    ("<search>Oslo</search>", "no_think"),
    ("<think>I need Oslo.</think>", "no_action"),
    ("<think>I need Oslo.</think>\n<search>\n\n</search>", "empty_query"),
    ("<think>I need Oslo.</think>\n<answer> </answer>", "empty_answer"),
    ("<think>a</think><information>b</information><answer>c</answer>", "stray_tags"),
    ("<think>a <information>b</information></think><answer>c</answer>", "stray_tags"),
    ("<think>a</think><search>Oslo\n<answer>Norway</answer></search>", "stray_tags"),
])  # fmt: skip
def test_what_can_not_be_repaired_is_told_as_it_was(text, kind):
    reading = read(text)
    assert reading.turn is None and reading.fault.kind == kind
    assert (reading.text, reading.raw, reading.repairs) == (text, "", ())


def test_a_cut_action_is_no_action():
    cut = "<think>It is Norway.</think>\n<answer>Nor"
    assert read(cut, finish="length").turn is None
    assert read(cut).turn.answer == "Nor"
    assert read(ANSWER, finish="length").turn.answer == "Norway"


@pytest.mark.parametrize(("body", "queries"), [
    ("1. Oslo\n2. 30 days", ["Oslo", "30 days"]),
    ("(1) Oslo\n(2) Bergen", ["Oslo", "Bergen"]),
    ("2. Bundesliga 2001", ["2. Bundesliga 2001"]),
    ("1. FC Köln", ["1. FC Köln"]),
    ("1. FC Köln\n1. FC Nürnberg", ["1. FC Köln", "1. FC Nürnberg"]),
    ("* Oslo\n• Bergen", ["Oslo", "Bergen"]),
    ("-5 degrees in Oslo", ["-5 degrees in Oslo"]),
    ('"Oslo" OR "Bergen"', ['"Oslo" OR "Bergen"']),
    ("“Oslo”\n«Bergen»", ["Oslo", "Bergen"]),
    ('"Oslo",\n"Bergen"', ["Oslo", "Bergen"]),
    ('["Oslo", "1. FC Köln"]', ["Oslo", "1. FC Köln"]),
    ('{"queries": ["Oslo", "Bergen"]}', ["Oslo", "Bergen"]),
    ("[Oslo] weather", ["[Oslo] weather"]),
    ("Query 1: Oslo\nQuery 2: Bergen", ["Oslo", "Bergen"]),
    ("what is a query: SQL", ["what is a query: SQL"]),
])  # fmt: skip
def test_queries_lose_their_markup_and_nothing_else(body, queries):
    found, repairs = tidy_queries(body)
    assert found == queries and bool(repairs) == (body.splitlines() != queries)
    assert tidy_queries("\n".join(queries))[0] in (queries, [q.partition(". ")[2] for q in queries])


@pytest.mark.parametrize(("body", "answer", "repairs"), [
    ("Norway", "Norway", []),
    ("Answer: Norway.", "Norway", ["sentence", "full_stop"]),
    ("The answer is Norway.", "Norway", ["sentence", "full_stop"]),
    ("The final answer is: **Norway**", "Norway", ["sentence", "markup"]),
    ("**Norway**", "Norway", ["markup"]),
    ("**Answer: Norway**", "Norway", ["markup", "sentence"]),
    (r"\boxed{Norway}", "Norway", ["boxed"]),
    (r"So the answer is \boxed{\text{Norway}}.", "Norway", ["boxed"]),
    ('"Norway"', "Norway", ["quotes"]),
    ("Norway.", "Norway", ["full_stop"]),
    ("1984.", "1984", ["full_stop"]),
    ("No.", "No", ["full_stop"]),
    ("Washington, D.C.", "Washington, D.C.", []),
    ("The answer is Washington, D.C.", "Washington, D.C.", ["sentence"]),
    ("Martin Luther King Jr.", "Martin Luther King Jr.", []),
    ("Apple Inc.", "Apple Inc.", []),
    ("John F.", "John F.", []),
    ("The Answer Man", "The Answer Man", []),
    ("Who Framed Roger Rabbit...", "Who Framed Roger Rabbit...", []),
    ("'Til Death", "'Til Death", []),
    ("5.5", "5.5", []),
])  # fmt: skip
def test_an_answer_is_a_word_or_phrase(body, answer, repairs):
    assert tidy_answer(body) == (answer, repairs)
    assert tidy_answer(answer) == (answer, [])
    text = f"<think>It is so.</think>\n<answer>{body}</answer>"
    assert read(text).turn.answer == answer


def call(*queries, name="search"):
    return Call(name, json.dumps({"queries": queries}))


@pytest.mark.parametrize(("parts", "queries", "repairs"), [
    ({"calls": (call("Oslo", "Bergen"),)}, ("Oslo", "Bergen"), []),
    ({"calls": (call("Oslo"), call("Bergen"))}, ("Oslo", "Bergen"), ["second_call"]),
    ({"calls": (Call("search", '{"query": "Oslo"}'),)}, ("Oslo",), ["arguments"]),
    ({"calls": (Call("search", '["Oslo"]'),)}, ("Oslo",), ["arguments"]),
    ({"said": '<tool_call>\n{"name": "search", "arguments": {"queries": ["Oslo"]}}\n</tool_call>'},
     ("Oslo",), ["call_as_text"]),
    ({"said": "\n<search>Oslo</search>"}, ("Oslo",), ["call_as_text", "prose_as_thought"]),
])  # fmt: skip
def test_a_tool_call_is_a_search(parts, queries, repairs):
    completion = complete("I need it." + parts.get("said", ""), calls=parts.get("calls", ()))
    text = grammar.render_turn("I need it.", queries=queries)
    check(read_call(completion), text, repairs)
    if "calls" in parts:
        held = read_call(complete("", thought="I need it.", calls=parts["calls"]), "native")
        check(held, text, repairs)
        assert json.loads(held.raw)["tool_calls"][0]["name"] == "search"


def test_a_query_in_json_is_a_text_that_fits_the_grammar():
    odd = Call("search", '{"queries": ["a</search>b", "Oslo \\ud83d\\n now", " "]}')
    reading = read_call(complete("", calls=(odd,)))
    assert reading.turn.queries == ("ab", "Oslo now")
    assert grammar.parse_turn(reading.text) == reading.turn and reading.text.encode()


@pytest.mark.parametrize(("text", "think"), [
    ("Norway", ""),
    ("It is so.\n<answer>Norway</answer>", "It is so."),
    ("<answer>Norway", ""),
    ("<think>It is so.</think>\nNorway", "It is so."),
    ("The answer is Norway.", ""),
])  # fmt: skip
def test_without_a_call_the_text_is_the_answer(text, think):
    reading = read_call(complete(text))
    assert (reading.turn.answer, reading.turn.think) == ("Norway", think)


@pytest.mark.parametrize(("completion", "kind"), [
    (complete(""), "no_action"),
    (complete("I think that", finish="length"), "no_action"),
    (complete("", calls=(Call("browse", '{"url": "x"}'),)), "bad_call"),
    (complete("", calls=(Call("search", '{"queries": ["Os'),)), "bad_call"),
    (complete("", calls=(Call("search", '{"queries": []}'),)), "bad_call"),
])  # fmt: skip
def test_a_call_that_can_not_be_read_is_told(completion, kind):
    reading = read_call(completion)
    assert reading.turn is None and reading.fault.kind == kind
    assert all(each.arguments in reading.text for each in completion.calls)


@pytest.mark.parametrize(("text", "thoughts", "finish", "answer"), [
    ("Norway", "written", "stop", "Norway"),
    ("Norway</answer>", "written", "stop", "Norway"),
    ("<answer>Norway", "written", "length", "Norway"),
    ("<think>So.</think>\n\n<answer>Norway.</answer> I am sure.", "written", "stop", "Norway"),
    ("Okay. It is so.</think>\n\nNorway", "native", "stop", "Norway"),
    ("Oslo lies far in the north of Europe, in a country with many fjords.\n\nAnswer: Norway",
     "written", "stop", "Norway"),
    ("Norway\n\nOslo is the capital of Norway, as the passages that I have read so far all say.",
     "written", "stop", "Norway"),
    ("Okay, so the user wants", "native", "length", ""),
    ("<search>Oslo</search>", "written", "stop", ""),
    ("", "written", "stop", ""),
])  # fmt: skip
def test_an_answer_that_was_asked_for_is_read_leniently(text, thoughts, finish, answer):
    assert read_answer(complete(text, finish=finish), thoughts)[0] == answer
