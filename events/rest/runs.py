"""Runs: begun, continued and ended call by call, listed, shown, proved and erased."""

from __future__ import annotations

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from dtvn.api.answers import Answer, success
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, InvalidRequest
from dtvn.api.event_answers import EventsStatus
from dtvn.api.event_bodies import (
    BODY_BYTES_MAX,
    SEQUENCE_EVENTS_MAX,
    read_events,
    read_lines,
    read_run,
)
from dtvn.api.queries import read_limit, read_number
from dtvn.events.config import caution
from dtvn.events.judging import Event
from dtvn.events.transcript import compose, encode_transcript
from dtvn.gateway import CALL_EVENTS_MAX, EVENT_BYTES_MAX, refusal_of
from dtvn.machine import reasons
from dtvn.proof import ProofError, transcript_json
from dtvn.proof.transcripts import verify_transcript
from events.models import JudgedRun, Owed, RunStatus, RunVerdict
from events.rest.answers import created, encoded, kept_piece, kept_report, kept_run, report, run_details
from events.rest.judging import NDJSON
from events.services import errors, owed_rows, run_rows
from events.services.open_runs import IDLE, default_algorithm, waited
from events.services.run_table import run_table
from validators.rest.paging import page
from validators.services import epochs
from validators.services.network import informed_gateway

ID_MAX = 2**63 - 1


def show_status(call: Call) -> Answer:
    """The algorithms that the cluster offers, and the bounds of requests."""
    network = informed_gateway()
    return success(
        data=EventsStatus(
            algorithms=[algorithm.value for algorithm in network.events.offered()],
            algorithm=default_algorithm(network).value,
            cautions={name.value: said for name in network.events.offered() if (said := caution(name))},
            promises=network.events.promises(),
            open=len(run_table),
            owed=owed_rows.count(),
            event_bytes_max=EVENT_BYTES_MAX,
            call_events_max=CALL_EVENTS_MAX,
            request_events_max=SEQUENCE_EVENTS_MAX,
            request_bytes_max=BODY_BYTES_MAX,
            idle_seconds=IDLE,
        )
    )


def begin_run(call: Call) -> Answer:
    """Begin a run, whose events follow call by call. Answers 201."""
    return created(run_table.open(read_run(call.body), call.actor))


def judge_next(call: Call, run_id: int) -> HttpResponseBase:
    """Have the run's next events judged: NDJSON, or a JSON object with `events` or `texts`. Answers one line
    an event. `from`: the index of the first one; the same call again gets the same answer. 503 `no_verdict`:
    too few members voted in time. 422 `denied`: all did, and do not find these events valid."""
    run = run_table.find(run_id, call.actor)
    start = read_number("from", call.query["from"], 0, ID_MAX) if "from" in call.query else None
    plain = call.headers.get("Content-Type", "").startswith(NDJSON)
    given = read_lines(call.body) if plain else read_events(call.body)[1]
    if len(given.texts) > CALL_EVENTS_MAX:
        raise InvalidRequest(f"events must be at most {CALL_EVENTS_MAX} in one call")
    found = waited(run.judge(given, start))
    if found.local is not None:
        (code, text), denied = run.findings.failure, run.findings.denied
        if denied is not None and denied.final:
            raise errors.denied(denied, text)
        raise errors.no_verdict(code, text)
    lines = b"".join(encoded(verdict) + b"\n" for verdict in found.verdicts)
    return HttpResponse(lines, content_type=NDJSON)


def end_run(call: Call, run_id: int) -> Answer:
    """End a run of the caller's own and answer its report, again and again; `admin` ends any."""
    row = _own(call, run_id)
    if not run_table.has(run_id):
        if row.status == RunStatus.OPEN:
            raise errors.not_here(run_id, row.status)
        return success(data=kept_report(row))
    run = run_table.find(run_id, row.actor)
    return success(data=report(run, run_table.end(run)))


def list_runs(call: Call) -> Answer:
    """List the runs, newest first; `limit`, `after` (a run's id), `thread`, `run`, `verdict`, `status`,
    `owed`, `differs` (true: those on which the members said otherwise than the platform's rules before)."""
    limit, rows = read_limit(call.query), JudgedRun.objects.select_related("owedrun").order_by("-id")
    for name, choices in (("verdict", RunVerdict), ("status", RunStatus), ("owed", Owed)):
        if (wanted := call.query.get(name)) is not None:
            if wanted not in choices.values:
                raise InvalidRequest(f"{name} must be one of {', '.join(choices.values)}")
            rows = rows.filter(**{name: wanted})
    for name in ("thread", "run"):
        if (wanted := call.query.get(name)) is not None:
            if "\x00" in wanted:
                raise InvalidRequest(f"{name} must not contain control characters")
            rows = rows.filter(**{name: wanted})
    if (differs := call.query.get("differs")) is not None:
        if differs not in ("true", "false"):
            raise InvalidRequest("differs must be true or false")
        rows = rows.filter(differs=differs == "true")
    run_rows.mark_lost()
    total = rows.count()
    if "after" in call.query:
        rows = rows.filter(id__lt=read_number("after", call.query["after"], 0, ID_MAX))
    return page(call, rows, limit, kept_run, total)


def show_run(call: Call, run_id: int) -> Answer:
    """One run: verdict, violations, votes by node, its newest pieces with their certificates, its records;
    what it said, in excerpts, for its owner and `admin`."""
    row = _find(run_id)
    return success(data=run_details(row, with_excerpts=_owns(call, row)))


def list_pieces(call: Call, run_id: int) -> Answer:
    """List the pieces of a run in their order, with certificates and votes; `limit`, `after` (a piece's
    id)."""
    limit, rows = read_limit(call.query), _find(run_id).pieces.order_by("id")
    total = rows.count()
    if "after" in call.query:
        rows = rows.filter(id__gt=read_number("after", call.query["after"], 0, ID_MAX))
    return page(call, rows, limit, kept_piece, total)


def erase_run(call: Call, run_id: int) -> Answer:
    """Erase all that the platform keeps of a run of the caller's own that has ended; `admin` erases any.
    Heads in the ordered log stay."""
    row = _own(call, run_id)
    if run_table.has(run_id) or row.status == RunStatus.OPEN:
        raise ApiError(409, errors.RUN_IS_LIVE, "The run is open; end it first.")
    run_rows.erase(row)
    return success("Run erased")


def make_transcript(call: Call, run_id: int) -> Answer:
    """The transcript of a run as a file, from its events and salts, which the platform does not keep, and
    its certificates."""
    row = _own(call, run_id)
    code, text = refusal_of(row.record_code, row.run)
    if code:
        raise ApiError(409, code, text)
    given = read_events(call.body)[1]
    if not given.salts:
        raise InvalidRequest("salts is required")
    covered, certificates = run_rows.certificates_of(row, len(given.texts))
    if covered != len(given.texts):
        text = f"The platform keeps certificates of the run's first {covered} events, not {len(given.texts)}."
        raise ApiError(409, "not_covered", text)
    events = [Event(salt, text) for salt, text in zip(given.salts, given.texts, strict=True)]
    data = encode_transcript(compose(events, certificates))
    try:
        verify_transcript(data, epochs.known_chain())
    except ProofError as error:
        raise ApiError(422, "not_proved", error.coded()) from error
    headers = {"Content-Disposition": f'attachment; filename="run-{run_id}.transcript.json"'}
    return Answer(b'{"success":true,"data":%b}' % transcript_json(data), headers=headers)


def _owns(call: Call, row: JudgedRun) -> bool:
    return row.actor == call.actor or call.rights.may("admin", None)


def _own(call: Call, run_id: int) -> JudgedRun:
    """Raises ApiError, 403 for a run of another caller."""
    row = _find(run_id)
    if not _owns(call, row):
        raise ApiError(403, reasons.NOT_PERMITTED, "Another caller writes this run.")
    return row


def _find(run_id: int) -> JudgedRun:
    run_rows.mark_lost()
    row = JudgedRun.objects.filter(pk=run_id).first() if run_id <= ID_MAX else None
    if row is None:
        raise errors.not_found(run_id)
    return row
