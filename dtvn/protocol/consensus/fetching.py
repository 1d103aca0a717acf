"""Fetches data named by its digest (batch bodies, VIEW-CHANGEs) from members in turn.

The digest certifies the data, so it may come from any member (R21, R33).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dtvn.protocol.consensus.context import Context


class _Wish:
    __slots__ = ("attempts", "due", "holders", "sequence")

    def __init__(self, sequence: int, due: int, holders: Sequence[int]) -> None:
        self.sequence = sequence
        self.due = due
        self.holders = tuple(holders)
        self.attempts = 0


class Fetching:
    """Bounded table of wanted digests; each is requested every `retry` nanoseconds, from members in turn."""

    def __init__(
        self,
        context: Context,
        make: Callable[[bytes], bytes],
        *,
        wishes_max: int,
        delay: int,
        retry: int,
    ) -> None:
        self._context = context
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
        """Add a wanted digest; `holders` probably have the data and are asked first. Without any the first
        request is delayed a little: the data may be on its way behind smaller messages."""
        if digest in self._wishes or len(self._wishes) >= self._wishes_max:
            return
        now = self._context.now.monotonic
        due = now if holders else now + self._delay
        self._wishes[digest] = _Wish(sequence, due, holders)

    def got(self, digest: bytes) -> None:
        """Note that the data arrived."""
        self._wishes.pop(digest, None)

    def sequence_of(self, digest: bytes) -> int:
        """The sequence that the data is wanted for."""
        return self._wishes[digest].sequence

    def prune(self, stable: int) -> None:
        """Drop digests wanted for sequences up to a stable checkpoint."""
        for digest in [d for d, wish in self._wishes.items() if wish.sequence <= stable]:
            del self._wishes[digest]

    def keep_only(self, digests: set[bytes]) -> None:
        """Drop all wanted digests except these."""
        for digest in [digest for digest in self._wishes if digest not in digests]:
            del self._wishes[digest]

    def tick(self) -> None:
        """Send the requests that are due."""
        context = self._context
        now = context.now.monotonic
        for digest, wish in self._wishes.items():
            if wish.due <= now:
                wish.due = now + self._retry
                member = self._member(wish)
                wish.attempts += 1
                if member is not None:
                    context.outbox.send(member, self._make(digest))

    def deadline(self) -> int | None:
        """Monotonic time of the next request; None if nothing is wanted."""
        if not self._wishes:
            return None
        return min(wish.due for wish in self._wishes.values())

    def shift(self, gap: int) -> None:
        """Move all times by `gap`, during which this process was paused (R31)."""
        for wish in self._wishes.values():
            wish.due += gap

    def _member(self, wish: _Wish) -> int | None:
        context = self._context
        others = [h for h in wish.holders if h != context.index]
        others += [m for m in context.others if m not in others]
        return others[wish.attempts % len(others)] if others else None
