"""The verdict on a cluster as a gateway gives it: of `client.Gateway` and of its stand-ins."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from time import monotonic, time_ns

from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.genesis import window
from dtvn.watch import NO_CUT, Agreement, Clock, Cut, MemberReport, verdict

UNSEEN_MAX = 5.0
"""Seconds between two looks after which nothing is known of what was between them."""


class Lasting:
    """For how long something has held without a break, by one look after the other."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._looked = 0.0

    def seconds(self, now: float, *, holds: bool) -> float:
        """Take a look, at `now` in seconds; returns the seconds for which it has held."""
        if not holds:
            self._since = None
        elif self._since is None or now - self._looked > UNSEEN_MAX:
            self._since = now
        self._looked = now
        return 0.0 if self._since is None else now - self._since


class Agreeing:
    """Mixed into what has members."""

    present: Membership
    _changing: Lasting | None = None
    """Whether the members are between two views or epochs, as this process sees it."""

    def members(self) -> tuple[MemberReport, ...]:
        """See GatewayFace."""
        raise NotImplementedError

    def oldest_wait(self) -> float:
        """Seconds for which the oldest request of this gateway has had no answer; 0.0: none waits."""
        return 0.0

    def agreement(
        self,
        *,
        reports: Sequence[MemberReport] = (),
        cut: Cut = NO_CUT,
        without: Collection[str] = (),
    ) -> Agreement:
        """See GatewayFace."""
        parameters, changing = self.present.parameters, 0.0
        while True:
            found = verdict(
                reports or self.members(),
                mode=self.present.mode,
                window=window(parameters),
                waits=self.oldest_wait(),
                cut=cut,
                without=without,
                clock=Clock(time_ns() // 1_000, parameters.drift_bound),
                changing_for=changing,
            )
            if without or changing:
                return found
            self._changing = self._changing or Lasting()
            changing = self._changing.seconds(monotonic(), holds=found.changing)
            if not changing:
                return found
