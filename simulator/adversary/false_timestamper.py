"""As primary, dates its batches an hour ahead or behind, or just beyond what backups may accept (P16)."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope
from simulator.adversary.base import Liar, OutgoingFrames

HOUR = 3_600_000_000
REMEMBERED = 64


class FalseTimestamper(Liar):
    """All members get the same false timestamp, so only a clock can reveal it."""

    share = 0.3
    """Of its proposals, that are falsely dated."""

    def shifts(self, drift: int) -> tuple[int, ...]:
        """Microseconds by which it dates them falsely, one of these. `drift`: the drift bound."""
        return (HOUR, -HOUR, 2 * drift, -2 * drift)

    def begin(self) -> None:
        """See Liar."""
        self._dated: dict[tuple[int, int], bytes] = {}

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if not isinstance(message, m.PrePrepare):
            return ((receiver, frame),)
        place = (message.view, message.sequence)
        if place not in self._dated:
            if len(self._dated) >= REMEMBERED:
                del self._dated[next(iter(self._dated))]
            self._dated[place] = self._redated(message, frame) if self.dice.hit(self.share) else frame
        return ((receiver, self._dated[place]),)

    def _redated(self, message: m.PrePrepare, frame: bytes) -> bytes:
        body = canonical.decode(Envelope, frame).attachment
        if not body:
            return frame
        batch = canonical.decode(m.Batch, body)
        drift = self.world.settings.parameters.drift_bound
        shift = self.dice.pick(self.shifts(drift))
        second = msgspec.structs.replace(batch, proposed=max(0, batch.proposed + shift))
        digests = tuple(m.bundle_digest(canonical.decode(Envelope, r).body) for r in batch.requests)
        digest = m.batch_digest(second.origin_view, second.proposed, digests)
        return self.signer.sign(msgspec.structs.replace(message, digest=digest), canonical.encode(second))
