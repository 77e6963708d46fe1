"""The workflow's scripts, run in the process of the tests: a fresh one takes seconds to import."""

import contextlib
import io
import logging
import runpy
import sys
from subprocess import CompletedProcess

from helpers.checkout import ROOT

LEVELS = (logging.INFO, logging.WARNING, logging.ERROR)


def run_script(name, *options):
    """Run `scripts/<name>.py`, and leave the process as it was; what it says is in the result."""
    command = [str(ROOT / "scripts" / f"{name}.py"), *map(str, options)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    root, argv = logging.getLogger(), sys.argv
    handlers, level = list(root.handlers), root.level
    names = {each: logging.getLevelName(each) for each in LEVELS}
    root.handlers.clear()  # the script closes those that it finds
    sys.argv = command
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv = argv
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        for each, text in names.items():
            logging.addLevelName(each, text)
    return CompletedProcess(command, code or 0, out.getvalue(), err.getvalue())
