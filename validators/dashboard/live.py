"""The live feed of this web process: one relay and one poll of the nodes, shared by all its browsers.

The first WebSocket creates it in the running event loop, since daphne has no startup hook. Every web process
has its own, and reads all that it shows from rows, so there is no single relay that all depend on.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from channels.db import database_sync_to_async

from dtvn.api.errors import Unavailable
from dtvn.protocol.genesis import Genesis
from validators.dashboard.nodes import (
    describe_cluster,
    describe_nodes,
    describe_state_of_page,
    members_of,
    newest_announcement,
    node_changes,
    read_announcements,
)
from validators.feed import Frame, Relay, parts, simulation
from validators.feed.outage import Outage
from validators.feed.progress import process_listener
from validators.feed.rows import read_applied, read_frame
from validators.models import Announcement
from validators.services.network import gateway
from validators.services.node_logs import Tail, log_file

NODES_INTERVAL = 0.5
"""Seconds between two polls of the nodes, while a client watches."""
OUTAGE_SHOWN_AFTER = 5.0
"""Seconds of failed polls of the nodes after which clients are disconnected: what they show is outdated."""
SIMULATOR_INTERVAL = 0.2
"""Seconds between two polls of the simulator."""
PART_INTERVAL = 0.5
"""Seconds between two polls of each further part (feed.parts)."""
OUTPUT_INTERVAL = 0.05
"""Seconds between two lines of one node's log; lines in between are skipped."""
ACCESS_INTERVAL = 5.0
"""Seconds after which every client's permission is checked again."""

RECENT_CHARACTERS_MAX = 16_000_000
"""Total size of the frames kept for lagging clients: about 70,000 events."""

encoded = msgspec.json.Encoder().encode

Inbox = asyncio.Queue[dict[str, Any]]
"""Messages for one client, each with the `type` of its handler. A message for which there is no room is
dropped: the client's position and the nodes' version compensate for that."""


class Sendable(msgspec.Struct, frozen=True):
    """A frame in its wire form: encoded once, sent to all clients."""

    after: int
    to: int
    text: str


class Recent:
    """The newest frames, keyed by the sequence they begin after, for lagging clients: bounded, the oldest
    evicted first.

    Without it, every lagging client would read and encode the same rows again, which would slow down the
    others too.
    """

    def __init__(self, characters_max: int = RECENT_CHARACTERS_MAX) -> None:
        self._frames: OrderedDict[int, Sendable] = OrderedDict()
        self._characters = 0
        self._characters_max = characters_max

    def add(self, frame: Sendable) -> None:
        """Keep a frame; it replaces one that begins at the same sequence."""
        if (old := self._frames.pop(frame.after, None)) is not None:
            self._characters -= len(old.text)
        self._frames[frame.after] = frame
        self._characters += len(frame.text)
        while self._characters > self._characters_max and len(self._frames) > 1:
            _, oldest = self._frames.popitem(last=False)
            self._characters -= len(oldest.text)

    def get(self, after: int) -> Sendable | None:
        """The frame that continues from `after`; None if it is not kept."""
        return self._frames.get(after)


class Live:
    """Relay and polls, and the clients that their frames go to."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.nodes_as_of = 0.0
        """Unix seconds at which the poll that produced `nodes` began."""
        self.cluster: dict[str, Any] = {}
        """The frame `cluster_status` from the same poll."""
        self.state: dict[str, Any] = {}
        """The state of the cluster from the same poll."""
        self._announced = 0
        """Number of the last announcement that was passed on, or skipped because no client watched."""
        self._genesis: Genesis | None = None
        self.nodes_version = 0
        """Incremented by every poll whose result differs from the previous one."""
        self.simulator_status = "idle"
        self._simulator_event = 0
        """Number of the simulator's last event that was passed on."""
        self.relay = Relay(
            read=database_sync_to_async(read_frame),
            publish=self._publish,
            applied=database_sync_to_async(read_applied),
        )
        self._recent = Recent()
        self._reads: dict[tuple[int, frozenset[str] | None], asyncio.Task[Sendable]] = {}
        """Reads in progress by start and events, so that many clients at one position share one."""
        self._looking = asyncio.Lock()
        self._looks = self._seen = 0
        """Number of polls of the nodes that have begun, and number of the last one that succeeded."""
        self._inboxes: dict[Inbox, str] = {}
        """Inbox of each client -> the caller that it counts for (access.watcher_of)."""
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
                *(self._watch_part(part) for part in parts.parts()),
                self._watch_logs(),
                self._ask_for_access(),
            )
        ]

    def clients_of(self, watcher: str) -> int:
        """Number of clients that count for this caller; see access.watcher_of."""
        return sum(each == watcher for each in self._inboxes.values())

    async def join(self, inbox: Inbox, watcher: str = "") -> int:
        """Adds a client that counts for `watcher`, and refreshes `nodes`; returns as Relay.join."""
        self._inboxes[inbox] = watcher
        try:
            await self.look_at_nodes()
            self.simulator_status = await database_sync_to_async(simulation.simulator.status_now)()
            if not self._watchers:
                self._simulator_event = await database_sync_to_async(simulation.simulator.newest_event)()
            position = await self.relay.join()
        except BaseException:
            self._inboxes.pop(inbox, None)
            raise
        self._watchers += 1
        self._watched.set()
        return position

    def leave(self, inbox: Inbox) -> None:
        """Removes a client."""
        self._inboxes.pop(inbox, None)
        self._watchers -= 1
        if not self._watchers:
            self._watched.clear()
        self.relay.leave()

    async def close(self) -> None:
        """Cancel the tasks."""
        self._unsubscribe()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def frame_after(self, position: int, of: frozenset[str] | None = None) -> Sendable:
        """The frame that continues from `position`; it ends there if there are no more events. `of`: the only
        events of tickets that it is about; frames of some events are read anew for each set of them."""
        if of is None and (kept := self._recent.get(position)) is not None:
            return kept
        wanted = position, of
        if (read := self._reads.get(wanted)) is None:
            read = self._reads[wanted] = asyncio.get_running_loop().create_task(self._read(position, of))
            read.add_done_callback(lambda _: self._reads.pop(wanted, None))
        return await asyncio.shield(read)

    async def _read(self, position: int, of: frozenset[str] | None) -> Sendable:
        recent = self._recent
        frame = _sendable(await database_sync_to_async(read_frame)(position, of=of))
        if of is None and frame.to > position:
            recent.add(frame)
        return frame

    def tell(self, message: dict[str, Any]) -> None:
        """Send one message to all clients."""
        for inbox in self._inboxes:
            with suppress(asyncio.QueueFull):
                inbox.put_nowait(message)

    async def _publish(self, frame: Frame) -> None:
        sendable = _sendable(frame)
        self._recent.add(sendable)
        self.tell({"type": "feed.events", "after": frame.after, "to": frame.to, "text": sendable.text})

    async def _watch_nodes(self) -> None:
        while True:
            await self._watched.wait()
            outage = Outage("the state of the nodes")
            while self._watched.is_set():
                with outage:
                    await self.look_at_nodes()
                if outage.seconds > OUTAGE_SHOWN_AFTER:
                    self.tell({"type": "feed.away"})
                await asyncio.sleep(NODES_INTERVAL)

    async def _watch_simulator(self) -> None:
        outage = Outage("the simulator's events")
        while True:
            await self._watched.wait()
            with outage:
                read_frames = database_sync_to_async(simulation.simulator.read_frames)
                last, frames = await read_frames(self._simulator_event)
                self._simulator_event = max(self._simulator_event, last)
                if frames:
                    texts = [encoded(frame).decode() for frame in frames]
                    self.tell({"type": "feed.frames", "texts": texts})
            await asyncio.sleep(SIMULATOR_INTERVAL)

    async def _watch_part(self, part: parts.FeedPart) -> None:
        """Passes on the frames of one further part while a client watches. Earlier events are skipped when
        the first client comes: pages ask for the state that they show."""
        outage = Outage("a part of the feed")
        last: int | None = None
        while True:
            if not self._watched.is_set():
                last = None
            await self._watched.wait()
            with outage:
                if last is None:
                    last = await database_sync_to_async(part.newest_event)()
                last, frames = await database_sync_to_async(part.read_frames)(last)
                if frames:
                    texts = [encoded(frame).decode() for frame in frames]
                    self.tell({"type": "feed.frames", "texts": texts})
            await asyncio.sleep(PART_INTERVAL)

    async def look_at_nodes(self) -> None:
        """Returns after a poll of the nodes that began later than this call; concurrent callers share it."""
        begun = self._looks
        async with self._looking:
            if self._seen > begun:
                return
            self._looks += 1
            as_of = time.time()
            before, state_before = self.nodes, self.state
            known = self._genesis
            announced = await database_sync_to_async(self._look)()
            if None not in (known, self._genesis) and known != self._genesis:
                await self._begin_anew()
            self.nodes_as_of, self._seen = as_of, self._looks
            changed = (before, state_before) != (self.nodes, self.state)
            self.nodes_version += changed
            if not self._watchers or not (changed or announced):
                return
            texts = [encoded(frame).decode() for frame in node_changes(before, self.nodes, announced)]
            self.tell({"type": "feed.nodes", "texts": texts})

    async def _begin_anew(self) -> None:
        """Begin anew with the log of another cluster, which has replaced the one shown so far."""
        self.relay.begin_anew()
        self._recent = Recent()
        self.tell({"type": "feed.founded"})

    async def _watch_logs(self) -> None:
        """Sends a new log line of each node of ours while a client watches, at most one per OUTPUT_INTERVAL.
        A node that appears meanwhile may have written its first lines before a poll found it: its log is
        read from the beginning."""
        tails: dict[str, Tail] | None = None
        while True:
            if not self._watched.is_set():
                tails = None
                await self._watched.wait()
            own = [node["id"] for node in members_of(self.nodes) if not node["external"]]
            known = tails or {}
            appeared = tails is not None
            tails = {name: known.get(name) or Tail(log_file(name), whole=appeared) for name in own}
            said = [(node_id, tail.fresh()) for node_id, tail in tails.items()]
            texts = [
                encoded({"type": "node_output", "node_id": node_id, "line": lines[0]}).decode()
                for node_id, lines in said
                if lines
            ]
            if texts:
                self.tell({"type": "feed.frames", "texts": texts})
            await asyncio.sleep(OUTPUT_INTERVAL)

    def _look(self) -> list[Announcement]:
        """Reads the state of nodes and cluster; returns the announcements made before, [] without clients. A
        client that joins now finds their effect in `nodes`."""
        announced = []
        if self._watchers:
            announced = read_announcements(self._announced)
            self._announced = announced[-1].pk if announced else self._announced
        else:
            self._announced = newest_announcement()
        self.cluster = describe_cluster()
        self.nodes = describe_nodes()
        self.state = describe_state_of_page(self.nodes)
        with suppress(Unavailable):
            self._genesis = gateway().genesis
        return announced

    async def _ask_for_access(self) -> None:
        while True:
            await self._watched.wait()
            await asyncio.sleep(ACCESS_INTERVAL)
            self.tell({"type": "feed.access"})


def _sendable(frame: Frame) -> Sendable:
    text = encoded({"type": "events", **msgspec.structs.asdict(frame)}).decode()
    return Sendable(after=frame.after, to=frame.to, text=text)


_lives: WeakKeyDictionary[asyncio.AbstractEventLoop, Live] = WeakKeyDictionary()


def live_of_this_loop() -> Live:
    """The running loop's feed, created on first use."""
    loop = asyncio.get_running_loop()
    if loop not in _lives:
        _lives[loop] = Live()
    return _lives[loop]
