"""`dtvn COMMAND ...`: chooses the command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dtvn.cli import validate


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="dtvn", description="Tools for AG-UI event streams.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    checker = commands.add_parser(
        "validate",
        help=validate.HELP,
        description=validate.TEACH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    validate.add_options(checker)
    return validate.run(vars(parser.parse_args(arguments)), sys.stdin.buffer, sys.stdout, sys.stderr)


def command() -> None:
    """The entry point of the installed program."""
    sys.exit(run())
