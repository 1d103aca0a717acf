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

from dtvn.wording import counted
from tickets.importing import shown
from tickets.importing.answers import Answers
from tickets.importing.applying import Applying
from tickets.importing.arguments import known_of
from tickets.importing.changes import Change, Differences, key_of_new
from tickets.importing.comparing import compare
from tickets.importing.confirmed import DoneMarks, changed_since, confirmed, still_holding, unconfirmed
from tickets.importing.events import prepare_events
from tickets.importing.imported import WrongRow
from tickets.importing.kinds import KINDS, not_ordered
from tickets.importing.memory_limit import memory_limit
from tickets.importing.network import Place, read_network
from tickets.importing.plan import ImportPlan, Stored, by_event, nothing_stored, read_plan
from tickets.importing.recognised import UNANSWERED, StoredSource
from tickets.importing.record import FileRefused
from tickets.importing.reporting import (
    kinds_of,
    listed,
    report_of,
    sentence_of,
    shown_ticket,
    understood,
)
from tickets.importing.sending import Order
from tickets.importing.settled import Known
from tickets.importing.stored import changed, left_by, store_answers, stored_sources
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
        found = _plan(one, UNANSWERED, known_of(options.event, asks_events=True).only(options.into))
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
    known = known_of(options.event, asks_events=True).only(options.into)
    stored: Stored = stored_sources
    if one.preview.get("key"):
        known = msgspec.structs.replace(known, zones=one.preview["zones"])
        confirmed = msgspec.convert(one.preview["source"], list[StoredSource])
        stored = partial(_as_confirmed, confirmed)
    found = _plan(one, options.answers, known, stored)
    _require_own(found, options.into)
    return found


def _require_own(found: ImportPlan, into: Sequence[str] | None) -> None:
    """Raise FileRefused for tickets of events into which whoever sent the file may not import."""
    events = by_event([*found.tickets, *found.refused]).keys() if into is not None else ()
    if foreign := sorted(set(events).difference(into or ())):
        raise FileRefused(
            f"Your login may not import into the event {foreign[0]!r}. Say of which of your events the "
            "tickets are, or leave them out."
        )


def _as_confirmed(confirmed: Sequence[StoredSource], _scope: str) -> Sequence[StoredSource]:
    """The stored answers with which the preview was made, whatever is stored since."""
    return confirmed


def _plan(one: TicketImport, given: Answers, known: Known, stored: Stored = nothing_stored) -> ImportPlan:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{PurePath(one.file_name).suffix[:8]}"
        path.write_bytes(bytes(one.content))
        with time_limit(READ_WITHIN), memory_limit():
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
    if warning := left_by(found.scope, found.key):
        report["said"] = [*report["said"], warning]
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
        "source": msgspec.to_builtins(found.stored),
        "trusted": found.trusted,
        "changed": changed(found.answers, found.key, found.stored),
    }
    return {
        "state": ImportState.PREVIEW,
        "error": "",
        "total": len(differences.new),
        "preview": storable(preview),
        "report": report,
    }


def _rows(found: ImportPlan, differences: Differences) -> Iterator[ShownDifference]:
    """All that a person may confirm."""
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
    """Events first, so that a product that is no entrance is known before a ticket of it exists; then the
    changes that were confirmed and still hold. What was done before it stopped is not done again."""

    def __init__(self, one: TicketImport, found: ImportPlan, order: Order, progress: _Progress) -> None:
        self._one, self._found, self._progress = one, found, progress
        kept = confirmed(one)
        self._differences = compare(found, read_network(found, source=found.key), kept.chosen)
        self._held = still_holding(self._differences, kept)
        self._done = kept.done
        self._marks = DoneMarks(one)
        self._applying = Applying(
            order, source=found.key, patience=PATIENCE, progress=progress.add, done=self._mark
        )

    def run(self) -> dict[str, Any]:
        """Returns what is written to the import's row."""
        held, progress, since, why = self._held, self._progress, list[WrongRow](), ""
        report = report_of(self._found, self._differences, [], personal=False)
        try:
            since, settled = changed_since(self._one, held, self._differences.unchanged, self._words)
            self._mark(settled)
            progress.total = len(held.wanted)
            prepare_events(self._found, actor=self._one.actor, patience=PATIENCE)
            if self._found.within:
                store_within(by_event(self._found.tickets))
            self._applying.apply(held.wanted)
            self._store()
        except (NetworkSilent, Refused, DatabaseError) as error:
            said = str(error).rstrip(".")
            why = f"Stopped: {said}. Start it again to finish; tickets in the network stay as they are."
            waiting = [one.ticket for one in held.wanted if one.ticket and one.key not in self._done]
            if missing := sum(ticket.entered for ticket in waiting):
                why += f" Until then {counted(missing, 'guest')} who entered elsewhere can enter once more."
        report |= self._outcome(since)
        ended = {"state": ImportState.DONE, "content": b"", "preview": {}}
        return {"report": report, "done": progress.done, "total": progress.total, "error": why} | (
            {"state": ImportState.STOPPED} if why else ended
        )

    def _store(self) -> None:
        """Keep the answers for the next file of this source, once one is imported under them: before that
        nobody has seen what they bring about."""
        if self._done or self._there:
            answers = storable(msgspec.to_builtins(self._found.answers))
            columns = storable(self._found.columns)
            by = {"actor": self._one.actor, "file_name": self._one.file_name}
            store_answers(self._found.scope, self._found.key, columns, answers, **by)

    @property
    def _there(self) -> set[Place]:
        """The tickets of the file that were in the network."""
        places = {(one.event, one.ticket_id) for one in self._found.tickets}
        matched = self._differences.matched
        return {(event, matched[event, name]) for event, name in places & matched.keys()}

    def _outcome(self, since: Sequence[WrongRow]) -> dict[str, Any]:
        """The counts of changes by what became of them. `since`: those that are not as they were shown."""
        held, applying = self._held, self._applying
        wrong = [*self._found.wrong, *self._differences.unclear, *since, *applying.wrong]
        left = unconfirmed(held, self._words)
        new = [one.ticket for one in held.wanted if one.ticket is not None]
        there = self._there - {(ticket.event, ticket.ticket_id) for ticket in new}
        entered = sum(one.entered for one in self._found.tickets if key_of_new(one) in self._done)
        return {
            "issued": applying.issued,
            "existed": applying.existed + len(there),
            "present": applying.issued + applying.existed + len(there),
            "entered_done": entered,
            "operates": any(ticket.needs_operate for ticket in new),  # if it goes on later
            "ordered": kinds_of(Counter(self._done.values()), KINDS),
            "not_ordered": [*not_ordered(Counter(one.kind for one in held.left)), *_since_words(since)],
            "unconfirmed_count": len(left),
            "unconfirmed": storable(listed(left)),
            "wrong_count": len(wrong),
            "wrong": storable(listed(wrong)),
        }

    def _words(self, one: Change) -> str:
        """A change in words that may be kept: without what it says of a person."""
        return sentence_of(one, self._found, personal=False)

    def _mark(self, done: Mapping[str, str]) -> None:
        """Count what the network is as by now. `done`: key -> kind."""
        self._done.update(done)
        self._marks.add(done)


def _since_words(since: Sequence[WrongRow]) -> Iterator[str]:
    if since:
        verb = "was" if len(since) == 1 else "were"
        said = f"{counted(len(since), 'difference')} changed after the file was shown"
        yield f"{said}, and {verb} not made: see the wrong rows."


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
