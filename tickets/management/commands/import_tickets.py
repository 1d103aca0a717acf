"""`manage.py import_tickets FILE`: bring the tickets of a CSV, XLSX or JSON file into the network."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, OperationalError
from rich.progress import TimeRemainingColumn

from dtvn.waiting import saying, saying_in_silence
from dtvn.wording import counted
from tickets.importing import FileRefused, ImportPlan, LeftOut, WrongRow, by_event
from tickets.importing.arguments import (
    add_file_arguments,
    at_least_one,
    check_writable,
    open_questions,
    plan_of,
    progress_bar,
    seconds,
)
from tickets.importing.platform import Platform, PlatformUnknown, Refused, open_client, platform_of
from tickets.importing.sending import (
    BATCH_SIZE,
    IN_FLIGHT,
    UNDECIDED,
    Delivery,
    NetworkSilent,
    check_may_issue,
    send_tickets,
)
from tickets.management.recording import recorded

EXIT_SOME_WRONG = 1
EXIT_NOTHING_DONE = 2
EXIT_UNFINISHED = 3
REPORTED_MAX = 200
"""Wrong rows printed one by one; --report writes all of them."""
EVENTS_MAX = 10
"""Events that have a line each; of more, those with one time zone share one."""
NAMED_MAX = 5
"""Events that such a line names."""
ANSWER_PATIENCE = 60.0
ONLY_BY_THE_PAGE = (
    "Only the page Import and export brings the entries, replaced codes and events of a file: give it this "
    "file."
)


class Command(BaseCommand):
    help = (
        "Issue the tickets of a CSV, XLSX or JSON file: of pretix, Eventbrite, Ticket Tailor, Weezevent, "
        "Hi.Events, Tito, alf.io, Indico, our own export, or any list with a header. What decides who comes "
        "in (the column that the scanner reads, the values that admit, the products that are entrances, the "
        "time zone, who has entered already) comes from the file, or is asked for: the command then ends "
        "with 2 and names the option that answers. --dry-run shows all answers. "
        "Names and addresses stay in this platform's database; the log gets a salted commitment. "
        "Running it again is safe. Exit codes: 0 all imported, 1 all but some wrong rows imported, "
        "2 nothing imported, 3 it stopped half way (run it again to finish)."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_file_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="check the file without importing")
        parser.add_argument(
            "--in-flight",
            type=at_least_one,
            default=IN_FLIGHT,
            help="concurrent requests (default: %(default)s)",
        )
        parser.add_argument(
            "--patience",
            type=seconds,
            default=120.0,
            help="seconds to wait for a network that does not answer (default: %(default)s)",
        )
        parser.add_argument("--report", type=Path, help="write all rows that were not imported to this file")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = plan_of(options)
            check_writable(options["report"], "--report")
            self._tell(found)
            if found.questions:
                raise FileRefused(open_questions(found))
            self._compare(found)
            if options["dry_run"]:
                self._summarise(found, None, options["report"])
                return
            if found.events or any(ticket.needs_operate for ticket in found.tickets):
                raise FileRefused(ONLY_BY_THE_PAGE)
            platform = platform_of(settings.DATA, url=options["url"], api_key=options["api_key"])
        except (FileRefused, PlatformUnknown) as error:
            raise CommandError(str(error), returncode=EXIT_NOTHING_DONE) from error
        event = f" event={options['event']}" if options["event"] else ""
        with recorded(self, "import_tickets", f"{options['file']}{event}"):
            delivery = self._deliver(found, platform, options)
        self._summarise(found, delivery, options["report"])

    def _compare(self, found: ImportPlan) -> None:
        from tickets.importing.stored import set_aside_differing  # imports models

        try:
            set_aside_differing(found)
        except DatabaseError as error:
            self.stdout.write(f"Not compared with the stored tickets, which cannot be read: {error}.")

    def _deliver(self, found: ImportPlan, platform: Platform, options: dict[str, Any]) -> Delivery:
        """Nothing is stored before the platform has said that this key may issue."""
        delivery = Delivery()
        if not found.tickets:
            return delivery
        from tickets.importing.delivering import Part, deliver  # imports models

        in_flight, patience = options["in_flight"], options["patience"]
        with saying(f"an answer from {platform.url}"), _explained(platform, delivery, found):
            asyncio.run(_ask(platform, patience))
        with (
            progress_bar(TimeRemainingColumn()) as progress,
            saying_in_silence(UNDECIDED, say=progress.console.print) as heard,
            _explained(platform, delivery, found),
        ):
            task = progress.add_task("Issuing tickets", total=len(found.tickets))

            def told(count: int) -> None:
                progress.advance(task, count)
                heard()

            async def send(part: Part, own: Delivery) -> None:
                async with open_client(platform, connections=in_flight, patience=ANSWER_PATIENCE) as client:
                    await send_tickets(
                        client,
                        part.tickets,
                        part.commitments,
                        own,
                        patience=patience,
                        told=told,
                        in_flight=in_flight,
                    )

            deliver(
                found.tickets,
                lambda part, own: asyncio.run(send(part, own)),
                delivery,
                size=in_flight * BATCH_SIZE,
            )
        return delivery

    def _summarise(self, found: ImportPlan, delivery: Delivery | None, report: Path | None) -> None:
        wrong = sorted(found.wrong + (delivery.wrong if delivery else []), key=lambda one: one.row)
        if delivery is None:
            new = counted(found.new, "ticket" if found.identical is None else "new ticket")
            self.stdout.write(f"{counted(found.rows, 'row')} read: {new} would be imported{_stored(found)}.")
        else:
            before = f" ({delivery.existed:,} had already been imported)" if delivery.existed else ""
            present = counted(delivery.present, "ticket")
            self.stdout.write(f"{counted(found.rows, 'row')} read: {present} in the network{before}.")
        self._describe(found)
        if found.left_out:
            self.stdout.write(f"{counted(len(found.left_out), 'row')} left out:")
            self._rows([f"row {one.row}: {one.reason}" for one in found.left_out])
        if wrong:
            self.stdout.write(f"{counted(len(wrong), 'row')} wrong:")
            self._rows([f"row {one.row}: {one.reason}" for one in wrong])
        if report is not None:
            rows: list[LeftOut | WrongRow] = [*found.left_out, *wrong]
            report.write_text("".join(f"row {one.row}: {one.reason}\n" for one in rows), encoding="utf-8")
        if wrong:
            sys.exit(EXIT_SOME_WRONG)

    def _tell(self, found: ImportPlan) -> None:
        """How the file was understood: its answers, where each came from, and what is worth saying."""
        self.stdout.write(f"Read as {found.form}{f': {found.preset}' if found.preset else ''}.")
        for told in found.told:
            self.stdout.write(f"  {told.id}: {told.words} [{told.origin}]")
        for sentence in found.said:
            self.stdout.write(sentence)

    def _describe(self, found: ImportPlan) -> None:
        """The tickets of each event, and the columns that are not read."""
        events = by_event(found.tickets)
        for event in events if len(events) <= EVENTS_MAX else ():
            zone = f"times without an offset in {found.zones[event]}"
            self.stdout.write(f"Event {event}: {counted(len(events[event]), 'ticket')}, {zone}.")
        for zone in sorted(set(found.zones.values())) if len(events) > EVENTS_MAX else ():
            here = [event for event in events if found.zones[event] == zone]
            tickets = counted(sum(len(events[event]) for event in here), "ticket")
            more = f" and {len(here) - NAMED_MAX:,} more" if len(here) > NAMED_MAX else ""
            said = f"{', '.join(here[:NAMED_MAX])}{more}; times without an offset in {zone}"
            self.stdout.write(f"{counted(len(here), 'event')} with {tickets}: {said}.")
        if found.samples:
            self.stdout.write(f"Scanned as {', '.join(found.samples)}.")
        if found.unread:
            self.stdout.write(f"Columns not read: {', '.join(found.unread)}.")

    def _rows(self, lines: list[str]) -> None:
        for line in lines[:REPORTED_MAX]:
            self.stdout.write(f"  {line}")
        if len(lines) > REPORTED_MAX:
            self.stdout.write(f"  and {len(lines) - REPORTED_MAX:,} more (--report FILE writes all)")


async def _ask(platform: Platform, patience: float) -> None:
    async with open_client(platform, connections=1, patience=ANSWER_PATIENCE) as client:
        await check_may_issue(client, patience=patience)


@contextmanager
def _explained(platform: Platform, delivery: Delivery, found: ImportPlan) -> Iterator[None]:
    """Turns the platform's refusal into a message with its exit code, which says how far the import got."""
    try:
        yield
    except (Refused, NetworkSilent, OperationalError) as error:
        began = delivery.present or delivery.wrong
        done = f"{delivery.present:,} of {counted(len(found.tickets), 'ticket')} in the network. "
        silent = f" from {platform.url}" if isinstance(error, NetworkSilent) else ""
        again = "Run the same command again to finish."
        unsaved = "holders could not be saved: " if isinstance(error, OperationalError) else ""
        text = f"Stopped: {unsaved}{error}{silent}. {done if began else ''}{again if began or silent else ''}"
        unfinished = began or isinstance(error, NetworkSilent)
        code = EXIT_UNFINISHED if unfinished else EXIT_NOTHING_DONE
        raise CommandError(text.strip(), returncode=code) from error


def _stored(found: ImportPlan) -> str:
    if found.identical is None:
        return ""
    return f"; stored already: {found.identical:,} identical, {found.differing:,} differing"
