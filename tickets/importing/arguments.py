"""Shared parts of the commands that read a file of tickets: arguments, their checks, a progress bar."""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.db import DatabaseError

from dtvn.machine.fields import DEFAULT_EVENT, is_name
from tickets.importing.columns import ALIASES, EVENT_LENGTH_MAX, Columns
from tickets.importing.record import COMMAND_LINE, FileRefused, Settings

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


def add_file_arguments(parser: ArgumentParser, *, may_lack_file: bool = False) -> None:
    """Arguments of every command that reads a file of tickets and talks to the platform: the gates need the
    same values as the import."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="?" if may_lack_file else None,
        help="CSV (any common delimiter and encoding), XLSX or JSON",
    )
    parser.add_argument(
        "--event", help=f"the only event of the file (default: its column event, else {DEFAULT_EVENT})"
    )
    parser.add_argument("--slug", default="", help="import only this event of an export with several")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="FIELD=NAME",
        help=f"name of the column for a field, '' for none; fields: {', '.join(ALIASES)}",
    )
    parser.add_argument(
        "--timezone",
        default="",
        help="time zone of times without an offset (default: the event's in the admin, else DTVN_TIME_ZONE)",
    )
    parser.add_argument("--include-pending", action="store_true", help="import unpaid orders too")
    parser.add_argument("--url", default="", help="URL of the platform (default: from DATA/credentials.json)")
    parser.add_argument("--api-key", default="", help="API key (default: from DATA/credentials.json)")


def columns_of(options: Mapping[str, Any]) -> Columns:
    """Return the settings for reading the file, from `add_file_arguments`; raise FileRefused."""
    event, zone = options["event"], options["timezone"]
    if event is not None:
        check_event(event)
    return Columns(
        event=event or "",
        zone=zone_of(zone or settings.EVENT_TIME_ZONE),
        zones={} if zone else event_zones(),
        chosen=chosen_columns(options["column"]),
        include_pending=options["include_pending"],
    )


def event_zones(named: Settings = COMMAND_LINE) -> dict[str, ZoneInfo]:
    """The time zone of each event that has one of its own; raise FileRefused without a database."""
    try:
        from tickets.models import EventTimeZone  # not for --help

        rows = list(EventTimeZone.objects.values_list("event", "zone"))
    except DatabaseError as error:
        raise FileRefused(
            "The time zones of events, in the platform's database, cannot be read: give "
            f"{named.timezone}. {error}"
        ) from error
    return {event: zone_of(zone) for event, zone in rows}


def progress_bar(*columns: ProgressColumn) -> Progress:
    """A progress bar on standard error, which ends with these columns."""
    from rich.console import Console  # not for the web process
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *columns,
        console=Console(stderr=True),
    )


def zone_of(name: str, named: Settings = COMMAND_LINE) -> ZoneInfo:
    """The time zone of this name; raise FileRefused."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise FileRefused(
            f"{named.timezone} {name!r} is unknown; use a name such as Europe/Berlin."
        ) from error


def chosen_columns(pairs: Iterable[str], named: Settings = COMMAND_LINE) -> dict[str, str]:
    """Field to column name, from FIELD=NAME; raise FileRefused for an unknown field, or one given
    twice."""
    chosen: dict[str, str] = {}
    for pair in pairs:
        field, equals, name = pair.partition("=")
        if not equals or field not in ALIASES:
            raise FileRefused(
                f"{named.column.format(repr(pair))} is not FIELD=NAME with FIELD one of {', '.join(ALIASES)}."
            )
        if field in chosen:
            raise FileRefused(f"{named.columns} names {field} twice: {chosen[field]!r} and {name!r}.")
        chosen[field] = name
    return chosen


def check_event(event: str, named: Settings = COMMAND_LINE) -> None:
    """Raise FileRefused if the text is not a valid event name."""
    if not is_name(event) or len(event) > EVENT_LENGTH_MAX:
        raise FileRefused(f"{named.event} {event!r} is not 1 to {EVENT_LENGTH_MAX} of A-Z a-z 0-9 . _ : -")


def check_writable(path: Path | None, option: str) -> None:
    """Raise FileRefused if `path` cannot be written: after the work it would be too late. Existing content of
    the file stays."""
    if path is None:
        return
    try:
        path.open("a").close()
    except OSError as error:
        raise FileRefused(f"{option} {path} cannot be written: {error.strerror}.") from error


def seconds(text: str) -> float:
    """Parse a number of seconds, 0 or more; for argparse."""
    with suppress(ValueError):
        if 0 <= (found := float(text)) < math.inf:
            return found
    raise ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")


def at_least_one(text: str) -> int:
    """Parse a whole number, 1 or more; for argparse."""
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 9 and int(text)):
        raise ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)
