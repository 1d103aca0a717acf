"""The live feed of this web process: one relay and one look at the nodes, for all its browsers.

Made in the running event loop by the first WebSocket, since daphne tells nobody when it starts.
Frames go through the channel layer to a group of this process alone: every process has a relay of
its own, so none is needed that all depend on.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer

from validators.dashboard.nodes import describe_nodes, node_changes
from validators.feed import Frame, Relay
from validators.feed.progress import process_listener
from validators.feed.rows import read_applied, read_frame

__all__ = ["Live", "encoded", "live_of_this_loop"]

NODES_INTERVAL = 0.5
"""Seconds between two looks at the nodes, while somebody watches."""
ACCESS_INTERVAL = 5.0
"""Seconds after which every client is asked again whether it may still watch."""

RECENT_CHARACTERS_MAX = 16_000_000
"""Of the frames kept for clients that lag: about 70,000 events."""

logger = logging.getLogger("dtvn.feed")
encoded = msgspec.json.Encoder().encode


class Sendable(msgspec.Struct, frozen=True):
    """A frame as it goes over the wire: made once, sent to all."""

    after: int
    to: int
    text: str


class Recent:
    """The newest frames by the sequence they begin after, for clients that lag: bounded, oldest out.

    Without it every client that falls behind would read and encode the same rows for itself, which
    makes the others fall behind too.
    """

    def __init__(self, characters_max: int = RECENT_CHARACTERS_MAX) -> None:
        self._frames: OrderedDict[int, Sendable] = OrderedDict()
        self._characters = 0
        self._characters_max = characters_max

    def add(self, frame: Sendable) -> None:
        """Keep a frame; one that begins at the same place is replaced."""
        if (old := self._frames.pop(frame.after, None)) is not None:
            self._characters -= len(old.text)
        self._frames[frame.after] = frame
        self._characters += len(frame.text)
        while self._characters > self._characters_max and len(self._frames) > 1:
            _, oldest = self._frames.popitem(last=False)
            self._characters -= len(oldest.text)

    def get(self, after: int) -> Sendable | None:
        """The frame that goes on from `after`, if it is kept."""
        return self._frames.get(after)


class Live:
    """Relay, node watch, and the group that their frames go to."""

    def __init__(self) -> None:
        self.group = f"feed.{uuid.uuid4().hex}"
        self.nodes: list[dict[str, Any]] = []
        self.nodes_as_of = 0.0
        """Unix seconds at which the look began that found `nodes`."""
        self.nodes_version = 0
        """Raised by every look that found something else than the one before."""
        self.relay = Relay(
            read=database_sync_to_async(read_frame),
            publish=self._publish,
            applied=database_sync_to_async(read_applied),
        )
        self._recent = Recent()
        self._reads: dict[int, asyncio.Task[Sendable]] = {}
        """Reads under way by where they begin, so that many clients at one place cost one."""
        self._looking = asyncio.Lock()
        self._looks = self._seen = 0
        """Looks at the nodes: how many have begun, and which of them was the last that succeeded."""
        self._layer = get_channel_layer()
        self._watched = asyncio.Event()
        self._watchers = 0
        loop = asyncio.get_running_loop()
        self._unsubscribe = process_listener().subscribe(lambda: loop.call_soon_threadsafe(self.relay.wake))
        self._tasks = [
            loop.create_task(work) for work in (self.relay.run(), self._watch_nodes(), self._ask_for_access())
        ]

    async def join(self) -> int:
        """One more client, which finds `nodes` as they are now; see Relay.join."""
        await self.look_at_nodes()
        self._watchers += 1
        self._watched.set()
        return await self.relay.join()

    def leave(self) -> None:
        """One client less."""
        self._watchers -= 1
        if not self._watchers:
            self._watched.clear()
        self.relay.leave()

    async def close(self) -> None:
        """End the tasks."""
        self._unsubscribe()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def frame_after(self, position: int) -> Sendable:
        """The frame that goes on from `position`; it ends there when there is nothing more."""
        if (kept := self._recent.get(position)) is not None:
            return kept
        if (read := self._reads.get(position)) is None:
            read = self._reads[position] = asyncio.get_running_loop().create_task(self._read(position))
            read.add_done_callback(lambda _: self._reads.pop(position, None))
        return await asyncio.shield(read)

    async def _read(self, position: int) -> Sendable:
        frame = _sendable(await database_sync_to_async(read_frame)(position))
        if frame.to > position:
            self._recent.add(frame)
        return frame

    async def _publish(self, frame: Frame) -> None:
        sendable = _sendable(frame)
        self._recent.add(sendable)
        await self._layer.group_send(
            self.group,
            {"type": "feed.events", "after": frame.after, "to": frame.to, "text": sendable.text},
        )

    async def _watch_nodes(self) -> None:
        while True:
            await self._watched.wait()
            try:
                await self.look_at_nodes()
            except Exception:
                logger.exception("the feed could not read the state of the nodes; trying again")
            await asyncio.sleep(NODES_INTERVAL)

    async def look_at_nodes(self) -> None:
        """Return after a look at the nodes that began later than this call; all who wait share it."""
        begun = self._looks
        async with self._looking:
            if self._seen > begun:
                return
            self._looks += 1
            as_of = time.time()
            before, self.nodes = self.nodes, await database_sync_to_async(describe_nodes)()
            self.nodes_as_of, self._seen = as_of, self._looks
            if before == self.nodes:
                return
            self.nodes_version += 1
            if not self._watchers:
                return
            texts = [encoded(frame).decode() for frame in node_changes(before, self.nodes)]
            await self._layer.group_send(self.group, {"type": "feed.nodes", "texts": texts})

    async def _ask_for_access(self) -> None:
        while True:
            await self._watched.wait()
            await asyncio.sleep(ACCESS_INTERVAL)
            try:
                await self._layer.group_send(self.group, {"type": "feed.access"})
            except Exception:
                logger.exception("the clients' access could not be asked for; trying again")


def _sendable(frame: Frame) -> Sendable:
    text = encoded({"type": "events", **msgspec.structs.asdict(frame)}).decode()
    return Sendable(after=frame.after, to=frame.to, text=text)


_lives: WeakKeyDictionary[asyncio.AbstractEventLoop, Live] = WeakKeyDictionary()


def live_of_this_loop() -> Live:
    """The running loop's feed, made when it is first asked for."""
    loop = asyncio.get_running_loop()
    if loop not in _lives:
        _lives[loop] = Live()
    return _lives[loop]
