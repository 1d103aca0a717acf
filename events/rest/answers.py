"""Runs as JSON values: as this process has just judged them, and as their rows keep them."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import msgspec

from dtvn.api.answers import Answer, success
from dtvn.api.event_answers import KeptPiece, KeptRecord, KeptRun, KeptViolation, RunDetails
from dtvn.api.event_findings import LOCAL_ONLY, Report, SequenceReport, is_valid, report_fields
from dtvn.events.config import caution
from dtvn.events.judging import Verdict
from dtvn.events.rules import SUGGESTIONS, Severity
from dtvn.gateway import refusal_of
from dtvn.machine.reasons import RUN_REFUSED
from events.models import JudgedRun, Owed, RunPiece, RunRecord, RunStatus
from events.services import excerpts, owed_rows
from events.services.open_runs import Judgement, OpenRun

PIECES_SHOWN = 50
"""Newest pieces in the details of a run; all are listed below `/pieces`."""


def report(run: OpenRun, recorded: str = "") -> Report:
    """The report on a run of this process."""
    return Report(**_fields(run, recorded), **report_fields(run.findings, None, run.findings.events))


def sequence_report(run: OpenRun, found: Judgement, recorded: str = "") -> SequenceReport:
    """The report on a run after one call."""
    waiting = [event.salt for event in found.here] if run.here.state == Owed.WAITING else []
    return SequenceReport(
        **_fields(run, recorded),
        **report_fields(run.findings, found.local, found.total),
        pieces=found.pieces,
        salts=[base64.b64encode(salt).decode() for salt in (*found.salts, *waiting)],
    )


def created(run: OpenRun) -> Answer:
    """201 for a run that has begun."""
    answer = success(data=report(run))
    return Answer(answer.content, 201, {"Location": f"/api/v1/events/runs/{run.id}"})


def kept_report(row: JudgedRun) -> dict[str, Any]:
    """The report on a run that has ended or was lost, from its row: sentences of violations are not kept. A
    lost one is not valid, since its row may be older than its last verdict."""
    violations = [
        {**each, "message": "", "suggestion": SUGGESTIONS.get(each["code"], "")} for each in row.violations
    ]
    unjudged = "" if row.failure in RUN_REFUSED else row.failure
    return {
        "valid": row.status == RunStatus.ENDED and is_valid(row.code, unjudged),
        "events": row.events,
        "delivered": row.delivered,
        "code": row.code or None,
        "violations": violations,
        "omitted": row.omitted,
        "scope": row.scope or LOCAL_ONLY,
        "id": row.pk,
        "thread": row.thread,
        "run": row.run,
        "algorithm": row.algorithm,
        "verdict": row.verdict,
        "failure": {"code": row.failure, "text": refusal_of(row.failure, row.run)[1]}
        if row.failure
        else None,
        "recorded": row.record_code,
        "owed": row.owed,
        "owed_text": owed_text(row.owed),
        "caution": caution(row.algorithm),
    }


def owed_text(state: str, refusal: str = "") -> str:
    """What became of a verdict of the platform's rules alone, as a sentence; "" if there was none. `refusal`:
    why it was refused a place, where that is known."""
    if state == Owed.WAITING:
        return (
            "The platform's rules judged alone. The members judge these events once a quorum answers, also "
            "if the platform is restarted meanwhile."
        )
    if state == Owed.REFUSED:
        why = f": {refusal}" if refusal else ""
        return f"The platform's rules judged alone, and the members will not judge these events later{why}."
    return "The platform's rules judged alone first; the members have judged since." if state else ""


def kept_run(row: JudgedRun) -> KeptRun:
    """A run of a list."""
    return KeptRun(**_kept(row))


def run_details(row: JudgedRun, *, with_excerpts: bool) -> RunDetails:
    """One run with its newest pieces and, if wanted, what this process knows of its offending events."""
    newest = list(row.pieces.order_by("-id")[:PIECES_SHOWN])[::-1]
    return RunDetails(
        **_kept(row),
        pieces=[kept_piece(piece) for piece in newest],
        pieces_kept=row.pieces.count(),
        records=[_record(record) for record in row.records.order_by("-position")[:PIECES_SHOWN]][::-1],
        excerpts=excerpts.read(row.pk) if with_excerpts else [],
        caution=caution(row.algorithm),
    )


def kept_piece(piece: RunPiece) -> KeptPiece:
    """One piece with its certificate."""
    return KeptPiece(
        id=piece.pk,
        position=piece.position,
        count=piece.count,
        verdict=Verdict(piece.verdict),
        code=piece.code,
        text=piece.text,
        errors=piece.errors,
        epoch=piece.epoch,
        partial=piece.partial,
        scope=piece.scope,
        members=piece.members,
        certificate=base64.b64encode(bytes(piece.certificate)).decode(),
    )


def _fields(run: OpenRun, recorded: str) -> dict[str, Any]:
    return {
        "id": run.id,
        "thread": run.thread,
        "run": run.run,
        "algorithm": run.algorithm.value,
        "recorded": recorded,
        "owed": run.here.state,
        "owed_text": owed_text(run.here.state, run.here.refusal),
        "caution": caution(run.algorithm),
    }


def _kept(row: JudgedRun) -> dict[str, Any]:
    names = set(KeptRun.__struct_fields__) - {
        "scope", "code", "failure", "violations", "id", "here_code", "differences", "here_events",
        "here_valid"
    }  # fmt: skip
    plain = {name: getattr(row, name) for name in names}
    return {name: _moment(each) if isinstance(each, datetime) else each for name, each in plain.items()} | {
        "id": row.pk,
        "scope": row.scope or LOCAL_ONLY,
        "code": row.code or None,
        "failure": row.failure or None,
        "here_code": row.here_code or None,
        "here_events": owed_rows.given(row),
        "here_valid": not (row.here_code or row.code) if row.owed == Owed.WAITING else None,
        "differences": owed_rows.differences(row),
        "violations": [
            KeptViolation(each["index"], each["code"], Severity(each["severity"]), each["field"])
            for each in row.violations
        ],
    }


def _moment(value: datetime) -> str:
    return value.isoformat()


def _record(record: RunRecord) -> KeptRecord:
    return KeptRecord(
        record.position, record.count, record.head, record.sequence, record.index, record.timestamp
    )


encoded = msgspec.json.Encoder().encode
