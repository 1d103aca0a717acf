"""A bundle under way: what it carries, when it is sent again, what members said of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from validators.consensus import messages as m
from validators.gateway.answers import Tally
from validators.gateway.calls import Part

__all__ = ["Flight"]


class Flight(msgspec.Struct):
    """One bundle; times are monotonic nanoseconds."""

    session: tuple[int, int]
    number: int
    frame: bytes
    tally: Tally
    parts: list[Part]
    first_sent: int
    retry_at: int
    pause: int
    """Time between the last two sendings."""
    give_up_at: int
    to_all: bool = False
    moved: set[int] = set()
    """Places in `parts` of what went on in another session, or was given up."""

    @property
    def left(self) -> bool:
        """Whether that is all of it: then it is only listened to."""
        return bool(self.parts) and len(self.moved) == len(self.parts)

    def due(self) -> int:
        """When `tick` has something to do with it."""
        return self.give_up_at if self.left else min(self.retry_at, self.give_up_at)

    def carried(self) -> Iterator[tuple[int, Part, tuple[m.Operation, ...]]]:
        """(place, part, its operations) of each part."""
        start = 0
        for place, part in enumerate(self.parts):
            yield place, part, self.tally.operations[start : start + part.count]
            start += part.count
