"""Base of all adversaries: an honest node inside, its real key, and the freedom to send something else.

A liar can forge neither the signatures of others (R39) nor its identity on a link.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import FrameSigner
from simulator.cluster import Cluster
from simulator.dice import Dice
from simulator.network import kind_of_frame
from simulator.node import Node

OutgoingFrames = Iterable[tuple[str, bytes]]
"""(receiver, frame) of each message that is really sent."""


class Liar:
    """Base class of all liars: sends what its honest node sends."""

    def __init__(self, cluster: Cluster, node: Node, dice: Dice) -> None:
        if node.index is None:
            raise ValueError("a learner has no statements to lie with")
        self.world = cluster.world
        self.node = node
        self._index = node.index
        self.dice = dice
        keyring = self.world.keyring
        secret = keyring.pair(node.member_id)[1]
        self.signer = FrameSigner(self.world.cluster, secret, cluster.keys, scheme=keyring.scheme)
        self.begin()

    def begin(self) -> None:
        """Set up what this kind of liar remembers."""

    @property
    def index(self) -> int:
        """Its index among the members of the epoch that it is in; after its removal, the last one that it
        had."""
        if self.node.index is not None:
            self._index = self.node.index
        return self._index

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See node.SendHook."""
        return self.instead(self.mine(frame), receiver, frame)

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """The frames sent instead of a frame; `message`: the member's own statement in it, None for all
        else."""
        return ((receiver, frame),)

    # --- tools -----------------------------------------------------------------------------------

    def others(self) -> list[str]:
        """Names of the other members."""
        members = self.node.membership.members
        return [member.id for member in members if member.id != self.node.member_id]

    def mine(self, frame: bytes) -> Any:
        """The statement in a frame if it is one of this member's own, else None."""
        kind = kind_of_frame(frame)
        if kind not in m.STATEMENTS:
            return None
        message = self.world.frame_cache.read(frame)[1]
        return message if self.node.said(message) else None

    def changed(self, frame: bytes, message: Any, **fields: Any) -> bytes:
        """The statement with other fields, signed with this member's key; a batch stays attached."""
        attachment = self.world.frame_cache.read(frame)[0].attachment
        return self.signer.sign(msgspec.structs.replace(message, **fields), attachment)
