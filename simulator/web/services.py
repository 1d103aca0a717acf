"""Start, stop, read and keep runs: the only writers of their rows, besides the process that plays one."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import OperationalError

from dtvn.api.errors import Unavailable
from simulator.web.models import RunStatus, SimulatorEvent, SimulatorRun
from simulator.web.output import LINES_KEPT
from simulator.web.start_request import StartRequest
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import lock_holder
from validators.services.errors import ServiceError

IDLE = "idle"
SLOT = "simulator"
"""The process that plays a run holds this slot's lock until it ends."""
RUNS_KEPT = 100
TRACES_KEPT = 10
CLAIM_PATIENCE = timedelta(seconds=30)
"""Time after which a run that no worker claimed has failed."""
HEARTBEAT_PATIENCE = timedelta(seconds=30)
"""Time without heartbeat after which a run on another host, whose locks are invisible here, has failed."""
STOP_PATIENCE = timedelta(seconds=6)
"""Time after which a process that ignores a stop request is killed."""
CLOSING = {
    RunStatus.COMPLETE: "Simulation completed",
    RunStatus.STOPPED: "Simulation cancelled",
    RunStatus.ERROR: "Simulation failed",
}

logger = logging.getLogger("dtvn.simulator")


class SimulatorRunning(ServiceError):
    code = "simulator_running"

    def __init__(self) -> None:
        super().__init__("a simulation is already running")


class SimulatorIdle(ServiceError):
    code = "simulator_not_running"

    def __init__(self) -> None:
        super().__init__("no simulation is running")


def start(request: StartRequest, send: Callable[[int], object]) -> SimulatorRun:
    """A new run, handed to a worker by `send(run id)`; raise SimulatorRunning while one runs, Unavailable if
    no worker can be reached."""
    current_run()  # marks a run whose process died as failed
    config = msgspec.to_builtins(request)
    trace = config.pop("trace")
    try:
        with transaction.atomic():
            run = SimulatorRun.objects.create(config=config, trace=trace)
            tell(run, "simulator_status", RunStatus.RUNNING)
    except IntegrityError as error:
        raise SimulatorRunning from error
    _forget_old()
    try:
        send(run.pk)
    except OperationalError as error:
        finish(run, RunStatus.ERROR, error="no worker could be asked")
        raise Unavailable("No worker is available to run it; try again.") from error
    return run


def stop() -> SimulatorRun:
    """Ask the running one to end; raise SimulatorIdle if no run is running."""
    run = current_run()
    if run is None or run.status != RunStatus.RUNNING:
        raise SimulatorIdle
    SimulatorRun.objects.filter(pk=run.pk, stop_asked_at=None).update(stop_asked_at=Now())
    if not run.host:
        finish(run, RunStatus.STOPPED, unless_claimed=True)
    return run


def current_run() -> SimulatorRun | None:
    """The newest run in its actual state: a run whose process died is detected here."""
    run = SimulatorRun.objects.first()
    if run is None or run.status != RunStatus.RUNNING:
        return run
    if why := _lost(run):
        stopped = run.stop_asked_at is not None
        finish(run, RunStatus.STOPPED if stopped else RunStatus.ERROR, error="" if stopped else why)
        run.refresh_from_db()
    return run


def shown_status(run: SimulatorRun | None) -> str:
    """The contract's status word: idle before the first run and after one that was stopped."""
    return IDLE if run is None or run.status == RunStatus.STOPPED else str(run.status)


def output_of(run: SimulatorRun | None) -> list[str]:
    """The newest lines of a run, oldest first."""
    if run is None:
        return []
    lines = run.events.filter(type="simulator_output").order_by("-id").values_list("content", flat=True)
    return list(lines[:LINES_KEPT])[::-1]


def tell(run: SimulatorRun, kind: str, content: Any) -> None:
    """Add one frame to the live feed."""
    SimulatorEvent.objects.create(run=run, type=kind, content=content)


def finish(
    run: SimulatorRun,
    status: RunStatus,
    *,
    error: str = "",
    results: dict[str, Any] | None = None,
    details: dict[str, Any] | None = None,
    trace_bytes: int = 0,
    unless_claimed: bool = False,
) -> bool:
    """End a run, once: writes the closing line, its results, then its status, in this order. False if it had
    ended already (or, with `unless_claimed`, was claimed by a process)."""
    known = SimulatorRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING)
    if unless_claimed:
        known = known.filter(host="")
    with transaction.atomic():
        ended = known.update(
            status=status,
            only=None,
            finished_at=Now(),
            error=error,
            results=results,
            details=details or {},
            trace_bytes=trace_bytes,
        )
        if not ended:
            return False
        tell(run, "simulator_output", f"{CLOSING[status]}: {error}" if error else CLOSING[status])
        if results is not None and status == RunStatus.COMPLETE:
            tell(run, "simulator_results", results)
        tell(run, "simulator_status", IDLE if status == RunStatus.STOPPED else status)
    return True


def trace_file(run_id: int) -> Path:
    """Path of the compressed trace of a run."""
    return DataFolder(settings.DATA).root / "simulator" / f"{run_id}.jsonl.gz"


def _lost(run: SimulatorRun) -> str:
    """Why a run that should be running is lost; "" while a process may be playing it. Kills a process that
    does not stop."""
    now = timezone.now()
    if not run.host:
        return "no free worker started it" if now - run.created_at > CLAIM_PATIENCE else ""
    slot = DataFolder(settings.DATA).slot_lock(SLOT)
    if run.host != os.uname().nodename or not slot.exists():  # or a web process on a folder of its own
        heard = run.heartbeat_at or run.created_at
        return f"{run.host} did not respond" if now - heard > HEARTBEAT_PATIENCE else ""
    holder = lock_holder(slot)
    if holder is None:
        return "its process ended"
    if run.stop_asked_at is not None and now - run.stop_asked_at > STOP_PATIENCE:
        logger.warning("run %s did not stop, its process %s is killed", run.pk, holder)
        os.kill(holder, signal.SIGKILL)
    return ""


def _forget_old() -> None:
    """Delete all but the newest runs, and the traces of all but fewer."""
    kept = SimulatorRun.objects.order_by("-id").values_list("id", flat=True)
    if len(beyond := kept[RUNS_KEPT : RUNS_KEPT + 1]):
        SimulatorRun.objects.filter(Q(id__lte=beyond[0]) & ~Q(status=RunStatus.RUNNING)).delete()
    traced = SimulatorRun.objects.filter(trace_bytes__gt=0).order_by("-id").values_list("id", flat=True)
    with_trace = set(traced[:TRACES_KEPT])
    SimulatorRun.objects.filter(trace_bytes__gt=0).exclude(id__in=with_trace).update(trace_bytes=0)
    folder = trace_file(0).parent
    for path in folder.glob("*.jsonl.gz") if folder.is_dir() else ():
        if int(path.name.partition(".")[0]) not in with_trace:
            path.unlink(missing_ok=True)
