"""Was removed, or had its key taken away, and goes on as if nothing were: votes of an epoch that is over, and
votes of the present one under an index that is somebody else's now (R35; rows 10, 18)."""

from __future__ import annotations

import msgspec

from simulator.adversary.base import Liar, Words
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.onlooker import Onlooker
from validators import canonical
from validators.consensus import messages as m
from validators.wire import Envelope

__all__ = ["Revenant"]

VOTES = frozenset({m.Prepare, m.Commit, m.Checkpoint, m.Suspect})
REMEMBERED = 200
SHARE = 0.06


class Revenant(Liar):
    """While it is a member it behaves. It reads all mail, so it votes for whatever others vote for."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._said: list[tuple[str, bytes]] = []
        self.world.audience.add(_Ear(self))

    def utter(self, node: Node, receiver: str, frame: bytes) -> Words:
        """See Liar."""
        if self.mine(frame) is not None and len(self._said) < REMEMBERED:
            self._said.append((receiver, frame))
        return ((receiver, frame),)

    def hear(self, frame: bytes) -> None:
        """A vote of somebody of an epoch in which this liar is nobody any more."""
        if not self.dice.hit(SHARE) or self.node.place(self.world.present) is not None:
            return
        try:
            vote = canonical.decode(m.KINDS[frame[1]], canonical.decode(Envelope, frame).body)
        except (canonical.CanonicalError, KeyError):
            return
        old = max(0, self.world.present.epoch - 1)
        for epoch in (old, vote.epoch):
            for sender in (self.index, vote.sender):
                self._send(self.signer.sign(msgspec.structs.replace(vote, epoch=epoch, sender=sender)))
        if self._said:
            self.world.transmit(self.node.name, *self.dice.pick(self._said), self.world.time)

    def _send(self, frame: bytes) -> None:
        name = self.dice.pick(self.world.member_names)
        self.world.transmit(self.node.name, name, frame, self.world.time)


class _Ear(Onlooker):
    """Reads the votes of others."""

    def __init__(self, revenant: Revenant) -> None:
        self._revenant = revenant

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Onlooker."""
        if kind_of_frame(frame) in VOTES and sender != self._revenant.node.name:
            self._revenant.hear(frame)
