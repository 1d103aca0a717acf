"""A Raft member that starts again, as it sees itself and as others see it (R11, R18, R44)."""

from __future__ import annotations

import copy
import json
from typing import Any

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.quorum import Mode
from tests.consensus.helpers import Cluster, Node

READER = Peer("gateway", None, b"reader")


def raft(members: int = 3) -> Cluster:
    cluster = Cluster(members, mode=Mode.RAFT)
    cluster.advance(400)
    cluster.request("first")
    cluster.advance(200)
    return cluster


def say_hello(source: Node, target: Node, **fields: Any) -> None:
    """Another process of `source` begins its link to `target`."""
    newest = source.core.claim[1]
    said = m.Hello(b"", **{"incarnation": 2, "start": b"another", "newest": newest, **fields})
    target.hear(source, source.signer.link(said))


def test_r44_a_member_votes_at_once_while_another_one_is_down() -> None:
    cluster = raft()
    cluster[2].crash()
    cluster[0].crash()
    cluster[0].restart()
    assert cluster[0].core.state.may_sign_votes
    cluster.advance(3_000)
    cluster.request("second", to=[0, 1])
    cluster.advance(1_000)
    assert cluster.executed()[0] == cluster.executed()[1] > 1


def test_r44_votes_of_a_start_that_names_an_older_statement_do_not_count_until_it_has_compared() -> None:
    cluster = raft()
    older = copy.deepcopy(cluster[2].journal)
    cluster.request("second")
    cluster.advance(200)
    cluster[2].crash()
    cluster[2].journal = older
    cluster.drop(lambda source, target, _message: 2 in (source, target))
    cluster[2].restart()
    say_hello(cluster[2], cluster[0])
    assert cluster[0].core.starts.doubted == {2}
    cluster.heal()
    cluster.advance(3_000)
    assert not cluster[2].core.voting, "it was shown what it lacks"
    assert cluster[0].core.starts.doubted == {2}


def test_r44_a_member_that_has_all_that_it_is_shown_counts_again() -> None:
    cluster = raft()
    cluster.request("second")
    cluster.advance(200)
    say_hello(cluster[2], cluster[0], newest=0)
    assert cluster[0].core.starts.doubted == {2}
    cluster.advance(3_000)
    assert cluster[0].core.starts.doubted == set()
    assert cluster[2].core.voting


def test_r44_a_process_that_is_refused_follows_and_names_a_higher_incarnation_next() -> None:
    cluster = raft()
    node = cluster[2]
    assert node.core.claim[0] > 0 or node.core.starts.incarnation == 0
    node.hear(cluster[0], cluster[0].signer.link(m.Hello(b"", known=7, known_start=b"other")))
    assert not node.core.voting
    assert node.core.claim[0] == 0
    assert node.core.starts.incarnation == 8
    node.crash()
    node.restart()
    assert node.core.starts.incarnation == 8
    assert not node.core.voting


def test_r11_r44_a_lost_vote_returns_by_the_word_of_three_of_five() -> None:
    """One member is gone for good."""
    cluster = Cluster(5, mode=Mode.RAFT, checkpoint_interval=4, window=8)
    cluster.advance(400)
    cluster[4].crash()
    lost = cluster[3]
    lost.crash()
    lost.journal = type(lost.journal)()
    lost.restart(voting=False)
    for number in range(60):
        cluster.request(f"T-{number}", to=[0, 1, 2])
        cluster.advance(60)
    assert lost.core.voting


def ask(cluster: Cluster, node: Node, number: int) -> None:
    """A reader asks a member for what is decided."""
    header = node.door.peek(Inbound(READER, node.signer.link(m.Query(number, m.READ_INDEX, ()))))
    assert node.core.wants(header) is None
    node.take(node.core.receive(node.door.verify(header), node.now()))


def answers(cluster: Cluster, node: Node) -> list[Any]:
    return [
        node.door.peek(Inbound(node.peer, frame)).message
        for source, peer, frame in cluster.answered
        if source is node and peer is READER
    ]


def test_r18_only_the_leader_answers_a_reader_and_asks_a_majority_first() -> None:
    cluster = raft()
    for node in cluster.nodes[:2]:
        ask(cluster, node, 7)
    assert answers(cluster, cluster[0]) == [], "it asks the others first"
    assert [answer.code for answer in answers(cluster, cluster[1])] == ["not_leader"]
    cluster.advance(50)
    [answer] = answers(cluster, cluster[0])
    assert (answer.number, json.loads(answer.text)) == (7, {"sequence": cluster.executed()[0]})


def test_r18_a_reader_waits_for_what_followers_decided_before_the_leader() -> None:
    """COMMITs reach the followers first, so that they have answered a caller already."""
    cluster = raft()
    before = cluster.executed()[0]
    cluster.drop(lambda _source, target, message: target == 0 and isinstance(message, m.Commit))
    cluster.request("T-1")
    cluster.advance(20)
    assert cluster.executed() == [before, before + 1, before + 1]
    ask(cluster, cluster[0], 7)
    cluster.drop(lambda *_: False)
    cluster.advance(1_000)
    [answer] = answers(cluster, cluster[0])
    assert json.loads(answer.text)["sequence"] == before + 1


def test_r18_a_leader_that_is_cut_off_answers_no_reader() -> None:
    cluster = raft()
    cluster.drop(lambda source, target, _message: 0 in (source, target))
    ask(cluster, cluster[0], 7)
    cluster.advance(300)
    assert answers(cluster, cluster[0]) == []
    cluster.advance(5_000)
    assert [answer.code for answer in answers(cluster, cluster[0])] == ["not_leader"], "it has stepped down"
