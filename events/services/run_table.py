"""The table of this process's open runs, and the thread that writes them to their rows.

A run's row is written at most once a second while events flow, for a row a chunk would cost more than the
votes; and once more at its end.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from typing import Any

from django.db import DatabaseError, close_old_connections

from dtvn.api.errors import ApiError, ServiceError
from dtvn.api.event_bodies import RunBody
from dtvn.gateway import GatewayFace, RunEnd, VoteEvidenceFile
from dtvn.machine import CAPABILITY, reasons
from events.models import JudgedRun
from events.services import errors, excerpts, run_rows
from events.services.answered_here import AnsweredHere
from events.services.open_runs import OpenRun, waited
from validators.database_url import first_line
from validators.services import evidence
from validators.services.network import informed_gateway

SCOPE = CAPABILITY["record"]
"""Scope that a caller needs to have events judged, whether the log records the run or not."""
OPEN_MAX = 2_048
"""Most open runs of this process."""
OPEN_EACH = 256
"""Most open runs of one caller in this process."""
WRITE_INTERVAL = 1.0
HEARD_INTERVAL = 15.0
"""Seconds between two notes in the rows of open runs that this process still writes them."""

logger = logging.getLogger("dtvn.events")


class RunTable:
    """The open runs of this process, by the id of their row."""

    def __init__(self) -> None:
        self._runs: dict[int, OpenRun] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._network: GatewayFace | None = None
        """The gateway of the newest run."""
        self._evidence: tuple[VoteEvidenceFile, ...] = ()
        """What that gateway found and is stored."""
        self._found = threading.Event()
        """Set when there is evidence to store."""
        self._heard = 0.0

    def __len__(self) -> int:
        return len(self._runs)

    def open(
        self, wanted: RunBody, actor: str, first: bytes = b"", here: AnsweredHere | None = None
    ) -> OpenRun:
        """Open a run of this caller. `first`: its first event, b"" if it is not known yet. `here`: see
        OpenRun. Raises ApiError, Unavailable."""
        network = self._network = informed_gateway()
        network.events.on_evidence = self._found.set
        run = OpenRun(network, wanted, actor, here)
        self._require_room(actor)
        if first or (wanted.thread and wanted.run):
            waited(run.begin(first))
        try:
            own = set(self._runs)  # before the rows are read: a run is here until its row says that it ended
            if run.thread and run_rows.written(run.thread, run.run) - own:
                raise errors.live_elsewhere()
            row = run_rows.begin(
                thread=run.thread,
                run=run.run,
                algorithm=run.algorithm.value,
                recorded=run.recorded,
                actor=actor,
            )
        except BaseException:
            run.end()
            raise
        run.id = row.pk
        excerpts.keep(run.id, run.excerpts)
        with self._lock:
            self._runs[run.id] = run
        self._watch()
        return run

    def find(self, run_id: int, actor: str) -> OpenRun:
        """The open run; raises ApiError if this process has none, or another caller writes it."""
        run = self._runs.get(run_id)
        if run is None:
            row = JudgedRun.objects.filter(pk=run_id).first() if run_id < 2**63 else None
            raise errors.not_found(run_id) if row is None else errors.not_here(run_id, row.status)
        if run.actor != actor:
            raise ApiError(403, "not_permitted", "Another caller writes this run.")
        return run

    def has(self, run_id: int) -> bool:
        """Whether this process writes the run."""
        return run_id in self._runs

    def named(self, actor: str, thread: str, run: str) -> OpenRun | None:
        """This caller's open run of these names that does not end yet, or None."""
        wanted = actor, thread, run
        with self._lock:
            live = (each for each in self._runs.values() if each.ending is None)
            return next((each for each in live if (each.actor, each.thread, each.run) == wanted), None)

    def writes(self, run_id: int) -> OpenRun | None:
        """The run if this process writes it, for any caller."""
        return self._runs.get(run_id)

    def keep(self, run: OpenRun) -> None:
        """Write what waits of an open run at once: its caller is about to be told that it does. Raises
        DatabaseError."""
        _write(run)

    def end(self, run: OpenRun) -> str:
        """End a run and write its row. Waits for its last record; returns that record's outcome code, as
        `finish`."""
        waited(run.ended())
        return self.finish(run)

    def finish(self, run: OpenRun) -> str:
        """Write the row of a run whose end is known, once; returns the outcome code of its last record, ""
        if it is not recorded. Raises DatabaseError, after which the sweep tries again."""
        code = outcome_of(run)
        with run.finishing:
            if run.id in self._runs:
                _write(run, ended=True, record_code=code)
                with self._lock:
                    self._runs.pop(run.id, None)
        return code

    def sweep(self) -> None:
        """Write what changed, end what is idle, finish what has ended, store evidence."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            future = run.ending
            if future is not None and future.done():
                self.finish(run)
            elif run.idle():
                if run.end() is None:
                    self.finish(run)
            elif run.changed:
                _write(run)
        if runs and time.monotonic() - self._heard > HEARD_INTERVAL:
            self._heard = time.monotonic()
            run_rows.heard(run.id for run in runs)
            run_rows.mark_lost()
        found = self._network.events.evidence() if self._network else ()
        if found != self._evidence:
            if evidence.keep_double_votes(found):
                logger.warning("there is new evidence against a member: see the admin")
            self._evidence = found

    def _require_room(self, actor: str) -> None:
        with self._lock:
            own = sum(run.actor == actor for run in self._runs.values())
            if own >= OPEN_EACH or len(self._runs) >= OPEN_MAX:
                text = "Too many runs are open; end one, or try again later."
                raise ApiError(429, errors.TOO_MANY_RUNS, text, headers={"Retry-After": "1"})

    def _watch(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._sweep_always, name="events", daemon=True)
                self._thread.start()

    def _sweep_always(self) -> None:
        while True:
            self.await_due()
            close_old_connections()
            try:
                self.sweep()
            except (DatabaseError, ServiceError) as error:
                logger.warning("runs or evidence were not written: %s", first_line(error))

    def await_due(self) -> None:
        """Wait for WRITE_INTERVAL, or until there is evidence to store: a process that is killed before would
        lose it."""
        self._found.wait(WRITE_INTERVAL)
        self._found.clear()


def _write(run: OpenRun, **ended: Any) -> None:
    """Write the row of a run; if the database fails, pieces and records are kept for the next time. Raises
    DatabaseError."""
    names, drops = (run.thread, run.run), run.wanted.drop_unknown
    with run.writing:
        pieces, records = run.waiting()
        try:
            run_rows.write(
                run.id, names, run.findings, pieces, records, run.here, drop_unknown=drops, **ended
            )
        except DatabaseError:
            run.put_back(pieces, records)
            raise


def outcome_of(run: OpenRun) -> str:
    """Outcome code of the last record, "" where nothing is recorded; the findings take the run's end."""
    future: Future[Any] | None = run.ending
    if future is None or not future.done() or future.cancelled():
        return ""
    if future.exception() is not None:
        return reasons.OUTCOME_UNKNOWN if run.recorded else ""
    ended: RunEnd = future.result()
    run.findings.end(ended)
    return ended.code


run_table = RunTable()
