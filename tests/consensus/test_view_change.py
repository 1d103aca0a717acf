"""A primary that fails is replaced, and nothing that could have been committed is lost (R29, R31, R33)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from tests.consensus.helpers import Cluster, is_kind


def killed_primary(members: int = 4) -> Cluster:
    cluster = Cluster(members)
    cluster.request("T-before")
    cluster.stabilize()
    cluster.advance(300)
    cluster[0].crash()
    return cluster


def test_commits_of_a_left_view_still_decide() -> None:
    """R21: two came before r3 left the view, the third comes after it entered the next."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit))
    cluster.request("T-1")
    cluster.stabilize()
    digest = cluster.messages(m.PrePrepare)[0].digest
    for sender in (1, 2):
        vote = cluster.sign(m.Commit(0, sender, 0, 1, digest))
        cluster[0].hear(cluster[sender], vote)
    assert cluster.executed()[0] == 1, "with its own"
    late = cluster[3]
    late.hear(cluster[1], cluster.sign(m.Commit(0, 1, 0, 1, digest)))
    changes = {s: cluster.sign(m.ViewChange(0, s, 1, (), ())) for s in (0, 1, 2)}
    for sender, frame in changes.items():
        late.hear(cluster[sender], frame)
    named = tuple((s, cluster.verified(frame, s).body_digest) for s, frame in changes.items())
    late.hear(cluster[1], cluster.sign(m.NewView(0, 1, 1, named, ())))
    assert late.core.snapshot().view == 1
    assert not late.core.snapshot().changing
    assert not late.journal.log
    late.hear(cluster[0], cluster.sign(m.Commit(0, 0, 0, 1, digest)))
    assert len(late.journal.log) == 1, "its own, and those of r1 and r0"


def test_r33_what_one_replica_committed_survives_the_view_change() -> None:
    """r0 executes with q COMMITs that no other member receives; then it stops."""
    cluster = Cluster(4)
    cluster.drop(lambda _s, target, message: type(message) is m.Commit and target != 0)
    cluster.request("T-1")
    cluster.stabilize()
    assert cluster.executed() == [1, 0, 0, 0]
    cluster[0].crash()
    cluster.heal()
    cluster.advance(3_000)
    assert cluster.executed() == [1, 1, 1, 1]
    cluster.agree()


def test_row_5_holes_become_null_requests() -> None:
    """Sequence 2 is lost to all, 3 to 5 are prepared; the new view fills the hole and all executes. Its
    client sends it again and it is executed once.
    """
    cluster = Cluster(4)
    cluster.request("T-1")
    cluster.stabilize()
    lost = lambda _s, _t, message: (  # noqa: E731
        type(message) is m.Commit or (type(message) is m.PrePrepare and message.sequence == 2)
    )
    cluster.drop(lost)
    frames = []
    for number in range(2, 6):
        frames.append(cluster.request(f"T-{number}"))
        cluster.stabilize()
        cluster.time += 2_000_000
        cluster[0].tick()
    cluster.stabilize()
    cluster[0].crash()
    cluster.heal()
    for node in cluster.up():
        node.hear(None, frames[0])
    cluster.advance(3_000)
    log = cluster[1].journal.log
    assert log[1].entry.batch_digest == m.NULL_BATCH_DIGEST
    assert log[1].entry.timestamp == log[0].entry.timestamp, "R3: a null request leaves the time alone"
    assert all(f"T-{number}" in cluster[1].application.values for number in range(1, 6))
    assert [key[2] for key in cluster[1].application.order].count(1) == 1
    cluster.agree()


def test_r29_a_suspect_binds_no_member() -> None:
    """One replica that hears nothing suspects, and goes on voting in the view."""
    cluster = Cluster(4)
    cluster.drop(lambda source, target, _m: source == 0 and target == 3)
    cluster.advance(3_000)
    assert cluster[3].told("suspected")
    assert {node.core.snapshot().view for node in cluster.nodes} == {0}
    assert not cluster.messages(m.ViewChange)
    cluster.request("T-1")
    cluster.advance(1_000)
    assert cluster.messages(m.Commit, source=3), "r3 votes on what others relay"
    assert cluster.executed() == [1] * 4


def test_r29_a_suspicion_lapses_when_the_primary_is_back() -> None:
    cluster = Cluster(4)
    cluster.drop(lambda source, target, _m: source == 0 and target == 3)
    cluster.advance(1_500)
    assert cluster[3].core.snapshot().suspicion == "silent_primary"
    cluster.heal()
    cluster.advance(1_500)
    assert cluster[3].core.snapshot().suspicion == ""
    assert all(3 not in node.core.snapshot().suspects for node in cluster.nodes)


def test_row_13_f_liars_do_not_change_the_view() -> None:
    """f members send SUSPECT and VIEW-CHANGE without end; the others stay and commit."""
    cluster = Cluster(7)
    for view in range(1, 60):
        for sender in (5, 6):
            suspect = cluster.sign(m.Suspect(0, sender, view, "no reason"))
            change = cluster.sign(m.ViewChange(0, sender, view, (), ()))
            for target in range(5):
                cluster[target].hear(cluster[sender], suspect)
                cluster[target].hear(cluster[sender], change)
        cluster.advance(50)
    cluster.request("T-1")
    cluster.advance(100)
    assert {cluster[i].core.snapshot().view for i in range(5)} == {0}
    assert len(cluster.answers(m.Reply)) >= 5
    cluster.agree()


def test_row_13_a_member_that_cannot_hear_causes_no_view_changes() -> None:
    """One-way link: r3 sends and receives nothing (TigerBeetle, 2023-07-06)."""
    cluster = Cluster(4)
    cluster.drop(lambda _source, target, _m: target == 3)
    cluster.advance(20_000)
    assert {node.core.snapshot().view for node in cluster.nodes} == {0}


def test_row_13_an_intermittent_member_does_not_keep_the_timeout_at_base() -> None:
    """r3 is silent for 2.7 s and sends one Status, without end. A quorum was present all the time."""
    cluster = Cluster(4)
    cluster.advance(300)
    cluster.drop(lambda source, _t, _m: source == 3)
    for node in cluster.nodes:
        for _ in range(3):
            node.core.suspicion.on_left(0, had_entered=False)
    status = cluster.messages(m.Status, source=3)[-1]
    for _ in range(3):
        cluster.advance(2_700)
        for target in range(3):
            cluster[target].hear(cluster[3], cluster.sign(status))
        timeouts = {cluster[index].core.snapshot().timeout for index in range(3)}
        assert timeouts == {3_200_000_000}


def test_r31_the_timeout_returns_to_base_when_a_quorum_returns() -> None:
    cluster = Cluster(4)
    cluster.advance(300)
    cluster.cut(0, 1)
    for node in cluster.nodes:
        for _ in range(3):
            node.core.suspicion.on_left(0, had_entered=False)
    cluster.advance(3_000)
    assert cluster[2].core.snapshot().timeout == 3_200_000_000
    cluster.heal()
    cluster.advance(1_200)
    assert {node.core.snapshot().timeout for node in cluster.nodes} == {800_000_000}


def joiners(cluster: Cluster, target: int, **reasons: str) -> None:
    """Each of these members sends SUSPECT to one other."""
    for sender, reason in reasons.items():
        member = int(sender[1:])
        cluster[target].hear(cluster[member], cluster.sign(m.Suspect(0, member, 1, reason)))


def test_row_13_members_that_only_joined_make_no_other_join() -> None:
    """n = 7: two liars and one honest member that joined them are not three with an own cause."""
    cluster = Cluster(7)
    cluster.drop(is_kind(m.Suspect, m.SupplyFrames))
    joiners(cluster, 3, r5="lie", r6="lie", r2="joined")
    assert cluster[3].core.snapshot().suspicion == ""
    joiners(cluster, 3, r1="no_progress")
    assert cluster[3].core.snapshot().changing, "three who saw something, one who joined, and itself are q"


def test_row_13_a_joined_suspicion_lapses_with_those_it_joined() -> None:
    """r1 had a cause and no longer has; r2 and r3 must not hold each other up beside two liars."""
    cluster = Cluster(7)
    cluster.advance(300)
    cluster.drop(is_kind(m.Suspect, m.SupplyFrames))
    alive = cluster.sign(cluster.messages(m.Status, source=0)[-1])
    joiners(cluster, 3, r5="lie", r6="lie", r1="no_progress")
    assert cluster[3].core.snapshot().suspicion == "joined"
    for _ in range(3):
        cluster.time += 300_000_000
        joiners(cluster, 3, r5="lie", r6="lie")
        cluster[3].hear(cluster[0], alive)
    assert cluster[3].core.snapshot().suspicion == "joined"
    cluster.time += 101_000_000
    joiners(cluster, 3, r2="joined")
    assert cluster[3].core.snapshot().suspicion == ""
    assert cluster[3].told("suspicion_expired")


def test_r29_one_members_later_view_is_not_followed_while_changing() -> None:
    """f + 1 members leave for a view; then one of them names a far one, and leads nobody there."""
    cluster = Cluster(4)
    for sender in (2, 3):
        cluster[0].hear(cluster[sender], cluster.sign(m.ViewChange(0, sender, 1, (), ())))
    assert cluster[0].core.snapshot().changing
    cluster[0].hear(cluster[3], cluster.sign(m.ViewChange(0, 3, 9, (), ())))
    assert cluster[0].core.snapshot().view == 1
    cluster[0].hear(cluster[2], cluster.sign(m.ViewChange(0, 2, 9, (), ())))
    assert cluster[0].core.snapshot().view == 9, "one of two is honest"


def test_r33_what_is_executed_but_not_stable_is_in_the_view_change() -> None:
    """A member that has not executed it has no other proof of it."""
    cluster = Cluster(4)
    cluster.request("T-1")
    cluster.stabilize()
    core = cluster[1].core
    assert (core.snapshot().executed, core.snapshot().stable) == (1, 0)
    core.view_change.leave(1, "a test")
    frame = core.state.views.view_changes[1].frame
    assert len(core.state.signer.open(frame).message.prepared) == 1


def test_r29_never_a_vote_below_the_own_view_change_restarts_included() -> None:
    cluster = Cluster(4)
    for sender in (2, 3):
        change = cluster.sign(m.ViewChange(0, sender, 2, (), ()))
        cluster[1].hear(cluster[sender], change)
    cluster.waiting.clear()
    cluster[1].crash()
    cluster[1].restart()
    assert cluster[1].core.snapshot().view == 2
    assert cluster[1].core.snapshot().changing
    cluster.sent.clear()
    cluster.drop(is_kind(m.ViewChange, m.NewView))
    cluster.request("T-1")
    cluster.advance(100)
    assert not cluster.messages(m.Prepare, source=1)
    assert not cluster.messages(m.Commit, source=1)
    assert cluster.executed() == [1] * 4, "the others decide without it, and it follows (R21)"


def test_r31_the_timeout_doubles_and_returns_to_base() -> None:
    """Doubled per failed view change, at most 8 s; base again when a member returns."""
    cluster = Cluster(4)
    cluster.advance(300)
    for index in (0, 1):
        cluster[index].crash()
    cluster.advance(4_000)
    survivor = cluster[2].core
    for _ in range(6):
        survivor.suspicion.on_left(0, had_entered=False)
    assert survivor.snapshot().timeout == 8_000_000_000
    cluster[0].restart()
    cluster.advance(9_000)
    cluster.request("T-1", to=[0, 2, 3])
    cluster.advance(10_000)
    assert [len(node.journal.log) for node in cluster.up()] == [1, 1, 1]
    assert survivor.snapshot().timeout <= 1_600_000_000


def test_r31_an_own_pause_is_not_the_primarys_silence() -> None:
    """A process stopped for ten seconds moves its deadlines before it looks at them."""
    cluster = Cluster(4)
    cluster.advance(500)
    cluster.time += 10_000_000_000
    for node in cluster.nodes:
        node.tick()
    assert not any(node.told("suspected") for node in cluster.nodes)
    assert cluster[1].told("paused") == [{"milliseconds": 10_100}]
    cluster.advance(500)
    assert {node.core.snapshot().view for node in cluster.nodes} == {0}


def test_r31_a_pause_does_not_count_as_waiting_of_a_request() -> None:
    """Found by simulator seeds 269 (small) and 20026 (random): the request's own clock was not moved."""
    cluster = Cluster(4)
    cluster.advance(4_000)
    cluster.drop(lambda _s, _t, message: type(message) in (m.Bundle, m.PrePrepare))
    cluster.request("T-1", to=[1, 2, 3])
    cluster.time += 2_000_000_000
    for node in cluster.nodes:
        node.tick()
    assert not any(node.told("suspected") for node in cluster.nodes)
    cluster.advance(1_500)
    assert all(node.told("suspected") for node in cluster.nodes[1:]), "its wait goes on afterwards"


def test_row_14_a_primary_that_ignores_a_client_is_deposed() -> None:
    """The request reaches backups only, which forward it to a primary that drops it."""
    cluster = Cluster(4)
    cluster.drop(lambda _s, target, message: type(message) is m.Bundle and target == 0)
    cluster.request("T-1", to=[1, 2, 3])
    cluster.advance(2_500)
    assert {node.core.snapshot().view for node in cluster.nodes} == {1}
    assert cluster.executed() == [1] * 4


def test_row_14_a_request_that_the_state_refuses_causes_no_suspicion() -> None:
    """It waits in the pools, then its session is evicted; no member suspects the primary for it."""
    cluster = Cluster(4)
    cluster.request("T-1")
    cluster.stabilize()
    cluster.drop(lambda _s, target, message: type(message) is m.Bundle and target == 0)
    cluster.request("T-2", to=[1, 2, 3], session=(1, 7))
    for node in cluster.nodes:
        node.application.refusing.add((1, 7))
    cluster.advance(3_000)
    assert {node.core.snapshot().view for node in cluster.nodes} == {0}
    assert all(node.core.snapshot().pending == 0 for node in cluster.nodes)


def test_r33_missing_view_changes_are_fetched_by_digest() -> None:
    """r3 gets the NEW-VIEW but none of the VIEW-CHANGEs it names."""
    cluster = killed_primary()
    cluster.drop(lambda _s, target, message: type(message) is m.ViewChange and target == 3)
    asked = False
    for _ in range(40):
        cluster.advance(50)
        if cluster.messages(m.FetchViewChange, source=3):
            asked = True
            cluster.heal()
    assert asked
    assert cluster[3].core.snapshot().view == 1


@pytest.mark.parametrize("pair", [(1, 2), (1, 3), (2, 3)])
def test_a_dead_primary_is_replaced_despite_a_cut_between_backups(pair: tuple[int, int]) -> None:
    """SUSPECTs, VIEW-CHANGEs and votes reach the other through the third."""
    cluster = Cluster(4)
    cluster.advance(300)
    cluster[0].crash()
    cluster.drop(lambda source, target, _m: {source, target} == set(pair))
    cluster.request("T-1", to=[1, 2, 3])
    cluster.advance(6_000)
    assert [len(node.journal.log) for node in cluster.up()] == [1, 1, 1]


def test_r31_the_timeout_follows_late_turns_within_bounds() -> None:
    """A processor shared with others: every tick comes 200 ms late, so T becomes 1.6 s."""
    cluster = Cluster(4)
    core = cluster[1].core
    for _ in range(40):
        cluster.time = core.deadline() + 200_000_000
        cluster[1].tick()
        cluster.waiting.clear()
    assert core.snapshot().timeout == 1_600_000_000
    core.suspicion.on_round_trip(10_000_000_000)
    assert core.snapshot().timeout == 5_000_000_000
    core.suspicion.on_round_trip(0)
    for _ in range(300):
        cluster.time = core.deadline()
        cluster[1].tick()
        cluster.waiting.clear()
    assert core.snapshot().timeout == 800_000_000


def test_r31_one_late_turn_in_a_hundred_changes_nothing() -> None:
    cluster = Cluster(4)
    core = cluster[1].core
    for number in range(250):
        cluster.time = core.deadline() + (300_000_000 if number % 125 == 100 else 0)
        cluster[1].tick()
        cluster.waiting.clear()
    assert core.snapshot().timeout == 800_000_000
