"""Members that report whom they hear, in virtual time, as a gateway sees them."""

from __future__ import annotations

from collections.abc import Iterable

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.durations import SECOND
from dtvn.watch import MemberReport
from tests.network_watch.seen import NAMES
from validators.network_watch.hearing import Pair
from validators.network_watch.watch import NetworkWatch

BEGAN = 1_800_000_000 * SECOND
"""Unix nanoseconds."""


class Members:
    """Each sends a Status every second to all; `cut` pairs lose them. A watch looks once a second."""

    def __init__(self, watch: NetworkWatch, names: tuple[str, ...] = NAMES, *, began: int = BEGAN) -> None:
        """`began`: Unix nanoseconds."""
        self.watch, self.names, self.began = watch, names, began
        self.cut: set[Pair] = set()
        self.unseen: set[str] = set()
        """Members that do not answer the platform."""
        self.delay = 0.0
        """Seconds for which their reports are under way before the platform has them."""
        self.own: dict[str, bool | None] = {}
        self.seconds = 0
        self._heard: dict[Pair, int] = {}

    @property
    def now(self) -> Now:
        return Now(monotonic=(5_000 + self.seconds) * SECOND, wall=self.began + self.seconds * SECOND)

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.seconds += 1
            for pair in ((one, other) for one in self.names for other in self.names if one != other):
                if pair not in self.cut:
                    self._heard[pair] = self.seconds
            self.watch.take(self._views(), self.own, self.now)

    def lose(self, pairs: Iterable[Pair]) -> None:
        self.cut |= set(pairs)

    def _views(self) -> tuple[MemberReport, ...]:
        return tuple(
            MemberReport(
                id=name,
                index=index,
                connected=name not in self.unseen,
                heard=60.0 if name in self.unseen else 0.3,
                voting=True,
                hears=self._ages(name),
            )
            for index, name in enumerate(self.names)
        )

    def _ages(self, name: str) -> dict[str, float | None]:
        others = [other for other in self.names if other != name]
        heard = {other: self._heard.get((name, other)) for other in others}
        asked = self.seconds - self.delay
        return {other: None if at is None else max(asked - at, 0.0) + 0.4 for other, at in heard.items()}
