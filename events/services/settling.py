"""Has the members judge the runs that wait for it, in order and at a bounded pace, in a thread of each web
process; a run is claimed in its row, so that one process has it judged."""

from __future__ import annotations

import logging
import threading
from collections import Counter

from django.db import DatabaseError, close_old_connections

from dtvn.api.errors import ApiError, ServiceError
from dtvn.api.event_bodies import RunBody
from dtvn.events.config import Algorithm
from dtvn.events.judging import ALGORITHM_NOT_OFFERED
from dtvn.gateway import GatewayFace, is_final
from events.models import JudgedRun, Owed, OwedRun, RunStatus
from events.services import errors, excerpts, owed_rows, run_rows
from events.services.open_runs import Judgement, OpenRun, waited
from events.services.run_table import outcome_of, run_table
from validators.database_url import first_line
from validators.services.network import informed_gateway

LOOK = 1.0
"""Seconds between two looks whether a run waits and a quorum answers."""
PACE = 0.1
"""Least seconds between two runs: what is judged now comes first."""
AGAIN_MAX = 30.0
"""Most seconds until a run is tried again that got no verdict; the pause doubles from LOOK."""

logger = logging.getLogger("dtvn.events")


class Settling:
    """The thread, and what it counted."""

    def __init__(self) -> None:
        self.settled: Counter[bool] = Counter()
        """Runs that the members have judged, by whether they said otherwise than the rules here."""
        self._after = 0
        """Id of the newest run that was passed over: a process writes it, or it got no verdict. One that
        never gets one keeps no other waiting."""
        self._pause = LOOK
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Go on from now on, until the process ends."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="owed", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        pauses = threading.Event()
        while True:
            close_old_connections()
            try:
                pause = self.turn()
            except DatabaseError:  # others say so
                pause = self._longer()
            except ServiceError as error:
                logger.info("an owed run was not judged, and is tried again: %s", first_line(error))
                pause = self._longer()
            except Exception:
                logger.exception("an owed run was not judged, and is tried again")
                pause = self._longer()
            pauses.wait(pause)

    def turn(self) -> float:
        """Have the next waiting run judged, if a quorum answers. Returns the seconds until the next turn.
        Raises DatabaseError, ServiceError."""
        row = owed_rows.next_waiting(self._after)
        if row is not None and row.status == RunStatus.OPEN:
            run_rows.mark_lost()
            row = owed_rows.next_waiting(self._after)
        if row is None:
            self._after = 0
            return LOOK
        network = informed_gateway()
        if not network.agreement().has_quorum:
            return LOOK
        before, self._after = self._after, row.pk
        try:
            settled = self._settle(row, network)
        except ApiError as error:
            if error.code not in (errors.RUN_BUSY, errors.RUN_IS_LIVE):
                raise
            settled = None
        if settled is None:
            return PACE
        if not settled:
            return self._longer()
        self._after, self._pause = before, LOOK
        return PACE

    def _settle(self, row: JudgedRun, network: GatewayFace) -> bool | None:
        """Whether the run waits no more; None if a process writes it that must have it judged."""
        if (run := run_table.writes(row.pk)) is not None:
            waited(run.settle())
            run_table.keep(run)
            return self._told(row, run)
        if row.status == RunStatus.OPEN or (owed := owed_rows.claim(row.pk)) is None:
            return None
        try:
            run = self._opened(owed, network)
            _judge_anew(run, network)
        finally:
            owed_rows.release(row.pk)
        return self._told(row, run)

    def _told(self, row: JudgedRun, run: OpenRun) -> bool:
        if run.here.state == Owed.WAITING:
            return False
        differs = bool(run.here.differences)
        self.settled[differs] += 1
        if differs:
            logger.warning("the members judge run %s of thread %s otherwise", row.run, row.thread)
        return True

    def _opened(self, owed: OwedRun, network: GatewayFace) -> OpenRun:
        row = owed.judged_run
        wanted = RunBody(
            thread=row.thread,
            run=row.run,
            algorithm=Algorithm(row.algorithm),
            drop_unknown=owed.drop_unknown,
            recorded=row.recorded,
        )
        here = owed_rows.restored(owed)
        try:
            run = OpenRun(network, wanted, row.actor, here)
        except ApiError as error:
            if error.code == ALGORITHM_NOT_OFFERED:
                here.refuse(f"the cluster does not decide by {row.algorithm} any more")
                owed_rows.give_up(row.pk, here)
            raise
        run.id = row.pk
        return run

    def _longer(self) -> float:
        pause, self._pause = self._pause, min(2 * self._pause, AGAIN_MAX)
        return pause


def _decided(found: Judgement, network: GatewayFace) -> bool:
    """Whether another attempt would end as this one did."""
    last = found.pieces[-1] if found.pieces else None
    return last is not None and not last.certificate and is_final(last, network.agreement().needed)


def _judge_anew(run: OpenRun, network: GatewayFace) -> None:
    """Have a run that has ended judged from its first event on, and put what the members say in the place of
    what is kept of it; if they give no verdict, that stays."""
    try:
        found = waited(run.settle())
    finally:
        waited(run.ended())
    if run.here.state == Owed.WAITING and _decided(found, network):
        denied = run.findings.denied
        run.here.settle({denied.index: denied.code} if denied else {})
    if run.here.state != Owed.WAITING:
        _write_anew(run)


def _write_anew(run: OpenRun) -> None:
    pieces, records = run.waiting()
    code = outcome_of(run)
    excerpts.keep(run.id, run.excerpts)
    names = run.thread, run.run
    run_rows.write(
        run.id, names, run.findings, pieces, records, run.here, ended=True, record_code=code, anew=True
    )


settling = Settling()
