"""What a node refuses of a principal before it decodes it, and that bytes are paid for (P15).

A frame's first two bytes are those of its kind here, and the rest is no message, so that decoding would find
it malformed.
"""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.wire import PeerError, limits
from tests.host.support import Paper

PAPER = Paper()
PRINCIPAL, MEMBER = Peer("gateway", None), Peer("r1", 1)
SENT: set[type[object]] = {m.Bundle, m.FetchEntries, m.Follow, m.Gossip, m.Hello, m.Judge, m.Query, m.Status}
SENT |= {m.FetchGroups, m.FetchSnapshot}
"""Kinds that nodes, gateways and learners send as principals."""
LONGEST: dict[type[object], int] = {
    m.Bundle: limits.BUNDLE_FRAME_BYTES_MAX,
    m.Judge: limits.JUDGE_FRAME_BYTES_MAX,
}


def refused(frame: bytes, peer: Peer = PRINCIPAL) -> Reason:
    with pytest.raises(PeerError) as caught:
        PAPER.door.peek(Inbound(peer, frame))
    return caught.value.reason


def of_kind(kind: type[object], size: int) -> bytes:
    return bytes((0x94, m.KIND_OF[kind])).ljust(size, b"\xc1")


def test_a_small_kind_of_a_member_is_not_decoded_if_it_is_long() -> None:
    assert refused(of_kind(m.Prepare, limits.SMALL_FRAME_BYTES_MAX + 1), MEMBER) is Reason.TOO_LARGE
    assert refused(of_kind(m.PrePrepare, limits.SMALL_FRAME_BYTES_MAX + 1), MEMBER) is Reason.MALFORMED
