"""As primary, names one batch to a single backup without sending it, and proposes another to the rest; it
sends the first when the second is prepared (P2, P11; R21)."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.clock import MILLISECOND

SHARE = 0.4
LATEST = 8 * MILLISECOND
COPIES = 3


class EarlyEquivocator(Liar):
    """The backup cannot vote for a batch that it does not have, so the others' proposal becomes durable
    first."""

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        others = self.others()
        if not isinstance(message, m.PrePrepare) or receiver != others[message.sequence % len(others)]:
            return ((receiver, frame),)
        body = canonical.decode(Envelope, frame).attachment
        if not body or not self.dice.hit(SHARE):
            return ((receiver, frame),)
        batch = canonical.decode(m.Batch, body)
        digests = tuple(m.bundle_digest(canonical.decode(Envelope, r).body) for r in batch.requests)
        second = msgspec.structs.replace(batch, proposed=batch.proposed + 1)
        digest = m.batch_digest(second.origin_view, second.proposed, digests)
        named = msgspec.structs.replace(message, digest=digest)
        shown = self.signer.sign(named, canonical.encode(second))
        for _ in range(COPIES):
            later = self.world.time + self.dice.below(LATEST)
            self.world.at(later, self.world.transmit, self.node.name, receiver, shown, later)
        return ((receiver, self.signer.sign(named)), (receiver, self.changed(frame, message)))
