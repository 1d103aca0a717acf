"""What a node refuses of a principal before it decodes it, and that bytes are paid for (P15).

A frame's first two bytes are those of its kind here, and the rest is no message, so that decoding would find
it malformed.
"""

from __future__ import annotations

import pytest

from dtvn.events.asking.forms import ASKS_BYTES_MAX
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.genesis import BOUNDS
from dtvn.protocol.wire import CHECK, PeerError, limits, link_frame
from tests.host.doubles import Bench
from tests.host.support import Paper, bundle, operation

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


@pytest.mark.parametrize("kind", m.KIND_OF, ids=lambda kind: kind.__name__)
def test_a_principals_frame_is_decoded_only_if_one_sends_its_kind(kind: type[object]) -> None:
    longest = LONGEST.get(kind, limits.SMALL_FRAME_BYTES_MAX)
    assert refused(of_kind(kind, longest)) is (Reason.MALFORMED if kind in SENT else Reason.NOT_MEMBER)
    longer = Reason.TOO_LARGE if kind in SENT else Reason.NOT_MEMBER
    assert refused(of_kind(kind, longest + 1)) is longer, "TOO_LARGE counts towards a mute"


def test_a_small_kind_of_a_member_is_not_decoded_if_it_is_long() -> None:
    assert refused(of_kind(m.Prepare, limits.SMALL_FRAME_BYTES_MAX + 1), MEMBER) is Reason.TOO_LARGE
    assert refused(of_kind(m.PrePrepare, limits.SMALL_FRAME_BYTES_MAX + 1), MEMBER) is Reason.MALFORMED


def test_a_frame_of_no_kind_is_malformed() -> None:
    for frame in (b"", b"\x94", b"\x94\x7f", b"\x94\xcc\x01", b"\x93\x01"):
        assert refused(frame) is refused(frame, MEMBER) is Reason.MALFORMED


def test_the_longest_honest_question_about_events_fits() -> None:
    PAPER.door.peek(Inbound(PRINCIPAL, link_frame(m.Judge(bytes(ASKS_BYTES_MAX)))))


def test_a_request_longer_than_any_batch_is_malformed() -> None:
    most = BOUNDS["batch_operations_max"][1]
    PAPER.door.peek(Inbound(PRINCIPAL, PAPER.sign(bundle(0, *[operation()] * most))))
    assert refused(PAPER.sign(bundle(0, *[operation()] * (most + 1)))) is Reason.MALFORMED


def test_an_unwanted_frame_is_charged_by_its_bytes() -> None:
    bench = Bench()
    bench.core.refusing = Reason.BUSY
    long = bench.paper.sign(bundle(0, m.Operation("seed", "default", "T", "a", "r0", 1, b"", bytes(900_000))))
    bench.transport.waiting = [Inbound(PRINCIPAL, long), Inbound(PRINCIPAL, bench.paper.sign(bundle()))]
    bench.host.turn()
    assert bench.host.door.verifications == 0
    [(name, checks)] = bench.transport.charged
    assert name == PRINCIPAL.name
    assert checks == pytest.approx(len(long) / limits.UNIT_BYTES / CHECK, abs=2)
