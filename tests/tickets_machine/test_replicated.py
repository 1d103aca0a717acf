"""Clients, exactly once and outcomes through real replicas (R12 to R17, R19)."""

from __future__ import annotations

import pytest

from dtvn.machine import Admit, Barrier, Issue, OpenSession, Seed, Validate
from dtvn.machine.leaf import subtree
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.wire import decode_envelope
from tests.tickets_machine.members import Members


@pytest.fixture(params=[1, 4])
def members(request: pytest.FixtureRequest) -> Members:
    return Members(request.param)


@pytest.fixture
def four() -> Members:
    return Members(4)


def sequence_of(members: Members) -> int:
    return members[0].core.executed


def test_r12_unknown_sessions_are_refused_and_never_created(members: Members) -> None:
    before = sequence_of(members)
    members.ask(members.signed([members.operation(Barrier())], session=(3_000, 0), number=0))
    (told,) = members.told(0)
    assert isinstance(told, m.Busy)
    assert told.code == "unknown_session"
    assert sequence_of(members) == before


def test_r12_a_repeated_bundle_is_answered_from_the_table_and_not_executed(members: Members) -> None:
    session = members.open_session()
    frame = members.signed(
        [
            members.operation(Issue(), "T-1"),
            members.operation(Admit(), "T-1"),
            members.operation(Admit(), "T-1"),
        ],
        session=session,
        number=0,
    )
    members.ask(frame)
    (reply,) = (told for told in members.told(0) if isinstance(told, m.Reply))
    executed = sequence_of(members)
    members[0].restart()  # it has no reply to send again
    members.ask(frame)
    (repeat,) = members.told(0)
    assert isinstance(repeat, m.Repeat)
    assert (repeat.sequence, repeat.first_index) == (reply.entry.sequence, reply.first_index)
    assert repeat.codes == tuple(outcome.code for outcome in reply.outcomes)
    assert repeat.codes == ("ok", "ok", "already_consumed")
    assert sequence_of(members) == executed


def test_r16_repeated_replies_differ_only_in_their_sender(four: Members) -> None:
    session = four.open_session()
    frame = four.signed([four.operation(Seed())], session=session, number=0)
    four.ask(frame)
    for member in range(4):
        four.told(member)
        four[member].restart()  # it has no reply to send again
    four.ask(frame, to=range(4))
    repeats = [told for member in range(4) for told in four.told(member)]
    assert len(repeats) == 4
    assert (
        len({canonical.encode((r.session, r.number, r.request, r.sequence, r.codes)) for r in repeats}) == 1
    )


def test_r16_a_client_can_verify_from_its_operations_to_the_receipt(members: Members) -> None:
    """Leaves, subtree, path, entry, receipt: with nothing but the reply and the own bundle."""
    session = members.open_session()
    members.told(0)
    frame = members.signed(
        [members.operation(Seed()), members.operation(Validate(), "TICKET-007")], session=session, number=0
    )
    members.ask(frame)
    (reply,) = (told for told in members.told(0) if isinstance(told, m.Reply))
    bundle = decode_envelope(frame)[1]
    node = subtree(reply.first_index, bundle.operations, reply.outcomes, reply.entry.timestamp)
    for left, sibling in reply.path:
        node = canonical.node_hash(sibling, node) if left else canonical.node_hash(node, sibling)
    assert node == reply.entry.results_root
    receipt = members[0].door.statement(Peer("node0", 0), reply.receipt).message
    assert receipt.entry_hash == m.entry_hash(reply.entry)
    assert receipt.sequence == reply.entry.sequence  # R17: every answer carries its sequence


def test_r13_one_nonce_in_two_bundles_of_two_sessions_admits_once(members: Members) -> None:
    one, two = members.open_session(), members.open_session(nonce=b"two")
    members.ask(members.signed([members.operation(Issue(), "T-1")], session=one, number=0))
    for session, number in ((one, 1), (two, 0)):
        operation = members.operation(
            Admit(gate="n"), "T-1", nonce=b"scan-1", entry=f"node{number % members.members}"
        )
        members.ask(members.signed([operation], session=session, number=number))
    other = members.operation(Admit(gate="s"), "T-1", nonce=b"scan-1")
    members.ask(members.signed([other], session=two, number=1))
    assert members.codes(0)[-4:] == [("ok",), ("ok",), ("ok",), ("nonce_reused",)]
    shown = members[0].application.ticket("default", "T-1")
    assert shown is not None
    assert sum(shown.clock) == 2
    assert len(members.roots()) == 1


def test_r14_operations_ordered_too_late_are_expired_everywhere(four: Members) -> None:
    session = four.open_session()
    four.ask(four.signed([four.operation(Issue(), "T-1")], session=session, number=0))
    wall = four.wall
    late = four.operation(Admit(), "T-1", valid_until=wall - 1)
    alive = four.operation(Barrier())
    four.ask(four.signed([late, alive], session=session, number=1))
    assert four.codes(0)[-1] == ("expired", "ok")
    assert four.ticket_states("T-1") == {"ISSUED"}


def test_r15_capabilities_are_checked_by_every_replica(four: Members) -> None:
    session = four.open_session("reader")
    four.ask(four.signed([four.operation(Seed())], session=session, number=0, principal="reader"))
    assert [four.codes(member)[-1] for member in range(4)] == [("not_permitted",)] * 4
    assert [node.application.size() for node in four.nodes] == [0] * 4


def test_a_member_does_not_refuse_requests_by_its_own_state(four: Members) -> None:
    """R15: a member that lags passes on what it does not know; the log decides."""
    session = four.open_session()
    four.cut(3)
    four.ask(four.signed([four.operation(Issue(), "T-1")], session=session, number=0))
    four.heal()
    assert four[3].application.ticket("default", "T-1") is None
    four.ask(four.signed([four.operation(Admit(), "T-1")], session=session, number=1), to=[3])
    assert four.ticket_states("T-1") >= {"CONSUMED"}
    assert four.codes(0)[-1] == ("ok",)


def test_racing_admissions_through_all_members_end_in_exactly_one(four: Members) -> None:
    sessions = [four.open_session(nonce=bytes([member + 1])) for member in range(4)]
    four.ask(four.signed([four.operation(Issue(), "T-1")], session=sessions[0], number=0))
    for member, session in enumerate(sessions):
        operation = four.operation(Admit(gate=f"g{member}"), "T-1", entry=f"node{member}")
        four.ask(four.signed([operation], session=session, number=1), to=[member])
    codes = [code for bundle in four.codes(0)[-4:] for code in bundle]
    assert sorted(codes) == ["already_consumed"] * 3 + ["ok"]
    assert len(four.roots()) == 1


def proposal(members: Members, frames: list[bytes], *, sequence: int, digest_of: list[bytes]) -> bytes:
    """A PRE-PREPARE of the (lying) primary of view 0."""
    wall = members.wall
    batch = m.Batch(0, wall, tuple(frames))
    digest = m.batch_digest(0, wall, tuple(digest_of))
    signed = members[0].signer.sign(m.PrePrepare(0, 0, 0, sequence, digest))
    return members[0].signer.attach(signed, canonical.encode(batch))


@pytest.mark.parametrize("contents", [("old", "fresh"), ("fresh", "fresh")])
def test_r19_fresh_batches_with_executed_or_doubled_requests_get_no_vote(
    four: Members, contents: tuple[str, ...]
) -> None:
    """P9: the primary proposes an old request again, or one twice."""
    session = four.open_session()
    requests = {
        "old": four.signed([four.operation(Issue(), "T-1")], session=session, number=0),
        "fresh": four.signed([four.operation(Admit(), "T-1")], session=session, number=1),
    }
    four.ask(requests["old"])
    executed = sequence_of(four)
    frames = [requests[name] for name in contents]
    digests = [m.bundle_digest(canonical.encode(decode_envelope(frame)[1])) for frame in frames]
    lie = proposal(four, frames, sequence=executed + 1, digest_of=digests)
    four.inject(0, [lie], to=[1, 2, 3])
    for member in (1, 2, 3):
        abstained = [fields["reason"] for fields in four[member].told("abstained")]
        assert abstained == ["duplicate_request"]
    assert {node.core.executed for node in four.nodes[1:]} == {executed}
    assert four.ticket_states("T-1") == {"ISSUED"}


def test_r12_a_request_is_executed_once_although_the_primary_dies(four: Members) -> None:
    session = four.open_session()
    four.ask(four.signed([four.operation(Issue(), "T-1")], session=session, number=0))
    four.cut(0)
    frame = four.signed([four.operation(Admit(), "T-1", nonce=b"k")], session=session, number=1)
    four.ask(frame, to=[1, 2, 3])
    for _ in range(40):
        if four.ticket_states("T-1", 1, 2, 3) == {"CONSUMED"}:
            break
        four.advance(250)
        four.ask(frame, to=[1, 2, 3])
    assert four.ticket_states("T-1", 1, 2, 3) == {"CONSUMED"}
    assert all(four[member].core.state.views.view >= 1 for member in (1, 2, 3))
    assert four.codes(1).count(("ok",)) == 3  # session, issue, one admission
    assert len(four.roots(1, 2, 3)) == 1


def test_r22_r9_rows_and_root_of_all_members_are_equal(four: Members) -> None:
    session = four.open_session()
    four.ask(four.signed([four.operation(Seed())], session=session, number=0))
    for number in range(1, 15):
        operation = four.operation(Admit(gate="n"), f"TICKET-{number:03d}", entry=f"node{number % 4}")
        four.ask(four.signed([operation], session=session, number=number), to=[number % 4])
        four.advance(10)
    rows = [node.application.changes() for node in four.nodes]
    assert rows[0] == rows[1] == rows[2] == rows[3]
    assert len(four.roots()) == 1
    assert {node.core.state.log.stable for node in four.nodes} == {10}


def test_r13_a_repeated_opening_opens_one_session(members: Members) -> None:
    frames = [
        members.signed(
            [members.operation(OpenSession(), nonce=b"same", valid_until=members.wall + 20_000_000 + extra)],
            session=(0, 0),
            number=0,
        )
        for extra in (0, 1)
    ]
    members.ask(frames[0])
    first = members.told(0)[-1]
    members.ask(frames[1])
    (repeat,) = members.told(0)
    assert isinstance(repeat, m.Repeat)
    assert (repeat.sequence, repeat.first_index) == (first.entry.sequence, first.first_index)
    assert repeat.request == m.bundle_digest(canonical.encode(decode_envelope(frames[1])[1]))
