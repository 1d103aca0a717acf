"""Order in which requests are proposed: round-robin over principals, then over each principal's sessions,
and within a session the oldest first (R30).

Fairness among sessions alone would not be enough: they are cheap to open, and one principal may have
hundreds.
"""

from __future__ import annotations

from collections import deque

from dtvn.protocol.consensus.requests.pending import Pending, Share, principal_of


class _Sessions:
    """Waiting requests of one principal, by session."""

    __slots__ = ("queues", "rotation")

    def __init__(self) -> None:
        self.queues: dict[Share, deque[Pending]] = {}
        self.rotation: deque[Share] = deque()

    def head(self) -> Pending | None:
        """The next request of this principal, or None; requests that left the pool are dropped."""
        while self.rotation:
            queue = self.queues[self.rotation[0]]
            while queue and queue[0].gone:
                queue.popleft()
            if queue:
                return queue[0]
            del self.queues[self.rotation.popleft()]
        return None


class FairQueue:
    """Requests waiting to be proposed."""

    def __init__(self) -> None:
        self._principals: dict[str, _Sessions] = {}
        self._rotation: deque[str] = deque()

    def clear(self) -> None:
        """Remove all requests."""
        self._principals.clear()
        self._rotation.clear()

    def add(self, item: Pending) -> None:
        """Append a request to the queue of its session."""
        name = principal_of(item.share)
        sessions = self._principals.get(name)
        if sessions is None:
            sessions = self._principals[name] = _Sessions()
            self._rotation.append(name)
        queue = sessions.queues.get(item.share)
        if queue is None:
            queue = sessions.queues[item.share] = deque()
            sessions.rotation.append(item.share)
        queue.append(item)

    def head(self) -> Pending | None:
        """The next request to propose; None if none waits."""
        while self._rotation:
            if (item := self._principals[self._rotation[0]].head()) is not None:
                return item
            del self._principals[self._rotation.popleft()]
        return None

    def take(self) -> None:
        """Remove the head, which was proposed, and end the turn of its session and of its principal."""
        sessions = self._principals[self._rotation[0]]
        sessions.queues[sessions.rotation[0]].popleft()
        sessions.rotation.rotate(-1)
        self._rotation.rotate(-1)
