"""What a terminal is shown: hostile texts as text, long ones with their length."""

import logging
import unicodedata

import pytest

from helpers import hostile
from searchtrain.core.cli import LONGEST, PlainFormatter
from searchtrain.core.terminal import quote_text, show_text
from searchtrain.core.text_table import format_table


@pytest.mark.parametrize("text", hostile.TEXTS.values(), ids=hostile.TEXTS)
def test_nothing_hidden_and_nothing_obeyed_is_left(text):
    for shown in (show_text(text, 500), quote_text(text, 500)):
        assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert len(shown) < 600
        shown.encode()


def test_what_is_hidden_is_spelt_and_what_is_cut_is_said():
    assert (
        show_text("a\x1b[31m\r\n\tb\u202ec\u200b\ud800")
        == "a\\x1b[31m\\r\n\tb\\u202ec\\u200b\\ud800"
    )
    assert show_text("naïve 東京 מים 👍", 20) == "naïve 東京 מים 👍"
    assert show_text("short\n" + "x" * 3000, 10) == "short\nxxxxxxxxxx… (3,000 characters)"
    assert quote_text("\n" * 400) == r"'\n\n\n… (400 times)'"
    assert quote_text("Paris") == "'Paris'"
    assert quote_text("ab " * 100, 20) == "'ab ab ab  … ab ab ab ' (300 characters)"


def test_a_table_stays_one_line_a_row_whatever_a_label_holds():
    lines = format_table([{"label": "a\n\x1b[2Jb" + "x" * 9000, "n": 1}]).split("\n")
    assert len(lines) == 3 and "\\n\\x1b[2Jb" in lines[2] and len(lines[2]) < 300


def test_a_log_line_that_quotes_a_page_cannot_change_the_terminal():
    said = f"no answer in {hostile.TERMINAL}{hostile.LONG_LINE}"
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, said, None, None)
    line = PlainFormatter("%(message)s").format(record)
    assert "\x1b" not in line and "\x9b" not in line and "characters)" in line
    assert len(line) < LONGEST + 50
