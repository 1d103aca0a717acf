"""The effects of a fetched range, the choice of its source, and the claims that set its target (R23, R30; P7
and P17).
"""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from dtvn.protocol.consensus import InvariantBreach
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.application import Repeated
from dtvn.protocol.consensus.effects import Reason
from tests.consensus.helpers import Cluster, Node, is_kind
from tests.consensus.test_log_ranges import Source, busy


def lagging(length: int, members: int = 4) -> tuple[Cluster, Node]:
    """The last member returns with an empty ledger; its questions stay unanswered."""
    cluster = Cluster(members)
    late = cluster[members - 1]
    late.crash()
    busy(cluster, length)
    cluster.drop(is_kind(m.Entries))
    cluster.waiting.clear()
    cluster.sent.clear()
    late.restart()
    return cluster, late


def answer(cluster: Cluster, first: int, last: int) -> bytes:
    entries = cluster[0].journal.range(first, last)
    assert entries is not None
    return cluster[0].signer.link(entries)


def asked(cluster: Cluster, source: int) -> list[tuple[int | None, int, int]]:
    return [
        (target, message.first, message.last)
        for sender, target, message in cluster.sent
        if sender == source and type(message) is m.FetchEntries
    ]


# --- the target ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "said", "target"), [(4, (50, 40, 30), 40), (7, (50, 40, 30, 20), 30)])
def test_row_17_the_target_needs_f_plus_1_claims(members: int, said: tuple[int, ...], target: int) -> None:
    """One of f + 1 is honest; f claims may all be false."""
    catch_up = Cluster(members)[0].core.catch_up
    liars = (members - 1) // 3
    for member, executed in enumerate(said, start=1):
        catch_up.on_said(member, executed)
        assert (catch_up.state.lag.target() > 0) is (member > liars)
    assert catch_up.state.lag.target() == target
    catch_up.on_said(1, 10**9)
    assert catch_up.state.lag.target() == target, "a second word of the same member is no second member"


def test_r35_a_proved_checkpoint_without_a_range_becomes_a_target() -> None:
    """It comes unasked: this tells a member that its epoch is over."""
    cluster, late = lagging(10)
    frames = cluster[0].core.state.checkpoint.frames
    assert late.core.state.lag.certified == 0

    def refused(shown: tuple[bytes, ...]) -> str:
        assert late.hear(cluster[0], cluster[0].signer.link(m.Entries((), shown))) is None
        return str(late.told("refused")[-1]["reason"])

    assert refused(frames[:2]) == Reason.BAD_PROOF.value
    assert refused((frames[0], frames[0], frames[1])) == Reason.BAD_PROOF.value
    assert late.core.state.lag.certified == 0
    told = len(late.told("refused"))
    assert late.hear(cluster[0], cluster[0].signer.link(m.Entries((), frames))) is None
    assert late.core.state.lag.certified == 10
    assert len(late.told("refused")) == told


# --- whom it asks ----------------------------------------------------------------------------------


def test_r23_one_range_at_a_time_is_asked_of_a_member_that_has_it() -> None:
    """m0 claims to have nothing; after two unanswered rounds it is asked anyway."""
    cluster, late = lagging(105)
    cluster.drop(is_kind(m.Status, m.Ping, m.Pong, m.SupplyFrames))
    cluster.waiting.clear()
    cluster.sent.clear()
    for member, executed in ((0, 0), (1, 105), (2, 105)):
        late.core.catch_up.on_said(member, executed)
    cluster.advance(2_500)
    questions = asked(cluster, 3)
    assert {(first, last) for _member, first, last in questions} == {(1, 64)}
    members = [member for member, _first, _last in questions]
    assert set(members[:4]) == {1, 2}
    assert all(one != next_ for one, next_ in pairwise(members))
    assert 0 in members


def test_row_17_each_question_is_answered_once() -> None:
    cluster, late = lagging(40)
    while not asked(cluster, 3):
        cluster.advance(20)
    (member, first, last), *_more = asked(cluster, 3)
    assert member is not None
    frame = answer(cluster, first, 10)
    assert late.core.wants(cluster.header(frame, (member + 1) % 3)) is Reason.NOT_ASKED
    assert late.hear(cluster[member], frame) is None
    assert late.core.executed == 10
    (_, again, _end) = asked(cluster, 3)[-1]
    assert again == 11, "the next member is asked for what is left"
    assert late.core.wants(cluster.header(frame, member)) is Reason.NOT_ASKED
    assert last == 40


# --- what is read ----------------------------------------------------------------------------------


def test_r28_a_replica_whose_results_differ_from_certified_ones_stops() -> None:
    """It treats a request of the fourth batch as already executed."""
    source = Source(forgotten=True)
    for node in source.cluster.nodes[:3]:
        node.journal.forget_commits()
    source.node.application.executed[1, 0, 3] = Repeated(b"d" * 32, 1, 0, ("ok",))
    with pytest.raises(InvariantBreach, match="certified other results for sequence 4"):
        source.cluster.advance(3_000)


def test_r23_fields_not_bound_by_commits_are_not_taken() -> None:
    """COMMITs bind the batch; results and time come from the own execution, and a difference is noted."""
    source = Source(forgotten=False)
    node = source.node
    node.core.catch_up.source = 0
    node.core.catch_up._owing.add(0)
    lie = source.spoil(4, results_root=b"x" * 32)
    assert node.hear(source.cluster[0], source.cluster[0].signer.link(lie)) is None
    assert node.log == source.cluster[0].log
    assert node.told("entry_differs") == [{"sequence": 5}]
    assert [record.commits for record in node.journal.log] == [row[2] for row in source.entries.entries]


def test_r23_a_proved_range_gives_the_checkpoint_and_only_recent_replies() -> None:
    """Earlier clients no longer wait; those within a window below the target may."""
    cluster, late = lagging(105)
    for node in cluster.nodes[:3]:
        node.journal.forget_commits()
    cluster.heal()
    cluster.advance(1_000)
    assert late.core.executed == 105
    assert late.core.state.log.stable == 100
    assert len(late.core.state.checkpoint.frames) == 3
    replies = [msgspec.msgpack.decode(reply.frame)[1] for index, reply in cluster.replies if index == 3]
    answered = [m.canonical.decode(m.Reply, body).entry.sequence for body in replies]
    window = late.core.state.log.window
    assert answered == list(range(105 - window + 1, 106))
    assert late.core.catch_up.source is None
    assert late.core.catch_up.deadline() is None
