"""Shared parts of the commands and the page that read a file of tickets: answers, their checks, a bar."""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Mapping
from contextlib import suppress
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import DatabaseError

from dtvn.machine.fields import DEFAULT_EVENT, is_name
from tickets.importing.answers import CELLS, QUANTITIES, Answers, answers_from
from tickets.importing.imported import EVENT_LENGTH_MAX
from tickets.importing.plan import ImportPlan, read_plan
from tickets.importing.record import FileRefused
from tickets.importing.settled import Known
from tickets.importing.words import FIELDS
from validators.data_folder.routers import LEARNER_ALIAS

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


ANSWERS = tuple(signature(answers_from).parameters)


def add_file_arguments(parser: ArgumentParser, *, may_lack_file: bool = False) -> None:
    """Arguments of every command that reads a file of tickets and talks to the platform: the gates need the
    same values as the import."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="?" if may_lack_file else None,
        help="CSV (any common delimiter and encoding), XLSX or JSON",
    )
    parser.add_argument("--event", help=f"slug of the event (default: {DEFAULT_EVENT})")
    add_answer_arguments(parser)
    parser.add_argument("--url", default="", help="URL of the platform (default: from DATA/credentials.json)")
    parser.add_argument("--api-key", default="", help="API key (default: from DATA/credentials.json)")


TEXTS = {
    "code": ("COLUMN", "the column that the scanner reads"),
    "entrances": (
        "NAME,NAME",
        'products that are entrances, as in "GA,Weekend"; others are issued and refused at the gate',
    ),
    "timezone": (
        "ZONE",
        "time zone of times without an offset, as in Europe/Berlin (default: the event's)",
    ),
    "quantity": (
        "|".join(QUANTITIES),
        "what a row for several persons is: one ticket of several entries, or several tickets",
    ),
    "cells": ("|".join(CELLS), "what several codes in a cell are: a ticket each, or one code"),
    "sheet": ("NAME", "the sheet of a workbook"),
}
"""Answers that are given once: what stands behind the option, and its help."""
LISTS = {
    "admits": (
        "COLUMN=VALUE,VALUE",
        'values that admit, as in "Status=paid,valid"; others do not. Nothing behind = is an empty cell, '
        "* any text",
    ),
    "refuses": (
        "COLUMN=VALUE,VALUE",
        "values that do not admit, though the preset of the ticket shop says so",
    ),
    "entered": (
        "COLUMN=VALUE,VALUE",
        'values of guests who have entered already, as in "Checked in=yes"; * for every filled cell',
    ),
    "event-name": (
        "NAME=SLUG",
        'which event a name in the file is, as in "Summer Fest 2026=summer-2026"; NAME= leaves it out',
    ),
    "column": (
        "FIELD=NAME",
        f"name of the column for a field, FIELD= for none; fields: {', '.join(FIELDS)}",
    ),
}
"""Answers that may be given several times."""
FLAGS = {
    "no-entrance": "no product is an entrance",
    "nobody-entered": "nobody has entered yet",
    "hidden": "read hidden rows too",
    "stewards-see-why": "issue the rows that are left out as blocked tickets, whose reason the steward sees",
}


def add_answer_arguments(parser: ArgumentParser) -> None:
    """Arguments that answer what a file does not say. Values are compared without case; one with a comma
    stands in quotation marks."""
    for name, (metavar, about) in TEXTS.items():
        default = None if name == "entrances" else ""  # no products is an answer
        parser.add_argument(f"--{name}", default=default, metavar=metavar, help=about)
    for name, (metavar, about) in LISTS.items():
        parser.add_argument(f"--{name}", action="append", default=[], metavar=metavar, help=about)
    for name, about in FLAGS.items():
        parser.add_argument(f"--{name}", action="store_true", help=about)


class _Lines(ArgumentParser):
    """Parses answers of the page."""

    def error(self, message: str) -> NoReturn:
        raise FileRefused(f"Answers: {message}.")


def answers_of_lines(lines: Iterable[str]) -> Answers:
    """Answers from lines such as "code=Barcode" and "no-entrance": the command's options without their
    dashes; raises FileRefused."""
    parser = _Lines(add_help=False, allow_abbrev=False)
    add_answer_arguments(parser)
    return answers_of(vars(parser.parse_args([f"--{line.strip()}" for line in lines if line.strip()])))


def answers_of(options: Mapping[str, Any]) -> Answers:
    """Answers from `add_answer_arguments`; raises FileRefused."""
    if zone := options["timezone"]:
        zone_of(zone)
    return answers_from(**{name: options[name] for name in ANSWERS})


def known_of(event: str) -> Known:
    """What this platform knows of the event, and of others that a file may name; raises FileRefused."""
    from tickets.models import EventTimeZone  # not for --help
    from validators.ledger.read import list_events

    if event:
        check_event(event)
    try:
        zones = dict(EventTimeZone.objects.values_list("event", "zone"))
        events = list_events(LEARNER_ALIAS)
    except DatabaseError:
        zones, events = {}, []  # then the zone is asked for, and names of events
    return Known(event=event, zones=zones, events={*events, *zones})


def plan_of(options: Mapping[str, Any]) -> ImportPlan:
    """The plan of a command's file, from `add_file_arguments`; raises FileRefused."""
    return read_plan(options["file"], answers_of(options), known=known_of(options["event"] or ""))


def open_questions(plan: ImportPlan, *, page: bool = False) -> str:
    """The questions that stop an import, each with its values and how to answer it, to the command or on the
    `page`."""
    lines = ["Nothing is imported before this is answered:"]
    for question in plan.questions:
        lines.append(question.sentence)
        for value, count in question.values:
            examples = "".join(f", {cell[:60]}" for cell in question.examples.get(value, ()))
            lines.append(f"    {value or '(empty)'}: {count:,}{examples}")
        shown = [answer if page else f'"--{answer}"' for answer in question.answers]
        lines.append(f"  {'Answers: ' if page else 'Answer with '}{' or '.join(shown)}")
    return "\n".join(lines)


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


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this name; raises FileRefused."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise FileRefused(f"The time zone {name!r} is unknown; use a name such as Europe/Berlin.") from error


def check_event(event: str) -> None:
    """Raise FileRefused if the text is not a valid event name."""
    if not is_name(event) or len(event) > EVENT_LENGTH_MAX:
        raise FileRefused(f"The event {event!r} is not 1 to {EVENT_LENGTH_MAX} of A-Z a-z 0-9 . _ : -")


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
