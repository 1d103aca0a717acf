"""What liars share: an honest node inside, its real key, and the freedom to say something else.

A liar cannot forge what others sign (R39), nor who it is on a link.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.chance import Dice
from simulator.network import kind_of_frame
from simulator.node import Node
from validators import canonical
from validators.consensus import messages as m
from validators.wire import Envelope, FrameSigner

if TYPE_CHECKING:
    from simulator.cluster import Cluster

__all__ = ["Liar", "Words"]

Words = Iterable[tuple[str, bytes]]
"""(receiver, frame) of each thing that is really said."""


class Liar:
    """Base of all liars: says what its node says. `index` is its place among the members."""

    def __init__(self, cluster: Cluster, node: Node, dice: Dice) -> None:
        if node.index is None:
            raise ValueError("a learner has no statements to lie with")
        self.world = cluster.world
        self.node = node
        self.index: int = node.index
        self.dice = dice
        keyring = self.world.keyring
        secret = keyring.pair(self.world.member_names[self.index])[1]
        self.signer = FrameSigner(self.world.cluster, secret, cluster.keys, scheme=keyring.scheme)

    def utter(self, node: Node, receiver: str, frame: bytes) -> Words:
        """See node.Speech."""
        return ((receiver, frame),)

    # --- tools -----------------------------------------------------------------------------------

    def others(self) -> list[str]:
        """Names of the other members."""
        return [name for index, name in enumerate(self.world.member_names) if index != self.index]

    def mine(self, frame: bytes) -> Any:
        """The statement in a frame when it is one of this member's own, else None."""
        kind = kind_of_frame(frame)
        if kind not in m.STATEMENTS:
            return None
        message = canonical.decode(kind, canonical.decode(Envelope, frame).body)
        return message if message.sender == self.index else None

    def changed(self, frame: bytes, message: Any, **fields: Any) -> bytes:
        """The statement with other fields, signed with the own key; a batch stays attached."""
        attachment = canonical.decode(Envelope, frame).attachment
        return self.signer.sign(msgspec.structs.replace(message, **fields), attachment)
