"""Having events judged in one call, and the lines that flow back to a stream (live)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import msgspec
from channels.db import database_sync_to_async

from dtvn.api.answers import Answer, success
from dtvn.api.bodies import convert
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError
from dtvn.api.event_bodies import BODY_BYTES_MAX, GivenEvents, RunBody, names_of, read_events
from dtvn.events.judging import CHUNK_EVENTS_MAX
from events.rest.answers import encoded, sequence_report
from events.services import errors
from events.services.answered_here import KEPT_BYTES, AnsweredHere
from events.services.open_runs import Judgement, OpenRun, awaited, in_turn, waited
from events.services.run_table import run_table
from validators.rest.errors import describe

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
NO_STORE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Headers of answers that no proxy may hold back."""


def validate_sequence(call: Call) -> Answer:
    """Have a whole run judged, from its first event on, after the earlier ones of its thread."""
    wanted, given = read_events(call.body)
    with in_turn(wanted.thread or names_of(given.texts[0])[0]):
        run = run_table.open(wanted, call.actor, given.texts[0], AnsweredHere(BODY_BYTES_MAX))
        return _answer(run, given, end=True)


def validate(call: Call) -> Answer:
    """Have a run's next event or events judged; `end` ends the run. A run without names has only these."""
    wanted, given = read_events(call.body)
    thread, name = names_of(given.texts[0])
    names = wanted.thread or thread, wanted.run or name
    if not all(names):
        return _answer(_opened(wanted, call, given), given, end=True)
    run = run_table.named(call.actor, *names)
    if run is None:
        run = _opened(wanted, call, given)
    elif wanted.algorithm not in (None, run.algorithm):
        text = f"The run is judged by {run.algorithm.value}; end it before another algorithm."
        raise ApiError(409, errors.RUN_IS_LIVE, text)
    return _answer(run, given, end=wanted.end)


def _opened(wanted: RunBody, call: Call, given: GivenEvents) -> OpenRun:
    return run_table.open(wanted, call.actor, given.texts[0], AnsweredHere(KEPT_BYTES))


def _answer(run: OpenRun, given: GivenEvents, *, end: bool) -> Answer:
    recorded = ""
    try:
        found = waited(run.judge(given))
        run.answer_here(found)
    finally:
        if end:
            recorded = run_table.end(run)
    if not end:
        if run.here.codes:
            run_table.keep(run)
        if reason := run.here.withdraw():  # the run's next events would not follow these
            raise ApiError(503, errors.NO_VERDICT, f"Too few members voted, and {reason}.")
    return success(data=sequence_report(run, found, recorded))


def media_of(call: Call) -> tuple[str, bytes]:
    """The media type of the verdicts that the caller accepts, and the format of one verdict in it."""
    return (SSE, b"data: %b\n\n") if SSE in call.headers.get("Accept", "") else (NDJSON, b"%b\n")


def read_query(call: Call) -> RunBody:
    """The fields of a RunBody as query parameters."""
    flags = {"true": True, "false": False}
    known = {each.name for each in msgspec.structs.fields(RunBody)}
    members: dict[str, Any] = {name: text for name, text in call.pairs if name in known}
    for name in ("drop_unknown", "recorded"):
        if name in members:
            members[name] = flags.get(members[name], members[name])
    return convert(members, RunBody)


def batches_of(texts: tuple[bytes, ...]) -> Iterator[tuple[bytes, ...]]:
    """The events in order, at most CHUNK_EVENTS_MAX at once."""
    for start in range(0, len(texts), CHUNK_EVENTS_MAX):
        yield texts[start : start + CHUNK_EVENTS_MAX]


async def verdict_lines(
    run: OpenRun, batches: AsyncIterator[tuple[bytes, ...]], form: bytes
) -> AsyncGenerator[bytes]:
    """Yields b"", then the lines of an answer in the format `form`: a verdict each, then the report, or the
    error that ended the run. `batches`: the events, see batches_of; none is read after the first events
    without a certificate. If they are not read to their end, the caller ends the run."""
    whole = Judgement(0, [], [], [])
    try:
        yield b""
        async for texts in batches:
            found = await awaited(run.judge(GivenEvents(texts)))
            run.answer_here(found)
            whole.total, whole.local, whole.here = found.total, found.local, found.here
            whole.pieces += found.pieces
            whole.salts += found.salts
            yield b"".join(form % encoded(verdict) for verdict in found.verdicts)
            if whole.local is not None:
                break
        await awaited(run.ended())
        recorded = await database_sync_to_async(run_table.finish)(run)
        yield form % encoded({"report": sequence_report(run, whole, recorded)})
    except Exception as error:  # noqa: BLE001 - answered, and logged if unexpected
        described = describe(error)
        yield form % encoded({"error": str(described), "code": described.code})
