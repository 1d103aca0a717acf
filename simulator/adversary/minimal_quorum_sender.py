"""Sends each message to as few receivers as possible: proposals and votes reach a bare quorum, COMMITs only f
+ 1 others (P19; FoundationDB's BUGGIFY "send to a minimal quorum only")."""

from __future__ import annotations

from dtvn.protocol import quorum
from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.network import kind_of_frame
from simulator.node import Node

FAVOURITES_CHANGE = 40
"""Number of statements after which other receivers are chosen."""
SPARED = frozenset({m.PrePrepare, m.Prepare, m.Commit, m.Checkpoint, m.NewView, m.ViewChange})


class MinimalQuorumSender(Liar):
    """Proposals reach q - 1 other members and COMMITs f + 1; which members these are changes now and then."""

    def begin(self) -> None:
        """See Liar."""
        self._left = 0
        self._many: list[str] = []
        self._few: list[str] = []

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        kind = kind_of_frame(frame)
        if kind not in SPARED or receiver not in self.world.member_names:
            return ((receiver, frame),)
        if self._left <= 0:
            self._left = FAVOURITES_CHANGE
            members, mode = self.world.members, self.world.mode
            self._many = self.dice.sample(self.others(), quorum.quorum(members, mode) - 1)
            self._few = self._many[: quorum.weak_quorum(members, mode)]
        self._left -= 1
        favourites = self._few if kind is m.Commit else self._many
        return ((receiver, frame),) if receiver in favourites else ()
