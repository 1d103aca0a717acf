"""Lies in view changes: omits proofs, swaps them, and as new primary forges NEW-VIEW (P4).

FORGERIES are the variants of P4, one function each, so that a scenario can select one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope
from simulator.adversary.base import Liar, OutgoingFrames


class ViewChangeForger(Liar):
    """`forgery` fixes one variant; None: a different one each time, and view changes without need."""

    def __init__(self, *arguments: object, forgery: str | None = None) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.forgery = forgery
        self._lies: dict[bytes, bytes] = {}
        """True statement -> the lie sent in its place: every receiver gets the same lie."""

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if isinstance(message, (m.ViewChange, m.NewView)):
            if frame not in self._lies:
                names = IN_VIEW_CHANGE if isinstance(message, m.ViewChange) else IN_NEW_VIEW
                name = self.forgery or self.dice.pick(names)
                self._lies[frame] = FORGERIES[name](self, message, frame)
            return ((receiver, self._lies[frame]),)
        words = [(receiver, frame)]
        if self.forgery is None and isinstance(message, m.Status) and self.dice.hit(0.3):
            view = message.view + self.dice.pick((1, 1, 2, 5))
            words.append((receiver, self.signer.sign(m.ViewChange(message.epoch, self.index, view, (), ()))))
        return words

    def proposal(self, frame: bytes, **fields: Any) -> bytes:
        """A PRE-PREPARE of a NEW-VIEW with other fields."""
        message = canonical.decode(m.PrePrepare, canonical.decode(Envelope, frame).body)
        return self.changed(frame, message, **fields)


def omit(liar: ViewChangeForger, message: Any, frame: bytes) -> bytes:
    """(a) Claims that nothing was prepared."""
    if isinstance(message, m.NewView):
        return liar.changed(frame, message, proposals=())
    return liar.changed(frame, message, prepared=())


def swap(liar: ViewChangeForger, message: Any, frame: bytes) -> bytes:
    """(b) Another digest where a batch was prepared."""
    if not isinstance(message, m.NewView):
        return frame
    lies = tuple(liar.proposal(p, digest=m.NULL_BATCH_DIGEST) for p in message.proposals)
    return liar.changed(frame, message, proposals=lies)


def reuse(liar: ViewChangeForger, message: Any, frame: bytes) -> bytes:
    """(c) Uses the PREPAREs of one view as proof for the null request in a later view, which would win."""
    if not isinstance(message, m.ViewChange) or not message.prepared:
        return frame
    proof = message.prepared[-1]
    other = liar.proposal(
        proof.pre_prepare, sender=liar.index, view=message.view - 1, digest=m.NULL_BATCH_DIGEST
    )
    forged = m.PreparedProof(other, proof.prepares)
    return liar.changed(frame, message, prepared=(*message.prepared[:-1], forged))


def other_view(liar: ViewChangeForger, message: Any, frame: bytes) -> bytes:
    """(d) A VIEW-CHANGE for another view among those that should justify this one."""
    if not isinstance(message, m.NewView):
        return frame
    foreign = liar.signer.sign(m.ViewChange(message.epoch, liar.index, message.view + 1, (), ()))
    body = canonical.decode(Envelope, foreign).body
    digest = canonical.digest(m.KIND_OF[m.ViewChange].to_bytes(1, "big") + body)
    for name in liar.others():
        liar.world.transmit(liar.node.name, name, foreign, liar.world.time)
    pairs = tuple((sender, digest if sender == liar.index else d) for sender, d in message.view_changes)
    return liar.changed(frame, message, view_changes=pairs)


def one_twice(liar: ViewChangeForger, message: Any, frame: bytes) -> bytes:
    """(e) Enough VIEW-CHANGEs, but one sender appears twice."""
    if not isinstance(message, m.NewView):
        return frame
    pairs = message.view_changes
    return liar.changed(frame, message, view_changes=(*pairs[:-1], pairs[0]))


def too_few(liar: ViewChangeForger, message: Any, frame: bytes) -> bytes:
    """One VIEW-CHANGE less than a quorum."""
    if not isinstance(message, m.NewView):
        return frame
    return liar.changed(frame, message, view_changes=message.view_changes[:-1])


def fake_checkpoint(liar: ViewChangeForger, message: Any, frame: bytes) -> bytes:
    """(f) A checkpoint beyond all others that only the liar signed, repeated as often as a quorum needs."""
    if not isinstance(message, m.ViewChange):
        return frame
    interval = liar.world.settings.parameters.checkpoint_interval
    far = m.Checkpoint(message.epoch, liar.index, 1_000 * interval, b"s" * 32, b"l" * 32, 1)
    count = liar.world.members
    frames = tuple(liar.signer.sign(far) for _ in range(count))
    return liar.changed(frame, message, checkpoint=frames, prepared=())


def nothing(liar: ViewChangeForger, message: Any, frame: bytes) -> bytes:
    """The true statement, unchanged."""
    return frame


FORGERIES: dict[str, Callable[[ViewChangeForger, Any, bytes], bytes]] = {
    "omit": omit,
    "swap": swap,
    "reuse": reuse,
    "other-view": other_view,
    "one-twice": one_twice,
    "too-few": too_few,
    "fake-checkpoint": fake_checkpoint,
    "nothing": nothing,
}
IN_VIEW_CHANGE = ("omit", "reuse", "reuse", "fake-checkpoint", "nothing")
IN_NEW_VIEW = ("omit", "swap", "other-view", "one-twice", "too-few", "nothing")
