"""Gateways that watch for partitions with the product's own watch: it tells none while all are reached, and
none is left once all are reached again."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.durations import MILLISECOND, SECOND
from dtvn.protocol.partitions import (
    DetectionMethod,
    EventType,
    PartitionEvent,
    PartitionWatch,
    RecoveryStrategy,
    WantsJudgement,
    WantsState,
    WatchConfig,
    WatchEvent,
)
from dtvn.protocol.probes import probe
from simulator.dice import Dice
from simulator.gateway import Gateway
from simulator.recurring import Recurring
from simulator.violation import Violation
from simulator.world import World

HEALED_WITHIN = 60 * SECOND
"""Time within which no partition is left, once all are reached."""
ASKED_MAX = 400 * MILLISECOND
"""Longest time between two rounds of questions."""


class _Watcher:
    """The watch of one gateway."""

    def __init__(self, gateway: Gateway, dice: Dice) -> None:
        self.gateway = gateway
        strategies = (RecoveryStrategy.WAIT, RecoveryStrategy.MERGE, RecoveryStrategy.RESET)
        config = WatchConfig(
            detection_method=dice.pick(tuple(DetectionMethod)),
            recovery_strategy=dice.pick(strategies),
            heartbeat_timeout=dice.spread(2 * SECOND, 10 * SECOND),
            quorum_size=dice.between(1, 4),
            min_nodes_for_operation=dice.between(1, 3),
            acceptable_pause=dice.spread(SECOND, 3 * SECOND),
        )
        self.watch = PartitionWatch("", config)
        self.failed: set[str] = set()
        """Members to which a question has failed since all were reached."""

    def ask(self, now: Now, reached: dict[str, bool]) -> None:
        """A round of questions. Raises Violation if the watch sees what is not there."""
        events: list[WatchEvent] = list(self.watch.set_nodes(reached, now))
        self.failed |= {name for name, answers in reached.items() if not answers}
        for name, answers in reached.items():
            events += self.watch.update_node_health(name, answers, 1.0, now)
        due = self.watch.deadline()
        if due is not None and due <= now.monotonic:
            events += self.watch.tick(now)
        for event in events:
            self._told(event, now)
        if all(reached.values()) and not self.watch.unreachable_nodes():
            self.failed.clear()

    def _told(self, event: WatchEvent, now: Now) -> None:
        if isinstance(event, WantsJudgement):
            self.watch.judged(now)
        elif isinstance(event, WantsState):
            self.watch.took_state(now)
        elif isinstance(event, PartitionEvent) and event.type is EventType.NETWORK_SPLIT:
            probe("partition.told")
            if not self.failed:
                raise Violation(
                    "partition-watch", f"{self.gateway.name} tells a partition, and all are reached"
                )


class PartitionWatches(Recurring):
    """One watch for each gateway. The watch has the true time: it takes part in no decision."""

    def __init__(self, world: World, gateways: Sequence[Gateway], dice: Dice) -> None:
        super().__init__(world, dice.fork("when"), ASKED_MAX)
        self._watchers = [_Watcher(each, dice.fork(f"watch {each.number}")) for each in gateways]

    def happen(self) -> None:
        """All ask all."""
        now = self._now(self.world.time)
        for watcher in self._watchers:
            watcher.ask(now, self._reached(watcher.gateway))

    def _reached(self, gateway: Gateway) -> dict[str, bool]:
        world, network = self.world, self.world.network
        return {
            name: (node := world.nodes[name]).up
            and not node.paused
            and network.carries(gateway.name, name)
            and network.carries(name, gateway.name)
            for name in world.member_names
        }

    def last(self) -> None:
        """The healed network, in which those that are dead are no members to the watch: no partition is left.
        Only the watches' time passes."""
        for watcher in self._watchers:
            time, reached = self.world.time, self._reached(watcher.gateway)
            up = {name: True for name, answers in reached.items() if answers}
            while time < self.world.time + HEALED_WITHIN:
                time += ASKED_MAX
                watcher.ask(self._now(time), up)
            if watcher.watch.is_partitioned:
                lost = watcher.watch.unreachable_nodes()
                raise Violation(
                    "partition-watch", f"{watcher.gateway.name} sees a partition of {lost} for ever"
                )

    def _now(self, time: int) -> Now:
        return Now(SECOND + time, SECOND + time)
