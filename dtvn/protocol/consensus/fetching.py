"""Fetches data named by its digest (batch bodies, VIEW-CHANGEs) from members in turn.

The digest certifies the data, so it may come from any member (R21, R33).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dtvn.protocol.consensus.context import Context


class _Fetch:
    """A wanted digest, the sequence it belongs to, and when and from whom it is requested next."""

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
        fetches_max: int,
        delay: int,
        retry: int,
    ) -> None:
        self._context = context
        self._make = make
        self._fetches_max = fetches_max
        self._delay = delay
        self._retry = retry
        self._fetches: dict[bytes, _Fetch] = {}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._fetches

    def __len__(self) -> int:
        return len(self._fetches)

    def ask(self, digest: bytes, sequence: int, holders: Sequence[int] = ()) -> None:
        """Add a wanted digest; `holders` probably have the data and are asked first. Without any the first
        request is delayed a little: the data may be on its way behind smaller messages."""
        if digest in self._fetches or len(self._fetches) >= self._fetches_max:
            return
        now = self._context.now.monotonic
        due = now if holders else now + self._delay
        self._fetches[digest] = _Fetch(sequence, due, holders)

    def got(self, digest: bytes) -> None:
        """Note that the data arrived."""
        self._fetches.pop(digest, None)

    def sequence_of(self, digest: bytes) -> int:
        """The sequence that the data is wanted for."""
        return self._fetches[digest].sequence

    def prune(self, stable: int) -> None:
        """Drop digests wanted for sequences up to a stable checkpoint."""
        for digest in [d for d, fetch in self._fetches.items() if fetch.sequence <= stable]:
            del self._fetches[digest]

    def keep_only(self, digests: set[bytes]) -> None:
        """Drop all wanted digests except these."""
        for digest in [digest for digest in self._fetches if digest not in digests]:
            del self._fetches[digest]

    def tick(self) -> None:
        """Send the requests that are due."""
        context = self._context
        now = context.now.monotonic
        for digest, fetch in self._fetches.items():
            if fetch.due <= now:
                fetch.due = now + self._retry
                member = self._member(fetch)
                fetch.attempts += 1
                if member is not None:
                    context.outbox.send(member, self._make(digest))

    def deadline(self) -> int | None:
        """Monotonic time of the next request; None if nothing is wanted."""
        if not self._fetches:
            return None
        return min(fetch.due for fetch in self._fetches.values())

    def shift(self, gap: int) -> None:
        """Move all times by `gap`, during which this process was paused (R31)."""
        for fetch in self._fetches.values():
            fetch.due += gap

    def _member(self, fetch: _Fetch) -> int | None:
        context = self._context
        others = [h for h in fetch.holders if h != context.index]
        others += [m for m in context.others if m not in others]
        return others[fetch.attempts % len(others)] if others else None
