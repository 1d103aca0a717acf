"""What the commands for files check of their arguments before anything is sent."""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tickets.importing.columns import ALIASES
from tickets.importing.record import FileRefused
from tickets.machine.commands import is_name

__all__ = [
    "add_column",
    "add_timezone",
    "at_least_one",
    "check_event",
    "check_writable",
    "chosen_columns",
    "seconds",
    "zone_of",
]

EVENT_LENGTH_MAX = 64


def add_column(parser: ArgumentParser) -> None:
    """--column: what was said at the import has to be said wherever the same file is read."""
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="FIELD=NAME",
        help=f"a column of another name; fields: {', '.join(ALIASES)}",
    )


def add_timezone(parser: ArgumentParser) -> None:
    """--timezone: whether a ticket ends before it begins may hang on it, so scans say it too."""
    parser.add_argument("--timezone", default="UTC", help="of times without offset (default: %(default)s)")


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this name; raise FileRefused."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise FileRefused(f"--timezone {name!r} is not known, say Europe/Berlin.") from error


def chosen_columns(pairs: Iterable[str]) -> dict[str, str]:
    """Field to column name, as --column gave them; raise FileRefused for what names none, or one twice."""
    chosen: dict[str, str] = {}
    for pair in pairs:
        field, equals, name = pair.partition("=")
        if not equals or field not in ALIASES:
            raise FileRefused(f"--column {pair!r} is not FIELD=NAME with FIELD one of {', '.join(ALIASES)}.")
        if field in chosen:
            raise FileRefused(f"--column names {field} twice: {chosen[field]!r} and {name!r}.")
        chosen[field] = name
    return chosen


def check_event(event: str) -> None:
    """Raise FileRefused for what can be no event of the network."""
    if not is_name(event) or len(event) > EVENT_LENGTH_MAX:
        raise FileRefused(f"--event {event!r} is not 1 to {EVENT_LENGTH_MAX} of A-Z a-z 0-9 . _ : -")


def check_writable(path: Path | None, option: str) -> None:
    """Raise FileRefused where nothing could be written to `path`: after the work it would be too late. What
    is in the file stays."""
    if path is None:
        return
    try:
        path.open("a").close()
    except OSError as error:
        raise FileRefused(f"{option} {path} cannot be written: {error.strerror}.") from error


def seconds(text: str) -> float:
    """A time from 0 on; for argparse."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise ArgumentTypeError(f"{text!r} is no number of seconds from 0 on")
    return found


def at_least_one(text: str) -> int:
    """A whole number from 1 on; for argparse."""
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 9 and int(text)):
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)
