"""Texts that questions, pages and answers may hold and that must be shown as text."""

SCRIPT = "<script>document.title='owned';window.owned=1</script>"
IMAGE = '<img src=x onerror="window.owned=1">'
CLOSING = "</script></textarea></style>--><b>bold</b>"
TEMPLATE = "{{ 7 * 7 }} ${7*7} `` [link](javascript:window.owned=1) $$\\int$$"
TERMINAL = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\x1b[2J\x1b[H\r\x08 bell\x07 \x9b31m"
DIRECTION = "\u202egnp.exe\u202c \u2066x\u2069 \ufeff\u200b"
LONG_LINE = "wide " + "x" * 1_000_000
TEXTS = {
    "script": SCRIPT,
    "image": IMAGE,
    "closing": CLOSING,
    "template": TEMPLATE,
    "terminal": TERMINAL,
    "direction": DIRECTION,
    "long_line": LONG_LINE,
}
"""By name; `window.owned` is set by whatever runs one of them in a browser."""
