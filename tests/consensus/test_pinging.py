"""Ping and Pong: T follows the round trip to a quorum (R31), and a truncated ledger is detected (R11)."""

from __future__ import annotations

import copy

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.config import SECOND
from dtvn.protocol.consensus.effects import Reason
from simulator.cluster import Cluster as World
from simulator.network import LinkQuality
from simulator.world import Settings
from tests.consensus.helpers import MILLISECOND, Cluster, is_kind

VOTES = (m.PrePrepare, m.Prepare, m.Commit, m.ViewChange, m.NewView)


def timeouts(world: World) -> dict[str, int]:
    return {name: node.look().timeout for name, node in world.world.nodes.items() if node.index is not None}


def far_world(latency: int, members: int = 4) -> World:
    quality = LinkQuality(latency_min=latency, latency_max=latency)
    world = World(31, Settings(members=members, learners=0, gateways=0, quality=quality))
    world.start()
    return world


def test_r31_the_timeout_is_eight_round_trips_of_far_members() -> None:
    """Links of 100 ms each way: T is about 1.6 s, not 800 ms."""
    world = far_world(100 * MILLISECOND)
    world.world.run_for(10 * SECOND)
    for timeout in timeouts(world).values():
        assert 1_600 * MILLISECOND <= timeout <= 2_400 * MILLISECOND


def test_r31_on_a_near_network_the_timeout_is_its_base() -> None:
    world = far_world(MILLISECOND)
    world.world.run_for(5 * SECOND)
    assert set(timeouts(world).values()) == {800 * MILLISECOND}


@pytest.mark.parametrize("members", [4, 7])
def test_r31_f_members_that_answer_late_do_not_stretch_the_timeout(members: int) -> None:
    world = far_world(MILLISECOND, members)
    liars = [f"r{members - 1 - number}" for number in range((members - 1) // 3)]
    for liar in liars:
        world.world.network.when(kind=m.Pong, sender=liar).delay(1_500 * MILLISECOND)
    world.world.run_for(20 * SECOND)
    honest = {timeout for name, timeout in timeouts(world).items() if name not in liars}
    assert honest == {800 * MILLISECOND}


def test_r31_the_timeout_is_adapted_at_every_sixteenth_tick_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    suspicion = Cluster(4)[0].core.suspicion
    adaptations: list[int] = []
    adapt = suspicion._adapt

    def counted() -> None:
        adaptations.append(1)
        adapt()

    monkeypatch.setattr(suspicion, "_adapt", counted)
    for _ in range(1_600):
        suspicion.on_late(0)
    assert len(adaptations) == 100


def test_r31_an_unrequested_pong_measures_nothing() -> None:
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Pong))
    cluster.advance(2_100)
    asked = cluster.messages(m.Ping, source=0)[-1].number
    for number in (asked - 2, asked + 7):
        refused = cluster[0].hear(cluster[1], cluster[1].signer.link(m.Pong(number, 0, ())))
        assert refused is not None
    answer = cluster[1].signer.link(m.Pong(asked, 0, ()))
    assert cluster[0].hear(cluster[1], answer) is None
    assert cluster[0].hear(cluster[1], answer) is not None, "one answer for one question"


def busy_cluster(members: int = 4, requests: int = 3) -> Cluster:
    cluster = Cluster(members)
    for number in range(requests):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    cluster.advance(200)
    return cluster


@pytest.mark.parametrize("phase", ["prepare", "commit"])
def test_r11_an_old_copy_of_the_ledger_follows_without_a_vote(phase: str) -> None:
    """The folder is restored to before r3's last votes; only one other member received one of them."""
    cluster = busy_cluster()
    copied = copy.deepcopy(cluster[3].journal)
    vote = m.Prepare if phase == "prepare" else m.Commit
    cluster.drop(lambda source, target, message: source == 3 and (type(message) is not vote or target != 1))
    if vote is m.Prepare:  # it is counted, because another one is missing
        cluster.drop(lambda source, _t, message: source == 2 and type(message) is m.Prepare)
    cluster.request("T-late")
    cluster.stabilize()
    cluster[3].crash()
    cluster.heal()
    cluster[3].journal = copied
    cluster.sent.clear()
    cluster[3].restart()
    cluster.advance(2_000)
    assert not cluster[3].core.voting
    assert "not in its ledger" in cluster[3].core.state.voting_right.reason
    assert copied.states["voting"].value == b"0", "restarts included"
    assert not [message for s, _t, message in cluster.sent if s == 3 and isinstance(message, VOTES)]
    cluster.request("T-after")
    cluster.advance(500)
    assert min(cluster.executed()) >= 5, "it follows"
    cluster.agree()


def test_r11_a_view_change_that_the_ledger_lost_is_shown_too() -> None:
    cluster = busy_cluster()
    copied = copy.deepcopy(cluster[3].journal)
    cluster[0].crash()
    cluster.request("T-late", to=[1, 2, 3])
    cluster.advance(2_500)
    assert cluster.messages(m.ViewChange, source=3)
    cluster[3].crash()
    cluster[3].journal = copied
    cluster[3].restart()
    cluster.advance(1_000)
    assert not cluster[3].core.voting


def test_r11_a_members_statement_survives_restarts_of_its_receivers() -> None:
    """All others restart too: what they hold of r3 comes out of their ledgers."""
    cluster = busy_cluster()
    copied = copy.deepcopy(cluster[3].journal)
    cluster.request("T-late")
    cluster.stabilize()
    for node in cluster.nodes:
        node.crash()
    cluster[3].journal = copied
    for node in cluster.nodes:
        node.restart()
    cluster.advance(2_000)
    assert [node.core.voting for node in cluster.nodes] == [True, True, True, False]


def test_r11_votes_wait_for_a_quorum_of_answers_and_no_longer() -> None:
    cluster = busy_cluster()
    cluster[3].crash()
    cluster.drop(lambda source, target, message: type(message) is m.Pong and target == 3 and source != 1)
    cluster.sent.clear()
    cluster[3].restart()
    cluster.request("T-after")
    cluster.advance(400)
    assert cluster[3].core.state.voting_right.holding, "itself and one other are no quorum of four"
    assert not [message for s, _t, message in cluster.sent if s == 3 and isinstance(message, VOTES)]
    assert cluster.executed()[:3] == [4, 4, 4]
    cluster.rules.pop()
    cluster.advance(200)
    assert not cluster[3].core.state.voting_right.holding
    cluster.request("T-then")
    cluster.stabilize()
    assert cluster[3].core.voting
    assert [vote.sequence for vote in cluster.messages(m.Commit, source=3)][-1] == 5


def test_r11_a_member_that_is_down_is_waited_for_a_quarter_of_a_second() -> None:
    cluster = busy_cluster()
    cluster[2].crash()
    cluster[3].crash()
    cluster[3].restart()
    cluster.advance(200)
    assert cluster[3].core.state.voting_right.holding
    cluster.advance(100)
    assert not cluster[3].core.state.voting_right.holding
    cluster.request("T-then")
    cluster.advance(100)
    assert cluster.executed()[0] == 4, "three of four decide"


def test_r11_an_answer_slower_than_the_question_interval_counts() -> None:
    """Round trips of 300 ms: each answer is to an earlier question than the newest."""
    cluster = busy_cluster()
    for node in cluster.nodes:
        node.crash()
    cluster.waiting.clear()
    for node in cluster.nodes:
        node.restart()
    cluster.advance_far(4, 150)
    assert not any(node.core.state.voting_right.holding for node in cluster.nodes)
    assert {node.core.state.round_trips.of_quorum() for node in cluster.nodes} == {300 * MILLISECOND}


def test_row_15_one_answer_per_member_is_read_despite_repeated_questions() -> None:
    cluster = busy_cluster()
    cluster[3].crash()
    cluster.waiting.clear()
    cluster.drop(lambda _s, target, message: type(message) is m.Pong and target == 3)
    cluster[3].restart()
    cluster.advance(350)
    numbers = [ping.number for ping in cluster.messages(m.Ping, source=3)[-12::3]]
    assert len(set(numbers)) == 4
    heard = [
        cluster[3].hear(cluster[1], cluster[1].signer.link(m.Pong(number, 3, ())))
        for number in (numbers[0] - 1, numbers[1], numbers[0], numbers[2], numbers[3])
    ]
    assert heard == [Reason.NOT_ASKED, None, *[Reason.NOT_ASKED] * 3]


def test_row_15_unanswered_pings_are_forgotten() -> None:
    """A member is down for long; a late answer to the first question then measures nothing."""
    cluster = busy_cluster()
    cluster[3].crash()
    for index in (1, 2):
        cluster[index].crash()
    cluster.waiting.clear()
    cluster.sent.clear()
    cluster[3].restart()
    cluster.drop(lambda source, target, _m: {source, target} == {0, 3})
    first = cluster.messages(m.Ping, source=3)[0].number
    cluster.advance(5_100)
    late = cluster[0].signer.link(m.Pong(first, 3, ()))
    assert cluster[3].hear(cluster[0], late) is Reason.NOT_ASKED
    cluster.advance(60_000)
    pinging = cluster[3].core.pinging
    assert pinging.state.voting_right.holding
    assert max(len(open_) for open_ in pinging._asked.values()) <= 51


def test_r11_a_restarted_cluster_decides_again() -> None:
    """All hold back their votes and all answer; batches prepared before are committed."""
    cluster = busy_cluster()
    cluster.drop(is_kind(m.Commit))
    cluster.request("T-late")
    cluster.stabilize()
    for node in cluster.nodes:
        node.crash()
    cluster.heal()
    for node in cluster.nodes:
        node.restart()
    cluster.advance(300)
    assert cluster.executed() == [4] * 4
    assert all(node.core.voting for node in cluster.nodes)


def test_r11_forged_or_known_statements_take_no_vote_away() -> None:
    """Frames under another key, or known to the ledger, change nothing."""
    cluster = busy_cluster()
    known = [cluster.sign(vote) for vote in cluster.messages(m.Commit, source=3)[:1]]
    foreign = cluster.sign(m.Commit(0, 2, 9, 3, b"d" * 32))
    cluster[3].crash()
    cluster.drop(lambda _s, target, message: type(message) is m.Pong and target == 3)
    cluster[3].restart()
    number = cluster.messages(m.Ping, source=3)[-1].number
    for member in (0, 1, 2):
        lie = cluster[member].signer.link(m.Pong(number, 0, (*known, foreign)))
        cluster[3].hear(cluster[member], lie)
    assert cluster[3].core.voting
    assert not cluster[3].core.state.voting_right.holding
