"""As primary, proposes one batch to some members and another to the rest, and votes for both (P1, P3)."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope
from simulator.adversary.base import Liar, OutgoingFrames

REMEMBERED = 64


class Equivocator(Liar):
    """The second batch has the same requests with another timestamp: valid in itself, with another digest."""

    def begin(self) -> None:
        """See Liar."""
        self._other: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        """(view, sequence) -> (digest of the second batch, frame of its proposal)."""
        self._fooled: set[str] = set()

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if isinstance(message, m.PrePrepare):
            return ((receiver, self._proposal(message, frame, receiver)),)
        if isinstance(message, (m.Prepare, m.Commit)):
            other = self._other.get((message.view, message.sequence))
            if other is not None:
                lie = self.changed(frame, message, digest=other[0])
                words = [(receiver, frame), (receiver, lie)]
                return words[::-1] if receiver in self._fooled else words
        return ((receiver, frame),)

    def _proposal(self, message: m.PrePrepare, frame: bytes, receiver: str) -> bytes:
        place = (message.view, message.sequence)
        if place not in self._other:
            body = canonical.decode(Envelope, frame).attachment
            if not body:
                return frame
            batch = canonical.decode(m.Batch, body)
            digests = tuple(
                m.bundle_digest(canonical.decode(Envelope, request).body) for request in batch.requests
            )
            second = msgspec.structs.replace(batch, proposed=batch.proposed + 1)
            digest = m.batch_digest(second.origin_view, second.proposed, digests)
            lie = self.signer.sign(msgspec.structs.replace(message, digest=digest), canonical.encode(second))
            if len(self._other) >= REMEMBERED:
                del self._other[next(iter(self._other))]
            self._other[place] = (digest, lie)
            others = self.others()
            self._fooled = set(self.dice.sample(others, self.dice.below(len(others) + 1)))
        return self._other[place][1] if receiver in self._fooled else frame
