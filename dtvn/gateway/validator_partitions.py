"""The watch for partitions of a validator: it is told what the gateway knows of its members.

| fact | what it means |
|---|---|
| an answer about itself, once a second | the member is reachable |
| no answer | silence, which the watch weighs by what was usual, and bears for `heartbeat_timeout` at most |
| a link that broke | the member is unreachable at once |
| a link that is being made | nothing, for LINK_GRACE |

A minority never decides anything here, so `quorum_size` is raised to the votes that a decision needs, which a
line of the log says. A thread looks while the validator runs, and calls callbacks; each question looks too.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from dtvn.events.config import PartitionHandlerConfig
from dtvn.gateway.face import GatewayFace
from dtvn.gateway.validator_answers import PartitionInfo, partition_info
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions import (
    Escalated,
    EventType,
    NodeHealthInfo,
    PartitionEvent,
    PartitionMetrics,
    PartitionStatus,
    PartitionWatch,
    RecoveryFailed,
    RecoveryStatus,
    WantsJudgement,
    WantsState,
    WatchConfig,
    WatchEvent,
)
from dtvn.watch import MemberReport

logger = logging.getLogger(__name__)

LINK_GRACE = 3 * SECOND
"""Nanoseconds that the first connection to a member may take, and the first after it was dialled anew."""
HEARTBEAT_TIMEOUT_MIN = 3 * SECOND
"""The least `heartbeat_timeout`, in nanoseconds: members are asked once a second."""
RESTING = 3 * SECOND
"""Nanoseconds after a member's newest answer from which the gateway may just not have asked it."""
LOOK_EVERY = 0.5
"""Seconds between two looks of the thread."""
EVENTS_MAX = 1_000
"""Events kept until the thread takes them; before it was started, the oldest go."""
Callback = Callable[[PartitionInfo], object]


def clock() -> Now:
    """The system's clocks."""
    return Now(monotonic=time.monotonic_ns(), wall=time.time_ns())


def watch_config(config: PartitionHandlerConfig) -> WatchConfig:
    """The settings of the watch."""
    return WatchConfig(
        detection_method=config.detection_method,
        recovery_strategy=config.recovery_strategy,
        heartbeat_timeout=max(HEARTBEAT_TIMEOUT_MIN, round(config.heartbeat_timeout * SECOND)),
        quorum_size=config.quorum_size,
        min_nodes_for_operation=config.min_nodes_for_operation,
        max_partition_duration=max(1, round(config.max_partition_duration * SECOND)),
        auto_recovery=config.auto_recovery,
        recovery_timeout=max(1, round(config.recovery_timeout * SECOND)),
    )


class _Seen(msgspec.Struct):
    """A member when the gateway was looked at last."""

    heard_at: int = 0
    """Monotonic nanoseconds of its newest answer that the watch was told."""
    missed: int = 0
    """Questions that it had left unanswered by then."""
    disconnects: int = 0
    """How often its link had broken when it was last seen connected."""
    missing_since: int | None = None
    """Since when its link is being made; None: it is made, or has broken."""
    lost: bool = False
    """Whether the watch was told that the link broke."""
    resting: bool = False
    """Whether it was not asked of late."""


class Partitions:
    """The partition handler of the contract (5). Any thread may call it."""

    def __init__(
        self,
        gateway: GatewayFace,
        config: PartitionHandlerConfig,
        needed: Callable[[], int],
        now: Callable[[], Now] = clock,
    ) -> None:
        """`needed`: reachable members without which nothing is decided."""
        self._gateway = gateway
        self._config = config
        self._needed = needed
        self._now = now
        self._watch = PartitionWatch(config=watch_config(config))
        self._lock = threading.RLock()
        """Guards the watch, and what was seen."""
        self._seen: dict[str, _Seen] = {}
        self._asked: tuple[tuple[str, ...], int] = ((), 0)
        """Members, and `needed`, that the watch was told."""
        self._events: deque[WatchEvent] = deque(maxlen=EVENTS_MAX)
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._on_detected: Callback | None = None
        self._on_recovered: Callback | None = None
        self._on_escalated: Callback | None = None
        self._wanted: WantsJudgement | WantsState | None = None
        self.owing: list[Callable[[], bool]] = []
        """What is to be judged before a recovery by merge is over: each says, without waiting, whether
        nothing of its kind is owed a judgement any more, and is called again until it does."""

    # --- the contract's face -----------------------------------------------------------------------

    def get_config(self) -> PartitionHandlerConfig:
        """The settings in effect."""
        return self._config

    def is_partitioned(self) -> bool:
        """Whether a partition is active."""
        return self.get_current_partition() is not None

    def get_current_partition(self) -> PartitionInfo | None:
        """The active partition."""
        self.look()
        found = self._watch.get_current_partition()
        return None if found is None else partition_info(found)

    def get_partition_history(self) -> list[PartitionInfo]:
        """The partitions of a day, and in any case the newest hundred, oldest first; the active one is the
        last."""
        self.look()
        return [partition_info(each) for each in self._watch.get_partition_history()]

    def set_partition_callbacks(
        self,
        on_detected: Callback | None = None,
        on_recovered: Callback | None = None,
        on_escalated: Callback | None = None,
    ) -> None:
        """Have these called with a partition that was detected, is over, or has lasted longer than
        `max_partition_duration` (once): in a thread of the validator, while that runs. What they raise is
        logged."""
        with self._lock:
            self._on_detected, self._on_recovered = on_detected, on_recovered
            self._on_escalated = on_escalated

    def update_node_health(self, node_id: str, reachable: bool, response_time_ms: float) -> None:
        """Report what another source knows of a member."""
        with self._lock:
            self.look()
            self._note(self._watch.update_node_health(node_id, reachable, response_time_ms, self._now()))

    def handle_node_failure(self, node_id: str) -> None:
        """Report that a member did not answer: three times in a row make it unreachable, until it answers."""
        self.update_node_health(node_id, False, 0.0)

    def resolve_partition(self, partition_id: str, operator: str) -> None:
        """End the active partition. Raises protocol.partitions.NotActive (a ValueError)."""
        with self._lock:
            self.look()
            self._note(self._watch.resolve_partition(partition_id, operator, self._now()))

    def get_node_health(self, node_id: str) -> NodeHealthInfo | None:
        """What the watch knows of a member; None for another id."""
        with self._lock:
            self.look()
            return self._watch.get_node_health(node_id, self._now())

    def get_metrics(self) -> PartitionMetrics:
        """Counts so far."""
        with self._lock:
            self.look()
            return self._watch.get_metrics(self._now())

    def get_status(self) -> PartitionStatus:
        """All of it in one word."""
        self.look()
        return self._watch.get_status()

    def get_recovery_status(self) -> RecoveryStatus:
        """How far the recovery from the active partition is."""
        self.look()
        return self._watch.get_recovery_status()

    def unreachable(self) -> frozenset[str]:
        """Ids of the members that the watch takes for unreachable."""
        self.look()
        return frozenset(self._watch.unreachable_nodes())

    # --- looking -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Tell the watch what the gateway knows by now."""
        with self._lock:
            now = self._now()
            views, links = self._gateway.members(), self._gateway.links()
            self._follow(views, now)
            lost = [
                view.id
                for view in views
                if self._is_lost(view, links[view.id].disconnects if view.id in links else 0, now)
            ]
            self._note(self._watch.lose_links(lost, now))
            due = self._watch.deadline()
            if due is not None and due <= now.monotonic:
                self._note(self._watch.tick(now))

    def end_grace(self) -> None:
        """A link that is not made by now is lost."""
        with self._lock:
            self.look()
            missing = {name: seen for name, seen in self._seen.items() if seen.missing_since is not None}
            for seen in missing.values():
                seen.missing_since, seen.lost = None, True
            self._note(self._watch.lose_links(missing, self._now()))

    def _follow(self, views: Iterable[MemberReport], now: Now) -> None:
        """Watch the members of the present epoch."""
        asked = tuple(view.id for view in views), self._needed()
        if asked == self._asked:
            return
        members, needed = self._asked = asked
        self._seen = {member: self._seen.get(member) or _Seen() for member in members}
        self._note(self._watch.set_nodes(members, now))
        if needed > self._config.quorum_size:
            said = "quorum_size: %d is raised to %d, without which the members decide nothing"
            logger.info(said, self._config.quorum_size, needed)
        self._note(self._watch.require(max(self._config.quorum_size, needed), now))

    def _is_lost(self, view: MemberReport, disconnects: int, now: Now) -> bool:
        """Tell the watch of the member, but not that its link was lost since the last look: return that."""
        seen = self._seen[view.id]
        if not view.connected:
            return self._misses_link(seen, disconnects, now)
        seen.disconnects, seen.missing_since, seen.lost = disconnects, None, False
        seen.resting = False
        heard_at = view.heard_at
        if heard_at is None and view.heard is not None:
            heard_at = now.monotonic - round(view.heard * SECOND)
        if heard_at is not None and heard_at > seen.heard_at:
            seen.heard_at, seen.missed = heard_at, view.missed
            heard = Now(monotonic=heard_at, wall=now.wall - now.monotonic + heard_at)
            self._note(self._watch.update_node_health(view.id, True, view.response_time_ms, heard))
        elif view.missed == seen.missed and now.monotonic - seen.heard_at > RESTING:
            seen.resting = True
            self._watch.excuse(view.id, now)
        return False

    def _misses_link(self, seen: _Seen, disconnects: int, now: Now) -> bool:
        """The member has no link: whether it is lost, which is told once."""
        if seen.lost:
            return False
        if seen.missing_since is None:
            seen.missing_since = now.monotonic
        if disconnects > seen.disconnects or now.monotonic - seen.missing_since >= LINK_GRACE:
            seen.lost, seen.missing_since = True, None
        return seen.lost

    def _note(self, events: Iterable[WatchEvent]) -> None:
        before = len(self._events)
        self._events.extend(events)
        if len(self._events) != before:
            self._wake.set()

    # --- the thread --------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have the thread look now."""
        self._wake.set()

    def start(self) -> None:
        """Look from now on."""
        self.look()
        self._thread = threading.Thread(
            target=_drive, args=(weakref.ref(self), self._wake), name="partitions", daemon=True
        )
        self._thread.start()

    def stop(self) -> Callable[[], bool]:
        """End the thread; returns whether it has ended. Called by a callback, it ends after that."""
        thread, self._thread = self._thread, None
        self._wake.set()
        own = threading.current_thread()
        return lambda: thread is None or thread is own or not thread.is_alive()

    def turn(self) -> bool:
        """Look, carry out what the watch told, and say whether the thread that calls is still wanted."""
        if self._thread is not threading.current_thread():
            return False
        try:
            self.look()
            while self._events:
                self._carry_out(self._events.popleft())
            self._recover()
        except Exception:
            logger.exception("the watch for partitions goes on after an error")
        return True

    def _carry_out(self, event: WatchEvent) -> None:
        match event:
            case WantsJudgement() | WantsState():
                self._wanted = event
            case RecoveryFailed(partition, reason):
                logger.warning("%s: recovery failed: %s", partition.id, reason)
                self._wanted = None
            case Escalated(partition):
                logger.error("%s lasts longer than max_partition_duration", partition.id)
                self._call(self._on_escalated, partition_info(partition))
            case PartitionEvent(EventType.NETWORK_SPLIT, partition=found) if found is not None:
                logger.warning("%s: %s", found.id, "; ".join(found.messages))
                self._call(self._on_detected, partition_info(found))
            case PartitionEvent(EventType.NETWORK_RECOVERED, partition=found) if found is not None:
                logger.warning("%s: %s", found.id, event.details)
                self._wanted = None
                self._call(self._on_recovered, partition_info(found))

    def _call(self, callback: Callback | None, info: PartitionInfo) -> None:
        if callback is None:
            return
        try:
            callback(info)
        except Exception:
            logger.exception("a callback about partitions raised")

    def _recover(self) -> None:
        """Report that what the watch wants is done, once it is. A gateway holds no state of the members, and
        a validator that is to drop what it judged alone owes nothing: so there is nothing to do for a
        reset."""
        wanted = self._wanted
        if wanted is None:
            return
        merges = isinstance(wanted, WantsJudgement)
        if merges and not all(owes_nothing() for owes_nothing in self.owing):
            return
        self._wanted = None
        with self._lock:
            now = self._now()
            self._note(self._watch.judged(now) if merges else self._watch.took_state(now))


def _drive(watching: weakref.ref[Partitions], wake: threading.Event) -> None:
    """The thread: it does not keep a validator alive that nobody stopped."""
    while True:
        wake.wait(LOOK_EVERY)
        wake.clear()
        partitions = watching()
        if partitions is None or not partitions.turn():
            return
        del partitions
