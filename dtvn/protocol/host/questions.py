"""Queue of queries about a node (messages.Query): few of each peer, answered in turn.

Queries are answered between turns of consensus, so a flood of them must cost the turn little, and a peer that
sends a hundred at once must not block the queries of others (P15).
"""

from __future__ import annotations

from collections import deque

from dtvn.protocol.consensus.messages import Query
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.host.time_share import TimeShare

ANSWERED_MAX = 16
"""Most queries answered after one turn; the others wait for the next one."""
WAITING_MAX = 64
"""Most waiting queries of one peer; further ones are dropped, and the peer may repeat them."""
COST = 250_000
"""Nanoseconds of this process for one answer, as counted."""


class Questions:
    """Waiting queries by peer name."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[Peer, Query]]] = {}
        """Peer -> its questions, in the order in which peers are served."""
        self._share = TimeShare()

    def deadline(self) -> int | None:
        """Monotonic time from which on the next query is answered, or None if none waits."""
        return self._share.rested_at if self._waiting else None

    def put(self, peer: Peer, query: Query) -> bool:
        """Queue a query; False if this peer has too many."""
        queue = self._waiting.setdefault(peer.name, deque())
        if len(queue) >= WAITING_MAX:
            return False
        queue.append((peer, query))
        return True

    def take(self, now: int) -> list[tuple[Peer, Query]]:
        """Remove and return the queries to answer now (monotonic nanoseconds), one of each peer in turn; none
        before `deadline`."""
        taken: list[tuple[Peer, Query]] = []
        if not self._waiting:
            return taken
        self._share.save(now)
        if now < self._share.rested_at:
            return taken
        while self._waiting and len(taken) < ANSWERED_MAX:
            name = next(iter(self._waiting))
            queue = self._waiting.pop(name)
            taken.append(queue.popleft())
            if queue:
                self._waiting[name] = queue
        self._share.spend(COST * len(taken))
        return taken
