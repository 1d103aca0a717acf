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
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer

from simulator.web import feed as simulator
from tickets.services import Unavailable
from tickets.services.network import gateway
from validators.dashboard.nodes import (
    describe_cluster,
    describe_nodes,
    members_of,
    newest_announcement,
    node_changes,
    read_announcements,
)
from validators.feed import Frame, Relay
from validators.feed.progress import process_listener
from validators.feed.rows import read_applied, read_frame
from validators.genesis import Genesis
from validators.models import Announcement
from validators.services.node_logs import Tail, log_file

__all__ = ["Live", "encoded", "live_of_this_loop"]

NODES_INTERVAL = 0.5
"""Seconds between two looks at the nodes, while somebody watches."""
SIMULATOR_INTERVAL = 0.2
"""The same for the simulator."""
OUTPUT_INTERVAL = 0.05
"""Seconds between two lines of one node's log; what it writes faster is passed over (spec 3.4)."""
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
        self.cluster: dict[str, Any] = {}
        """The frame `cluster_status` as of the same look."""
        self._announced = 0
        """The last announcement that was passed on, or passed by because nobody watched."""
        self._genesis: Genesis | None = None
        self.nodes_version = 0
        """Raised by every look that found something else than the one before."""
        self.simulator_status = "idle"
        self._simulator_event = 0
        """The last event of the simulator that was passed on."""
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
        self._layer_away = False
        self._watched = asyncio.Event()
        self._watchers = 0
        loop = asyncio.get_running_loop()
        self._unsubscribe = process_listener().subscribe(lambda: loop.call_soon_threadsafe(self.relay.wake))
        self._tasks = [
            loop.create_task(work)
            for work in (
                self.relay.run(),
                self._watch_nodes(),
                self._watch_simulator(),
                self._watch_logs(),
                self._ask_for_access(),
            )
        ]

    async def join(self) -> int:
        """One more client, which finds `nodes` as they are now; see Relay.join."""
        await self.look_at_nodes()
        self.simulator_status = await database_sync_to_async(simulator.status_now)()
        if not self._watchers:
            self._simulator_event = await database_sync_to_async(simulator.newest_event)()
        position = await self.relay.join()
        self._watchers += 1
        self._watched.set()
        return position

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

    async def _tell(self, message: dict[str, Any]) -> None:
        """One message to all clients. While the channel layer is away it is lost, which each client's
        position and the nodes' version make up for; one line says so."""
        try:
            await self._layer.group_send(self.group, message)
            self._layer_away = False
        except Exception as error:  # noqa: BLE001 - every layer has errors of its own
            if not self._layer_away:
                logger.warning("the channel layer does not answer: %s", error)
            self._layer_away = True

    async def _publish(self, frame: Frame) -> None:
        sendable = _sendable(frame)
        self._recent.add(sendable)
        await self._tell({"type": "feed.events", "after": frame.after, "to": frame.to, "text": sendable.text})

    async def _watch_nodes(self) -> None:
        while True:
            await self._watched.wait()
            try:
                await self.look_at_nodes()
            except Exception:
                logger.exception("the feed could not read the state of the nodes; trying again")
            await asyncio.sleep(NODES_INTERVAL)

    async def _watch_simulator(self) -> None:
        while True:
            await self._watched.wait()
            try:
                last, frames = await database_sync_to_async(simulator.read_frames)(self._simulator_event)
                self._simulator_event = max(self._simulator_event, last)
                if frames:
                    texts = [encoded(frame).decode() for frame in frames]
                    await self._tell({"type": "feed.frames", "texts": texts})
            except Exception:
                logger.exception("the feed could not read the simulator's events; trying again")
            await asyncio.sleep(SIMULATOR_INTERVAL)

    async def look_at_nodes(self) -> None:
        """Return after a look at the nodes that began later than this call; all who wait share it."""
        begun = self._looks
        async with self._looking:
            if self._seen > begun:
                return
            self._looks += 1
            as_of = time.time()
            before = self.nodes
            known = self._genesis
            announced = await database_sync_to_async(self._look)()
            if None not in (known, self._genesis) and known != self._genesis:
                await self._begin_anew()
            self.nodes_as_of, self._seen = as_of, self._looks
            changed = before != self.nodes
            self.nodes_version += changed
            if not self._watchers or not (changed or announced):
                return
            texts = [encoded(frame).decode() for frame in node_changes(before, self.nodes, announced)]
            await self._tell({"type": "feed.nodes", "texts": texts})

    async def _begin_anew(self) -> None:
        """Another cluster stands where the one was that this feed told of: its log begins anew."""
        self.relay.position = 0
        self._recent = Recent()
        await self._tell({"type": "feed.founded"})

    async def _watch_logs(self) -> None:
        """The log of each node of ours, while somebody watches: its newest line, at most so often."""
        tails: dict[str, Tail] = {}
        while True:
            if not self._watched.is_set():
                tails.clear()
                await self._watched.wait()
            own = [node["id"] for node in members_of(self.nodes) if not node["external"]]
            tails = {node_id: tails.get(node_id) or Tail(log_file(node_id)) for node_id in own}
            said = [(node_id, tail.fresh()) for node_id, tail in tails.items()]
            texts = [
                encoded({"type": "node_output", "node_id": node_id, "line": lines[0]}).decode()
                for node_id, lines in said
                if lines
            ]
            if texts:
                await self._tell({"type": "feed.frames", "texts": texts})
            await asyncio.sleep(OUTPUT_INTERVAL)

    def _look(self) -> list[Announcement]:
        """The nodes and the cluster as they are, and what was announced before: whoever joins now finds
        the outcome of these in `nodes`."""
        announced = []
        if self._watchers:
            announced = read_announcements(self._announced)
            self._announced = announced[-1].pk if announced else self._announced
        else:
            self._announced = newest_announcement()
        self.cluster = describe_cluster()
        self.nodes = describe_nodes()
        with suppress(Unavailable):
            self._genesis = gateway().genesis
        return announced

    async def _ask_for_access(self) -> None:
        while True:
            await self._watched.wait()
            await asyncio.sleep(ACCESS_INTERVAL)
            try:
                await self._tell({"type": "feed.access"})
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
