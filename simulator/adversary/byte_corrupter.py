"""Sends broken bytes: flipped bits, cut frames, noise, and false answers to clients (P12, P15)."""

from __future__ import annotations

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope, link_frame
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.network import kind_of_frame
from simulator.node import Node

SHARE = 0.2


class ByteCorrupter(Liar):
    """After every second broken frame it also sends the intact one, so that it is not merely silent."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if kind_of_frame(frame) is m.Reply and self.dice.hit(0.5):
            false = self._false_reply if self.dice.hit(0.5) else self._false_repeat
            return ((receiver, false(canonical.decode(m.Reply, canonical.decode(Envelope, frame).body))),)
        if not self.dice.hit(SHARE):
            return ((receiver, frame),)
        broken = bytearray(frame)
        match self.dice.below(3):
            case 0:
                broken[self.dice.below(len(broken))] ^= 1 << self.dice.below(8)
            case 1:
                del broken[self.dice.below(len(broken)) :]
            case _:
                broken = bytearray(self.dice.bytes(self.dice.between(1, 200)))
        words = [(receiver, bytes(broken))]
        if self.dice.hit(0.5):
            words.append((receiver, frame))
        return words

    def _false_reply(self, reply: m.Reply) -> bytes:
        states = [outcome.state for outcome in reply.outcomes]
        outcomes = tuple(map(m.Outcome, _false_codes(reply), states))
        return link_frame(msgspec.structs.replace(reply, outcomes=outcomes))

    def _false_repeat(self, reply: m.Reply) -> bytes:
        """Signed, with the true position."""
        epoch, place = reply.entry.epoch, (reply.entry.sequence, reply.first_index)
        asked = (reply.session, reply.number, reply.request)
        return self.signer.sign(m.Repeat(epoch, self.index, *asked, *place, _false_codes(reply)))


def _false_codes(reply: m.Reply) -> tuple[str, ...]:
    return tuple("ok" if outcome.code != "ok" else "already_consumed" for outcome in reply.outcomes)
