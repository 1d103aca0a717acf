"""As primary, proposes batches that break a limit: of another view, without a request, or with each request
three times (P9, P15; R20)."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope
from simulator.adversary.base import Liar, OutgoingFrames

SHARE = 0.3
REMEMBERED = 64


class InvalidBatcher(Liar):
    """All members get the same bad batch, well signed, so that only its content reveals it."""

    def begin(self) -> None:
        """See Liar."""
        self._crammed: dict[tuple[int, int], bytes] = {}

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if not isinstance(message, m.PrePrepare):
            return ((receiver, frame),)
        place = (message.view, message.sequence)
        if place not in self._crammed:
            if len(self._crammed) >= REMEMBERED:
                del self._crammed[next(iter(self._crammed))]
            self._crammed[place] = self._bad(message, frame) if self.dice.hit(SHARE) else frame
        return ((receiver, self._crammed[place]),)

    def _bad(self, message: m.PrePrepare, frame: bytes) -> bytes:
        body = canonical.decode(Envelope, frame).attachment
        if not body:
            return frame
        batch = canonical.decode(m.Batch, body)
        match self.dice.below(3):
            case 0:
                batch = msgspec.structs.replace(batch, origin_view=batch.origin_view + 1)
            case 1:
                batch = msgspec.structs.replace(batch, requests=())
            case _:
                batch = msgspec.structs.replace(batch, requests=batch.requests * 3)
        digests = tuple(m.bundle_digest(canonical.decode(Envelope, r).body) for r in batch.requests)
        digest = m.batch_digest(batch.origin_view, batch.proposed, digests)
        return self.signer.sign(msgspec.structs.replace(message, digest=digest), canonical.encode(batch))
