"""Whose request is proposed next: principals in turn, of each its sessions in turn, of each its oldest (R30).

Sessions alone would not do: opening them is cheap, and one principal may have hundreds.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validators.consensus.pool import Pending

__all__ = ["Share", "Turns", "principal_of"]

Share = tuple[str, int, int] | str
"""A session of a principal; a principal for what belongs to no session."""


def principal_of(share: Share) -> str:
    """Whose share it is."""
    return share if isinstance(share, str) else share[0]


class _Sessions:
    """Requests of one principal."""

    __slots__ = ("queues", "rotation")

    def __init__(self) -> None:
        self.queues: dict[Share, deque[Pending]] = {}
        self.rotation: deque[Share] = deque()

    def head(self) -> Pending | None:
        """The next of these requests; what has left the pool meanwhile is dropped."""
        while self.rotation:
            queue = self.queues[self.rotation[0]]
            while queue and queue[0].gone:
                queue.popleft()
            if queue:
                return queue[0]
            del self.queues[self.rotation.popleft()]
        return None


class Turns:
    """Requests that wait to be proposed."""

    def __init__(self) -> None:
        self._principals: dict[str, _Sessions] = {}
        self._rotation: deque[str] = deque()

    def clear(self) -> None:
        """Nobody waits."""
        self._principals.clear()
        self._rotation.clear()

    def add(self, item: Pending) -> None:
        """One more, behind those of its session."""
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
        """Whose turn it is; None when nobody waits."""
        while self._rotation:
            if (item := self._principals[self._rotation[0]].head()) is not None:
                return item
            del self._principals[self._rotation.popleft()]
        return None

    def take(self) -> None:
        """The head was proposed: its session's turn is over, and its principal's."""
        sessions = self._principals[self._rotation[0]]
        sessions.queues[sessions.rotation[0]].popleft()
        sessions.rotation.rotate(-1)
        self._rotation.rotate(-1)
