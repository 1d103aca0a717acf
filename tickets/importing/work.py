"""What a worker does for one import of the page: read the file for a preview, or issue its tickets.

A daemon thread writes heartbeat and progress, so that a long parse does not count as silence. Every write
requires this task's token: a task that was given up changes nothing any more.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import msgspec
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from tickets.importing.arguments import answers_of_lines, known_of, open_questions, zone_of
from tickets.importing.completing import complete
from tickets.importing.delivering import Part, deliver
from tickets.importing.events import prepare_events
from tickets.importing.imported import ImportedTicket, LeftOut, WrongRow
from tickets.importing.moments import shown_moment
from tickets.importing.ordering import Order, order_tickets
from tickets.importing.plan import ImportPlan, by_event, read_plan
from tickets.importing.platform import Refused
from tickets.importing.record import FileRefused
from tickets.importing.sending import BATCH_SIZE, Delivery, NetworkSilent
from tickets.importing.stored import set_aside_differing
from tickets.importing.uploads import WORKING, UploadOptions, storable
from tickets.models import ImportState, TicketImport
from validators.database_failures import is_outage
from validators.processes.last_word import write_last_word

BEAT_INTERVAL = 1.0
PATIENCE = 120.0
"""Seconds without a final answer after which an import stops, to be continued."""
ROWS_REPORTED = 2_000
"""Most rows of each kind in a report."""
SAMPLE = 5

logger = logging.getLogger("dtvn.imports")


def work(import_id: int, token: str, order: Order) -> str:
    """Carry out an import, reading the file or issuing its tickets as the row's state says. `order`: has
    requests ordered. Returns a word for the worker's log. Raises only on an outage of the database."""
    mine = TicketImport.objects.filter(pk=import_id, token=token)
    if not mine.filter(claimed=False, state__in=WORKING).update(claimed=True, heartbeat_at=timezone.now()):
        return "superseded"  # or it came too late: the page has offered to start it again
    one = mine.get()
    progress = _Progress(import_id, token)
    with progress.shown():
        try:
            found = _read(one)
            reading = one.state == ImportState.READING
            written = _preview(found) if reading else _issue(found, order, one.actor, progress)
        except FileRefused as error:
            written = {"state": ImportState.REFUSED, "error": str(error), "content": b""}
        except Exception as error:
            if isinstance(error, DatabaseError | InterfaceError) and is_outage(error):
                raise
            logger.exception("import %s failed", import_id)
            written = {"state": ImportState.STOPPED, "error": f"{type(error).__name__}: {error}"}
        write_last_word(lambda: mine.update(heartbeat_at=timezone.now(), **written), f"import {import_id}")
    return "done"


def _read(one: TicketImport) -> ImportPlan:
    """The plan of the file; after a preview with the time zones of events that it was made with, since its
    times were confirmed."""
    options = msgspec.convert(one.options, UploadOptions)
    known = known_of(options.event)
    if zones := one.preview.get("zones"):
        known = msgspec.structs.replace(known, zones=zones)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{PurePath(one.file_name).suffix[:8]}"
        path.write_bytes(bytes(one.content))
        found = read_plan(path, answers_of_lines(options.answers), known=known)
    if found.questions:
        raise FileRefused(open_questions(found, page=True))
    set_aside_differing(found)
    return found


def _preview(found: ImportPlan) -> dict[str, Any]:
    sample = [_shown(ticket, found) for ticket in found.tickets[:SAMPLE]]
    return {
        "state": ImportState.PREVIEW if found.tickets else ImportState.REFUSED,
        "error": "" if found.tickets else "No row of the file is a ticket to import.",
        "total": len(found.tickets),
        "preview": storable({"sample": sample, "zones": found.zones, "codes": found.samples}),
        "report": _report(found, found.wrong),
    } | ({} if found.tickets else {"content": b""})


def _issue(found: ImportPlan, order: Order, actor: str, progress: _Progress) -> dict[str, Any]:
    delivery, why = Delivery(), ""

    def send(part: Part, own: Delivery) -> None:
        order_tickets(part, own, order=order, patience=PATIENCE, told=progress.add)
        complete(part.tickets, own, order=order, patience=PATIENCE)

    try:
        prepare_events(found.events, actor=actor)
        progress.total = len(found.tickets)
        deliver(
            found.tickets,
            send,
            delivery,
            size=BATCH_SIZE,
        )
    except (NetworkSilent, Refused, DatabaseError) as error:
        why = f"Stopped: {error}. Start it again to finish; tickets in the network stay as they are."
    report = _report(found, [*found.wrong, *delivery.wrong])
    report |= {"issued": delivery.issued, "existed": delivery.existed, "present": delivery.present}
    ended = {"state": ImportState.DONE, "content": b"", "preview": {}}
    return {"report": report, "done": progress.done, "total": progress.total, "error": why} | (
        {"state": ImportState.STOPPED} if why else ended
    )


def _report(found: ImportPlan, wrong: Sequence[WrongRow]) -> dict[str, Any]:
    report = {
        "form": f"{found.form}: {found.preset}" if found.preset else found.form,
        "told": [{"id": one.id, "words": one.words, "origin": one.origin} for one in found.told],
        "said": found.said,
        "rows": found.rows,
        "tickets": len(found.tickets),
        "new": found.new,
        "identical": found.identical,
        "differing": found.differing,
        "events": [
            {"event": event, "tickets": len(tickets), "zone": found.zones[event]}
            for event, tickets in by_event(found.tickets).items()
        ],
        "operates": any(ticket.needs_operate for ticket in found.tickets),
        "read": [{"field": field, "columns": names} for field, names in found.read.items()],
        "unread": found.unread,
        "wrong_count": len(wrong),
        "wrong": _listed(wrong),
        "left_out_count": len(found.left_out),
        "left_out": _listed(found.left_out),
    }
    kept: dict[str, Any] = storable(report)
    return kept


def _listed(rows: Sequence[WrongRow | LeftOut]) -> list[dict[str, Any]]:
    first = sorted(rows, key=lambda one: one.row)[:ROWS_REPORTED]
    return [{"row": one.row, "reason": one.reason} for one in first]


def _shown(ticket: ImportedTicket, found: ImportPlan) -> dict[str, str]:
    zone = zone_of(found.zones[ticket.event])
    return {
        "ticket_id": ticket.ticket_id,
        "event": ticket.event,
        "product": ticket.product,
        "seat": ticket.seat,
        "not_before": shown_moment(ticket.not_before, zone),
        "not_after": shown_moment(ticket.not_after, zone),
        "name": ticket.holder.name,
        "order": ticket.order,
    }


class _Progress:
    """Number of tickets with a final answer; a thread writes it once a second, with the heartbeat."""

    def __init__(self, import_id: int, token: str) -> None:
        self.done = 0
        self.total = 0
        self._mine = TicketImport.objects.filter(pk=import_id, token=token)
        self._ended = threading.Event()

    def add(self, count: int) -> None:
        self.done += count

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Write progress and heartbeat until the block ends."""
        writer = threading.Thread(target=self._write_until_done, name="progress", daemon=True)
        writer.start()
        try:
            yield
        finally:
            self._ended.set()
            writer.join()

    def _write_until_done(self) -> None:
        try:
            while not self._ended.wait(BEAT_INTERVAL):
                counts = {"done": self.done, "total": self.total} if self.total else {}
                try:
                    self._mine.update(heartbeat_at=timezone.now(), **counts)
                except DatabaseError as error:
                    connection.close()
                    logger.warning("the progress of an import was not written: %s", error)
        finally:
            connection.close()
