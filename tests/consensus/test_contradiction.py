"""Contradicting certificates stop a member for good: more than f members are Byzantine (R11, R24)."""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.certificate import CommitCertificate
from dtvn.protocol.consensus.contradiction import read
from dtvn.protocol.consensus.effects import EvidenceRecord
from tests.consensus.grouped import Grouped
from tests.consensus.helpers import Cluster

OTHER = b"x" * 32


def settled(requests: int = 12) -> Cluster:
    """Checkpoints of all ten, 20 ... requests are stable everywhere."""
    cluster = Cluster(4)
    for number in range(requests):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    assert len({node.core.state.log.stable for node in cluster.nodes}) == 1
    return cluster


def another(cluster: Cluster, sequence: int = 10) -> tuple[bytes, ...]:
    """A certificate of m0, m1 and m2 for another state."""
    return tuple(cluster.sign(m.Checkpoint(0, sender, sequence, OTHER, OTHER, 1)) for sender in (0, 1, 2))


def convicted(cluster: Cluster, index: int) -> set[int]:
    records = [record for turn in cluster[index].journal.turns for record in turn]
    return {record.member for record in records if isinstance(record, EvidenceRecord)}


def test_a_second_certificate_for_the_stable_checkpoint_stops_the_member() -> None:
    cluster = settled()
    mine, theirs = cluster[3].core.state.checkpoint.frames, another(cluster)
    cluster.sent.clear()
    cluster[3].hear(cluster[2], cluster.sign(m.ViewChange(0, 2, 1, theirs, ())))
    assert cluster[3].halted == "quorums signed two states after sequence 10 of epoch 0"
    assert cluster.sent == [], "it says nothing, not even what this turn would have said"
    kept = read(cluster[3].journal.states.values())
    assert kept is not None
    assert (kept.kind, kept.mine, kept.theirs) == ("checkpoint", mine, theirs)
    both = {cluster.verified(frame, 0).message.sender for frame in mine} & {0, 1, 2}
    assert convicted(cluster, 3) == both, "who signed both"
    assert len(both) >= cluster[3].core.config.f + 1


def test_a_halted_member_stays_halted_after_a_restart() -> None:
    cluster = settled()
    cluster[3].hear(cluster[2], cluster.sign(m.ViewChange(0, 2, 1, another(cluster), ())))
    before = cluster[3].halted
    cluster[3].halted = ""
    cluster.sent.clear()
    cluster[3].restart()
    assert cluster[3].halted == before
    assert not [message for source, _target, message in cluster.sent if source == 3]


def test_two_decisions_for_one_sequence_stop_the_member() -> None:
    cluster = settled()
    core = cluster[3].core
    commits = tuple(cluster.sign(m.Commit(0, sender, 0, 12, OTHER)) for sender in (0, 1, 2))
    core.ordering.decide(CommitCertificate(0, 12, OTHER, commits))
    found = core.contradictions.found
    assert found is not None
    assert (found.kind, found.sequence, found.theirs) == ("batch", 12, commits)
    assert len(found.mine) == core.state.q
    cluster[3].take(core.state.outbox.take())
    both = {cluster.verified(frame, 0).message.sender for frame in found.mine} & {0, 1, 2}
    assert convicted(cluster, 3) == both, "who signed both in one view"


def test_two_views_that_decided_differently_convict_no_member() -> None:
    """m3 cannot execute yet what view 0 decided when its own COMMIT completes another decision of view 1: a
    COMMIT binds in its view only, so no member is convicted.
    """
    cluster = Cluster(4)
    member = cluster[3]
    cluster[0].crash()
    cluster.request("T-1", to=[1, 2, 3])
    cluster.advance(2_000)
    assert (member.core.state.views.view, member.core.executed) == (1, 1)
    cluster.drop(lambda source, target, message: (source, target, type(message)) == (2, 3, m.Prepare))
    cluster.request("T-2", to=[1])
    cluster.stabilize()
    digest = cluster.messages(m.PrePrepare, source=1)[-1].digest
    late = tuple(cluster.sign(m.Commit(0, sender, 0, 2, OTHER)) for sender in (0, 1, 2))
    for sender, frame in enumerate(late):
        assert member.hear(cluster[sender], frame) is None
    assert member.core.state.log.decisions[2].digest == OTHER
    assert not member.halted
    member.hear(cluster[2], cluster.sign(m.Prepare(0, 2, 1, 2, digest)))
    assert member.halted == "quorums signed two batches at sequence 2 of epoch 0"
    assert member.core.contradictions.found.mine == late
    assert convicted(cluster, 3) == set()


def test_a_second_vote_makes_nothing_stable_but_reveals_a_contradiction() -> None:
    """m0 signs two states; its second reaches q with m1 and m2, which sign that alone."""
    cluster = Cluster(4)
    cluster.drop(lambda source, target, message: target == 3 and type(message) is m.Checkpoint and source > 0)
    cluster.drop(lambda source, target, message: target == 3 and type(message) is m.SupplyFrames)
    for number in range(10):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    assert cluster[3].core.state.log.stable == 0
    frames = another(cluster)
    for sender in (0, 1):
        cluster[3].hear(cluster[sender], frames[sender])
    assert not cluster[3].halted
    cluster[3].hear(cluster[2], frames[2])
    assert cluster[3].halted
    assert 0 in convicted(cluster, 3)


def test_one_deviating_state_is_noted_once_and_stops_no_member() -> None:
    cluster = settled(19)
    lie = cluster.sign(m.Checkpoint(0, 1, 10, OTHER, OTHER, 1))
    for _ in range(3):
        cluster[3].hear(cluster[1], lie)
    assert cluster[3].told("checkpoint_differs") == [{"sequence": 10, "member": 1}], "late"
    early = cluster.sign(m.Checkpoint(0, 1, 20, OTHER, OTHER, 1))
    cluster[3].hear(cluster[1], early)
    cluster.request("T-20")
    cluster.stabilize()
    assert cluster[3].told("checkpoint_differs")[1:] == [{"sequence": 20, "member": 1}], "before its own"
    assert not cluster[3].halted
    assert cluster[3].core.state.log.stable == 20


def test_who_signed_another_state_early_is_asked_once_this_one_is_stable() -> None:
    cluster = settled(19)
    cluster[3].hear(cluster[1], cluster.sign(m.Checkpoint(0, 1, 20, OTHER, OTHER, 1)))
    assert cluster.messages(m.FetchEntries, source=3) == []
    cluster.request("T-20")
    cluster.stabilize()
    assert cluster.messages(m.FetchEntries, source=3) == [m.FetchEntries(0, 20, 20)]


def test_the_source_of_a_false_page_is_asked_for_the_checkpoint_below() -> None:
    """The source lies, or the two logs have parted; only its certificate tells which."""
    cluster = settled()
    late = cluster[3]
    cluster.drop(lambda _source, target, _message: target == 3)
    cluster.request("T-late")
    cluster.stabilize()
    length = cluster.executed()[0]
    catch_up = late.core.catch_up
    for member in range(3):
        catch_up.on_said(member, length)
    catch_up.ask()
    source, record = catch_up.source, cluster[0].journal.log[-1]
    false = msgspec.structs.replace(record.entry, batch_digest=OTHER)
    page = m.Entries(((false, record.body, record.commits),), ())
    late.hear(cluster[source], cluster[source].signer.link(page))
    assert late.told("refused")[-1]["reason"] == "bad_proof"
    assert cluster.messages(m.FetchEntries, source=3)[-1] == m.FetchEntries(0, 10, 10)


class Tickets(Cluster):
    """Its state is small, and can be fetched in groups."""

    state = Grouped


def test_an_offered_state_is_compared_with_the_own_one() -> None:
    cluster = settled(32)
    core = cluster[3].core
    assert core.state.log.stable == 30
    core.transfer.wanted = lambda: True
    entry = cluster[0].journal.log[19].entry
    offer = m.Snapshot(another(cluster, 20), entry, (), b"")
    cluster[3].hear(cluster[1], cluster[1].signer.link(offer))
    assert cluster[3].halted == "quorums signed two states after sequence 20 of epoch 0"
