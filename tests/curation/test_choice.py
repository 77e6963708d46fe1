"""Each curation rule on a rollout that it must keep and one that it must drop; then the choice."""

import json
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from helpers.rollouts import OSLO, make_frame, make_rollout
from helpers.scripts import run_script
from searchtrain.config import Curate, QuestionRules, Rules
from searchtrain.core.errors import InputError
from searchtrain.curation import choice
from searchtrain.curation.choice import (
    curate_rollouts,
    judge_rollouts,
    make_acceptance,
)
from searchtrain.curation.measures import draw_number
from searchtrain.curation.phrases import holds_phrase
from searchtrain.curation.rules import QUESTION_RULES, RULES
from searchtrain.data import schemas

ROOT = Path(__file__).parents[2]
ALL = {
    "answered": True,
    "unforced": True,
    "exact_match": True,
    "normalised_match": True,
    "contains_answer": True,
    "same_meaning": True,
    "valid_grammar": True,
    "supported": True,
    "hint_unnamed": True,
    "hint_supported": True,
    "no_repeated_query": True,
    "first_query_copies": 0.9,
    "repairs": 1,
    "first_turn_words": 30,
    "turn_words": 30,
    "total_words": 60,
    "turns": 4,
    "hedging_per_turn": 3,
    "hedging_total": 3,
    "language": 0.3,
    "repetition": 0.3,
    "looping": 0.5,
    "min_searches": 1,
    "distinct_sources": 0.9,
    "fallbacks": 1,
    "levels_reached": True,
    "searches_per_level": 1,
    "genuine": True,
}
WRONG = {"exact_match", "normalised_match", "contains_answer", "same_meaning"}
MULTI_HOP = "Who is the mayor of the capital of the country of the fjords?"
LONG = " ".join(f"word{i}" for i in range(31))
RUSSIAN = "Мне нужно найти столицу Норвегии и ответить на вопрос."
CHINESE = "我需要先查找挪威的首都,然后回答这个问题。"


def judge(rollout, **rules):
    row = judge_rollouts(make_frame(rollout), rules).row(0, named=True)
    return {name: (row[name], row[f"{name}_value"]) for name in rules}


def break_tag(messages):
    messages[-1]["content"] = messages[-1]["content"].replace("</think>", "")


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({}, set()),
        ({"answer": "KRISTIANIA", "passage": "Once Kristiania."}, set()),
        ({"answer": "", "stop": "turn_limit"}, {"answered", "valid_grammar", "supported"} | WRONG),
        ({"stop": "forced_answer"}, {"unforced"}),
        ({"answer": "Oslo."}, {"exact_match"}),
        ({"answer": "Oslo, Norway", "passage": "Oslo, Norway."},
         {"exact_match", "normalised_match"}),
        ({"answer": "Osloans", "passage": "Osloans"}, WRONG),
        ({"answer": "Oslo or Bergen", "passage": "Oslo or Bergen"},
         {"exact_match", "normalised_match", "same_meaning"}),
        ({"asked": MULTI_HOP, "queries": (("mayor capital, country of fjords",),)},
         {"first_query_copies"}),
        ({"asked": MULTI_HOP, "queries": (("the country of fjords", "a mayor"), (MULTI_HOP,))},
         set()),
        ({"answer": "Bergen"}, {"supported"} | WRONG),
        ({"tamper": break_tag}, {"valid_grammar"}),
        ({"passage": "Osloans live there.", "answer": "Kristiania"}, {"supported"}),
        ({"queries": ()}, {"supported", "min_searches"}),
        ({"queries": (("capital of Norway",), ("Capital  of norway?",))}, {"no_repeated_query"}),
        ({"queries": (("one", "one"),)}, {"no_repeated_query"}),
        ({"think": LONG}, {"first_turn_words", "turn_words"}),
        ({"last": LONG}, {"turn_words"}),
        ({"think": LONG.partition(" ")[2]}, set()),
        ({"queries": ((" ".join(map(str, range(60))),),)}, {"total_words"}),
        ({"queries": (("a",), ("b",), ("c",), ("d",)), "think": "I look it up in the index."},
         {"turns"}),
        ({"think": "Wait, one. Hmm, wait! Two wait; three. (Wait)"}, {"hedging_per_turn"}),
        ({"think": "Await waiters waiting, waits. Wait: wait, wait."}, set()),
        ({"think": "Hmm one hmmm two HMM three hmm."}, {"hedging_per_turn"}),
        ({"think": "Alternatively, one. Alternatively.", "last": "Alternatively alternatively!"},
         {"hedging_total"}),
        ({"think": CHINESE}, {"language"}),
        ({"last": RUSSIAN}, {"language"}),
        ({"think": CHINESE, "asked": "挪威的首都是哪里?"}, set()),
        ({"think": "I look it up.", "asked": "挪威的首都是哪里?"}, set()),
        ({"think": "The film 霸王别姬 (Farewell My Concubine) comes from there."}, set()),
        ({"think": "Анна Каренина!", "passage": f"{OSLO} «Анна Каренина»"}, set()),
        ({"last": "It is Христиания.", "answer": "Oslo", "queries": (("Христиания",),)}, set()),
        ({"passage": f"{OSLO} {CHINESE}"}, set()),
        ({"think": "São Tomé, Łódź, Þórshöfn, Đà Nẵng."}, set()),
        ({"think": "so it is " * 5 + "then"}, {"repetition", "looping"}),
        ({"think": "I look up the capital city of that land now. " * 3}, {"looping"}),
        ({"queries": (("a",), ("b",), ("c",)), "think": "I search again"}, {"repetition"}),
        ({"queries": (("a",), ("b",)), "hits": [["1", "2"], ["2", "3"]]}, {"distinct_sources"}),
        ({"hits": [[]]}, set()),
        ({"fallbacks": 2}, {"fallbacks"}),
        ({"repairs": ["bullet", "fence"]}, {"repairs"}),
        ({"repairs": ["bullet"]}, set()),
        ({"wave": "hinted"}, set()),
        ({"wave": "hinted", "last": "The known answer is Oslo."}, {"hint_unnamed"}),
        ({"wave": "more", "last": "The known answer is Oslo."}, set()),
        ({"wave": "hinted", "passage": "Osloans live there.", "answer": "Kristiania"},
         {"supported", "hint_supported"}),
    ],
)  # fmt: skip
def test_each_rule_drops_what_it_is_for_and_nothing_else(change, failed):
    verdicts = judge(make_rollout(**change), **ALL)
    assert {name for name, (passed, _) in verdicts.items() if not passed} == failed


def test_difficulty_is_that_of_the_first_wave_and_a_hint_comes_last():
    rows = [
        make_rollout(number=0),
        make_rollout(number=1, answer="Bergen"),
        make_rollout(number=2, wave="more", answer="Bergen"),
        make_rollout(number=3, wave="hinted", queries=()),
    ]
    curated = curate_rollouts(make_frame(*rows), make_settings(per_question=3))[0]
    assert curated.select("rollout", "difficulty", "rank").rows() == [
        (0, 0.5, 0), (1, 0.5, 1), (2, 0.5, 2),
    ]  # fmt: skip


def test_of_several_rollouts_those_with_queries_of_their_own_come_first():
    rows = [
        make_rollout(number=0, queries=(("a",),)),
        make_rollout(number=1, queries=(("a",),)),
        make_rollout(number=2, queries=(("b",), ("c",))),
    ]
    curated = curate_rollouts(make_frame(*rows), make_settings(per_question=2))[0]
    assert curated["rollout"].to_list() == [0, 2]


def test_every_rule_is_covered_above():
    assert set(ALL) == set(RULES) == set(Rules.model_fields)
    assert set(QUESTION_RULES) == set(QuestionRules.model_fields)


def test_table_of_rules_says_what_is_published_and_where():
    for rule in [*RULES.values(), *QUESTION_RULES.values()]:
        assert bool(rule.source) == (rule.published is not None)
    assert {rule.dimension for rule in RULES.values()} == {
        "format", "correctness", "reasoning_path", "search_effectiveness",
    }  # fmt: skip
    assert {rule.dimension for rule in QUESTION_RULES.values()} == {"difficulty"}
    make_settings(
        rules={name: rule.published for name, rule in RULES.items()},
        question_rules={name: rule.published for name, rule in QUESTION_RULES.items()},
    )


def make_settings(rules=(), question_rules=(), **values):
    """Curation by these rules and no others."""
    off, off_too = dict.fromkeys(RULES), dict.fromkeys(QUESTION_RULES)
    rules = {**off, **dict(rules)}
    return Curate(rules=rules, question_rules={**off_too, **dict(question_rules)}, **values)


TREE = {
    "id": "q1", "question": "What?", "golden_answers": ["Oslo"], "source": "x", "exclude_urls": [],
    "origin": "tree", "vertices": 4, "levels": [["a", "b"], ["c"]],
}  # fmt: skip
TREE_RULES = {"levels_reached": True, "searches_per_level": 1, "genuine": True}


def judge_tree(rollout, levels=TREE["levels"], genuine=True, rules=TREE_RULES):
    """Which rules a rollout fails whose question has a tree, and what they measured."""
    questions = pl.DataFrame(
        [{**TREE, "levels": levels}], schema=schemas.empty_table(schemas.Questions).schema
    )
    asked = [] if genuine is ... else [(rollout["id"], genuine, "", "")]
    shortcuts = pl.DataFrame(
        asked, schema=schemas.empty_table(schemas.Shortcuts).schema, orient="row"
    )
    rest = make_rollout("q1", 99, queries=(("x",), ("y",)), hits=[["a", "b"], ["c"]])
    verdicts = pl.DataFrame([("q1#99", True, "", "")], schema=shortcuts.schema, orient="row")
    _, verdicts = curate_rollouts(
        make_frame(rollout, rest), make_settings(rules=rules), 1, questions,
        pl.concat([shortcuts, verdicts]),
    )  # fmt: skip
    rows = verdicts.filter(id=rollout["id"]).select("rule", "passed", "value").rows()
    return {rule for rule, passed, _ in rows if not passed}, {
        rule: value for rule, _, value in rows
    }


@pytest.mark.parametrize(
    ("change", "genuine", "failed"),
    [
        ({"queries": (("x",), ("y",)), "hits": [["c", "a"], ["d", "b"]]}, True, set()),
        ({"queries": (("x",), ("y",)), "hits": [["a", "b"], ["d"]]}, True, {"levels_reached"}),
        ({"queries": (("x",), ("y",)), "hits": [["a", "c"], []]}, True, {"levels_reached"}),
        ({"queries": (("x", "y", "z"),), "hits": [["a", "b", "c"]]}, True, {"searches_per_level"}),
        ({"queries": (), "hits": []}, True, {"levels_reached", "searches_per_level"}),
        ({"queries": (("x",), ("y",)), "hits": [["a", "b"], ["c"]]}, False, {"genuine"}),
        ({"queries": (("x",), ("y",)), "hits": [["a", "b"], ["c"]]}, None, {"genuine"}),
        ({"queries": (("x",), ("y",)), "hits": [["a", "b"], ["c"]]}, ..., {"genuine"}),
    ],
)  # fmt: skip
def test_shortcuts_are_dropped_from_rollouts_of_tree_questions(change, genuine, failed):
    assert judge_tree(make_rollout(**change), genuine=genuine)[0] == failed


def test_rules_on_trees_say_what_was_measured():
    rollout = make_rollout(queries=(("x",),), hits=[["c", "a"]])
    _, values = judge_tree(rollout, genuine=False)
    assert values == {
        "levels_reached": 0.5, "searches_per_level": 0.5, "genuine": 0,
    }  # fmt: skip
    assert judge_tree(rollout, rules={"searches_per_level": 0.5})[0] == set()


def test_a_question_without_a_tree_passes_the_rules_on_trees():
    rollout = make_rollout(queries=(), hits=[])
    failed, values = judge_tree(rollout, levels=[], genuine=...)
    assert failed == set() and set(values.values()) == {None}
    assert make_acceptance(make_settings(TREE_RULES))(rollout)
    curated, _ = curate_rollouts(make_frame(rollout), make_settings(rules=TREE_RULES))
    assert curated.height == 1


@pytest.mark.build
def test_rules_on_trees_judge_alike_in_several_processes(monkeypatch):
    monkeypatch.setattr(choice, "SLICE", 3)
    rollouts = make_frame(*(
        make_rollout("q1", n, queries=(("x",), ("y",))[: 1 + n % 2], hits=[["a", "b", "c"]])
        for n in range(9)
    ))  # fmt: skip
    questions = pl.DataFrame([TREE], schema=schemas.empty_table(schemas.Questions).schema)
    settings = make_settings(rules={"levels_reached": True, "searches_per_level": 1})
    one, two = (curate_rollouts(rollouts, settings, n, questions) for n in (1, 2))
    assert one[1].equals(two[1]) and one[0]["id"].to_list() == ["q1#1"]


def test_questions_and_verdicts_that_do_not_belong_are_named():
    settings = make_settings(rules=TREE_RULES)
    questions = pl.DataFrame([TREE], schema=schemas.empty_table(schemas.Questions).schema)
    with pytest.raises(InputError, match=r"question_id 'q2' \(1 such ids\) is not among"):
        curate_rollouts(make_frame(make_rollout("q2")), settings, 1, questions)
    with pytest.raises(InputError, match=r"curate\.rules\.genuine: .* no verdicts"):
        curate_rollouts(make_frame(make_rollout()), settings, 1, questions)
    shortcuts = pl.DataFrame(
        [("q9#0", True, "", "")], schema=schemas.empty_table(schemas.Shortcuts).schema, orient="row"
    )
    with pytest.raises(InputError, match=r"shortcuts: id 'q9#0' \(1 such ids\) is no rollout"):
        curate_rollouts(make_frame(make_rollout()), settings, 1, questions, shortcuts)


def test_acceptance_is_what_curation_decides_of_a_rollout():
    rollouts = [
        make_rollout(number=0),
        make_rollout(number=1, think=CHINESE),
        make_rollout(number=2, answer="Bergen"),
        make_rollout(number=3, fallbacks=9),
    ]
    judged = judge_rollouts(make_frame(*rollouts), ALL)
    accept = make_acceptance(make_settings({**ALL, "turns": None}))
    assert [accept(row) for row in rollouts] == [True, False, False, False]
    assert judged.select(pl.all_horizontal(*ALL)).to_series().to_list() == [True] + [False] * 3
    assert make_acceptance(make_settings())(rollouts[2])
    with pytest.raises(ValidationError, match=r"rules\.exact"):
        make_settings({"exact": True})


def test_verdict_says_what_was_measured():
    verdicts = judge(make_rollout(tamper=break_tag), **ALL)
    assert verdicts["valid_grammar"] == (False, 0)
    assert verdicts["turns"] == (True, 2)
    assert verdicts["answered"] == (True, 1)
    assert judge(make_rollout(hits=[[]]), **ALL)["distinct_sources"] == (True, None)
    again = judge(make_rollout(think="so it is " * 5 + "then"), **ALL)
    assert again["repetition"] == (False, pytest.approx(5 / 15))
    assert again["looping"] == (False, pytest.approx(9 / 13))


def test_another_threshold_can_be_tried_on_the_values():
    rollouts = make_frame(
        make_rollout("q1", queries=(("a",), ("b",), ("c",))),
        make_rollout("q2", 0, think="so it is " * 5, last="Wait, hmm, wait: wait, wait. Wait."),
        make_rollout("q2", 1, think="I look up the capital city of that land now. " * 3),
        make_rollout("q2", 2, think=CHINESE, hits=[["1", "1"]]),
        make_rollout("q3", answer="Bergen", think=LONG, fallbacks=3, stop="forced_answer"),
    )
    loose = {name: value if value is True else 0.4 for name, value in ALL.items()}
    first, second = (
        curate_rollouts(
            rollouts,
            make_settings(rules, shares, max_kept=most),
            may_be_empty=True,
        )[1].filter(pl.col("rule") != "max_kept")
        for rules, shares, most in (
            (ALL, {"min_correct_share": 0.1, "max_correct_share": 0.9}, 2),
            (loose, {"min_correct_share": 0.6, "max_correct_share": 0.6}, None),
        )
    )
    assert first.height == 5 * (len(ALL) + 2)
    assert first["value"].equals(second["value"])
    rules = {**RULES, **QUESTION_RULES}
    for verdicts in (first, second):
        for name, passed, value, threshold in verdicts.select(
            "rule", "passed", "value", "threshold"
        ).iter_rows():
            assert passed is (value is None or rules[name].bound(value, threshold)), name
    assert not first["passed"].equals(second["passed"])


@pytest.mark.parametrize(
    ("text", "phrase", "holds"),
    [
        ("founded in 1,040.", "1040", True),
        ("The Lord of\n the  Rings", "lord of rings", True),
        ("U.S. Navy", "US", True),
        ("Osloans", "Oslo", False),
        ("york, new", "new york", False),
        ("the end", "the", True),
        ("end", "the", False),
        ("+++ and -", "+++", True),
        ("", "Oslo", False),
        ("Oslo", "", False),
        ("S\u00e3o\u00a0Paulo", "s\u00e3o paulo", True),
    ],
)
def test_support_is_by_whole_words_without_case_punctuation_and_articles(text, phrase, holds):
    assert holds_phrase(text, phrase) is holds


def test_what_the_observation_adds_itself_supports_nothing():
    echo = make_rollout(answer="Bergen", queries=(("is Bergen the capital",),))
    assert judge(echo, supported=True)["supported"] == (False, 0)
    assert judge(make_rollout(answer="1"), supported=True)["supported"][0] is False
    assert judge(make_rollout(answer="information"), supported=True)["supported"][0] is False


def test_title_supports_and_a_judgement_needs_a_search_only():
    title = make_rollout(answer="Oslo", passage="The capital.")
    assert judge(title, supported=True)["supported"] == (True, 1)
    assert judge(make_rollout(answer="Yes"), supported=True)["supported"][0] is True
    assert judge(make_rollout(answer="Yes", queries=()), supported=True)["supported"][0] is False


def test_best_rollout_has_fewest_searches_then_words_then_number():
    two = (("one",), ("two",))
    rollouts = make_frame(
        make_rollout("q2", 0, queries=two),
        make_rollout("q1", 0, queries=two, think="Hm."),
        make_rollout("q1", 1, think="I look it up now, and more."),
        make_rollout("q1", 2),
        make_rollout("q1", 3),
        make_rollout("q1", 4, answer="Bergen"),
        make_rollout("q3", 0, answer="Bergen"),
    )
    curated, verdicts = curate_rollouts(rollouts, make_settings(rules=ALL))
    assert curated["id"].to_list() == ["q2#0", "q1#2"]
    assert curated["difficulty"].to_list() == [1.0, 0.8]
    assert curated["rank"].to_list() == [0, 0]
    assert verdicts.height == 7 * len(ALL)
    assert set(verdicts.filter("kept")["id"]) == {"q2#0", "q1#2"}
    curated, _ = curate_rollouts(rollouts, make_settings(rules=ALL, per_question=2))
    assert curated.select("id", "rank").rows() == [("q2#0", 0), ("q1#2", 0), ("q1#0", 1)]


def test_rule_that_is_off_judges_nothing():
    rules = {"answered": True, "exact_match": False, "supported": None}
    curated, verdicts = curate_rollouts(
        make_frame(make_rollout(answer="Bergen")), make_settings(rules=rules)
    )
    assert verdicts["rule"].to_list() == ["answered"]
    assert curated["difficulty"].to_list() == [0.0]


def test_without_rules_the_best_rollout_is_kept():
    curated, verdicts = curate_rollouts(make_frame(make_rollout()), make_settings())
    assert (curated.height, verdicts.height) == (1, 0)


def test_funnel_shows_what_a_rule_alone_drops(caplog):
    caplog.set_level("INFO")
    rollouts = make_frame(
        make_rollout("q1"),
        make_rollout("q2", answer="Oslo."),
        make_rollout("q3", answer="Bergen"),
    )
    curate_rollouts(rollouts, make_settings(rules={"exact_match": True, "supported": True}))
    lines = [line.split() for line in caplog.text.splitlines()]
    assert ["rollouts", "-", "-", "-", "3", "3"] in lines
    assert ["exact_match", "correctness", "2", "1", "1", "1"] in lines
    assert ["supported", "search_effectiveness", "1", "0", "1", "1"] in lines


def test_nothing_left_says_which_rule_dropped_how_many():
    rollouts = make_frame(make_rollout(answer="Oslo."), make_rollout(number=1, answer="Bergen"))
    with pytest.raises(InputError, match=r"no rollout of 2 .*exact_match 2, .*supported 1"):
        curate_rollouts(rollouts, make_settings(rules=ALL))


def test_a_later_round_may_keep_nothing_and_says_so(caplog):
    rollouts = make_frame(make_rollout(answer="Bergen"))
    curated, verdicts = curate_rollouts(rollouts, make_settings(rules=ALL), may_be_empty=True)
    assert curated.is_empty() and verdicts.height == len(ALL) and not verdicts["kept"].any()
    assert "no rollout of 1 passes every curation rule" in caplog.text


@pytest.mark.parametrize(
    ("rules", "part"),
    [
        ({"exact": True}, r"unknown key curate\.rules\.exact; known here: answered"),
        (
            {"turns": True},
            r"curate\.rules\.turns: True is not allowed; it must be a number of at least 0, false",
        ),
        ({"turns": -1}, r"curate\.rules\.turns: -1"),
        (
            {"answered": 3},
            r"curate\.rules\.answered: 3 is not allowed; it must be true or false or null",
        ),
    ],
)
def test_wrong_rule_is_named(rules, part):
    with pytest.raises(InputError, match=part):
        Curate.parse({"rules": rules}, "curate")


def make_question(question, right, wrong=0, searches=1, **change):
    """`right` rollouts that answer and `wrong` ones that do not."""
    queries = tuple((f"query {n}",) for n in range(searches))
    return [
        make_rollout(
            question, n, queries=queries, answer="Oslo" if n < right else "Bergen", **change
        )
        for n in range(right + wrong)
    ]


def test_next_best_rollout_is_kept_when_the_best_fails_a_later_rule():
    best = make_rollout("q1", 0, hits=[["1", "1"]])
    second = make_rollout("q1", 1, queries=(("a",), ("b",)))
    rules = {"exact_match": True, "distinct_sources": 0.95}
    curated, _ = curate_rollouts(make_frame(best, second), make_settings(rules=rules, max_kept=1))
    assert curated.select("id", "rank").rows() == [("q1#1", 0)]


def test_cap_keeps_the_hardest_questions_and_says_whom_it_drops(caplog):
    caplog.set_level("INFO")
    rollouts = make_frame(
        *make_question("easy", 2),
        *make_question("few searches", 1, 1),
        *make_question("many searches", 1, 1, searches=2),
        *make_question("hard", 1, 3),
        *make_question("as hard", 1, 3),
    )
    rules = {"exact_match": True}
    curated, verdicts = curate_rollouts(rollouts, make_settings(rules=rules, max_kept=3))
    assert curated["question_id"].to_list() == ["many searches", "hard", "as hard"]
    cap = verdicts.filter(rule="max_kept")
    assert set(cap.filter(~pl.col("passed"))["id"]) == {"easy#0", "few searches#0"}
    assert cap.filter(id="hard#0")["value"].to_list() == [1]
    assert set(verdicts.filter("kept")["id"]) == set(curated["id"])
    assert ["max_kept", "-", "2", "-", "3", "3"] in map(str.split, caplog.text.splitlines())
    curated, _ = curate_rollouts(
        rollouts, make_settings(rules=rules, max_kept=4, order="hardest", per_question=2)
    )
    assert curated["id"].to_list() == ["hard#0", "as hard#0", "many searches#0", "few searches#0"]


def test_question_that_is_always_right_is_dropped_with_a_probability():
    rollouts = make_frame(*(row for n in range(300) for row in make_question(f"q{n}", 2)))
    kept = {}
    for share, seed in ((0.8, 1), (0.8, 2), (0.5, 1), (0, 1)):
        settings = make_settings(question_rules={"all_correct": share}, seed=seed)
        curated, verdicts = curate_rollouts(rollouts, settings)
        kept[share, seed] = set(curated["question_id"])
        assert len(kept[share, seed]) == pytest.approx(300 * (1 - share), abs=30)
        assert verdicts.filter(rule="all_correct").height == 600
        assert set(verdicts.filter("passed")["question_id"]) == kept[share, seed]
    assert kept[0.8, 1] != kept[0.8, 2]
    assert kept[0.8, 1] < kept[0.5, 1]
    shuffled, _ = curate_rollouts(
        rollouts.reverse(), make_settings(question_rules={"all_correct": 0.8}, seed=1)
    )
    assert set(shuffled["question_id"]) == kept[0.8, 1]
    drawn = verdicts.filter(question_id="q7")["value"][0]
    assert drawn == draw_number("q7", 1)


def test_one_rollout_says_too_little_of_difficulty_to_drop_its_question():
    rollouts = make_frame(
        *make_question("one", 1), *make_question("two", 2), *make_question("h", 1, 1)
    )
    curated, _ = curate_rollouts(rollouts, make_settings(question_rules={"all_correct": 1}))
    assert curated["question_id"].to_list() == ["one", "h"]


def test_difficulty_band_drops_whole_questions():
    rollouts = make_frame(
        *make_question("never", 0, 4), *make_question("once", 1, 3), *make_question("always", 4)
    )
    band = {"min_correct_share": 0.125, "max_correct_share": 0.75}
    curated, verdicts = curate_rollouts(rollouts, make_settings(question_rules=band))
    assert curated["id"].to_list() == ["once#0"]
    failed = verdicts.filter(~pl.col("passed"))
    assert set(failed.select("question_id", "rule", "value").rows()) == {
        ("never", "min_correct_share", 0), ("always", "max_correct_share", 1),
    }  # fmt: skip
    with pytest.raises(InputError, match=r"min_correct_share 6"):
        curate_rollouts(
            rollouts.filter(pl.col("question_id") != "always")[:6],
            make_settings(question_rules={"min_correct_share": 0.9}),
        )


def test_difficulty_follows_the_rule_on_correctness_that_is_on():
    rollouts = make_frame(
        make_rollout(number=0, answer="Oslo, Norway"), make_rollout(number=1, answer="Bergen")
    )
    curated, _ = curate_rollouts(rollouts, make_settings(rules={"contains_answer": True}))
    assert curated["difficulty"].to_list() == [0.5]


@pytest.mark.build
def test_several_processes_judge_as_one_does(monkeypatch):
    monkeypatch.setattr(choice, "SLICE", 7)
    rollouts = make_frame(
        *(row for n in range(10) for row in make_question(f"q{n}", 1 + n % 3, 1, think=f"{n} wait"))
    )
    settings = make_settings(rules=ALL, question_rules={"all_correct": 0.8}, max_kept=5)
    one, two = (curate_rollouts(rollouts, settings, workers) for workers in (1, 2))
    assert one[0].equals(two[0]) and one[1].equals(two[1])


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        (
            {"question_rules": {"easy": 1}},
            r"unknown key curate\.question_rules\.easy; known here: all_",
        ),
        (
            {"question_rules": {"all_correct": True}},
            r"True is not allowed; it must be a number from 0 to 1, false",
        ),
        ({"question_rules": {"all_correct": 80}}, r"curate\.question_rules\.all_correct: 80"),
        (
            {"rules": {"language": 1.5}},
            r"curate\.rules\.language: 1\.5 is not allowed; it must be a number from 0 to 1",
        ),
        ({"max_kept": 0}, r"curate\.max_kept: 0"),
        (
            {"order": "easiest"},
            r"curate\.order: 'easiest' is not allowed; it must be input or hardest",
        ),
    ],
)
def test_wrong_setting_is_named(setting, part):
    with pytest.raises(InputError, match=part):
        Curate.parse(setting, "curate")


def run_curate(folder, config):
    return run_script(
        "curate",
        "--trajectories", folder / "trajectories.parquet",
        "--out", folder / "curated.parquet",
        "--verdicts", folder / "curation.parquet",
        "--config", json.dumps({"curate": config}),
    )  # fmt: skip


def test_script_writes_both_tables_and_a_fault_leaves_them_alone(tmp_path):
    rollouts = make_frame(make_rollout(), make_rollout(number=1, answer="Bergen"))
    schemas.write_table(rollouts, tmp_path / "trajectories.parquet", schemas.Trajectories)
    ended = run_curate(tmp_path, {"rules": ALL, "per_question": 1})
    assert ended.returncode == 0, ended.stderr
    curated = schemas.read_table(tmp_path / "curated.parquet", schemas.Curated)
    assert curated["id"].to_list() == ["q1#0"]
    verdicts = schemas.read_table(tmp_path / "curation.parquet", schemas.Verdicts)
    assert verdicts.height == 2 * len(ALL)
    before = (tmp_path / "curated.parquet").read_bytes()
    ended = run_curate(tmp_path, {"rules": {"min_searches": 9}})
    assert ended.returncode == 1
    assert "min_searches 2" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "curated.parquet").read_bytes() == before
