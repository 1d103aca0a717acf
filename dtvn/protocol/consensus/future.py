"""Votes and proposals of views that this replica has not entered yet, kept within bounds until it does."""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus.bodies import memory
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Verified

Key = tuple[type[Any], int, int, int, bytes]


class Future:
    """A buffer in which each link has an equal share of frames and bytes, regardless of the signers of its
    frames. Frames over the share are dropped, and resent in answer to a Status. So a faulty member cannot
    take the room of others, neither with its own statements nor by relaying theirs (P15)."""

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
        """Why a statement is refused: the link's share is used up, or the statement is already here. (A
        proposal that came without its batch stays without it: the batch is fetched by digest.)"""
        if link is None or self._full(link):
            return Reason.FUTURE_VIEW
        return Reason.SECOND_MESSAGE if _key(message) in self._kept else None

    def add(self, verified: Verified[Any]) -> Reason | None:
        """Keep a statement until its view is entered; returns the reason if it is not kept."""
        link = verified.peer.member
        if (reason := self.refuse(verified.message, link)) is not None or link is None:
            return reason
        self._kept[_key(verified.message)] = (link, verified)
        self._count[link] += 1
        self._bytes[link] += _size(verified)
        return None

    def take(self, view: int) -> list[Verified[Any]]:
        """Remove and return the statements of `view`, in the order in which they came; drop those of lower
        views."""
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
