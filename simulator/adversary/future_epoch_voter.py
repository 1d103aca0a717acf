"""Acts in the next epoch before this one is over: votes in it, signs a checkpoint where it would like the
epoch to end, and reports members that were never elected to gateways, with invalid proofs (R35, R16; row
18)."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from dtvn.proof import Leaf
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.epoch_change_proof import EpochChangeProof
from dtvn.protocol.genesis import Member
from dtvn.protocol.wire import Envelope, link_frame
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.network import kind_of_frame
from simulator.node import Node

SHARE = 0.2
VOTES = (m.PrePrepare, m.Prepare, m.Commit, m.Checkpoint, m.Status)


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """Result of a change: the epoch that it begins, and its members."""

    epoch: int
    members: tuple[Member, ...]


class FutureEpochVoter(Liar):
    """Sends the true statements too, so that it is not merely silent."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        words = [(receiver, frame)]
        if kind_of_frame(frame) is m.Answer:
            return ((receiver, self._answer(frame)),)
        message = self.mine(frame)
        if isinstance(message, VOTES) and self.dice.hit(SHARE):
            words.insert(0, (receiver, self._of_another_epoch(frame, message)))
        if isinstance(message, m.Commit) and self.dice.hit(SHARE):
            root = self.dice.bytes(32)
            end = m.Checkpoint(message.epoch, self.index, message.sequence, root, root, 1)
            words.append((receiver, self.signer.sign(end)))
        return words

    def _of_another_epoch(self, frame: bytes, message: Any) -> bytes:
        """The statement for the next epoch, or for the previous one under the index that the liar had
        there."""
        before = self.world.epochs.get(message.epoch - 1)
        place = None if before is None else self.node.place(before)
        if before is None or place is None or self.dice.hit(0.5):
            return self.changed(frame, message, epoch=message.epoch + 1)
        return self.changed(frame, message, epoch=before.epoch, sender=place)

    def _answer(self, frame: bytes) -> bytes:
        answer = canonical.decode(m.Answer, canonical.decode(Envelope, frame).body)
        told = msgspec.json.decode(answer.text) if answer.text else None
        if isinstance(told, dict) and "epoch" in told:
            told["epoch"] += 1
        elif isinstance(told, list) and told:
            told[-1] = base64.b64encode(self._usurped(base64.b64decode(told[-1]))).decode()
        else:
            return frame
        return link_frame(msgspec.structs.replace(answer, text=msgspec.json.encode(told).decode()))

    def _usurped(self, data: bytes) -> bytes:
        """The epoch change proof of an epoch, with an accomplice's key in place of the last member's."""
        found = canonical.decode(EpochChangeProof, data)
        leaf = canonical.decode(Leaf, found.leaf)
        outcome = canonical.decode(Outcome, leaf.state)
        stolen = self.world.keyring.pair("accomplice")[0]
        *members, last = outcome.members
        usurped = Outcome(outcome.epoch, (*members, msgspec.structs.replace(last, public_key=stolen)))
        forged = canonical.encode(msgspec.structs.replace(leaf, state=canonical.encode(usurped)))
        entry = msgspec.structs.replace(found.entry, results_root=canonical.digest(b"\x00" + forged))
        return canonical.encode(msgspec.structs.replace(found, leaf=forged, entry=entry))
