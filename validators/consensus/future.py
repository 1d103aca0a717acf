"""Votes and proposals of views this replica has not entered yet: kept within bounds, then handled."""

from __future__ import annotations

from typing import Any

from validators.consensus.verified import Verified

__all__ = ["Future"]


class Future:
    """An equal share of frames and bytes for each sender; over it frames are dropped and come again on
    status. One liar cannot take the room of others (PITFALLS row 15)."""

    __slots__ = ("_bytes", "_bytes_share", "_count", "_frames_share", "_kept")

    def __init__(self, *, members: int, frames_max: int, bytes_max: int) -> None:
        self._frames_share = max(1, frames_max // members)
        self._bytes_share = max(1, bytes_max // members)
        self._kept: list[tuple[int, Verified[Any]]] = []
        self._count = [0] * members
        self._bytes = [0] * members

    def full(self, sender: int) -> bool:
        """Whether a sender's share is used up."""
        return self._count[sender] >= self._frames_share or self._bytes[sender] >= self._bytes_share

    def add(self, verified: Verified[Any]) -> bool:
        """Keep a statement for when its view is entered."""
        sender = verified.message.sender
        if self.full(sender):
            return False
        self._kept.append((sender, verified))
        self._count[sender] += 1
        self._bytes[sender] += _size(verified)
        return True

    def take(self, view: int) -> list[Verified[Any]]:
        """Those of `view`, in order of arrival; those of lower views are dropped."""
        kept, self._kept = self._kept, []
        self._count = [0] * len(self._count)
        self._bytes = [0] * len(self._bytes)
        taken = []
        for _sender, verified in kept:
            if verified.message.view == view:
                taken.append(verified)
            elif verified.message.view > view:
                self.add(verified)
        return taken


def _size(verified: Verified[Any]) -> int:
    batch = verified.batch
    return len(verified.frame) + (len(batch.body) if batch is not None else 0)
