"""What a disk does wrong besides losing power: a byte flips in what it stores, a write lands elsewhere.

Rows of the real ledger have checksums over their keys and contents, so damage is noticed where the row is
read: at a start, when entries are served, or beside the work. A write-ahead log ends silently at the first
page that is not there; the file with the number of turns tells the next process that the ledger was longer
(decision 0011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dtvn.protocol.host.ports import JournalError
from simulator.dice import Dice

BESIDE_MAX = 100
"""Most writes until an entry that no start reads is checked beside the work."""


class DiskDamaged(JournalError):
    """What was read differs from what was written. The process ends, and its operator replaces the disk."""


class Damage:
    """The flipped bytes of one disk. `places` lists what an image stores now: ((kind, key), object)."""

    def __init__(self, places: Callable[[], Iterator[tuple[tuple[Any, ...], object]]], dice: Dice) -> None:
        self._places = places
        self._dice = dice
        self._flipped: dict[tuple[Any, ...], object] = {}
        self._checked_after: int | None = None

    def flip(self) -> bool:
        """Flip a byte of something stored; False if nothing is."""
        places = dict(self._places())
        if not places:
            return False
        kind = self._dice.pick(sorted({place[0] for place in places}))
        place = self._dice.pick([place for place in places if place[0] == kind])
        self._flipped[place] = places[place]
        return True

    @property
    def waits(self) -> bool:
        """Whether something is damaged that nobody has read yet."""
        return bool(self._found())

    def load(self, first: int) -> None:
        """A start reads everything but entries below `first`; raise DiskDamaged."""
        found = self._found()
        for place in found:
            if place[0] != "entry" or place[1] >= first:
                raise DiskDamaged(f"{place} differs from its checksum")
        self._checked_after = self._dice.below(BESIDE_MAX) if found else None

    def write(self) -> None:
        """Beside the work the entries that a start did not read are checked; raise DiskDamaged."""
        if self._checked_after is None:
            return
        self._checked_after -= 1
        if self._checked_after < 0:
            self._checked_after = None
            self.read("entry", 0, 1 << 62)

    def read(self, kind: str, first: int, last: int) -> None:
        """Entries or checkpoints of these sequences are read; raise DiskDamaged."""
        for place in self._found():
            if place[0] == kind and first <= place[1] <= last:
                raise DiskDamaged(f"{place} differs from its checksum")

    def _found(self) -> list[tuple[Any, ...]]:
        """What is damaged and was neither written anew nor forgotten since."""
        if not self._flipped:
            return []
        places = dict(self._places())
        self._flipped = {place: value for place, value in self._flipped.items() if places.get(place) is value}
        return list(self._flipped)
