"""Many streams at once, in bounded memory: idle ones are forgotten."""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct

from dtvn.events.rules.limits import Limits
from dtvn.events.rules.stream import Stream, Verdict
from dtvn.events.rules.violation import Refusal, error


class Bounds(Struct, frozen=True):
    """Up to `streams` are held; one without an event for `idle_seconds` is forgotten. The names of as many
    forgotten streams are remembered, to tell a late event from the first event of an unknown stream."""

    streams: int = 10_000
    idle_seconds: float = 3600.0


class Table:
    """Streams by name. Time is an argument, in seconds of a monotonic clock."""

    def __init__(self, limits: Limits | None = None, bounds: Bounds | None = None) -> None:
        self._limits = limits or Limits()
        self._bounds = bounds or Bounds()
        self._streams: OrderedDict[str, tuple[Stream, float]] = OrderedDict()
        self._expired: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._streams)

    def feed(self, name: str, data: bytes, now: float) -> Verdict:
        """Judge the next event of the stream `name`; an accepted event of an unknown name begins a stream.
        Refuses with TOO_MANY_RUNS if no further stream fits, RUN_EXPIRED if the stream was forgotten."""
        self._expire(now)
        held = self._streams.get(name)
        if held is None and len(self._streams) >= self._bounds.streams:
            refusal = Refusal("TOO_MANY_RUNS", f"{self._bounds.streams} streams are open.")
            return Verdict(False, (error(0, refusal),))
        stream = held[0] if held is not None else Stream(self._limits)
        verdict = stream.feed(data)
        if held is None and verdict.code == "FIRST_EVENT" and name in self._expired:
            said = f"The run had no event for {self._bounds.idle_seconds:g} s and was forgotten."
            return Verdict(False, (error(0, Refusal("RUN_EXPIRED", said)),))
        if held is None and not verdict.accepted:
            return verdict
        self._expired.pop(name, None)
        self._streams[name] = (stream, now)
        self._streams.move_to_end(name)
        return verdict

    def close(self, name: str) -> None:
        """Forget a stream whose transport has ended."""
        self._streams.pop(name, None)

    def _expire(self, now: float) -> None:
        oldest_kept = now - self._bounds.idle_seconds
        while self._streams:
            name, (_, latest) = next(iter(self._streams.items()))
            if latest >= oldest_kept:
                return
            del self._streams[name]
            self._expired[name] = None
            if len(self._expired) > self._bounds.streams:
                self._expired.popitem(last=False)
