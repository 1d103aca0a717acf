"""`/ws`: the live feed to one client, at the client's own pace. A consumer, in Channels, is the
object that serves one WebSocket.

It has two forms. By default a client gets one frame per applied operation, as the contract requires. A client
that sends `{"type": "resume", "after": N, "batch": true}` gets all events after sequence N, several per
frame, refusals included. It acknowledges frames (`{"type": "ack", "sequence": to}`); when it lags, sending
pauses, and it catches up from the rows later.

A frame that does not start at this client's position (because an earlier one was dropped, or never sent) is
not passed on: the missing events are taken from the recent frames, or read from the rows. So no client sees a
gap, and none waits for another.

The state of the nodes is sent whole and with a version, so a frame that was dropped, or came too early for
the client, is replaced when the client next sends a message. A client that may no longer watch is
disconnected with 4401.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import msgspec
from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.utils import await_many_dispatch
from django.db import DatabaseError

from validators.dashboard.access import watcher_again, watcher_of
from validators.dashboard.live import Inbox, Live, encoded, live_of_this_loop
from validators.dashboard.nodes import members_of
from validators.database_url import first_line
from validators.feed.rows import REFUSED_TYPE, read_applied
from validators.web.sockets import TRY_AGAIN_LATER

CATCH_UP_FRAMES = 40
"""Frames (20,000 events) sent to a client in one go; a client that missed more takes a new snapshot."""
UNACKNOWLEDGED_MAX = 1_000_000
"""Unacknowledged characters in flight to a client; beyond it, sending pauses until the client
acknowledges."""
SOCKETS_EACH = 100
"""WebSockets of one caller: a user, or a key with its sessions."""
INBOX_MAX = 100
"""Messages of the relay that wait until those before them are sent; see live.Inbox."""
CLOSED_NO_ACCESS = 4401
"""Close code when the key was revoked or has expired, or the session has ended."""
UNSPOKEN = frozenset({"tickets_seeded"})
"""Events that are not sent if they changed nothing."""

logger = logging.getLogger("dtvn.feed")


class NoSuchSocket(AsyncWebsocketConsumer):
    """Rejects any other WebSocket address."""

    async def connect(self) -> None:
        await self.close()


class FeedConsumer(AsyncWebsocketConsumer):
    """One client of the feed."""

    live: Live | None = None
    position = 0
    """Everything up to this sequence was sent, or is known to the client."""
    batch = False
    events: frozenset[str] | None = None
    """The only events of tickets that the client may read; None: all."""
    nodes_version = -1
    """Version of the nodes' state that was last sent to the client; -1 before the first."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle the client's messages and those of this process's relay, one at a time. Channels would take
        the latter from the channel layer. However the connection ends, the client is no longer counted."""
        self.scope, self.base_send = scope, send
        self.inbox: Inbox = Inbox(INBOX_MAX)
        try:
            await await_many_dispatch([receive, self.inbox.get], self.dispatch)
        except StopConsumer:
            pass
        finally:
            self._leave()

    async def connect(self) -> None:
        """Refused handshakes get 403; the first frame holds the current state."""
        watcher = await watcher_of(self.scope)
        if watcher is None:
            await self.close()
            return
        self.events = watcher.events
        self._on_the_way: deque[tuple[int, int]] = deque()
        """(to, characters) of frames not yet acknowledged."""
        live = live_of_this_loop()
        if live.clients_of(watcher.actor) >= SOCKETS_EACH:
            await self.accept()
            await self.close(code=TRY_AGAIN_LATER)
            return
        self.position = await live.join(self.inbox, watcher.actor)
        self.live = live
        await self.accept()
        await self._send(
            {
                "type": "connected",
                "nodes": members_of(live.nodes),
                "nodes_as_of": live.nodes_as_of,
                "simulator_status": live.simulator_status,
                "cluster_status": live.cluster["status"],
                "sequence": self.position,
            }
        )

    async def disconnect(self, code: int) -> None:
        self._leave()

    def _leave(self) -> None:
        if self.live is not None:
            live, self.live = self.live, None
            live.leave(self.inbox)

    # --- from the client ---------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer pings, accept subscription requests; all other messages are ignored."""
        try:
            message = msgspec.json.decode(text_data or bytes_data or b"")
        except (ValueError, RecursionError):  # not JSON, or not UTF-8
            return
        if self.live is None:
            return
        match message:
            case {"type": "ping"}:
                await self._send({"type": "pong"})
                await self._tell_nodes()
            case {"type": "resume", "after": int(after)} if not isinstance(after, bool) and after >= 0:
                again, self.batch = self.batch, message.get("batch") is True
                self._on_the_way.clear()
                await self._resume(after)
                await self._tell_nodes(again=again)
            case {"type": "ack", "sequence": int(sequence)}:
                await self._acknowledged(sequence)

    async def _resume(self, after: int) -> None:
        upto, self.position = self.position, after
        if after > upto and after > (applied := await database_sync_to_async(read_applied)()):
            # A position of another log, or an invented one: no frame follows it, so the client would wait for
            # ever.
            self.position = applied
            await self._send({"type": "reset", "sequence": applied})
            return
        await self._catch_up(upto)

    async def _acknowledged(self, sequence: int) -> None:
        held = self._full()
        while self._on_the_way and self._on_the_way[0][0] <= sequence:
            self._on_the_way.popleft()
        if held and not self._full():
            await self._catch_up(await database_sync_to_async(read_applied)())

    # --- from the relay ----------------------------------------------------------------------------

    async def feed_events(self, message: dict[str, Any]) -> None:
        """A frame of the relay."""
        if self.live is None or message["to"] <= self.position or self._full():
            return
        if message["after"] != self.position or self.events is not None:
            await self._catch_up(message["to"])
        else:
            await self._pass_on(message["text"], message["to"])

    async def feed_nodes(self, message: dict[str, Any]) -> None:
        """Sends the browser the changed rows of nodes."""
        if self.live is None:
            return
        for text in message["texts"]:
            await self.send(text_data=text)
        await self._tell_nodes()

    async def feed_frames(self, message: dict[str, Any]) -> None:
        """Frames that are of no event: all clients that may read all events get them unchanged."""
        if self.live is not None and self.events is None:
            for text in message["texts"]:
                await self.send(text_data=text)

    async def feed_founded(self, message: dict[str, Any]) -> None:
        """Another cluster was founded: everything that this client has seen belongs to the previous one."""
        if self.live is not None:
            self.position = 0
            self._on_the_way.clear()
            await self._send({"type": "reset", "sequence": 0})

    async def feed_away(self, message: dict[str, Any]) -> None:
        """The state of the nodes has been unreadable for a while: a page learns it from being disconnected,
        and comes back by itself. Programs, which take one event at a time, stay."""
        if self.live is not None and self.batch:
            self._leave()
            await self.close(code=TRY_AGAIN_LATER)

    async def feed_access(self, message: dict[str, Any]) -> None:
        """Check again whether this client may still watch, and what."""
        try:
            if self.live is None:
                return
            if (watcher := await watcher_again(self.scope)) is not None:
                self.events = watcher.events
                return
        except DatabaseError as error:
            logger.warning("cannot read a client's access, trying again: %s", first_line(error))
            return
        self._leave()
        await self.close(code=CLOSED_NO_ACCESS)

    # --- to the client -----------------------------------------------------------------------------

    async def _catch_up(self, upto: int) -> None:
        """Send the events between the client's position and `upto`, or tell the client to reload."""
        if self.live is None:
            return
        for _ in range(CATCH_UP_FRAMES):
            if self.position >= upto or self._full():
                return
            frame = await self.live.frame_after(self.position, self.events)
            if frame.to <= self.position:
                return
            await self._pass_on(frame.text, frame.to)
        if self.position >= upto:
            return
        self.position = await database_sync_to_async(read_applied)()
        await self._send({"type": "reset", "sequence": self.position})

    async def _tell_nodes(self, *, again: bool = False) -> None:
        """Send the nodes' state to a page that does not have it; `again`: to a page whose snapshot may be
        older or newer than what it was sent, from a reading that is certainly newer."""
        live = self.live
        if live is None or not self.batch:
            return
        if again:
            await live.look_at_nodes()
        elif self.nodes_version == live.nodes_version:
            return
        self.nodes_version = live.nodes_version
        now = {"nodes": live.nodes, "state": live.state, "as_of": live.nodes_as_of}
        await self._send({"type": "nodes", **now})

    async def _pass_on(self, text: str, to: int) -> None:
        self.position = to
        if self.batch:
            self._on_the_way.append((to, len(text)))
            await self.send(text_data=text)
            return
        for event in msgspec.json.decode(text)["events"]:
            if event["type"] == REFUSED_TYPE or (event["type"] in UNSPOKEN and not event["count"]):
                continue
            await self._send(self._contract_form(event))

    def _contract_form(self, event: dict[str, Any]) -> dict[str, Any]:
        """A seed event whose count is the sum over the nodes' ledgers."""
        if event["type"] != "tickets_seeded" or self.live is None:
            return event
        nodes = sum("joining" not in node for node in members_of(self.live.nodes))
        return {**event, "unique": event["count"], "count": event["count"] * nodes, "nodes": nodes}

    def _full(self) -> bool:
        return sum(characters for _, characters in self._on_the_way) > UNACKNOWLEDGED_MAX

    async def _send(self, content: dict[str, Any]) -> None:
        await self.send(text_data=encoded(content).decode())
