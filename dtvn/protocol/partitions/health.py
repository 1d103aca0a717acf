"""What a watch knows of its peers: when each was heard, and whether it counts as reachable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from dtvn.protocol.partitions.config import WatchConfig
from dtvn.protocol.partitions.moment import Moment
from dtvn.protocol.partitions.phi import PhiAccrual, deviations_of

FAILURES_IN_A_ROW = 3
"""Failures after which a peer is unreachable; one success ends the row."""


class NodeHealthInfo(msgspec.Struct, frozen=True):
    """One peer. Times of the wall clock are Unix nanoseconds."""

    node_id: str
    last_heartbeat: int | None
    """When it was last heard; None: never."""
    last_response: int | None
    """The newest news of it, of a failure too; None: none."""
    failure_count: int
    """All failures so far."""
    is_reachable: bool
    response_time_ms: float
    consecutive_fails: int
    phi: float
    """The suspicion now (see phi.py); 0 before there are enough heartbeats."""


class Peer:
    """One peer, as it changes."""

    def __init__(self, detector: PhiAccrual) -> None:
        self.detector = detector
        self.last_heartbeat: int | None = None
        self.last_response: int | None = None
        self.failure_count = self.consecutive_fails = 0
        self.is_reachable = True
        self.response_time_ms = 0.0


class HealthTable:
    """The peers by id, in the order in which they became known."""

    def __init__(self, config: WatchConfig) -> None:
        self._config = config
        self._deviations = deviations_of(config.phi_threshold)
        self._peers: dict[str, Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._peers

    def __iter__(self) -> Iterator[str]:
        return iter(self._peers)

    def add(self, node_id: str, now: Moment) -> Peer:
        """The peer; one that is not known yet is reachable, and has as long to be heard as any other."""
        peer = self._peers.get(node_id)
        if peer is None:
            detector = PhiAccrual(
                now.monotonic,
                window=self._config.window,
                deviation_min=self._config.deviation_min,
                pause=self._config.acceptable_pause,
            )
            peer = self._peers[node_id] = Peer(detector)
        return peer

    def keep(self, node_ids: Iterable[str]) -> None:
        """Forget all others."""
        kept = set(node_ids)
        self._peers = {name: peer for name, peer in self._peers.items() if name in kept}

    def succeed(self, node_id: str, response_time_ms: float, now: Moment) -> bool:
        """The peer was heard; whether that makes it reachable again."""
        peer = self.add(node_id, now)
        returned = not peer.is_reachable
        if returned:
            peer.detector.skip()
        peer.detector.heard(now.monotonic)
        peer.last_heartbeat = peer.last_response = now.wall
        peer.response_time_ms = response_time_ms
        peer.is_reachable, peer.consecutive_fails = True, 0
        return returned

    def fail(self, node_id: str, response_time_ms: float, now: Moment, *, cut: bool = False) -> bool:
        """A question to the peer has failed; whether that makes it unreachable. `cut`: the link itself broke,
        which needs no second failure."""
        peer = self.add(node_id, now)
        peer.last_response, peer.response_time_ms = now.wall, response_time_ms
        peer.failure_count += 1
        peer.consecutive_fails += 1
        if not peer.is_reachable or not (cut or peer.consecutive_fails >= FAILURES_IN_A_ROW):
            return False
        peer.is_reachable = False
        return True

    def expire(self, now: int) -> list[str]:
        """Make unreachable the peers that have been silent too long; return these."""
        found = [name for name, peer in self._peers.items() if peer.is_reachable and self._silent(peer, now)]
        self.lose(found)
        return found

    def lose(self, node_ids: Iterable[str]) -> list[str]:
        """Make peers unreachable; return those that were reachable."""
        lost = [name for name in node_ids if self.is_reachable(name)]
        for name in lost:
            self._peers[name].is_reachable = False
        return lost

    def forgive(self, nanoseconds: int) -> None:
        """Count so much of everybody's silence as none."""
        for peer in self._peers.values():
            peer.detector.forgive(nanoseconds)

    def excuse(self, node_id: str, now: int) -> None:
        """Count none of a peer's silence until now."""
        peer = self._peers.get(node_id)
        if peer is not None:
            peer.detector.forgive(peer.detector.silence(now))

    def is_reachable(self, node_id: str) -> bool:
        """Whether it is a peer, and reachable."""
        peer = self._peers.get(node_id)
        return peer is not None and peer.is_reachable

    def reachable(self) -> list[str]:
        """Ids of the reachable peers."""
        return [name for name, peer in self._peers.items() if peer.is_reachable]

    def unreachable(self) -> list[str]:
        """Ids of the others."""
        return [name for name, peer in self._peers.items() if not peer.is_reachable]

    def silent(self, now: int) -> list[str]:
        """Ids of the peers that are silent too long at this moment, reachable or not."""
        return [name for name, peer in self._peers.items() if self._silent(peer, now)]

    def info(self, node_id: str, now: int) -> NodeHealthInfo | None:
        """One peer; None for another id."""
        peer = self._peers.get(node_id)
        if peer is None:
            return None
        enough = peer.detector.samples >= self._config.samples_min
        return NodeHealthInfo(
            node_id=node_id,
            last_heartbeat=peer.last_heartbeat,
            last_response=peer.last_response,
            failure_count=peer.failure_count,
            is_reachable=peer.is_reachable,
            response_time_ms=peer.response_time_ms,
            consecutive_fails=peer.consecutive_fails,
            phi=peer.detector.phi(now) if enough else 0.0,
        )

    def _silent(self, peer: Peer, now: int) -> bool:
        """Whether it is silent for longer than the longest silence that is borne, or for so long that phi is
        at the threshold."""
        detector, borne = peer.detector, self._config.heartbeat_timeout
        if detector.samples >= self._config.samples_min:
            borne = min(borne, detector.limit(self._deviations))
        return detector.silence(now) > borne
