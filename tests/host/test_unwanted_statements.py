"""Loose statements inside a message cost no signature unless each is wanted (R5, P15)."""

from __future__ import annotations

from collections import Counter

import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Header
from dtvn.protocol.host.peer_limits import STATEMENTS_BURST as BURST
from dtvn.protocol.host.peer_limits import STATEMENTS_PER_SECOND as PER_SECOND
from dtvn.protocol.wire import PeerError, link_frame
from tests.consensus.helpers import Cluster
from tests.host.doubles import Bench
from tests.host.support import EPOCH, Paper, bundle


def prepare(paper: Paper, sequence: int, digest: bytes = b"d" * 32) -> bytes:
    return paper.sign(m.Prepare(EPOCH, 1, 0, sequence, digest))


def received(bench: Bench) -> list[object]:
    return [value for what, value in bench.tape.said if what == "receive"]


def only_sequence_7(header: Header) -> Reason | None:
    return None if header.message.sequence == 7 else Reason.OUTSIDE_WINDOW


@pytest.mark.parametrize("pong", [False, True])
def test_row_15_unwanted_statements_in_a_message_cost_no_signature(pong: bool) -> None:
    bench = Bench()
    bench.core.refusing_within = only_sequence_7
    frames = tuple(prepare(bench.paper, sequence) for sequence in range(1, 9))
    kept = (frames[6],)
    message, left = (
        (m.Pong(1, 0, frames, ()), m.Pong(1, 0, kept, ()))
        if pong
        else (m.SupplyFrames(frames), m.SupplyFrames(kept))
    )
    before = bench.host.door.verifications
    bench.hear(link_frame(message))
    bench.host.turn()
    assert bench.host.door.verifications - before == 1
    assert received(bench) == [left]


def test_row_15_a_message_of_unwanted_statements_is_refused_and_counted() -> None:
    bench = Bench()
    bench.core.refusing_within = lambda header: Reason.OUTSIDE_WINDOW
    bench.hear(link_frame(m.SupplyFrames(tuple(prepare(bench.paper, number) for number in range(1, 40)))))
    bench.host.turn()
    assert bench.host.door.verifications == 0
    assert received(bench) == []
    noted = [note.fields for what, note in bench.tape.said if what == "note"]
    assert [(each["reason"], each["times"]) for each in noted] == [("outside_window", 39)], (
        "told once: a note of each had cost three times as much as looking at it"
    )


def test_row_15_a_vote_and_its_contradiction_are_checked_but_no_third() -> None:
    bench = Bench()
    frames = tuple(prepare(bench.paper, 7, bytes([number]) * 32) for number in range(20))
    bench.hear(link_frame(m.SupplyFrames(frames)))
    bench.host.turn()
    assert bench.host.door.verifications == 2
    assert received(bench) == [m.SupplyFrames(frames[:2])]


def test_row_15_a_sender_of_unwanted_statements_is_ignored_for_a_while() -> None:
    """Its frames are decoded but not checked; others are served meanwhile; the limit recovers."""
    bench = Bench()
    looked_at: Counter[str] = Counter()

    def unwanted(header: Header) -> Reason:
        looked_at[header.peer.name] += 1
        return Reason.OUTSIDE_WINDOW

    bench.core.refusing_within = unwanted
    full = link_frame(m.SupplyFrames(tuple(prepare(bench.paper, sequence) for sequence in range(256))))
    bench.hear(*[full] * 40)
    bench.hear(full, index=2)
    bench.host.turn()
    assert looked_at == {"r1": BURST, "r2": 256}
    reasons = Counter(note.fields["reason"] for what, note in bench.tape.said if what == "note")
    assert reasons == {"outside_window": BURST // 256 + 1, "busy": 40 - BURST // 256}
    bench.hear(bench.vote())
    bench.host.turn()
    assert received(bench) == [m.Prepare(EPOCH, 1, 0, 1, b"d" * 32)], "it may vote all the time"
    bench.clock.monotonic += 1_000_000_000
    bench.hear(*[full] * 40)
    bench.host.turn()
    assert looked_at["r1"] == BURST + PER_SECOND
    bench.clock.monotonic += 3_600_000_000_000
    bench.hear(*[full] * 40)
    bench.host.turn()
    assert looked_at["r1"] == 2 * BURST + PER_SECOND, "an hour of silence buys no more than one burst"


def test_wanted_statements_are_always_checked() -> None:
    bench = Bench()
    full = link_frame(m.SupplyFrames(tuple(prepare(bench.paper, sequence) for sequence in range(256))))
    bench.hear(*[full] * 40)
    while bench.transport.waiting:
        bench.host.turn()
    assert len(received(bench)) == 40


@pytest.mark.parametrize("pong", [False, True])
def test_row_15_a_statement_inside_a_message_carries_no_batch(pong: bool) -> None:
    """Otherwise thousands of requests under a liar's own key would be checked before the core was asked."""
    paper = Paper()
    requests = tuple(paper.sign(bundle(number)) for number in range(5))
    digests = tuple(m.bundle_digest(canonical.encode(bundle(number))) for number in range(5))
    body = canonical.encode(m.Batch(0, 5, requests))
    frame = paper.sign(m.PrePrepare(EPOCH, 0, 0, 1, m.batch_digest(0, 5, digests)), body)
    assert paper.verify(frame).batch is not None, "by itself it is well-formed"
    paper = Paper()
    nesting = link_frame(m.Pong(1, 0, (frame,), ()) if pong else m.SupplyFrames((frame,)))
    header = paper.door.peek(paper.inbound(nesting))
    for step in (
        lambda: paper.door.sift(header, lambda _header, _kind: None),
        lambda: paper.door.verify(header),
    ):
        with pytest.raises(PeerError) as refused:
            step()
        assert refused.value.reason is Reason.MALFORMED, "no honest member sends it: its link is muted"
    assert paper.door.verifications == 0


def test_row_15_of_a_pong_only_unknown_own_statements_are_wanted() -> None:
    """The core itself says what it wants: others' votes, and own ones that it remembers, are left out."""
    cluster = Cluster(4)
    core = cluster[0].core
    foreign = cluster.sign(m.Prepare(0, 1, 0, 1, b"d" * 32))
    unknown = cluster.sign(m.Commit(0, 0, 0, 5, b"d" * 32))
    settled = cluster.sign(m.Checkpoint(0, 0, 0, b"s" * 32, b"l" * 32, 5))
    said = [core.wants_within(cluster.header(frame, 1), m.Pong) for frame in (foreign, unknown, settled)]
    assert said == [Reason.NOT_ASKED, None, Reason.SECOND_MESSAGE]
    core.own_vote.lose("a test")
    assert core.wants_within(cluster.header(settled, 1), m.Pong) is None, "who forgot looks at all of it"


def test_row_15_votes_far_outside_the_window_are_never_wanted() -> None:
    cluster = Cluster(4)
    far = cluster.header(cluster.sign(m.Prepare(0, 3, 0, 100_000, b"d" * 32)), 3)
    near = cluster.header(cluster.sign(m.Prepare(0, 3, 0, 1, b"d" * 32)), 3)
    assert cluster[0].core.wants_within(far, m.SupplyFrames) is Reason.OUTSIDE_WINDOW
    assert cluster[0].core.wants_within(near, m.SupplyFrames) is None


def test_row_15_a_batch_that_is_not_awaited_costs_no_signature() -> None:
    bench = Bench()
    requests = tuple(bench.paper.sign(bundle(number)) for number in range(5))
    body = canonical.encode(m.Batch(0, 5, requests))
    digest = bench.paper.door.digest_of(body)
    digests = tuple(m.bundle_digest(canonical.encode(bundle(number))) for number in range(5))
    assert digest == m.batch_digest(0, 5, digests)
    bench.core.awaited = {b"another" + digest[7:]}
    bench.hear(link_frame(m.SupplyBatch(body)))
    bench.host.turn()
    assert bench.host.door.verifications == 0
    assert [note.fields["reason"] for what, note in bench.tape.said if what == "note"] == ["not_asked"]
    bench.core.awaited = {digest}
    bench.hear(link_frame(m.SupplyBatch(body)))
    bench.host.turn()
    assert bench.host.door.verifications == 5
    assert received(bench) == [m.SupplyBatch(body)]
