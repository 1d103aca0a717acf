"""The WebSocket: an event for every change as its row appears in this node's ledger."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from dtvn.api.errors import ApiError
from dtvn.api.helper.deadlines import TimedProtocol
from dtvn.api.helper.ledger import Position
from dtvn.api.helper.responses import refusal
from dtvn.api.helper.service import Service
from dtvn.machine.contract import EVENT_TYPES, STATE_AFTER, Listed
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.kinds import KINDS

logger = logging.getLogger("dtvn.node_api")

LOOK_EVERY = 0.05
"""Seconds between two reads of the ledger while a client listens."""
QUEUE_MAX = 512
"""Frames queued for one client; a client that falls further behind is disconnected."""
PART = 256
"""Frames queued before writers get a turn: one batch may hold more than a queue does."""
ROOM_WAIT = 0.25
"""Seconds that other clients wait, once, for a client that does not read before it is disconnected."""
PONG = '{"type":"pong"}'
TRY_AGAIN_LATER = 1013

_encoder = msgspec.json.Encoder()


class Feed:
    """All open sockets, and the single poll of the ledger that serves them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._queues: dict[asyncio.Queue[str | None], int] = {}
        """Each client's queue, and the sequence after which it gets all events."""
        self._at: Position | None = None
        """The position up to which all clients were served."""
        self._looking: asyncio.Task[None] | None = None

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client, until either side ends the connection."""
        if len(self._queues) >= TimedProtocol.connections_max // 2:  # the others are left for requests
            busy = ApiError(503, "busy", "Too many clients listen here; try again later.")
            await socket.send_denial_response(refusal(busy))
            return
        queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_MAX)
        position = await self._position()
        # Events before the handshake are not news to the client.
        self._queues[queue] = position[0][0] if position else 0
        if self._looking is None or self._looking.done():
            self._at = position
            self._looking = asyncio.create_task(self._look_on())
        self._service.sockets = len(self._queues)
        writer: asyncio.Task[None] | None = None
        try:
            await socket.accept()
            writer = asyncio.create_task(_write(socket, queue))
            await _read(socket, queue)
        finally:
            self._queues.pop(queue, None)
            self._service.sockets = len(self._queues)
            if writer is not None:
                writer.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await writer

    async def _position(self) -> Position | None:
        """Current position of the ledger; None if it cannot be read."""
        try:
            await self._service.seen()
            return await self._service.read(self._service.ledger.position)
        except ApiError:
            return None

    async def _look_on(self) -> None:
        while self._queues:
            await asyncio.sleep(LOOK_EVERY)
            if self._at is None:
                self._at = await self._position()
                continue
            try:
                found = await self._service.read(self._service.ledger.since, self._at)
                frames = [] if found is None else self._frames(found.listed, found.created)
            except ApiError as error:
                logger.debug("the feed is waiting: %s", error)
                continue
            except Exception:
                # A bug of ours: clients that stay would wait for nothing, and clients that reconnect get the
                # following events.
                logger.exception("the live feed failed; its clients are disconnected")
                self._service.failed()
                found = None
            if found is None:  # also after a state transfer: clients load the state anew
                self._at = None
                for queue in list(self._queues):
                    self._hang_up(queue)
                continue
            self._at = found.position
            await self._pass_on(frames)

    async def _pass_on(self, frames: list[dict[str, Any]]) -> None:
        """Queue the frames for all clients, in parts of PART: a client that reads within ROOM_WAIT misses
        none, however many clients there are."""
        for begin in range(0, len(frames), PART):
            for frame in frames[begin : begin + PART]:
                self._tell(_encoder.encode(frame).decode(), frame["sequence"])
            until = time.monotonic() + ROOM_WAIT
            await asyncio.sleep(0)
            while any(queue.qsize() > QUEUE_MAX - PART for queue in self._queues):
                if time.monotonic() > until:
                    break
                await asyncio.sleep(LOOK_EVERY / 10)

    def _frames(self, listed: list[Listed], created: dict[str, int]) -> list[dict[str, Any]]:
        """Frames of these operations. A seed's count is the number of tickets created in its event, minus
        those issued one by one."""
        for item in listed:
            if item.operation.kind == "issue":
                created[item.operation.event] -= 1
        frames: list[dict[str, Any]] = []
        for item in listed:
            kind, at = item.operation.kind, item.timestamp // MICROSECONDS
            origin = {"node_id": self._service.node, "sequence": item.sequence}
            if kind == "seed":
                count = created.pop(item.operation.event, 0)
                if count > 0:
                    frames.append({"type": EVENT_TYPES[kind], "count": count, "timestamp": at, **origin})
            elif kind in KINDS and KINDS[kind].told:
                frame = {"type": EVENT_TYPES[kind], "ticket_id": item.ticket, "timestamp": at}
                known = kind in STATE_AFTER and not item.on_lists
                state = {"state": STATE_AFTER[kind]} if known else {}
                frames.append({**frame, **state, **origin})
        return frames

    def _tell(self, frame: str, sequence: int) -> None:
        for queue, since in list(self._queues.items()):
            if sequence <= since:
                continue
            if queue.full():
                self._hang_up(queue)
            else:
                queue.put_nowait(frame)

    def _hang_up(self, queue: asyncio.Queue[str | None]) -> None:
        del self._queues[queue]
        if queue.full():
            queue.get_nowait()
        queue.put_nowait(None)


async def _read(socket: WebSocket, queue: asyncio.Queue[str | None]) -> None:
    """Answer pings; all other messages of the client are ignored."""
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if _is_ping(message.get("text") or "") and not queue.full():
                queue.put_nowait(PONG)


async def _write(socket: WebSocket, queue: asyncio.Queue[str | None]) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while (frame := await queue.get()) is not None:
            await socket.send_text(frame)
        await socket.close(TRY_AGAIN_LATER)


def _is_ping(text: str) -> bool:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("type") == "ping"
