"""Flags as Go programs take them: one or two dashes, `-flag value` or `-flag=value`.

Boolean flags have no value, or `=true` or `=false`. `-h` and `-help` print usage and exit with 0; an
unknown flag or a bad value prints a message and the usage on stderr and exits with 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from dtvn.node.kinds import boolean


class GoFlags(argparse.ArgumentParser):
    """An argument parser whose flags read like Go's."""

    def __init__(self, *, prog: str, description: str = "", epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        self._switches: set[str] = set()
        self.add_argument("-h", "-help", "--help", action="help", help="show this help and exit")

    def flag(self, name: str, *, help: str, kind: Any = str, default: Any = None, metavar: str = "") -> None:
        """Add a flag with a value."""
        self.add_argument(
            f"-{name}",
            f"--{name}",
            dest=name.replace("-", "_"),
            type=kind,
            default=default,
            metavar=metavar or kind.__name__,
            help=help,
        )

    def switch(self, name: str, *, help: str, default: bool | None = False) -> None:
        """Add a boolean flag; with `default` None, None means that it was not given."""
        self._switches.add(name)
        self.add_argument(
            f"-{name}",
            f"--{name}",
            dest=name.replace("-", "_"),
            type=_truth,
            default=default,
            metavar="",
            help=help,
        )

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse the arguments; exits with 0 after help and with 2 after a mistake."""
        return self.parse_args(arguments)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses as argparse does, except that a boolean flag never takes the next word as its value, and
        any other flag always does, even if that word looks like a flag."""
        words = iter(sys.argv[1:] if args is None else args)
        return super().parse_known_args([self._spelled(word, words) for word in words], namespace)

    def _spelled(self, word: str, following: Iterator[str]) -> str:
        """A word of the command line; a flag is joined with its value, which may be the next word."""
        flag = self._option_string_actions.get(word)
        if flag is None or flag.nargs is not None:  # a value, an unknown flag, -help, or -flag=value
            return word
        if word.lstrip("-") in self._switches:
            return f"{word}=true"
        value = next(following, None)
        return word if value is None else f"{word}={value}"

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        """Returns no abbreviations: argparse allows them after one dash in spite of `allow_abbrev`."""
        return []

    def print_usage_on_stderr(self) -> None:
        """Print the usage for a mistake that a caller finds after parsing."""
        self.print_help(sys.stderr)

    def error(self, message: str) -> NoReturn:
        """Print a message and the usage on stderr, and exit with 2."""
        self.exit(2, f"{message}\n{self.format_help()}")


def _truth(text: str) -> bool:
    try:
        return bool(boolean().read_text(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
