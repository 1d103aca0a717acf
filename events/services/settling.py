"""Has the members judge the runs that wait for it, in each web process (dtvn.gateway.Settler); a run is
claimed in its row, so that one process has it judged."""

from __future__ import annotations

import logging
from collections import Counter

from django.db import DatabaseError, close_old_connections

from dtvn.api.errors import ApiError, ServiceError
from dtvn.api.event_bodies import RunBody
from dtvn.events.config import Algorithm
from dtvn.events.judging import ALGORITHM_NOT_OFFERED
from dtvn.gateway import GatewayFace, RunIsLive, Settler, is_final
from events.models import JudgedRun, Owed, OwedRun, RunStatus
from events.services import errors, excerpts, owed_rows, run_rows
from events.services.open_runs import Judgement, OpenRun, waited
from events.services.run_table import outcome_of, run_table
from validators.services.network import informed_gateway

logger = logging.getLogger("dtvn.events")


class Settling:
    """The rows that wait (an OwedStore), and what was counted."""

    shared = True

    def __init__(self) -> None:
        self.settled: Counter[bool] = Counter()
        """Runs that the members have judged, by whether they said otherwise than the rules here."""
        self.settler = Settler(self, _has_quorum, self.settle, before=close_old_connections)

    def next_waiting(self, after: int) -> int | None:
        """See OwedStore. A database that is away is told by others: nothing waits then."""
        try:
            row = owed_rows.next_waiting(after)
            if row is not None and row.status == RunStatus.OPEN:
                run_rows.mark_lost()
                row = owed_rows.next_waiting(after)
        except DatabaseError:
            return None
        return None if row is None else row.pk

    def has_waiting(self) -> bool:
        """See OwedStore."""
        try:
            return owed_rows.count() > 0
        except DatabaseError:
            return False

    def settle(self, number: int) -> bool:
        """Have a run judged, and say whether it waits no more. Raises RunIsLive while a process writes it
        that must have it judged; ServiceError, DatabaseError."""
        try:
            return self._settle(number)
        except ApiError as error:
            if error.code in (errors.RUN_BUSY, errors.RUN_IS_LIVE):
                raise RunIsLive(str(error)) from error
            raise
        except (RunIsLive, ServiceError, DatabaseError):
            raise
        except Exception:
            logger.exception("an owed run was not judged, and is tried again")
            raise

    def _settle(self, number: int) -> bool:
        row = JudgedRun.objects.filter(pk=number).first()
        if row is None:
            return True
        if (run := run_table.writes(number)) is not None:
            waited(run.settle())
            run_table.keep(run)
            return self._count(row, run)
        if row.status == RunStatus.OPEN or (owed := owed_rows.claim(number)) is None:
            raise RunIsLive(f"run {row.run} of thread {row.thread}")
        network = informed_gateway()
        try:
            run = self._opened(owed, network)
            _judge_anew(run, network)
        finally:
            owed_rows.release(number)
        return self._count(row, run)

    def _count(self, row: JudgedRun, run: OpenRun) -> bool:
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


def _has_quorum() -> bool:
    return informed_gateway().agreement().has_quorum


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
