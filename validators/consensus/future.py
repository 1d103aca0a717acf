"""Votes and proposals of views this replica has not entered yet: kept within bounds, then handled."""

from __future__ import annotations

from typing import Any

from validators.consensus.bodies import memory
from validators.consensus.effects import Reason
from validators.consensus.verified import Verified

__all__ = ["Future"]

Key = tuple[type[Any], int, int, int, bytes]


class Future:
    """An equal share of frames and bytes for each link, whoever signed what came over it; over it frames
    are dropped and come again on status. So one liar can neither take the room of others by its own
    statements nor by theirs, shown again and again (PITFALLS row 15)."""

    __slots__ = ("_bytes", "_bytes_share", "_count", "_frames_share", "_kept")

    def __init__(self, *, members: int, frames_max: int, bytes_max: int) -> None:
        self._frames_share = max(1, frames_max // members)
        self._bytes_share = max(1, bytes_max // members)
        self._kept: dict[Key, tuple[int, Verified[Any]]] = {}
        self._count = [0] * members
        self._bytes = [0] * members

    def __len__(self) -> int:
        return len(self._kept)

    def refuse(self, message: Any, link: int | None) -> Reason | None:
        """Whether the link's share is used up, or the statement is here already. (A proposal that came
        without its batch stays so: the batch is asked for by digest.)"""
        if link is None or self._full(link):
            return Reason.FUTURE_VIEW
        return Reason.SECOND_MESSAGE if _key(message) in self._kept else None

    def add(self, verified: Verified[Any]) -> Reason | None:
        """Keep a statement for when its view is entered; the reason when it is not kept."""
        link = verified.peer.member
        if (reason := self.refuse(verified.message, link)) is not None or link is None:
            return reason
        self._kept[_key(verified.message)] = (link, verified)
        self._count[link] += 1
        self._bytes[link] += _size(verified)
        return None

    def take(self, view: int) -> list[Verified[Any]]:
        """Those of `view`, in order of arrival; those of lower views are dropped."""
        kept, self._kept = self._kept, {}
        self._count = [0] * len(self._count)
        self._bytes = [0] * len(self._bytes)
        taken = []
        for _link, verified in kept.values():
            if verified.message.view == view:
                taken.append(verified)
            elif verified.message.view > view:
                self.add(verified)
        return taken

    def _full(self, link: int) -> bool:
        return self._count[link] >= self._frames_share or self._bytes[link] >= self._bytes_share


def _key(message: Any) -> Key:
    return (type(message), message.sender, message.view, message.sequence, message.digest)


def _size(verified: Verified[Any]) -> int:
    return len(verified.frame) + (memory(verified.batch) if verified.batch is not None else 0)
