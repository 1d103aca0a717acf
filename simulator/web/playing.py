"""Inside the worker's process that plays a run: the simulator in the main thread, a writer in another.

The writer thread stores the reported events several times a second, and checks whether the run should end.
The database may be slow or locked; the simulation continues meanwhile.
"""

from __future__ import annotations

import gzip
import logging
import os
import threading
import time
from collections import deque
from io import BufferedIOBase
from typing import Any, cast

import msgspec
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from setproctitle import setproctitle

from simulator.cli import text
from simulator.observers import Observer
from simulator.plain import PlainRun, Results
from simulator.tracing import Tracer
from simulator.web.models import RunStatus, SimulatorEvent, SimulatorRun
from simulator.web.output import Distinct
from simulator.web.services import SLOT, finish, trace_file
from simulator.web.start_request import StartRequest, options_of
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import SlotLock
from validators.processes import stopping
from validators.processes.last_word import write_last_word

WRITE_INTERVAL = 0.1
"""Seconds between two writes of reported events."""
HEARTBEAT_INTERVAL = 1.0
NICE = 10
"""Scheduling priority: validators on this machine run first."""
TRACE_BYTES_MAX = 256 * 1024 * 1024
"""Most bytes of a trace before compression; a longer one is cut short, and says so."""
CONTRACT = (
    "total_tickets",
    "validated_tickets",
    "consensus_rounds",
    "successful_rounds",
    "failed_rounds",
    "success_rate",
    "messages_sent",
    "messages_received",
    "partition_events",
    "average_latency_ms",
)
"""Members of the contract's Results object."""

logger = logging.getLogger("dtvn.simulator")


def play(run_id: int) -> str:
    """Play a requested run; returns a message for the worker's log, never the state of the run."""
    lock = SlotLock(DataFolder(settings.DATA).slot_lock(SLOT))
    if not lock.take():
        lock.release()
        return "another run is in progress"
    wanted = SimulatorRun.objects.filter(pk=run_id, status=RunStatus.RUNNING, host="", stop_asked_at=None)
    if not wanted.update(host=os.uname().nodename, heartbeat_at=Now()):
        lock.release()
        return "superseded"
    run = SimulatorRun.objects.get(pk=run_id)
    setproctitle(f"dtvn simulator run {run_id} ({settings.DATA})")
    os.nice(NICE)
    try:
        _play(run)
    except Exception as error:
        logger.exception("run %s failed", run_id)
        finish(run, RunStatus.ERROR, error=f"{type(error).__name__}: {error}")
    finally:
        lock.release()
        setproctitle(f"dtvn ended slot ({settings.DATA})")
    return "played"


def _play(run: SimulatorRun) -> None:
    options = options_of(msgspec.convert(run.config, StartRequest))
    told = _Told(run)
    observers: list[Observer] = []
    trace = _Trace(run.pk) if run.trace else None
    if trace is not None:
        observers.append(trace.tracer)
    one = PlainRun(options, told.progress, *observers)
    for line in text.banner(options, one.liars):
        told.line(line)
    writer = threading.Thread(target=told.write_until_done, args=(one,), name="told", daemon=True)
    writer.start()
    try:
        found = one.run()
        if trace is not None:
            trace.tracer.close(found)
        for line in text.results(found) if found.ended != "interrupted" else ():
            told.line(line)
    finally:
        told.done.set()
        writer.join()
        trace_bytes = trace.close() if trace is not None else 0
    _finish(run, found, trace_bytes)


def _finish(run: SimulatorRun, found: Results, trace_bytes: int) -> None:
    whole: dict[str, Any] = msgspec.to_builtins(found)
    results: dict[str, Any] | None = {name: whole.pop(name) for name in CONTRACT}
    status, error = RunStatus.COMPLETE, ""
    if found.ended == "interrupted":
        status, results = RunStatus.STOPPED, None
    elif found.violation is not None:
        status, error = RunStatus.ERROR, f"a promise was broken: {found.violation}"
    write_last_word(
        lambda: finish(run, status, error=error, results=results, details=whole, trace_bytes=trace_bytes),
        f"run {run.pk}",
    )


class _Told:
    """Events that a run has reported and that are not written yet."""

    def __init__(self, run: SimulatorRun) -> None:
        self.done = threading.Event()
        self._run = run
        self._total = run.config["tickets"]
        self._distinct = Distinct(time.monotonic)
        self._waiting: deque[tuple[str, Any]] = deque()
        """Bounded by the run: some lines, and a progress for every ten tickets."""
        self._last: dict[str, Any] | None = None
        self._beaten_at = 0.0

    def line(self, line: str) -> None:
        """A line of output."""
        if self._distinct.passes(line):
            self._waiting.append(("simulator_output", line))

    def progress(self, current: int, rounds: int, succeeded: int, failed: int) -> None:
        """See PlainRun."""
        self._waiting.append(
            (
                "simulator_progress",
                {
                    "current_ticket": current,
                    "total_tickets": self._total,
                    "consensus_rounds": rounds,
                    "successful_rounds": succeeded,
                    "failed_rounds": failed,
                    "progress_percent": round(100 * current / self._total, 2),
                },
            )
        )
        self.line(text.progress(self._total, current, rounds, succeeded, failed))

    def write_until_done(self, one: PlainRun) -> None:
        """Main loop of the writer thread."""
        try:
            while not self.done.wait(WRITE_INTERVAL):
                try:
                    self._write()
                    if self._should_stop():
                        one.stop()
                except DatabaseError as error:
                    connection.close()
                    logger.warning("run %s goes on without the platform's database: %s", self._run.pk, error)
            write_last_word(self._write, f"run {self._run.pk}")
        finally:
            connection.close()

    def _write(self) -> None:
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not taken:
            return
        progress = [content for kind, content in taken if kind == "simulator_progress"]
        try:
            with transaction.atomic():
                SimulatorEvent.objects.bulk_create(
                    SimulatorEvent(run=self._run, type=kind, content=content) for kind, content in taken
                )
                if progress:
                    SimulatorRun.objects.filter(pk=self._run.pk).update(progress=progress[-1])
        except DatabaseError:
            self._waiting.extendleft(reversed(taken))
            raise

    def _should_stop(self) -> bool:
        if stopping.requested():
            return True
        now = time.monotonic()
        if now - self._beaten_at >= HEARTBEAT_INTERVAL:
            self._beaten_at = now
            SimulatorRun.objects.filter(pk=self._run.pk).update(heartbeat_at=Now())
        # A reader that found this run lost has ended it: this process may no longer write.
        return not SimulatorRun.objects.filter(
            pk=self._run.pk, status=RunStatus.RUNNING, stop_asked_at=None
        ).exists()


class _Trace:
    """A trace written into a compressed file, up to a size."""

    def __init__(self, run_id: int) -> None:
        path = trace_file(run_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._raw = os.fdopen(descriptor, "wb")
        self._file = cast(BufferedIOBase, gzip.GzipFile(fileobj=self._raw, mode="wb", compresslevel=1))
        self._bytes = 0
        self.tracer = Tracer(self._write)

    def _write(self, lines: bytes) -> None:
        if self._bytes <= TRACE_BYTES_MAX:
            self._bytes += len(lines)
            self._file.write(lines)
            if self._bytes > TRACE_BYTES_MAX:
                self._file.write(b'["x","more was told than is kept"]\n')

    def close(self) -> int:
        """Close the file; returns the bytes of the trace before compression."""
        with self._raw:
            self._file.close()
        return self._bytes
