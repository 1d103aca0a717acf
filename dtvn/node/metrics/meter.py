"""A `ports.Transport` that counts messages by kind and passes them to and from another transport."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.node.metrics.figures import Figures
from dtvn.protocol.consensus.effects import ReplyTo, Send
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.host.ports import Transport

UNKNOWN = 0
_ENVELOPE_OF_FOUR = 0x94
_KIND_MAX = 0x7F


class MeteredTransport:
    """Counts messages, and nothing else. A message to all members counts once."""

    def __init__(self, transport: Transport, figures: Figures) -> None:
        self._transport = transport
        self._messages = figures.messages

    def receive(self, limit: int) -> Sequence[Inbound]:
        """See ports.Transport."""
        received = self._transport.receive(limit)
        for item in received:
            self._messages["received", _kind(item.frame)] += 1
        return received

    def put_back(self, items: Sequence[Inbound]) -> None:
        """See ports.Transport: these frames are counted when they are received again."""
        for item in items:
            self._messages["received", _kind(item.frame)] -= 1
        self._transport.put_back(items)

    def charge(self, peer: Peer, checks: int) -> None:
        """See ports.Transport."""
        self._transport.charge(peer, checks)

    def mute_bulk(self, peer: Peer) -> None:
        """See ports.Transport."""
        self._transport.mute_bulk(peer)

    def send(self, send: Send) -> None:
        """See ports.Transport."""
        self._messages["sent", _kind(send.frame)] += 1
        self._transport.send(send)

    def greet(self, hello: bytes) -> None:
        """See ports.Transport."""
        self._transport.greet(hello)

    def demote(self, peer: Peer) -> None:
        """See ports.Transport."""
        self._transport.demote(peer)

    def reply(self, reply: ReplyTo) -> None:
        """See ports.Transport."""
        self._messages["sent", _kind(reply.frame)] += 1
        self._transport.reply(reply)

    def answer(self, peer: Peer, frame: bytes) -> None:
        """See ports.Transport."""
        self._messages["sent", _kind(frame)] += 1
        self._transport.answer(peer, frame)


def _kind(frame: bytes) -> int:
    """The number of the envelope's kind (wire.envelope), UNKNOWN if the frame cannot be an envelope. Reads
    only two bytes, and nothing is trusted because of them."""
    if len(frame) > 2 and frame[0] == _ENVELOPE_OF_FOUR and frame[1] <= _KIND_MAX:
        return frame[1]
    return UNKNOWN
