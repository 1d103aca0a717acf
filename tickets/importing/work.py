"""What a worker does for one import: read the file, for questions or a preview, or issue its tickets.

A daemon thread writes heartbeat and progress, so that a long parse does not count as silence. Every write
requires this task's token: a task that was given up changes nothing any more.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import msgspec
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import QuerySet
from django.utils import timezone

from dtvn.api.ordering import Request
from dtvn.machine import Command
from dtvn.wording import counted
from tickets.importing import shown
from tickets.importing.answers import Answers, StoredSource
from tickets.importing.arguments import known_of
from tickets.importing.comparing import compare
from tickets.importing.completing import Order
from tickets.importing.delivering import Delivering
from tickets.importing.delivery import Delivery
from tickets.importing.differences import (
    KINDS,
    NEW,
    Difference,
    Differences,
    is_done,
    key_of_new,
    not_ordered,
    requests_of,
)
from tickets.importing.events import prepare_events
from tickets.importing.holders import ROWS_AT_ONCE, change_holders
from tickets.importing.imported import ImportedTicket, WrongRow
from tickets.importing.network import read_network
from tickets.importing.ordering import Ordering
from tickets.importing.plan import UNANSWERED, ImportPlan, Stored, by_event, nothing_stored, read_plan
from tickets.importing.record import FileRefused
from tickets.importing.reporting import (
    kinds_of,
    listed,
    report_of,
    sentence_of,
    sentence_of_new,
    shown_ticket,
    understood,
)
from tickets.importing.settled import Known
from tickets.importing.standing import changed_since, standing, unconfirmed
from tickets.importing.stored import stored_sources
from tickets.importing.time_limit import TookTooLong, time_limit
from tickets.importing.until_final import NetworkSilent, Refused
from tickets.importing.uploads import OPEN, WORKING, UploadOptions, storable
from tickets.models import ImportState, ShownDifference, TicketImport
from tickets.services.scanned_codes import store_within
from validators.database_failures import is_outage
from validators.processes.last_word import write_last_word

BEAT_INTERVAL = 1.0
READ_WITHIN = 180.0
"""Seconds of processor time in which a file is read: twice those of a workbook of 16 MB full of tickets.
Beyond them the file is refused (0189)."""
PATIENCE = 120.0
"""Seconds without a final answer after which an import stops, to be continued."""
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
            if found.questions:
                written = _asking(found)
            elif one.state == ImportState.READING:
                written = _preview(one, found, compare(found, read_network(found, source=found.key)))
            else:
                written = _Issuing(one, found, order, progress).run()
        except TookTooLong as error:
            written = _given_up(str(error))
        except FileRefused as error:
            written = _refused(one, str(error))
        except Exception as error:
            if isinstance(error, DatabaseError | InterfaceError) and is_outage(error):
                raise
            logger.exception("import %s failed", import_id)
            written = {"state": ImportState.STOPPED, "error": f"{type(error).__name__}: {error}"}
        write_last_word(lambda: _write(mine, written), f"import {import_id}")
    return "done"


def _write(mine: QuerySet[TicketImport], written: dict[str, Any]) -> None:
    if mine.update(heartbeat_at=timezone.now(), **written) and written["state"] not in OPEN:
        shown.forget(of__in=mine)


def _refused(one: TicketImport, why: str) -> dict[str, Any]:
    """The file is kept if it can be read without the answers that were given and stored: then these are asked
    for again."""
    written = _given_up(why)
    options = msgspec.convert(one.options, UploadOptions)
    try:
        found = _plan(one, UNANSWERED, known_of(options.event, asks_events=True))
    except FileRefused:
        return written
    del written["content"]
    fresh = msgspec.structs.replace(options, answers=UNANSWERED)
    asked = {"preview": storable({"asked": _asked(found)}), "options": msgspec.to_builtins(fresh)}
    return written | asked


def _given_up(why: str) -> dict[str, Any]:
    """The file is not kept."""
    return {"state": ImportState.REFUSED, "error": why, "report": {}, "content": b"", "preview": {}}


def _read(one: TicketImport) -> ImportPlan:
    """The plan of the file; after a preview with the time zones of events that it was made with, since its
    times were confirmed, and with no other answers than those that were confirmed."""
    options = msgspec.convert(one.options, UploadOptions)
    known = known_of(options.event, asks_events=True)
    stored: Stored = stored_sources
    if one.preview.get("key"):
        known = msgspec.structs.replace(known, zones=one.preview["zones"])
        confirmed = msgspec.convert(one.preview["source"], list[StoredSource])
        stored = partial(_as_confirmed, confirmed)
    return _plan(one, options.answers, known, stored)


def _as_confirmed(confirmed: Sequence[StoredSource], _scope: str) -> Sequence[StoredSource]:
    """The stored answers with which the preview was made, whatever is stored since."""
    return confirmed


def _plan(one: TicketImport, given: Answers, known: Known, stored: Stored = nothing_stored) -> ImportPlan:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{PurePath(one.file_name).suffix[:8]}"
        path.write_bytes(bytes(one.content))
        with time_limit(READ_WITHIN):
            return read_plan(path, given, known=known, stored=stored)


def _asked(found: ImportPlan) -> list[dict[str, Any]]:
    """Open questions, then the answers that hold and can be changed."""
    asked = [msgspec.to_builtins(one) | {"open": True} for one in found.questions]
    for told in found.told:
        if told.question is not None:
            answered = {"open": False, "words": told.words, "origin": told.origin, "chosen": told.chosen}
            asked.append(msgspec.to_builtins(told.question) | answered)
    return asked


def _asking(found: ImportPlan) -> dict[str, Any]:
    return {
        "state": ImportState.ASKING,
        "preview": storable({"asked": _asked(found)}),
        "report": storable(understood(found)),
    }


def _preview(one: TicketImport, found: ImportPlan, differences: Differences) -> dict[str, Any]:
    report = report_of(found, differences, [*found.wrong, *differences.unclear])
    if not found.tickets and not differences.found:
        return {
            "state": ImportState.REFUSED,
            "error": "No row of the file is a ticket to import.",
            "report": report,
            "preview": storable({"asked": _asked(found)}),
        }
    shown.store_shown(one, one.token, _rows(found, differences))
    preview = {
        "asked": _asked(found),
        "sample": [shown_ticket(ticket, found) for ticket in found.tickets[:SAMPLE]],
        "codes": found.samples,
        "zones": found.zones,
        "reading": one.token,
        "key": found.key,
        "events": sorted(by_event([*found.tickets, *found.refused])),
        "answers": msgspec.to_builtins(found.answers),
        "scope": found.scope,
        "columns": found.columns,
        "source": msgspec.to_builtins([] if found.before is None else [_source(found)]),
        "trusted": found.before is not None,
    }
    return {
        "state": ImportState.PREVIEW,
        "error": "",
        "total": len(differences.new),
        "preview": storable(preview),
        "report": report,
    }


def _source(found: ImportPlan) -> StoredSource:
    """The source of a file as it was before this one."""
    return StoredSource(found.key, frozenset(found.columns), found.before or UNANSWERED)


def _rows(found: ImportPlan, differences: Differences) -> Iterator[ShownDifference]:
    """All that a person may confirm."""
    for ticket in differences.new:
        yield ShownDifference(
            kind=NEW,
            key=key_of_new(ticket),
            row=ticket.row,
            event=ticket.event,
            ticket=ticket.ticket_id,
            words=storable(sentence_of_new(ticket)),
        )
    for one in differences.orderable():
        yield ShownDifference(
            kind=one.kind,
            key=one.key,
            row=one.row,
            event=one.event,
            ticket=one.ticket_id,
            words=storable(sentence_of(one, found)),
        )


class _Issuing:
    """Events first, so that a product that is no entrance is known before a ticket of it exists; then
    tickets, each part with the entries of its guests; then the differences. Of all this what was confirmed
    and still holds; what was done before it stopped is not done again."""

    def __init__(self, one: TicketImport, found: ImportPlan, order: Order, progress: _Progress) -> None:
        self._one, self._found, self._progress = one, found, progress
        self._differences = compare(found, read_network(found, source=found.key))
        confirmed = shown.confirmed(one)
        self._held = standing(found, self._differences, confirmed)
        self._done = confirmed.done
        self._delivering = Delivering(
            order, source=found.key, patience=PATIENCE, told=progress.add, delivered=self._delivered
        )
        self._ordering = Ordering(order, patience=PATIENCE, told=progress.add)
        self._delivery = Delivery()
        self._marks = shown.DoneMarks(one)

    def run(self) -> dict[str, Any]:
        """Returns what is written to the import's row."""
        differences, delivery, progress, why = self._differences, self._delivery, self._progress, ""
        fresh = list(self._held.fresh.values())
        report, since = report_of(self._found, differences, [], personal=False), list[WrongRow]()
        try:
            since = self._changed_since()
            delivery.wrong += since
            progress.total = len(fresh) + len(self._held.wanted)
            prepare_events(self._found, actor=self._one.actor, patience=PATIENCE)
            if self._found.within:
                store_within(by_event(self._found.tickets))
            self._delivering.deliver(fresh, delivery)
            self._change()
        except (NetworkSilent, Refused, DatabaseError) as error:
            said = str(error).rstrip(".")
            why = f"Stopped: {said}. Start it again to finish; tickets in the network stay as they are."
            if missing := sum(ticket.entered for ticket in fresh) - delivery.entered:
                why += f" Until then {counted(missing, 'guest')} who entered elsewhere can enter once more."
        wrong = [*self._found.wrong, *differences.unclear, *delivery.wrong]
        before = len(self._present_before())
        left = unconfirmed(self._held, self._said)
        report |= {
            "issued": delivery.issued,
            "existed": delivery.existed + before,
            "present": delivery.present + before,
            "entered_done": delivery.entered,
            "operates": any(ticket.needs_operate for ticket in fresh),  # if it goes on later
            "ordered": kinds_of(self._done, KINDS),
            "not_ordered": [*not_ordered(self._held.counts_left()), *_said_of(since)],
            "unconfirmed_count": len(left),
            "unconfirmed": storable(listed(left)),
            "wrong_count": len(wrong),
            "wrong": storable(listed(wrong)),
        }
        ended = {"state": ImportState.DONE, "content": b"", "preview": {}}
        return {"report": report, "done": progress.done, "total": progress.total, "error": why} | (
            {"state": ImportState.STOPPED} if why else ended
        )

    def _changed_since(self) -> list[WrongRow]:
        """What is not ordered, since the network is not as it was shown."""
        wrong, settled = changed_since(
            self._held,
            self._differences,
            partial(shown.words_of, self._one),
            self._said,
        )
        self._mark(settled)
        return wrong

    def _said(self, one: Difference) -> str:
        """A difference in words that may be kept: without what it says of a person."""
        return sentence_of(one, self._found, personal=False)

    def _present_before(self) -> set[tuple[str, str]]:
        """The tickets of the file that were in the network when this task began, but those that it issues."""
        issued = {(ticket.event, ticket.ticket_id) for ticket in self._held.fresh.values()}
        places = ((ticket.event, ticket.ticket_id) for ticket in self._found.tickets)
        known = self._differences.matched
        return {(place[0], known[place]) for place in places if place in known} - issued

    def _delivered(self, tickets: Sequence[ImportedTicket]) -> None:
        self._marks.add(map(key_of_new, tickets))

    def _mark(self, settled: Mapping[str, str]) -> None:
        """Count what the network is as by now. `settled`: key -> kind."""
        self._done.update(settled.values())
        self._marks.add(settled)

    def _change(self) -> None:
        """Order what was confirmed of the differences. Raises NetworkSilent and Refused."""
        asked = requests_of(self._held.wanted)
        about = {_operation(request): one for one, request in asked}
        lacking = Counter(one.key for one, _ in asked)
        done: dict[str, str] = {}
        try:
            for decision in self._ordering.settle([request for _, request in asked]):
                one = about[_operation(decision.request)]
                if is_done(decision):
                    lacking[one.key] -= 1
                    if not lacking[one.key]:
                        done[one.key] = one.kind
                else:
                    why = f"{one.ticket_id} was not changed: {decision.sentence}"
                    self._delivery.wrong.append(WrongRow(one.row, why))
                self._progress.add(1)
                if len(done) == ROWS_AT_ONCE:
                    self._mark(done)
                    done.clear()
        finally:
            self._mark(done)
        holders = [one for one in self._held.wanted if one.kind == "holder"]
        change_holders(holders)
        self._mark({one.key: one.kind for one in holders})
        self._progress.add(len(holders))


def _said_of(since: Sequence[WrongRow]) -> Iterator[str]:
    if since:
        verb = "was" if len(since) == 1 else "were"
        said = f"{counted(len(since), 'difference')} changed after the file was shown"
        yield f"{said}, and {verb} not ordered: see the wrong rows."


def _operation(request: Request) -> tuple[str, str, type[Command]]:
    """Of the operations of an import those that are the same settle one difference."""
    return request.event, request.ticket, type(request.command)


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
