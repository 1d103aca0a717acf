"""Tells each thing to as few as may do: proposals and votes reach a bare quorum, answers hardly anybody
(row 19; FoundationDB's BUGGIFY "send to a minimal quorum only")."""

from __future__ import annotations

from simulator.adversary.base import Liar, Words
from simulator.network import kind_of_frame
from simulator.node import Node
from validators import quorum
from validators.consensus import messages as m

__all__ = ["Miser"]

FAVOURITES_CHANGE = 40
"""Statements until others are favoured."""
SPARED = frozenset({m.PrePrepare, m.Prepare, m.Commit, m.Checkpoint, m.NewView, m.ViewChange})


class Miser(Liar):
    """q - 1 others are told of proposals and f + 1 of COMMITs; who they are changes now and then."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._left = 0
        self._many: list[str] = []
        self._few: list[str] = []

    def utter(self, node: Node, receiver: str, frame: bytes) -> Words:
        """See Liar."""
        kind = kind_of_frame(frame)
        if kind not in SPARED or receiver not in self.world.member_names:
            return ((receiver, frame),)
        if self._left <= 0:
            self._left = FAVOURITES_CHANGE
            members = self.world.members
            self._many = self.dice.sample(self.others(), quorum.quorum(members) - 1)
            self._few = self._many[: quorum.weak_quorum(members)]
        self._left -= 1
        favourites = self._few if kind is m.Commit else self._many
        return ((receiver, frame),) if receiver in favourites else ()
