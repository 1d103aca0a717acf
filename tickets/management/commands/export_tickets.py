"""`manage.py export_tickets KIND FILE`: write tickets, outcomes or the admission list to a file, or to
standard output."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dtvn.files.whole import whole_file
from tickets.importing.record import FileRefused
from tickets.importing.slugs import check_event
from tickets.management.reaching import EXIT_NOTHING_DONE
from tickets.management.recording import recorded
from validators.data_folder.routers import LEARNER_ALIAS

KINDS = ("admission", "interventions", "outcomes", "tickets")
FORMS = ("csv", "xlsx", "json")
"""As in tickets.exporting, which imports models: a parser needs none."""
STANDARD_OUTPUT = Path("-")
EVENTS_NAMED = 20


class Command(BaseCommand):
    help = (
        "Write tickets, the log's outcomes, or the admission list (who may come in, with names) to a file, "
        "from this platform's verified copy of the log: no node and no web process has to run. The suffix of "
        "the file says its form. The file is readable by its owner only, and is there whole or not at "
        "all. Tickets and the admission list hold the codes that open the door; imported into another "
        "platform, they bring every ticket back. Exit codes: 0 written, 2 not written; on standard output "
        "only 0 means that it is whole."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=KINDS)
        parser.add_argument(
            "file", type=Path, help=f"NAME.{', NAME.'.join(FORMS)}; - is standard output (see --format)"
        )
        parser.add_argument(
            "--format", choices=FORMS, help="form of the file (default: its suffix; csv on standard output)"
        )
        parser.add_argument("--event", default=None, help="only this event (default: all)")

    def handle(self, *args: Any, **options: Any) -> None:
        from tickets.exporting import CODES, open_table, write_chunks  # imports models

        path: Path = options["file"]
        piped = path == STANDARD_OUTPUT
        form = options["format"] or ("csv" if piped else path.suffix.lower().removeprefix("."))
        if form not in FORMS:
            text = f"{path} does not end with .{', .'.join(FORMS)}: name the form with --format."
            raise CommandError(text, returncode=EXIT_NOTHING_DONE)
        event = options["event"]
        name = "Standard output" if piped else str(path)
        target = f"{path}{'' if event is None else f' event={event}'}"
        try:
            if event is not None:
                _check_known(event)
            with recorded(self, f"export_tickets {options['kind']}", target):
                table = open_table(options["kind"], event, codes=True)
                if piped:
                    _write(sys.stdout.buffer, write_chunks(table, form))
                else:
                    with whole_file(path, replace=True) as file:
                        _write(file, write_chunks(table, form))
        except FileRefused as error:
            raise CommandError(str(error), returncode=EXIT_NOTHING_DONE) from error
        except DatabaseError as error:
            text = f"The platform's copy of the log cannot be read: {error}."
            raise CommandError(text, returncode=EXIT_NOTHING_DONE) from error
        except OSError as error:
            text = f"{name} cannot be written: {error.strerror}."
            raise CommandError(text, returncode=EXIT_NOTHING_DONE) from error
        out = self.stderr if piped else self.stdout
        out.write(f"{name}: {options['kind']} as of sequence {table.sequence:,}.")
        if set(CODES) <= set(table.columns):
            out.write("It holds the codes of the tickets, which open the door.")


def _write(file: BinaryIO, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        file.write(chunk)
    file.flush()


def _check_known(event: str) -> None:
    """Raise FileRefused if the network has no such event: its list would be empty."""
    from validators.ledger.read import list_events  # imports models

    check_event(event)
    known = list_events(LEARNER_ALIAS)
    if event not in known:
        named = ", ".join(known[:EVENTS_NAMED]) + (", ..." if len(known) > EVENTS_NAMED else "")
        raise FileRefused(f"The network has no event {event!r}; it has {named or 'none'}.")
