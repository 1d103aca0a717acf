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


class Questions:
    """Waiting queries by peer name."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[Peer, Query]]] = {}
        """Peer -> its questions, in the order in which peers are served."""

    @property
    def waiting(self) -> bool:
        """Whether any query waits."""
        return bool(self._waiting)

    def put(self, peer: Peer, query: Query) -> None:
        """Queue a query, unless this peer has too many."""
        queue = self._waiting.setdefault(peer.name, deque())
        if len(queue) < WAITING_MAX:
            queue.append((peer, query))

    def take(self) -> list[tuple[Peer, Query]]:
        """Remove and return the next queries, one of each peer in turn."""
        taken: list[tuple[Peer, Query]] = []
        while self._waiting and len(taken) < ANSWERED_MAX:
            name = next(iter(self._waiting))
            queue = self._waiting.pop(name)
            taken.append(queue.popleft())
            if queue:
                self._waiting[name] = queue
        return taken
