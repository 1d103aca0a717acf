"""Asking members in turn for something that is named by its digest: batch bodies, VIEW-CHANGEs.

What arrives certifies itself by the digest, so any member will do (R21, R33).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["Fetching"]


class _Wish:
    __slots__ = ("attempts", "due", "holders", "sequence")

    def __init__(self, sequence: int, due: int, holders: Sequence[int]) -> None:
        self.sequence = sequence
        self.due = due
        self.holders = tuple(holders)
        self.attempts = 0


class Fetching:
    """Wishes by digest; bounded, retried every `retry` nanoseconds, members in turn."""

    def __init__(
        self,
        core: Replica,
        make: Callable[[bytes], bytes],
        *,
        wishes_max: int,
        delay: int,
        retry: int,
    ) -> None:
        self.core = core
        self._make = make
        self._wishes_max = wishes_max
        self._delay = delay
        self._retry = retry
        self._wishes: dict[bytes, _Wish] = {}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._wishes

    def __len__(self) -> int:
        return len(self._wishes)

    def ask(self, digest: bytes, sequence: int, holders: Sequence[int] = ()) -> None:
        """Want it; `holders` likely have it and are asked first. Without any the first question waits
        a little: it may be on its way behind smaller messages."""
        if digest in self._wishes or len(self._wishes) >= self._wishes_max:
            return
        now = self.core.now.monotonic
        due = now if holders else now + self._delay
        self._wishes[digest] = _Wish(sequence, due, holders)

    def got(self, digest: bytes) -> None:
        """It is here."""
        self._wishes.pop(digest, None)

    def sequence_of(self, digest: bytes) -> int:
        """The sequence it is wanted for."""
        return self._wishes[digest].sequence

    def prune(self, stable: int) -> None:
        """Nothing up to a stable checkpoint is wanted any more."""
        for digest in [d for d, wish in self._wishes.items() if wish.sequence <= stable]:
            del self._wishes[digest]

    def keep_only(self, digests: set[bytes]) -> None:
        """Want nothing but these any more."""
        for digest in [digest for digest in self._wishes if digest not in digests]:
            del self._wishes[digest]

    def tick(self) -> None:
        """Ask again where it is time."""
        core = self.core
        now = core.now.monotonic
        for digest, wish in self._wishes.items():
            if wish.due <= now:
                wish.due = now + self._retry
                member = self._member(wish)
                wish.attempts += 1
                if member is not None:
                    core.outbox.send(member, self._make(digest))

    def deadline(self) -> int | None:
        """Monotonic time of the next question."""
        if not self._wishes:
            return None
        return min(wish.due for wish in self._wishes.values())

    def shift(self, gap: int) -> None:
        """This process was paused (R31)."""
        for wish in self._wishes.values():
            wish.due += gap

    def _member(self, wish: _Wish) -> int | None:
        core = self.core
        others = [h for h in wish.holders if h != core.index]
        others += [m for m in core.others if m not in others]
        return others[wish.attempts % len(others)] if others else None
