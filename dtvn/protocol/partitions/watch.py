"""The watch for partitions of one node, or of a gateway, which is no node.

    watch = PartitionWatch("node0")
    events = watch.set_nodes(["node0", "node1", "node2", "node3"], now)
    events = watch.update_node_health("node1", True, 12.5, now)     # milliseconds
    if watch.deadline() <= now.monotonic: events = watch.tick(now)

Duties of a host: report what it learns of each node; call `tick` at `deadline`, since a host that calls later
seems to have slept itself; and do what WantsJudgement and WantsState say, then report it. Events are told
once.

A partition is one of the network, not of the order: members that are no quorum decide nothing, so both sides
never differ (recovery strategies: see config.RecoveryStrategy).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions.config import DetectionMethod, RecoveryStrategy, WatchConfig
from dtvn.protocol.partitions.health import HealthTable, NodeHealthInfo
from dtvn.protocol.partitions.history import History
from dtvn.protocol.partitions.kinds import PartitionType, Severity, partition_type, severity_of
from dtvn.protocol.partitions.moment import Moment
from dtvn.protocol.partitions.recovery import Recovery
from dtvn.protocol.partitions.values import (
    Escalated,
    EventType,
    PartitionEvent,
    PartitionInfo,
    PartitionMetrics,
    PartitionStatus,
    RecoveryFailed,
    RecoveryStatus,
    WantsJudgement,
    WantsState,
    WatchEvent,
)

LOOK_EVERY = 5 * SECOND
"""Nanoseconds between two looks by quorum; by heartbeat, a third of `heartbeat_timeout`."""
CLEAN_EVERY = 3_600 * SECOND
"""Nanoseconds between two looks at the history."""
Events = tuple[WatchEvent, ...]


class NotActive(ValueError):
    """There is no active partition with this id."""


class PartitionWatch:
    """See the module. `own`: the watching node; "" if the watcher is no node, such as a gateway."""

    def __init__(self, own: str = "", config: WatchConfig | None = None) -> None:
        """Nobody is known yet."""
        self._own = own
        self._config = config or WatchConfig()
        self._health = HealthTable(self._config)
        self._history = History()
        self._active: PartitionInfo | None = None
        self._recovery: Recovery | None = None
        """Of the active partition."""
        self._detected_at = 0
        """Monotonic nanoseconds of the newest detection."""
        self._lasted = 0
        """Nanoseconds of the newest partition that is over."""
        self._newest = 0
        """The number in the id of the newest partition."""
        self._partitions = self._recoveries = self._failures = 0
        self._entered = 0
        """Monotonic nanoseconds of the newest call."""
        self._due: dict[str, int] = {}
        """Looks and cleaning -> when the next is due; none before the first call."""

    # --- facts -----------------------------------------------------------------------------------

    def require(self, quorum_size: int, now: Moment) -> Events:
        """A quorum has this size from now on: it depends on the number of nodes."""
        self._enter(now)
        self._config = structs.replace(self._config, quorum_size=quorum_size)
        return self._look(now)

    def set_nodes(self, node_ids: Iterable[str], now: Moment) -> Events:
        """These are all nodes, the watching one among them or not: others are forgotten."""
        self._enter(now)
        wanted = [node_id for node_id in node_ids if node_id != self._own]
        self._health.keep(wanted)
        for node_id in wanted:
            self._health.add(node_id, now)
        return self._look(now)

    def update_node_health(
        self, node_id: str, reachable: bool, response_time_ms: float, now: Moment
    ) -> Events:
        """A node has answered, or sent something (`reachable`); or a question to it has failed. The third
        failure in a row makes it unreachable. An unknown one becomes known."""
        self._enter(now)
        if node_id == self._own:
            return ()
        if reachable:
            if not self._health.succeed(node_id, response_time_ms, now):
                return ()
            return (self._up(node_id, now), *self._look(now))
        return self._lost([node_id] if self._health.fail(node_id, response_time_ms, now) else [], now)

    def handle_node_failure(self, node_id: str, now: Moment) -> Events:
        """A question to a node has failed."""
        return self.update_node_health(node_id, False, 0.0, now)

    def lose_links(self, node_ids: Iterable[str], now: Moment) -> Events:
        """The links to these nodes broke: they are unreachable until they are heard again."""
        self._enter(now)
        cut = [node_id for node_id in node_ids if node_id != self._own]
        lost = [node_id for node_id in cut if self._health.fail(node_id, 0.0, now, cut=True)]
        return self._lost(lost, now)

    def excuse(self, node_id: str, now: Moment) -> None:
        """A node was not asked anything, so its silence until now says nothing."""
        self._enter(now)
        self._health.excuse(node_id, now.monotonic)

    # --- time ------------------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """Monotonic nanoseconds at which `tick` has something to do; None before the first call of all."""
        due = [*self._due.values()]
        if self._recovery is not None:
            due.append(self._recovery.due() or due[0])
        if self._active is not None and not self._active.escalated:
            due.append(self._detected_at + self._config.max_partition_duration)
        return min(due, default=None)

    def tick(self, now: Moment) -> Events:
        """Look whether there is a partition, or whether it is over."""
        self._enter(now)
        events: list[WatchEvent] = []
        due = {name for name, at in self._due.items() if at <= now.monotonic}
        for name in due:
            self._due[name] = now.monotonic + self._period(name)
        if "history" in due:
            self._history.clean(now.monotonic)
        lost = self._health.expire(now.monotonic) if due & {"heartbeat", "quorum"} else []
        events += self._lost(lost, now, due)
        if self._active is None:
            events += self._look(now, due)
        else:
            events += self._escalate(now)
            events += self._recover(now)
        return tuple(events)

    # --- what the host reports -------------------------------------------------------------------

    def judged(self, now: Moment) -> Events:
        """All that was owed a judgement has one (see WantsJudgement)."""
        return self._done(RecoveryStrategy.MERGE, now)

    def took_state(self, now: Moment) -> Events:
        """A certified state was taken (see WantsState)."""
        return self._done(RecoveryStrategy.RESET, now)

    def recovery_failed(self, reason: str, now: Moment) -> Events:
        """The host could not do what was wanted."""
        self._enter(now)
        if self._recovery is None or not self._recovery.end(now.monotonic):
            return ()
        return self._give_up(reason)

    def resolve_partition(self, partition_id: str, operator: str, now: Moment) -> Events:
        """An operator ends the active partition, whatever its strategy. If the nodes are still unreachable,
        the next look detects another one. Raises NotActive; ValueError without an operator."""
        self._enter(now)
        if not operator:
            raise ValueError("operator: '' is empty: name who resolves the partition")
        if self._active is None or self._active.id != partition_id:
            known = f"active is {self._active.id}" if self._active else "no partition is active"
            raise NotActive(f"partition_id: {partition_id!r} is not active: {known}")
        return (self._end(now, operator),)

    # --- what is known ---------------------------------------------------------------------------

    @property
    def is_partitioned(self) -> bool:
        """Whether a partition is active."""
        return self._active is not None

    def get_current_partition(self) -> PartitionInfo | None:
        """The active partition."""
        return self._active

    def get_partition_history(self) -> tuple[PartitionInfo, ...]:
        """The partitions of a day, and in any case the newest hundred; oldest first, the active one last."""
        return self._history.all()

    def get_node_health(self, node_id: str, now: Moment) -> NodeHealthInfo | None:
        """What is known of a node; None for one that is not watched."""
        return self._health.info(node_id, now.monotonic)

    def nodes(self) -> tuple[str, ...]:
        """All nodes, the watching one first."""
        return ((self._own,) if self._own else ()) + tuple(self._health)

    def reachable_nodes(self) -> tuple[str, ...]:
        """The nodes that are reachable now, the watching one first."""
        own = (self._own,) if self._own else ()
        return own + tuple(self._health.reachable())

    def unreachable_nodes(self) -> tuple[str, ...]:
        """The others."""
        return tuple(self._health.unreachable())

    def get_metrics(self, now: Moment) -> PartitionMetrics:
        """Counts so far."""
        lasted = now.monotonic - self._detected_at if self._active else self._lasted
        return PartitionMetrics(
            is_partitioned=self.is_partitioned,
            partition_count=self._partitions,
            recovery_count=self._recoveries,
            failed_recoveries=self._failures,
            partition_duration=lasted / SECOND,
            history_size=len(self._history),
        )

    def get_status(self) -> PartitionStatus:
        """All of it in one word."""
        if self._recovery is not None:
            recovers = self._recovery.in_progress
            return PartitionStatus.RECOVERING if recovers else PartitionStatus.PARTITIONED
        return PartitionStatus.HEALTHY if len(self._health) else PartitionStatus.UNKNOWN

    def get_recovery_status(self) -> RecoveryStatus:
        """How far the recovery is."""
        if self._active is None or self._recovery is None:
            return RecoveryStatus(False, self._config.recovery_strategy, 100.0)
        recorded = self._active.unreachable_nodes
        healed = 100.0 * (len(recorded) - len(self._still_lost())) / len(recorded)
        half = 0.5 if self._recovery.waits_for_host else 1.0
        return RecoveryStatus(self._recovery.in_progress, self._active.recovery_strategy, half * healed)

    # --- detection -------------------------------------------------------------------------------

    def _enter(self, now: Moment) -> None:
        """Begin to watch with the first call; later, find out whether this process slept, and its nodes were
        not heard for that."""
        if not self._due:
            self._due = {name: now.monotonic + self._period(name) for name in (*self._methods(), "history")}
            self._entered = now.monotonic
            return
        entered, self._entered = self._entered, max(self._entered, now.monotonic)
        borne = self._config.heartbeat_timeout // 3
        if now.monotonic - entered > borne:
            late = now.monotonic - max(entered, self.deadline() or 0)
            if late > borne:
                self._health.forgive(late)

    def _methods(self) -> tuple[str, ...]:
        method = self._config.detection_method
        if method is DetectionMethod.HYBRID:
            return DetectionMethod.HEARTBEAT, DetectionMethod.QUORUM
        return (DetectionMethod.HEARTBEAT if method is DetectionMethod.GOSSIP else method,)

    def _period(self, name: str) -> int:
        if name == "history":
            return CLEAN_EVERY
        return self._config.heartbeat_timeout // 3 if name == DetectionMethod.HEARTBEAT else LOOK_EVERY

    def _reached(self) -> int:
        return len(self._health.reachable()) + bool(self._own)

    def _fires(self, now: int, methods: Iterable[str]) -> bool:
        """Whether there is a partition now by one of these methods, or by the check that belongs to all.
        Without an unreachable node there is none."""
        if not self._health.unreachable():
            return False
        reached, half = self._reached(), len(self._health) // 2
        if reached < self._config.min_nodes_for_operation:
            return True
        for method in methods:
            match method:
                case DetectionMethod.HEARTBEAT:
                    found = len(self._health.silent(now)) > half
                case DetectionMethod.QUORUM:
                    found = reached < self._config.quorum_size
                case _:
                    found = False
            if found:
                return True
        return False

    def _look(self, now: Moment, methods: Iterable[str] = ()) -> Events:
        """Detect a partition, unless one is active."""
        if self._active is not None or not self._fires(now.monotonic, methods):
            return ()
        reachable, unreachable = self.reachable_nodes(), self.unreachable_nodes()
        self._newest = max(now.wall, self._newest + 1)
        kind, severity = self._kind(len(reachable), len(unreachable))
        strategy = self._config.recovery_strategy
        self._active = info = PartitionInfo(
            id=f"partition-{self._newest}",
            detected_at=now.wall,
            reachable_nodes=reachable,
            unreachable_nodes=unreachable,
            type=kind,
            severity=severity,
            recovery_strategy=strategy,
            requires_operator=strategy is RecoveryStrategy.MANUAL or not self._config.auto_recovery,
        )
        self._detected_at = now.monotonic
        self._recovery = Recovery(info, self._config, now.monotonic)
        self._partitions += 1
        self._history.add(info, now.monotonic)
        return (PartitionEvent(EventType.NETWORK_SPLIT, "", now.wall, info.messages[0], info),)

    def _lost(self, node_ids: Iterable[str], now: Moment, methods: Iterable[str] = ()) -> Events:
        """These became unreachable: a partition, or part of the active one."""
        down: list[WatchEvent] = [
            PartitionEvent(EventType.NODE_DOWN, node_id, now.wall, f"{node_id} is not reached any more")
            for node_id in node_ids
        ]
        if not down:
            return ()
        if self._active is None:
            return (*down, *self._look(now, methods))
        self._widen(self._active)
        return tuple(down)

    def _widen(self, active: PartitionInfo) -> None:
        """Add to the active partition what is unreachable now. What is back stays listed."""
        lost = {*active.unreachable_nodes, *self._health.unreachable()}
        unreachable = tuple(name for name in self._health if name in lost)
        reachable = tuple(name for name in self.nodes() if name not in lost)
        kind, severity = self._kind(len(reachable), len(unreachable))
        self._change(
            reachable_nodes=reachable,
            unreachable_nodes=unreachable + tuple(sorted(lost - {*unreachable})),
            type=kind,
            severity=max(severity, active.severity, key=[*Severity].index),
        )

    def _kind(self, reachable: int, unreachable: int) -> tuple[PartitionType, Severity]:
        kind = partition_type(reachable, reachable + unreachable)
        return kind, severity_of(kind, reachable, self._config.min_nodes_for_operation)

    def _up(self, node_id: str, now: Moment) -> PartitionEvent:
        return PartitionEvent(EventType.NODE_UP, node_id, now.wall, f"{node_id} is reached again")

    # --- recovery --------------------------------------------------------------------------------

    def _still_lost(self) -> list[str]:
        """The nodes of the active partition that are unreachable now, and still nodes."""
        lost = self._health.unreachable()
        return [name for name in self._active.unreachable_nodes if name in lost] if self._active else []

    def _healed(self) -> bool:
        """Whether the strategy may go on: each node that was lost is back; or, if the host is to do
        something, so many that there would be no partition now: then those that decide are reached."""
        if self._recovery is None or not self._recovery.waits_for_host:
            return not self._still_lost()
        reached, lost, methods = self._reached(), len(self._health.unreachable()), self._methods()
        needed = self._config.min_nodes_for_operation
        if DetectionMethod.QUORUM in methods:
            needed = max(needed, self._config.quorum_size)
        by_half = methods != (DetectionMethod.QUORUM,)
        return not lost or (reached >= needed and not (by_half and lost > len(self._health) // 2))

    def _recover(self, now: Moment) -> Events:
        recovery = self._recovery
        if recovery is None:
            return ()
        if recovery.expired(now.monotonic):
            return self._give_up(f"no report within {self._config.recovery_timeout / SECOND:g} s")
        if not recovery.is_due(now.monotonic):
            return ()
        if not self._healed():
            recovery.postpone(now.monotonic)
            return ()
        wanted: WantsJudgement | WantsState | None = recovery.begin(now.monotonic)
        return (self._end(now) if wanted is None else wanted,)

    def _done(self, strategy: RecoveryStrategy, now: Moment) -> Events:
        self._enter(now)
        active, recovery = self._active, self._recovery
        if active is None or recovery is None or active.recovery_strategy is not strategy:
            return ()
        if not recovery.end(now.monotonic):
            return ()
        if not self._healed():
            return self._give_up("the nodes became unreachable again")
        return (self._end(now),)

    def _give_up(self, reason: str) -> Events:
        """An attempt has failed."""
        if self._active is None:
            return ()
        self._failures += 1
        self._change(failed_recoveries=self._active.failed_recoveries + 1)
        return (RecoveryFailed(self._active, reason),)

    def _escalate(self, now: Moment) -> Events:
        """Tell once that the partition has lasted too long."""
        active = self._active
        if active is None or active.escalated:
            return ()
        if now.monotonic < self._detected_at + self._config.max_partition_duration:
            return ()
        self._change(severity=Severity.CRITICAL, escalated=True)
        return (Escalated(self._active),) if self._active else ()

    def _end(self, now: Moment, operator: str = "") -> PartitionEvent:
        """The active partition is over."""
        self._change(recovered_at=now.wall, is_active=False, resolved_by=operator)
        info, self._active, self._recovery = self._active, None, None
        self._lasted = now.monotonic - self._detected_at
        self._recoveries += 1
        said = f"resolved by {operator}" if operator else "the network is whole again"
        return PartitionEvent(EventType.NETWORK_RECOVERED, "", now.wall, said, info)

    def _change(self, **changes: object) -> None:
        if self._active is not None:
            self._active = structs.replace(self._active, **changes)
            self._history.replace(self._active)
