"""Raft members of whom each frame is delivered by hand: what was acknowledged stays (R44)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.quorum import Mode
from tests.consensus.helpers import Cluster, Node

FETCHED = (m.Entries, m.Snapshot, m.Groups)


def raft(members: int, **changes: Any) -> Cluster:
    cluster = Cluster(members, mode=Mode.RAFT, **changes)
    cluster.advance(400)
    return cluster


def leader(cluster: Cluster, *among: int) -> Node:
    """The one of the highest term."""
    found = [cluster[index] for index in among if cluster[index].core.elections.leads]
    return max(found, key=lambda node: node.core.state.views.view)


def part(cluster: Cluster, *groups: tuple[int, ...]) -> None:
    """Only Pings and their answers pass between groups."""
    cluster.heal()
    of = {index: group for group in groups for index in group}
    cluster.drop(lambda source, target, message: of[source] != of[target] and not _is_ping(message))


def _is_ping(message: Any) -> bool:
    return isinstance(message, (m.Ping, m.Pong))


def order(cluster: Cluster, node: Node, *tickets: str) -> None:
    """Each in an entry of its own."""
    for ticket in tickets:
        cluster.request(ticket, to=[node.index or 0])
        cluster.advance(10)


def test_r31_a_suspended_cluster_keeps_its_leader() -> None:
    """All members sleep for a minute; none was silent."""
    cluster = raft(3)
    order(cluster, cluster[0], "before")
    first = leader(cluster, 0, 1, 2)
    term = first.core.state.views.view
    cluster.time += 60_000_000_000
    for node in (first, *cluster.nodes):
        node.tick()
    order(cluster, first, "after")
    cluster.advance(2_000)
    assert (leader(cluster, 0, 1, 2), first.core.state.views.view) == (first, term)
    assert [node.told("stepped_down") for node in cluster.nodes] == [[], [], []]


def test_r44_an_entry_whose_term_the_leader_forgot_matches_no_entry_of_term_0() -> None:
    """Member 4 has entries of term 0 that nobody else has, up to the one below the checkpoint from which the
    next leader, started again, knows the terms. What member 4 acknowledges above them is lost with them when
    it learns what was decided in their place."""
    cluster = raft(5, checkpoint_interval=4)
    order(cluster, cluster[0], "first")
    part(cluster, (0, 4), (1, 2, 3))
    order(cluster, cluster[0], *(f"lost-{number}" for number in range(6)))
    part(cluster, (0,), (4,), (1, 2, 3))
    cluster.advance(3_000)
    order(cluster, leader(cluster, 1, 2, 3), *(f"kept-{number}" for number in range(7)))
    for node in cluster.nodes[1:4]:
        node.crash()
    for node in cluster.nodes[1:4]:
        node.journal.materialise(node.application.changes())
        node.restart()
    cluster.advance(4_000)
    first = leader(cluster, 1, 2, 3)
    floor = first.core.log.floor
    assert first.core.log.own_term(floor) is None
    assert cluster[4].core.log.own_term(floor) == 0
    second, third = sorted({1, 2, 3} - {first.index or 0})

    part(cluster, (first.index or 0, second, 4), (0, third))
    cluster.drop(lambda _source, target, message: target == 4 and isinstance(message, FETCHED))
    cluster.advance(300)
    order(cluster, first, "acknowledged")
    part(cluster, (first.index or 0, second), (0, third, 4))
    cluster.advance(6_000)
    order(cluster, leader(cluster, 0, third, 4), "later")
    assert cluster.executed()[4] > floor
    cluster.agree()


def test_r44_a_member_that_fetched_an_entry_of_a_later_term_hears_its_old_leader_no_more() -> None:
    """Member 4 fetches what the leader of a later term decided, and hears of that term in no other way. Then
    an entry of term 0 arrives late. If it takes that entry, it may be elected with it, and its log seems to
    match that of member 0, where another entry comes before it."""
    cluster = raft(5)
    order(cluster, cluster[0], "first")
    base = cluster.executed()[0]
    part(cluster, (0,), (1, 2, 3), (4,))
    order(cluster, cluster[0], "lost-1", "lost-2")
    cluster.advance(3_000)
    old = leader(cluster, 1, 2, 3).index or 0
    assert cluster.executed() == [base, *[base + 1] * 3, base]

    part(cluster, (0,), (1, 2, 3, 4))
    kinds = (m.AppendEntries, m.RequestVote, m.RequestVoteResult)
    cluster.drop(lambda source, target, message: 4 in (source, target) and isinstance(message, kinds))
    cluster.advance(1_000)
    assert cluster.executed()[4] == base + 1
    sent = cluster.messages(m.AppendEntries, 0)
    late = next(each for each in sent if each.previous == base + 1 and each.bodies)
    cluster[4].hear(cluster[0], cluster[0].signer.link(late))

    second, third = sorted({1, 2, 3} - {old})
    cluster[old].crash()
    part(cluster, (0, 4, second), (third, old))
    cluster.drop(lambda _source, target, message: target == 0 and isinstance(message, FETCHED))
    cluster.drop(lambda source, _target, message: source != 4 and isinstance(message, m.RequestVote))
    cluster.advance(9_000)
    first = leader(cluster, 0, 4, second)
    assert first.index == 4
    order(cluster, first, "acknowledged")
    cluster.advance(300)
    assert cluster.executed()[4] == cluster.executed()[second] > base + 2
    cluster[old].restart()
    cluster.advance(300)
    part(cluster, (4, second), (0, third, old))
    cluster.advance(9_000)
    order(cluster, leader(cluster, 0, third, old), "later")
    cluster.agree()


def test_r44_a_core_that_ended_in_the_middle_of_a_page_executes_the_rest_of_it() -> None:
    """A checkpoint in a fetched page may contradict the own one, and its entries be of a later term."""
    cluster = raft(3)
    part(cluster, (0,), (1, 2))
    cluster.drop(lambda source, _target, message: source == 1 and isinstance(message, m.RequestVote))
    cluster.advance(3_000)
    page = cluster[2].journal.range(2, 2)
    assert page is not None
    core, other = cluster[0].core, leader(cluster, 1, 2).core
    assert core.executed == 1
    assert (before := core.state.views.view) < other.state.views.view
    core.catch_up._owing.add(2)
    core.state.views.become_ended()
    core.catch_up.on_entries(cluster.verified(cluster[2].signer.link(page), 2))
    assert (core.executed, core.state.views.view) == (2, before)


def test_r44_a_member_whose_log_ends_with_a_state_waits_for_words_before_it_takes_entries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A state names no term. Until a majority has named its terms, the one that sends entries may be the
    leader of an old term; what is decided it fetches."""
    cluster = raft(3, checkpoint_interval=4)
    while cluster.executed()[0] % 4 or cluster[2].core.state.log.stable < cluster.executed()[0]:
        order(cluster, cluster[0], f"ticket-{cluster.executed()[0]}")
    end = cluster.executed()[0]
    cluster.drop(lambda source, target, message: 2 in (source, target))
    cluster[2].crash()
    cluster[2].journal.materialise(cluster[2].application.changes())
    whole = cluster[2].journal.load()
    as_installed = msgspec.structs.replace(whole, entries=(), base=Base(whole.entries[-1].entry, ()))
    monkeypatch.setattr(cluster[2].journal, "load", lambda: as_installed)
    cluster[2].restart()
    cluster.advance(300)
    core = cluster[2].core
    assert core.state.may_sign_votes, "it waits for nobody's word to vote"
    assert (core.executed, core.log.own_term(end)) == (end, None)

    order(cluster, cluster[0], "later")
    sent = next(each for each in cluster.messages(m.AppendEntries, 0) if each.previous == end and each.bodies)
    cluster[2].hear(cluster[0], cluster[0].signer.link(sent))
    assert core.log.last == end

    cluster.heal()
    cluster.advance(1_000)
    assert core.log.last > end
    cluster.agree()


def test_empty_entries_of_many_failed_terms_do_not_fill_the_window() -> None:
    """Leader after leader is elected and not heard. Each begins its term with an empty entry, until there are
    more than the window takes; the last one is heard, and its followers take them all."""
    cluster = raft(3, checkpoint_interval=4)
    order(cluster, cluster[0], "before")
    cluster.drop(lambda _source, _target, message: isinstance(message, m.AppendEntries))
    for _ in range(200):
        cluster.advance(1_000)
    log = cluster[0].core.state.log
    last = sorted(node.core.log.last for node in cluster.nodes)
    assert not log.inside(last[1]), "the window is full in two logs"
    cluster.heal()
    cluster.advance(10_000)
    order(cluster, leader(cluster, 0, 1, 2), "after")
    assert min(cluster.executed()) > last[1]
    cluster.agree()


def test_r44_a_status_counts_only_on_its_senders_own_link() -> None:
    """One that another member relays may be old."""
    cluster = raft(3)
    order(cluster, leader(cluster, 0, 1, 2), "a", "b")
    cluster.advance(2_000)
    statuses = cluster[0].core.statuses
    said = statuses.members[2].status
    assert [statuses.refuse(said, member) for member in (2, 1, None)] == [
        None,
        Reason.WRONG_KIND,
        Reason.WRONG_KIND,
    ]


def test_r3_a_leader_with_a_wrong_clock_leads_on_by_those_of_the_others() -> None:
    """Two of five clocks go wrong with the leader's among them: it is neither deposed nor stopped."""
    cluster = raft(5)
    first = leader(cluster, *range(5))
    order(cluster, first, "before")
    cluster.advance(1_500)
    for node in (first, cluster[(first.index + 1) % 5]):
        node.skew = 3_600_000_000_000
    cluster.advance(1_500)
    order(cluster, first, "after")
    ahead = first.core.state.executor.timestamp - cluster[(first.index + 2) % 5].now().wall // 1_000
    assert cluster.executed() == [first.core.executed] * 5
    assert ahead <= 0
