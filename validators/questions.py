"""Questions about a node (messages.Query) that wait to be answered: few of each peer, and in turn.

Answers are made between turns of consensus, so a flood of questions must cost the turn little, and whoever
asks a hundred at once must not keep another's from being heard (PITFALLS row 15).
"""

from __future__ import annotations

from collections import deque

from validators.consensus.messages import Query
from validators.consensus.verified import Peer

__all__ = ["ANSWERED_MAX", "WAITING_MAX", "Questions"]

ANSWERED_MAX = 16
"""Answered after one turn; the others wait for the next one."""
WAITING_MAX = 64
"""Of one peer; further ones are dropped, and asked again by whoever still wants to know."""


class Questions:
    """Waiting questions by peer name."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[Peer, Query]]] = {}
        """In the order in which peers are served."""

    @property
    def waiting(self) -> bool:
        """Whether some are left for the next turn."""
        return bool(self._waiting)

    def put(self, peer: Peer, query: Query) -> None:
        """Keep a question, if this peer has not too many."""
        queue = self._waiting.setdefault(peer.name, deque())
        if len(queue) < WAITING_MAX:
            queue.append((peer, query))

    def take(self) -> list[tuple[Peer, Query]]:
        """The next ones: one of each peer in turn."""
        taken: list[tuple[Peer, Query]] = []
        while self._waiting and len(taken) < ANSWERED_MAX:
            name = next(iter(self._waiting))
            queue = self._waiting.pop(name)
            taken.append(queue.popleft())
            if queue:
                self._waiting[name] = queue
        return taken
