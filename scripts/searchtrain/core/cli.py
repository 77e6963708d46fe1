"""What every script shares: arguments, logging, and one-line errors with a non-zero exit."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from searchtrain.core.errors import SearchTrainError
from searchtrain.core.terminal import show_text

logger = logging.getLogger(__name__)
"""For what the scripts themselves say."""
MARKS = {logging.INFO: "", logging.WARNING: "warning: ", logging.ERROR: "error: "}
"""What a line of the log begins with."""
LONGEST = 4000
"""Characters of a line of the log."""


class PlainFormatter(logging.Formatter):
    """Lays a line of the log out; texts that it quotes cannot change the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        return show_text(super().format(record), LONGEST)


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the script's docstring, with `--log`."""

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.add_paths(required=False, log="also write the log to this file")

    def add_paths(
        self, *names: str, required: bool = True, many: bool = False, **described: str
    ) -> None:
        """Arguments that are paths, those of `described` with a help; `many`: one path or more."""
        for name, about in {**dict.fromkeys(names), **described}.items():
            self.add_argument(
                f"--{name.replace('_', '-')}",
                type=Path,
                required=required,
                nargs="+" if many else None,
                help=about,
            )

    def parse(self) -> argparse.Namespace:
        """Parse the arguments and send the log to stderr and, if given, to `--log`."""
        args = self.parse_args()
        handlers: list[logging.Handler] = [logging.StreamHandler()]
        if args.log:
            args.log.parent.mkdir(parents=True, exist_ok=True)
            args.log.write_bytes(b"")
            # Appends: what the script starts may write to the same file.
            handlers.append(logging.FileHandler(args.log, mode="a", encoding="utf-8"))
        form = f"%(asctime)s {Path(sys.argv[0]).stem}: %(levelname)s%(message)s"
        for handler in handlers:
            handler.setLevel(logging.INFO)  # some libraries set a lower one of their own
            handler.setFormatter(PlainFormatter(form, datefmt="%H:%M:%S"))
        for level, name in MARKS.items():
            logging.addLevelName(level, name)
        logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
        for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "openai"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        return args


def show(text: str) -> None:
    """Print what a script was asked for; a reader that has seen enough (`head`) is no fault."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python would try once more to write what is left, when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`: a SearchTrainError becomes one logged line and exit status 1."""
    try:
        main()
    except SearchTrainError as error:
        logger.error("%s", error)
        sys.exit(1)
