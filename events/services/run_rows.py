"""What the platform keeps of runs, within bounds: rows of runs, pieces and records; the oldest go first."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from dtvn.api.event_findings import LOCAL_ONLY, Findings, Piece
from dtvn.gateway import Recorded
from events.models import JudgedRun, Owed, RunPiece, RunRecord, RunStatus
from events.services import excerpts, owed_rows
from events.services.answered_here import AnsweredHere

RUNS_KEPT = 1_000
"""Runs kept, besides open ones and those that wait for the members."""
PIECES_EACH = 4_096
"""Most pieces kept of one run; further certificates are only in the answers to its caller."""
PIECES_KEPT = 100_000
"""Most pieces kept of all runs, about 300 MB with four members; those of the oldest ended runs go first."""
VIOLATIONS_KEPT = 100
SILENCE = timedelta(seconds=60)
"""An open run counts as lost if its process has not written its row for this long."""


def begin(*, thread: str, run: str, algorithm: str, recorded: bool, actor: str) -> JudgedRun:
    """Create the row of a run; the oldest runs that ended make room for it."""
    _forget_old()
    return JudgedRun.objects.create(
        thread=thread,
        run=run,
        algorithm=algorithm,
        recorded=recorded,
        actor=actor,
        changed_at=timezone.now(),
    )


def written(thread: str, run: str) -> set[int]:
    """Ids of the rows of open runs with these names, which some process writes."""
    mark_lost()
    rows = JudgedRun.objects.filter(thread=thread, run=run, status=RunStatus.OPEN)
    return set(rows.values_list("pk", flat=True))


def write(
    run_id: int,
    names: tuple[str, str],
    findings: Findings,
    pieces: list[Piece],
    records: list[Recorded],
    here: AnsweredHere,
    *,
    drop_unknown: bool = False,
    ended: bool = False,
    record_code: str = "",
    anew: bool = False,
) -> bool:
    """Write the state of a run, with new pieces and records, and what of it waits for the members. `anew`:
    the run was judged from its first event on, so earlier pieces and records go. Returns False if the row
    was erased."""
    now = timezone.now()
    fields: dict[str, Any] = {
        "thread": names[0],
        "run": names[1],
        "verdict": findings.verdict.value,
        "events": findings.events,
        "delivered": findings.delivered,
        "refused": findings.refused,
        "code": findings.code or "",
        "failure": findings.failure[0] or findings.refusal[0],
        "scope": "" if findings.scope == LOCAL_ONLY else findings.scope,
        "epoch": findings.epoch,
        "votes": {member: dict(given) for member, given in findings.votes.items()},
        "violations": _violations(findings),
        "omitted": _omitted(findings),
        "changed_at": now,
    }
    if ended:
        when = Coalesce("ended_at", Value(now)) if anew else now
        fields |= {"status": RunStatus.ENDED, "ended_at": when, "record_code": record_code}
    with transaction.atomic():
        if not JudgedRun.objects.filter(pk=run_id).exists():
            return False
        until = 0
        if here.state:
            until = owed_rows.keep(run_id, here, drop_unknown=drop_unknown)
            fields |= owed_rows.fields(here)
        JudgedRun.objects.filter(pk=run_id).update(**fields)
        if anew:
            JudgedRun.objects.filter(pk=run_id).update(pieces_left_out=0)
            RunPiece.objects.filter(judged_run_id=run_id).delete()
            RunRecord.objects.filter(judged_run_id=run_id).delete()
        left_out = _keep(run_id, pieces) if pieces else 0
        RunRecord.objects.bulk_create([_record_row(run_id, record) for record in records])
        if left_out:
            row = JudgedRun.objects.get(pk=run_id)
            row.pieces_left_out += left_out
            row.save(update_fields=["pieces_left_out"])
    here.written(until)
    return True


def heard(run_ids: Iterable[int]) -> None:
    """Note in their rows that this process still writes these runs."""
    JudgedRun.objects.filter(pk__in=list(run_ids), status=RunStatus.OPEN).update(changed_at=timezone.now())


def mark_lost() -> None:
    """Mark the open runs as lost whose process has been silent for SILENCE."""
    silent = timezone.now() - SILENCE
    open_runs = JudgedRun.objects.filter(status=RunStatus.OPEN, changed_at__lt=silent)
    open_runs.update(status=RunStatus.LOST, changed_at=timezone.now())


def erase(row: JudgedRun) -> None:
    """Delete all that the platform keeps of a run."""
    run_id = row.pk  # a deleted row has none
    row.delete()
    excerpts.erase(run_id)


def certificates_of(row: JudgedRun, count: int) -> tuple[int, list[bytes]]:
    """(covered events, certificates) of the run's chunks from its first event on, without a gap: those of the
    log if they cover `count` events, else those of the answers."""
    logged = _chained(row.records.all())
    return logged if logged[0] == count else _chained(row.pieces.exclude(certificate=b""))


def _chained(rows: Any) -> tuple[int, list[bytes]]:
    position, found = 0, []
    for each in rows.order_by("position").values_list("position", "count", "certificate"):
        if each[0] != position:
            break
        found.append(bytes(each[2]))
        position += each[1]
    return position, found


def _violations(findings: Findings) -> list[dict[str, Any]]:
    """The violations as JSON values, without their sentences, which may quote an event."""
    return [
        {
            "index": each.index,
            "code": each.code,
            "severity": each.severity.value,
            "field": None if each.field is None else each.field[:128].replace("\x00", "?"),
        }
        for each in findings.violations[:VIOLATIONS_KEPT]
    ]


def _omitted(findings: Findings) -> dict[str, int]:
    omitted = findings.omitted.copy()
    omitted.update(each.code for each in findings.violations[VIOLATIONS_KEPT:])
    return dict(omitted)


def _keep(run_id: int, pieces: list[Piece]) -> int:
    """Write pieces while there is room, and return how many are left out. One without a certificate replaces
    an earlier one at its position: without a quorum, callers repeat their call."""
    newest = {piece.position: piece for piece in pieces if not piece.certificate}
    pieces = [piece for piece in pieces if piece.certificate or newest[piece.position] is piece]
    kept = RunPiece.objects.filter(judged_run_id=run_id)
    if newest:
        kept.filter(position__in=newest, certificate=b"").delete()
    room = max(PIECES_EACH - kept.count(), 0)
    RunPiece.objects.bulk_create([_piece_row(run_id, piece) for piece in pieces[:room]])
    return len(pieces[room:])


def _piece_row(run_id: int, piece: Piece) -> RunPiece:
    return RunPiece(
        judged_run_id=run_id,
        position=piece.position,
        count=piece.count,
        verdict=piece.verdict.value,
        code=piece.code,
        text=piece.text,
        errors=list(piece.errors),
        epoch=piece.epoch,
        partial=piece.partial,
        scope=piece.scope,
        members=msgspec.to_builtins(piece.members),
        certificate=base64.b64decode(piece.certificate),
    )


def _record_row(run_id: int, record: Recorded) -> RunRecord:
    return RunRecord(
        judged_run_id=run_id,
        position=record.position,
        count=record.count,
        certificate=record.certificate,
        head=record.head.hex(),
        sequence=record.sequence,
        index=record.index,
        timestamp=record.timestamp,
    )


def _forget_old() -> None:
    ids = JudgedRun.objects.order_by("-id").values_list("id", flat=True)
    if beyond := list(ids[RUNS_KEPT - 1 : RUNS_KEPT]):
        mark_lost()
        old = JudgedRun.objects.filter(id__lte=beyond[0])
        old = old.exclude(status=RunStatus.OPEN).exclude(owed=Owed.WAITING)
        for run_id in list(old.values_list("id", flat=True)):
            excerpts.erase(run_id)
        old.delete()
    first = RunPiece.objects.order_by("-id").values_list("id", flat=True)[PIECES_KEPT : PIECES_KEPT + 1]
    if first:
        RunPiece.objects.filter(id__lte=first[0]).exclude(judged_run__status=RunStatus.OPEN).delete()
