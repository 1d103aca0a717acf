"""Downloads of tickets, outcomes, forced and annulled entries, and the admission list."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor

from django.db import close_old_connections
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from dtvn.api.errors import SEQUENCE_HEADER, InvalidRequest
from dtvn.api.queries import read_event
from dtvn.api.rights import READ
from tickets.exporting import FORMS, KINDS, open_table, write_chunks
from tickets.pages.access import sentence_page, with_scope
from validators.rest.keys import Caller
from validators.services.teams import CODES_SEEN_WITH, NAMES_SEEN_WITH
from validators.web.read_shares import shares

SCOPES: dict[str, frozenset[str]] = {
    "tickets": frozenset(),
    "outcomes": frozenset(),
    "interventions": frozenset(),
    "admission": NAMES_SEEN_WITH,
}
"""Scopes any one of which allows an export; the admission list has names. Others than CODES_SEEN_WITH get it
without codes."""
_threads = ThreadPoolExecutor(2, "export")
"""Threads in which all exports of a web process take turns, page by page."""
EXPORTS_EACH = 8
"""Exports of one caller under way in a web process, from which on it gets no other: a client that reads
slowly holds a page of rows, and openpyxl's files. Requests at the same moment may get a few more."""
_under_way: list[str] = []
"""The caller (actor) of each export under way."""


@require_GET
@with_scope(by_event=True)
def export(request: HttpRequest, caller: Caller, kind: str, form: str) -> HttpResponseBase:
    """One export as a file; `event` limits it to one event."""
    if kind not in KINDS or form not in FORMS:
        raise Http404
    try:
        named = request.GET.get("event") or caller.rights.only_event
        event = read_event({"event": named}) if named else None
    except InvalidRequest as error:
        return sentence_page(request, caller, str(error), 400)
    caller.rights.require(READ, event)
    if SCOPES[kind] and not caller.rights.may_any(SCOPES[kind], event):
        wanted = " or ".join(sorted(SCOPES[kind]))
        return sentence_page(request, caller, f"This needs one of the scopes {wanted}.", 403)
    if _under_way.count(caller.actor) >= EXPORTS_EACH:
        text = f"{EXPORTS_EACH} exports of yours are under way. Try again when one has ended."
        return sentence_page(request, caller, text, 429)
    table = open_table(kind, event, codes=caller.rights.may_any(CODES_SEEN_WITH, event))
    return StreamingHttpResponse(
        _sent(write_chunks(table, form), caller.actor),
        content_type=FORMS[form][0],
        headers={
            "Content-Disposition": f'attachment; filename="{table.name}.{form}"',
            SEQUENCE_HEADER: str(table.sequence),
        },
    )


async def _sent(chunks: Generator[bytes], actor: str) -> AsyncIterator[bytes]:
    """Yields the chunks, computed in the threads for exports, so that the thread of all synchronous views
    stays free, and with pauses, so that gates do. Meanwhile the export counts for this caller."""
    loop = asyncio.get_running_loop()
    _under_way.append(actor)
    try:
        chunk: bytes | None = b""
        while chunk is not None:
            if chunk:
                yield chunk
            chunk, spent = await loop.run_in_executor(_threads, _next, chunks)
            await asyncio.sleep(shares.pause(actor, spent))
    finally:
        _under_way.remove(actor)
        await loop.run_in_executor(_threads, chunks.close)


def _next(chunks: Generator[bytes]) -> tuple[bytes | None, float]:
    """The next chunk, None at the end, and the processor time that it took in seconds; closes this thread's
    unusable database connections."""
    began = time.thread_time()
    try:
        return next(chunks, None), time.thread_time() - began
    finally:
        close_old_connections()
