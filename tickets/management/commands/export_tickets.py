"""`manage.py export_tickets KIND FILE`: write tickets, outcomes or the admission list to a file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dtvn.files.whole import whole_file
from tickets.importing.record import FileRefused
from tickets.importing.slugs import check_event
from tickets.management.recording import recorded
from validators.data_folder.routers import LEARNER_ALIAS

KINDS = ("admission", "interventions", "outcomes", "tickets")
FORMS = ("csv", "xlsx", "json")
"""As in tickets.exporting, which imports models: a parser needs none."""
EXIT_NOTHING_DONE = 2
EVENTS_NAMED = 20


class Command(BaseCommand):
    help = (
        "Write tickets, the log's outcomes, or the admission list (who may come in, with names) to a file, "
        "from this platform's verified copy of the log: no node and no web process has to run. The suffix of "
        "the file says its form. The file is readable by its owner only, and is there whole or not at "
        "all. Tickets and the admission list hold the codes that open the door; imported into another "
        "platform, they bring every ticket back."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=KINDS)
        parser.add_argument("file", type=Path, help=f"NAME.{', NAME.'.join(FORMS)}")
        parser.add_argument("--event", default=None, help="only this event (default: all)")

    def handle(self, *args: Any, **options: Any) -> None:
        from tickets.exporting import CODES, open_table, write_chunks  # imports models

        path: Path = options["file"]
        form = path.suffix.lower().removeprefix(".")
        if form not in FORMS:
            raise CommandError(f"{path} does not end with .{', .'.join(FORMS)}.")
        event = options["event"]
        target = f"{path}{'' if event is None else f' event={event}'}"
        try:
            if event is not None:
                _check_known(event)
            with recorded(self, f"export_tickets {options['kind']}", target):
                table = open_table(options["kind"], event, codes=True)
                with whole_file(path, replace=True) as file:
                    for chunk in write_chunks(table, form):
                        file.write(chunk)
        except FileRefused as error:
            raise CommandError(str(error), returncode=EXIT_NOTHING_DONE) from error
        except DatabaseError as error:
            raise CommandError(f"The platform's copy of the log cannot be read: {error}.") from error
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{path}: {options['kind']} as of sequence {table.sequence:,}.")
        if set(CODES) <= set(table.columns):
            self.stdout.write("It holds the codes of the tickets, which open the door.")


def _check_known(event: str) -> None:
    """Raise FileRefused if the network has no such event: its list would be empty."""
    from validators.ledger.read import list_events  # imports models

    check_event(event)
    known = list_events(LEARNER_ALIAS)
    if event not in known:
        named = ", ".join(known[:EVENTS_NAMED]) + (", ..." if len(known) > EVENTS_NAMED else "")
        raise FileRefused(f"The network has no event {event!r}; it has {named or 'none'}.")
