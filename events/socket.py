"""`/ws/events`: runs judged over one WebSocket, one after the other, verdicts flowing back beside the events.

    -> {"type": "begin", "thread"?, "run"?, "algorithm"?, "drop_unknown"?, "recorded"?}
    <- {"type": "begun", "id", "thread", "run", "algorithm", ...}
    -> {"type": "events", "events": [...] | "texts": [...], "salts"?}
    <- {"type": "verdict", "events": [a verdict each], "pieces": [...], "salts": [...], "failure": {...}?}
    -> {"type": "end"}
    <- {"type": "ended", "valid", "events", "delivered", "code", "violations", "scope", ...}
    <- {"type": "error", "code", "error"}    of the message before; the run goes on unless it could not begin

Messages are taken one at a time, so a client that does not read its verdicts is not read either, and what
waits for either side is bounded. A client that goes away has its run ended.
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from typing import Any

import msgspec
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from dtvn.api.errors import InvalidRequest, ServiceError
from dtvn.api.event_bodies import read_events, read_run
from dtvn.api.event_findings import Failure
from events.rest.answers import encoded, report
from events.services import clients
from events.services.open_runs import IDLE, OpenRun, awaited
from events.services.run_table import SCOPE, run_table
from validators.dashboard.access import caller_of_socket
from validators.dashboard.consumers import CLOSED_NO_ACCESS
from validators.rest.keys import Caller
from validators.web.sockets import TRY_AGAIN_LATER

CLOSED_NO_SCOPE = 4403
"""Close code of a caller that may not have events judged."""
CLOSED_IDLE = 4408
"""Close code after IDLE seconds without a message."""


class EventsConsumer(AsyncWebsocketConsumer):
    """One client, which has runs judged one after the other."""

    run: OpenRun | None = None
    _timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one connection. However it ends, the client is no longer counted, and its run is ended; the
        sweep of the run table writes the run's row."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()

    async def connect(self) -> None:
        """Answer a handshake without access with 403; close with a code for a caller without the scope, and
        for one socket too many."""
        caller = await caller_of_socket(self.scope)
        if caller is None:
            await self.close()
            return
        await self.accept()
        if not _judges(caller):
            await self.close(code=CLOSED_NO_SCOPE)
        elif not clients.enter(self, caller.actor):
            await self.close(code=TRY_AGAIN_LATER)
        else:
            self.caller: Caller = caller
            self._admitted = asyncio.get_running_loop().time()
            self._wait()

    def _leave(self) -> None:
        clients.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        if self.run is not None:
            self.run.touched = -IDLE
            with suppress(ServiceError):
                self.run.end()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Carry out one message of the client, and send its answer."""
        if not clients.is_present(self):
            return
        self._wait()
        if not await self._may_still():
            await self.close(code=CLOSED_NO_ACCESS)
            return
        content = text_data.encode() if text_data is not None else bytes_data or b""
        try:
            await self._carry_out(content)
        except ServiceError as error:
            await self._send({"type": "error", "code": error.code, "error": str(error)})

    async def _carry_out(self, content: bytes) -> None:
        kind, run = _kind(content), self.run
        if kind == "begin" and run is None:
            self.run = await database_sync_to_async(run_table.open)(read_run(content), self.caller.actor)
            await self._send({"type": "begun", **msgspec.to_builtins(report(self.run))})
        elif kind == "events" and run is not None:
            await self._judge(run, content)
        elif kind == "end" and run is not None:
            await self._end(run)
        elif kind in ("begin", "events", "end"):
            text = "begin a run first" if run is None else "end the run before another"
            raise InvalidRequest(f"type {kind}: {text}")
        else:
            raise InvalidRequest("type must be one of begin, events, end")

    async def _judge(self, run: OpenRun, content: bytes) -> None:
        found = await awaited(run.judge(read_events(content)[1]))
        failure = Failure(*run.findings.failure) if found.local is not None else None
        await self._send(
            {
                "type": "verdict",
                "events": found.verdicts,
                "pieces": found.pieces,
                "salts": [base64.b64encode(salt).decode() for salt in found.salts],
                "failure": failure,
            }
        )

    async def _end(self, run: OpenRun) -> None:
        await awaited(run.ended())
        self.run = None
        recorded = await database_sync_to_async(run_table.finish)(run)
        await self._send({"type": "ended", **msgspec.to_builtins(report(run, recorded))})

    async def _may_still(self) -> bool:
        """Whether the caller may have events judged, checked anew every ACCESS_INTERVAL: keys are revoked and
        expire, sessions end."""
        now = asyncio.get_running_loop().time()
        if now - self._admitted < clients.ACCESS_INTERVAL:
            return True
        self._admitted = now
        caller = await caller_of_socket(self.scope, again=True)
        return caller is not None and _judges(caller)

    def _wait(self) -> None:
        """Set the timer that closes the socket in IDLE seconds, in place of the one before."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(IDLE, lambda: loop.create_task(self.close(code=CLOSED_IDLE)))

    async def _send(self, content: dict[str, Any]) -> None:
        await self.send(text_data=encoded(content).decode())


def _judges(caller: Caller) -> bool:
    """Whether a caller may have events judged: runs belong to no event of the tickets."""
    return caller.rights.may(SCOPE, None)


class _Message(msgspec.Struct):
    type: str = ""


_message = msgspec.json.Decoder(_Message)


def _kind(content: bytes) -> str:
    try:
        return _message.decode(content).type
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRequest("A message is a JSON object with a type") from error
