"""A turn is bounded by its signature checks and bytes, and peers are served by the cost of their frames
(decision 0156, row 15).
"""

from __future__ import annotations

from dtvn.net.inbox import FromInbox
from dtvn.node.metrics.figures import Figures
from dtvn.node.metrics.meter import MeteredTransport
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.host import CHECKS_MAX
from dtvn.protocol.wire import CHECK
from dtvn.protocol.wire.limits import UNIT_BYTES, VERIFIED_CACHE_MAX
from tests.host.doubles import Bench, Tape, TapeTransport
from tests.host.support import EPOCH, bundle

DEAR = 490


class InboxTransport(FromInbox, TapeTransport):
    """With a node's own queues."""

    def __init__(self, tape: Tape) -> None:
        FromInbox.__init__(self)
        TapeTransport.__init__(self, tape)


def dear_frame(bench: Bench) -> bytes:
    """A proposal of DEAR requests; the door remembers none of them until it comes again."""
    paper = bench.paper
    paper.door.remembered_max = 1
    bundles = [bundle(number) for number in range(DEAR)]
    body = canonical.encode(m.Batch(0, 5, tuple(paper.sign(each) for each in bundles)))
    digests = tuple(m.bundle_digest(canonical.encode(each)) for each in bundles)
    return paper.sign(m.PrePrepare(EPOCH, 0, 0, 1, m.batch_digest(0, 5, digests)), body)


def paid(units: int, frame: bytes) -> int:
    """The checks that a frame is charged for, whose signatures cost this many units."""
    return (units + len(frame) // UNIT_BYTES) // CHECK - 1


def heard(bench: Bench) -> list[int]:
    """Sequences of the statements that came to the core: that of a dear frame is 1."""
    return [value.sequence for what, value in bench.tape.said if what == "receive"]


def test_row_15_a_turn_bounds_its_signature_checks_and_loses_no_frame() -> None:
    bench = Bench()
    dear = dear_frame(bench)
    votes = [bench.vote(sequence) for sequence in (1_001, 1_002, 1_003)]
    bench.hear(dear, dear, votes[0], dear, votes[1], dear, votes[2])
    counts = []
    while bench.transport.waiting:
        before = bench.host.door.verifications
        counts.append(bench.host.turn())
        assert bench.host.door.verifications - before < CHECKS_MAX + DEAR + 1
    assert counts == [4, 3]
    assert heard(bench) == [1, 1, 1_001, 1, 1_002, 1, 1_003]
    charged = paid((DEAR + 1) * CHECK, dear)
    assert bench.transport.charged == [("r1", charged)] * 4, "one check of each frame is free"


def test_row_15_costly_frames_of_a_peer_delay_no_other_beyond_a_turn() -> None:
    bench = Bench()
    transport = InboxTransport(bench.tape)
    bench.host.transport = transport
    dear, liar, honest = dear_frame(bench), bench.paper.peer(1), bench.paper.peer(2)
    votes = [bench.paper.sign(m.Prepare(EPOCH, 2, 0, sequence, b"d" * 32)) for sequence in range(2, 17)]
    said = []
    for turn in range(4):
        for _ in range(4):
            transport.inbox.put(liar, dear, 0)
        for vote in votes[4 * turn : 4 * turn + 4]:
            transport.inbox.put(honest, vote, 0)
        bench.host.turn()
        said.append(heard(bench))
        del bench.tape.said[:]
    assert said == [
        [1, 1, 1],
        [2, 3, 4, 5, 6, 7, 8, 9, 1, 1, 1],
        [10, 11, 12, 13, 1, 1, 1],
        [14, 15, 16, 1, 1, 1],
    ], "in debt since the first turn: the others go first, and the rest of the turn is the liar's"
    assert len(transport.inbox) == 4


def test_row_15_signatures_that_are_recognised_count_an_eighth() -> None:
    """A member may send the same proofs in one VIEW-CHANGE after the other: no check, yet each is decoded."""
    bench = Bench()
    dear = dear_frame(bench)
    bench.paper.door.remembered_max = VERIFIED_CACHE_MAX
    bench.hear(*[dear] * 20)
    first = bench.host.turn()
    assert bench.host.door.verifications == DEAR + 1
    assert first == 9, "491 checks and eight times 491 eighths, and the bytes of nine frames"
    charged = [paid((DEAR + 1) * CHECK, dear), *[paid(DEAR + 1, dear)] * 8]
    assert bench.transport.charged == [("r1", checks) for checks in charged]
    bench.host.turn()
    bench.hear(bench.vote(1_001), bench.vote(1_001))
    del bench.transport.charged[:]
    bench.host.turn()
    assert bench.transport.charged == [], "a vote costs nobody anything, recognised or not"


def test_frames_put_back_are_counted_once() -> None:
    bench = Bench()
    figures = Figures()
    bench.host.transport = MeteredTransport(bench.transport, figures)
    bench.hear(*[dear_frame(bench)] * 5)
    while bench.transport.waiting:
        bench.host.turn()
    assert figures.messages["received", m.KIND_OF[m.PrePrepare]] == 5
    assert len(bench.transport.charged) == 5
