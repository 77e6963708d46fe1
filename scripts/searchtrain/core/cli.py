"""What every script shares: arguments, logging, and one-line errors with a non-zero exit."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from searchtrain.core.errors import SearchTrainError

logger = logging.getLogger(__name__)


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser whose help is the script's docstring, with `--log`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--log", type=Path, help="also write the log to this file")
    return parser


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments and send the log to stderr and, if given, to `--log`."""
    args = parser.parse_args(argv)
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if args.log:
        args.log.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(args.log, mode="w", encoding="utf-8"))
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s {Path(sys.argv[0]).stem}: %(message)s",
        datefmt="%H:%M:%S",
        handlers=handlers,
        force=True,
    )
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "openai"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return args


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`: a SearchTrainError becomes one logged line and exit status 1."""
    try:
        main()
    except SearchTrainError as error:
        logger.error("error: %s", error)
        sys.exit(1)
