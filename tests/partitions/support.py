"""A watch in virtual time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions import (
    PartitionInfo,
    PartitionWatch,
    WatchConfig,
    WatchEvent,
)

EPOCH = 1_800_000_000 * SECOND
"""What the wall clock shows at the beginning."""


class Watched:
    """The watch of `own` over other nodes, which are heard once a second; `events`: all that it told."""

    def __init__(self, own: str = "n0", peers: int = 3, **config: Any) -> None:
        self.watch = PartitionWatch(own, msgspec.convert(config, WatchConfig))
        self.peers = [f"n{number}" for number in range(1, peers + 1)]
        self.seconds = 0.0
        self.events: list[WatchEvent] = []
        if peers:
            self.told(self.watch.set_nodes([own, *self.peers], self.now))

    @property
    def now(self) -> Now:
        passed = round(self.seconds * SECOND)
        return Now(monotonic=7 * SECOND + passed, wall=EPOCH + passed)

    @property
    def active(self) -> PartitionInfo:
        found = self.watch.get_current_partition()
        assert found is not None
        return found

    def told(self, events: Iterable[WatchEvent]) -> list[WatchEvent]:
        """Note what a call told, and return it."""
        new = [*events]
        self.events += new
        return new

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of a type."""
        return [event for event in self.events if isinstance(event, kind)]

    def hear(self, *peers: str) -> None:
        """These are heard now."""
        for peer in peers:
            self.told(self.watch.update_node_health(peer, True, 1.0, self.now))

    def fail(self, peer: str, times: int = 1) -> None:
        """So many questions to a peer fail now."""
        for _ in range(times):
            self.told(self.watch.handle_node_failure(peer, self.now))

    def cut(self, *peers: str) -> None:
        """The links to these break now."""
        self.told(self.watch.lose_links(peers, self.now))

    def pass_seconds(self, seconds: float, heard: Iterable[str] | None = None) -> None:
        """Let time pass; `heard`: who is heard each second of it, all by default. `tick` is called when
        due."""
        heard = self.peers if heard is None else [*heard]
        end = self.seconds + seconds
        beat = self.seconds
        while self.seconds < end:
            if self.seconds >= beat:
                self.hear(*heard)
                beat += 1
            due = self.watch.deadline()
            at = end if due is None else (due - 7 * SECOND) / SECOND
            self.seconds = min(end, beat, max(at, self.seconds))
            if due is not None and self.now.monotonic >= due:
                self.told(self.watch.tick(self.now))
