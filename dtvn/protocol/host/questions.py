"""Queue of queries about a node (messages.Query): few of each peer, answered in turn.

Queries are answered between turns of consensus, so a flood of them must cost the turn little, and a peer that
sends a hundred at once must not block the queries of others (P15).
"""

from __future__ import annotations

from collections import deque

from dtvn.protocol.consensus.messages import Query
from dtvn.protocol.consensus.verified import Peer

ANSWERED_MAX = 16
"""Most queries answered after one turn; the others wait for the next one."""
WAITING_MAX = 64
"""Most waiting queries of one peer; further ones are dropped, and the peer may repeat them."""
COST = 250_000
"""Nanoseconds of this process for one answer, as counted."""
SHARE = 8
"""A node spends at most 1/8 of its time on queries, however many peers ask (P15, decision 0117)."""
SAVED_MAX = 400_000_000
"""Nanoseconds of unused time that are saved up: 200 queries are answered at once."""


class Questions:
    """Waiting queries by peer name."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[Peer, Query]]] = {}
        """Peer -> its questions, in the order in which peers are served."""
        self._rested_at = -SAVED_MAX

    def deadline(self) -> int | None:
        """Monotonic time from which on the next query is answered, or None if none waits."""
        return self._rested_at if self._waiting else None

    def put(self, peer: Peer, query: Query) -> None:
        """Queue a query, unless this peer has too many."""
        queue = self._waiting.setdefault(peer.name, deque())
        if len(queue) < WAITING_MAX:
            queue.append((peer, query))

    def take(self, now: int) -> list[tuple[Peer, Query]]:
        """Remove and return the queries to answer now (monotonic nanoseconds), one of each peer in turn; none
        before `deadline`."""
        taken: list[tuple[Peer, Query]] = []
        if not self._waiting or now < self._rested_at:
            return taken
        while self._waiting and len(taken) < ANSWERED_MAX:
            name = next(iter(self._waiting))
            queue = self._waiting.pop(name)
            taken.append(queue.popleft())
            if queue:
                self._waiting[name] = queue
        self._rested_at = max(self._rested_at, now - SAVED_MAX) + SHARE * COST * len(taken)
        return taken
