"""Sends broken bytes: flipped bits, cut frames, noise, and false answers to clients (P12, P15)."""

from __future__ import annotations

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
            return ((receiver, self._false_reply(frame)),)
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

    def _false_reply(self, frame: bytes) -> bytes:
        reply = canonical.decode(m.Reply, canonical.decode(Envelope, frame).body)
        outcomes = tuple(
            m.Outcome("ok" if o.code != "ok" else "already_consumed", o.state) for o in reply.outcomes
        )
        return link_frame(
            m.Reply(
                session=reply.session,
                number=reply.number,
                request=reply.request,
                entry=reply.entry,
                first_index=reply.first_index,
                outcomes=outcomes,
                path=reply.path,
                receipt=reply.receipt,
            )
        )
