"""Texts that models, questions and pages hold, as a terminal may show them.

Invariant: what comes out holds no character that a terminal obeys, that changes the direction of
writing, or that cannot be seen; only line breaks and tabs stay.
"""

import re

HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, of C0 and C1; escape sequences begin with one
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f"  # no width, or another direction
    "\ud800-\udfff]"  # halves of a character, which cannot be printed
)
"""Unicode's general categories Cc, Cf and Cs, separators of lines, and letters that are blank."""
RUN = re.compile(r"(.)\1{7,}", re.DOTALL)
"""One character many times over."""
SHOWN_OF_RUN = 3


def show_text(text: str, limit: int | None = None) -> str:
    r"""A text with its hidden characters spelt out (`\x1b`, `\u202e`).

    Lines of more than `limit` characters are cut, and their length is said.
    """
    shown = HIDDEN.sub(_spell, text)
    if limit is None or len(shown) <= limit:
        return shown
    return "\n".join(_cut(line, limit) for line in shown.split("\n"))


def quote_text(text: str, limit: int = 200) -> str:
    """A text as an example within a message: one line, in quotes, at most about `limit` long.

    Of a longer one beginning and end are shown; a character many times over is shown thrice.
    """
    half = limit // 2
    quoted = repr(RUN.sub(_count_run, text))
    if len(quoted) <= limit:
        return quoted
    return f"{quoted[:half]} … {quoted[-half:]} ({len(text):,} characters)"


def _cut(line: str, limit: int) -> str:
    return line if len(line) <= limit else f"{line[:limit]}… ({len(line):,} characters)"


def _spell(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return "\\r" if code == 0x0D else f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _count_run(match: re.Match[str]) -> str:
    return f"{match[1] * SHOWN_OF_RUN}… ({len(match[0]):,} times)"
