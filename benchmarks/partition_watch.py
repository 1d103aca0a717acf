"""False alarms of a watch for partitions, and seconds until it sees a cut, over links that lose messages: in
virtual time, with a seed; no clock, socket or thread.

    python -m benchmarks.partition_watch            # the table of docs/understand/partitions.md
    python -m benchmarks.partition_watch --days 3

A node hears each of its peers once a second. A gateway asks each member once a second, which needs two
messages. Each message is lost independently of all others. A cut is silence: no link is seen to break.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable, Iterable

from msgspec import Struct, structs

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions import (
    DetectionMethod,
    EventType,
    PartitionEvent,
    PartitionWatch,
    RecoveryStrategy,
    WatchConfig,
    WatchEvent,
)
from dtvn.protocol.quorum import Mode, quorum

DAY = 86_400
NODE, GATEWAY = "node", "gateway"
LOSSES = (0.0, 0.05, 0.20)
WAIT = WatchConfig(recovery_strategy=RecoveryStrategy.WAIT)
"""Defaults, but that a false alarm ends by itself."""


class Lossy:
    """One watcher, and the members that it watches."""

    def __init__(self, host: str, members: int, loss: float, seed: int, config: WatchConfig = WAIT) -> None:
        self._chance = random.Random(seed)
        self._loss = loss
        self.host = host
        names = [f"n{number}" for number in range(members)]
        own = names[0] if host == NODE else ""
        if host == GATEWAY:  # as dtvn.gateway does: a minority never decides
            needed = quorum(members, Mode.PBFT)
            config = structs.replace(config, quorum_size=needed)
        self.peers = [name for name in names if name != own]
        self._offsets = {peer: self._chance.randrange(SECOND // 2) for peer in self.peers}
        self.watch = PartitionWatch(own, config)
        self.watch.set_nodes(names, Now(monotonic=0, wall=0))
        self.splits: list[int] = []
        """Nanoseconds of the partitions that were detected."""
        self.lost = 0
        """Times that a peer became unreachable."""
        self._late = 0.03 * SECOND
        """Mean nanoseconds that a message takes, exponentially distributed."""

    def second(self, second: int, cut: Iterable[str] = ()) -> None:
        """Let this second pass, with nothing from those in `cut`."""
        begin, away = second * SECOND, frozenset(cut)
        facts: list[tuple[int, Callable[[Now], Iterable[WatchEvent]]]] = []
        for peer in self.peers:
            at = begin + self._offsets[peer]
            if peer not in away and self._arrives(2 if self.host == GATEWAY else 1):
                at += min(SECOND // 2, int(self._chance.expovariate(1 / self._late)))
                facts.append((at, self._hearing(peer)))
        for at, fact in sorted(facts, key=lambda each: each[0]):
            self._ticks(at)
            self._note(fact(Now(monotonic=at, wall=at)))
        self._ticks(begin + SECOND)

    def _hearing(self, peer: str) -> Callable[[Now], Iterable[WatchEvent]]:
        return lambda now: self.watch.update_node_health(peer, True, 1.0, now)

    def _arrives(self, messages: int) -> bool:
        return all(self._chance.random() >= self._loss for _ in range(messages))

    def _ticks(self, until: int) -> None:
        while (due := self.watch.deadline()) is not None and due <= until:
            self._note(self.watch.tick(Now(monotonic=due, wall=due)))

    def _note(self, events: Iterable[WatchEvent]) -> None:
        for event in events:
            if isinstance(event, PartitionEvent):
                if event.type is EventType.NETWORK_SPLIT:
                    self.splits.append(event.timestamp)
                self.lost += event.type is EventType.NODE_DOWN


class Alarms(Struct, frozen=True):
    """What a whole network in which messages get lost made a watcher tell."""

    days: float
    false_alarms: float
    """Partitions a day."""
    lost: float
    """Peers that became unreachable, a day."""


def alarms(
    host: str, members: int, loss: float, days: float, seed: int, config: WatchConfig = WAIT
) -> Alarms:
    """The false alarms of so many days without any cut."""
    world = Lossy(host, members, loss, seed, config)
    for second in range(round(days * DAY)):
        world.second(second)
    return Alarms(days, len(world.splits) / days, world.lost / days)


def seconds_to_detection(
    host: str, members: int, loss: float, seed: int, config: WatchConfig = WAIT, *, cuts: int = 20
) -> list[float]:
    """Seconds from a cut, which isolates the watcher, until it is told; each after half an hour without
    one."""
    found: list[float] = []
    for number in range(cuts):
        world = Lossy(host, members, loss, seed + number, config)
        cut_at = 1_800 + number
        for second in range(cut_at):
            world.second(second)
        while world.watch.is_partitioned:  # a false alarm
            world.second(cut_at)
            cut_at += 1
        world.splits.clear()
        second = cut_at
        while not world.splits:
            world.second(second, world.peers)
            second += 1
        found.append(world.splits[0] / SECOND - cut_at)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=float, default=30.0, help="virtual days of each line")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print("| watcher | method | loss | false alarms a day | seconds to detection: median (longest) |")
    print("|---|---|---|---|---|")
    methods = [each for each in DetectionMethod if each is not DetectionMethod.GOSSIP]
    lines = [(NODE, method) for method in methods] + [(GATEWAY, DetectionMethod.HYBRID)]
    for host, method in lines:
        config = structs.replace(WAIT, detection_method=method)
        for loss in LOSSES:
            told = alarms(host, arguments.members, loss, arguments.days, arguments.seed, config)
            took = seconds_to_detection(host, arguments.members, loss, arguments.seed, config)
            seconds = f"{statistics.median(took):.1f} ({max(took):.1f})"
            print(f"| {host} | {method} | {loss:.0%} | {told.false_alarms:.2f} | {seconds} |", flush=True)


if __name__ == "__main__":
    main()
