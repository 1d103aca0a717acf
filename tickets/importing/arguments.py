"""Shared parts of the commands and the page that read a file of tickets: answers, their checks, a bar."""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import DatabaseError

from dtvn.machine.fields import DEFAULT_EVENT
from tickets.importing.answers import ANY, CHOICES, Answers, Question, answers_from
from tickets.importing.plan import ImportPlan, read_plan
from tickets.importing.record import FileRefused
from tickets.importing.settled import Known
from tickets.importing.slugs import check_event
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
    "code": (
        "COLUMN|TEXT",
        "the column that the scanner reads; if it stands in none, the text that it reads of one ticket of "
        'the file, or "https://shop.example/?t={COLUMN}"',
    ),
    "entrances": (
        "NAME,NAME",
        'products that let their guests in, as in "GA,Weekend"; the others are imported, too, but the gate '
        "refuses them",
    ),
    "timezone": (
        "ZONE",
        "time zone of the times for which the file names none, as in Europe/Berlin (default: the event's)",
    ),
    "quantity": (
        "|".join(CHOICES["quantity"]),
        "what a row for several persons is: one ticket that lets in all of them, or several tickets",
    ),
    "cells": ("|".join(CHOICES["cells"]), "what several codes in a cell are: a ticket each, or one code"),
    "repeats": (
        "|".join(CHOICES["repeats"]),
        "what several rows with one code are: one ticket, said several times, or several persons who share "
        "the code, which then opens once for each",
    ),
    "sheet": ("NAME", "the sheet of a workbook"),
    "new-event": (
        "|".join(CHOICES["new-event"]),
        "an event that is not here yet: it is created, and only the codes on tickets open its doors, or it "
        "is used as it is, and ids of tickets open them, too",
    ),
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
    "harmless": (
        "COLUMN",
        "a column that decides nothing about who comes in, whatever stands in it",
    ),
    "day": (
        "COLUMN[=END]",
        "the column with the day on which a row's ticket admits, or with the time from which it does; END is "
        "the column with the time until which it does, or a time of the next morning, as in 06:00 (default: "
        "midnight)",
    ),
    "date": (
        "COLUMN=VALUE=DATE",
        'the date that a value stands for in a column of days, as in "Day=Friday=2026-08-28"',
    ),
    "column": (
        "FIELD=NAME",
        f"name of the column for a field, FIELD= for none; fields: {', '.join(FIELDS)}",
    ),
}
"""Answers that may be given several times."""
FLAGS = {
    "no-entrance": "no product lets its guests in",
    "nobody-entered": "nobody has entered yet",
    "within": "the scanner reads a longer text that contains the code, such as a web address",
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


def answers_of(options: Mapping[str, Any]) -> Answers:
    """Answers from `add_answer_arguments`; raises FileRefused."""
    if zone := options["timezone"]:
        zone_of(zone)
    return answers_from(**{name: options[name] for name in ANSWERS})


def known_of(event: str, *, asks_events: bool = False) -> Known:
    """What this platform knows of the event, and of others that a file may name; raises FileRefused."""
    from tickets.models import EventTimeZone  # not for --help
    from tickets.services import codes
    from validators.ledger.read import event_rows, events_with_tickets

    if event:
        check_event(event)
    try:
        zones = dict(EventTimeZone.objects.values_list("event", "zone"))
        rows, filled = event_rows(LEARNER_ALIAS), events_with_tickets(LEARNER_ALIAS)
    except DatabaseError:
        return Known(event=event)  # then the zone is asked for, and names of events
    created = {name: row for name, row in rows.items() if row.declared}
    zones |= {name: row.zone for name, row in created.items() if row.zone}
    return Known(
        event=event,
        zones=zones,
        events={*filled, *created, *zones},
        products={name: dict(row.products) for name, row in created.items()},
        asks_events=asks_events,
        today=datetime.now(UTC).date().isoformat(),
        by_id={name for name in {*filled, *created} if codes.ids_are_codes(rows.get(name))},
        salt_of=lambda name: codes.salt_of(name, rows.get(name)),
    )


def plan_of(options: Mapping[str, Any]) -> ImportPlan:
    """The plan of a command's file, from `add_file_arguments`; raises FileRefused. Stored answers do not
    count: a rehearsal would repeat what was answered wrongly."""
    return read_plan(options["file"], answers_of(options), known=known_of(options["event"] or ""))


def open_questions(
    questions: Iterable[Question],
    heading: str = "Nothing is imported before this is answered:",
    *,
    zone: str = "",
) -> str:
    """The questions that stop a command, each with its values and the options that answer it. `zone`: the
    time zone that was given."""
    lines, questions = [heading], list(questions)
    asks_zone = any(one.id == "timezone" for one in questions)
    columns = [one for one in questions if one.id.startswith("column:") and len(one.answers) > 1]
    for question in questions:
        if question in columns:
            continue
        lines.append(question.sentence)
        lines += [f"    {line}" for line in _values(question)]
        shown = " or ".join(f'"--{answer}"' for answer in question.answers)
        lines.append(f"  Answer with {shown}")
        if question.id == "new-event" and not asks_zone and not zone:
            lines.append('  Times of a new event are shown in UTC, unless you add "--timezone=ZONE"')
    return "\n".join([*lines, *_about_columns(columns)])


def _values(question: Question) -> Iterator[str]:
    """The values of a question, a line each."""
    for value, count in question.values:
        examples = "".join(f", {cell[:60]}" for cell in question.examples.get(value, ()))
        number = f": {count:,}" if count else ""
        yield f"{'any text' if value == ANY else value or '(empty)'}{number}{examples}"


def _about_columns(questions: Sequence[Question]) -> list[str]:
    """The columns that nothing reads, as one table, and how each is answered."""
    if not questions:
        return []
    lines = ["What do these columns mean at the door? Their rows differ (value: number of rows)"]
    width = max(len(question.column) for question in questions)
    for question in questions:
        lines.append(f"    {question.column:{width}}  {'  |  '.join(_values(question))}")
        likely = [answer for answer in question.answers if answer.startswith(f"{question.likely}=")]
        if question.likely and likely:
            lines.append(f'    {"":{width}}  perhaps "--{likely[0]}"')
    return [
        *lines,
        "  Answer for each column with one of",
        '    "--admits=COLUMN=VALUE,VALUE"   who comes in: these values do, all others do not',
        '    "--entered=COLUMN=VALUE,VALUE"  who has entered already: these values (* is any text); if the',
        "                                    column also says who comes in, name them under both",
        '    "--day=COLUMN"                  the day on which the ticket of a row admits, to midnight',
        '    "--day=COLUMN=06:00"            that day, or from that time, until 06:00 of the next morning',
        '    "--day=COLUMN=COLUMN"           the times from which and until which it admits',
        '    "--date=COLUMN=VALUE=DATE"      the day, where a value is no date, as Friday',
        '    "--column=product=COLUMN"       the product (or variation=COLUMN, beside a product)',
        '    "--column=name=COLUMN"          the name of the guest',
        '    "--column=order=COLUMN"         the number of the order',
        '    "--harmless=COLUMN"             it does not matter at the door',
    ]


def progress_bar(*columns: ProgressColumn) -> Progress:
    """A progress bar on standard error, which ends with these columns; none where that is no terminal, also
    if the environment (FORCE_COLOR) claims one."""
    from rich.console import Console  # not for the web process
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    terminal = sys.stderr is not None and sys.stderr.isatty()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *columns,
        console=Console(stderr=True, force_terminal=terminal),
        disable=not terminal,
    )


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this name; raises FileRefused."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise FileRefused(f"The time zone {name!r} is unknown; use a name such as Europe/Berlin.") from error


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
