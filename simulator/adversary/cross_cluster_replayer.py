"""Replays what the members signed elsewhere: in another cluster with the same keys, and for another epoch of
this one (P10). A node whose signatures do not cover the cluster id takes these statements for a quorum."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import FrameSigner
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.node import Node

NEVER = 1 << 40
"""An epoch that this cluster never reaches: no node holds what its members sign in an epoch that it does
reach."""


class CrossClusterReplayer(Liar):
    """The statements are genuine: members did sign them, but for another cluster or another epoch."""

    def __init__(self, cluster: Any, *arguments: Any) -> None:
        super().__init__(cluster, *arguments)
        keyring, names = self.world.keyring, self.world.member_names
        elsewhere = sha256(b"another cluster").digest()
        self._elsewhere = [
            FrameSigner(elsewhere, keyring.pair(name)[1], cluster.keys, scheme=keyring.scheme)
            for name in names
        ]
        self._here = [
            FrameSigner(self.world.cluster, keyring.pair(name)[1], cluster.keys, scheme=keyring.scheme)
            for name in names
        ]

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        words = [(receiver, frame)]
        message = self.mine(frame)
        if isinstance(message, (m.PrePrepare, m.Prepare, m.Commit)) and receiver in self.others():
            ahead = message.sequence + self.dice.below(4)
            digest = sha256(b"a batch elsewhere %d" % ahead).digest()
            place = (message.view, ahead, digest)
            epoch, signers = self.dice.pick(((message.epoch, self._elsewhere), (NEVER, self._here)))
            for index, signer in enumerate(signers):
                words.append((receiver, signer.sign(m.Prepare(epoch, index, *place))))
                words.append((receiver, signer.sign(m.Commit(epoch, index, *place))))
        elif isinstance(message, m.Checkpoint) and receiver in self.others():
            for index, signer in enumerate(self._elsewhere):
                root = sha256(b"a state elsewhere").digest()
                far = m.Checkpoint(message.epoch, index, message.sequence, root, root, message.timestamp)
                words.append((receiver, signer.sign(far)))
        return words
