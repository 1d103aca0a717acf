"""Having events judged: whole runs in one call, and recorded streams with verdicts flowing back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from channels.db import database_sync_to_async
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from dtvn.api.answers import Answer, success
from dtvn.api.bodies import convert
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, ServiceError
from dtvn.api.event_bodies import GivenEvents, RunBody, names_of, read_events, read_stream
from dtvn.events.judging import CHUNK_EVENTS_MAX
from events.rest.answers import encoded, sequence_report
from events.services import errors
from events.services.open_runs import Judgement, OpenRun, awaited, in_turn, waited
from events.services.run_table import run_table

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"


def validate_sequence(call: Call) -> Answer:
    """Have a whole run judged, from its first event on, after the earlier ones of its thread."""
    wanted, given = read_events(call.body)
    with in_turn(wanted.thread or names_of(given.texts[0])[0]):
        run = run_table.open(wanted, call.actor, given.texts[0])
        return _answer(run, given, end=True)


def validate(call: Call) -> Answer:
    """Have a run's next event or events judged; `end` ends the run. A run without names has only these."""
    wanted, given = read_events(call.body)
    thread, name = names_of(given.texts[0])
    names = wanted.thread or thread, wanted.run or name
    if not all(names):
        return _answer(run_table.open(wanted, call.actor, given.texts[0]), given, end=True)
    run = run_table.named(call.actor, *names)
    if run is None:
        run = run_table.open(wanted, call.actor, given.texts[0])
    elif wanted.algorithm not in (None, run.algorithm):
        text = f"The run is judged by {run.algorithm.value}; end it before another algorithm."
        raise ApiError(409, errors.RUN_IS_LIVE, text)
    return _answer(run, given, end=wanted.end)


def _answer(run: OpenRun, given: GivenEvents, *, end: bool) -> Answer:
    recorded = ""
    try:
        found = waited(run.judge(given))
    finally:
        if end:
            recorded = run_table.end(run)
    return success(data=sequence_report(run, found, recorded))


def judge_stream(call: Call) -> HttpResponseBase:
    """Have a recorded stream judged: NDJSON, server-sent events or a JSON list. Its verdicts flow back while
    the rest is judged, one line (NDJSON) or one message (`Accept: text/event-stream`) an event, then the
    report."""
    wanted, given = _read_query(call), read_stream(call.body)
    run = run_table.open(wanted, call.actor, given.texts[0])
    media = SSE if SSE in call.headers.get("Accept", "") else NDJSON
    parts = _parts(run, given, b"data: %b\n\n" if media == SSE else b"%b\n")
    return StreamingHttpResponse(
        parts, content_type=media, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


def _read_query(call: Call) -> RunBody:
    """The fields of a RunBody as query parameters."""
    flags = {"true": True, "false": False}
    known = {each.name for each in msgspec.structs.fields(RunBody)}
    members: dict[str, Any] = {name: text for name, text in call.pairs if name in known}
    for name in ("drop_unknown", "recorded"):
        if name in members:
            members[name] = flags.get(members[name], members[name])
    return convert(members, RunBody)


async def _parts(run: OpenRun, given: GivenEvents, form: bytes) -> AsyncIterator[bytes]:
    """Yields the lines of an answer, in `form`: a verdict each, then the report, or the error that ended
    it."""
    whole = Judgement(0, [], [], [])
    try:
        while whole.total < len(given.texts) and whole.local is None:
            texts = given.texts[whole.total : whole.total + CHUNK_EVENTS_MAX]
            found = await awaited(run.judge(GivenEvents(texts)))
            whole.total, whole.local = found.total, found.local
            whole.pieces += found.pieces
            whole.salts += found.salts
            yield b"".join(form % encoded(verdict) for verdict in found.verdicts)
        whole.total = len(given.texts)
        await awaited(run.ended())
        recorded = await database_sync_to_async(run_table.finish)(run)
        yield form % encoded({"report": sequence_report(run, whole, recorded)})
    except ServiceError as error:
        yield form % encoded({"error": str(error), "code": error.code})
    finally:
        run.end()  # of a client that left, the sweep of the run table writes the row
