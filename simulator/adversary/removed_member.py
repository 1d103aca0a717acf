"""A removed member, or one whose key was revoked, that continues to vote: for the epoch that is over, and for
the present one under an index that now belongs to another member (R35; P10, P18)."""

from __future__ import annotations

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.observers import Observer

VOTES = frozenset({m.Prepare, m.Commit, m.Checkpoint, m.Suspect})
REMEMBERED = 200
SHARE = 0.06


class RemovedMember(Liar, Observer):
    """Behaves correctly while it is a member. It reads all messages, so it votes for what others vote
    for."""

    def begin(self) -> None:
        """See Liar."""
        self._said: list[tuple[str, bytes]] = []
        self.world.observers.add(self)

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if self.mine(frame) is not None and len(self._said) < REMEMBERED:
            self._said.append((receiver, frame))
        return ((receiver, frame),)

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Observer: as no member of the newest epoch it votes as another member just did."""
        if kind_of_frame(frame) not in VOTES or sender == self.node.name:
            return
        if not self.dice.hit(SHARE) or self.node.place(self.world.present) is not None:
            return
        try:
            vote = canonical.decode(m.KINDS[frame[1]], canonical.decode(Envelope, frame).body)
        except (canonical.CanonicalError, KeyError):
            return
        old = max(0, self.world.present.epoch - 1)
        for epoch in (old, vote.epoch):
            for index in (self.index, vote.sender):
                self._send(self.signer.sign(msgspec.structs.replace(vote, epoch=epoch, sender=index)))
        if self._said:
            self.world.transmit(self.node.name, *self.dice.pick(self._said), self.world.time)

    def _send(self, frame: bytes) -> None:
        name = self.dice.pick(self.world.member_names)
        self.world.transmit(self.node.name, name, frame, self.world.time)
