"""In Search of an Understandable Consensus Algorithm (ATC 2014, extended version), sentence by sentence, and
two of Ongaro's dissertation (Consensus: Bridging Theory and Practice, 2014).

Each test quotes what it checks. A server is a member here, an AppendEntries RPC the pair AppendEntries and
AppendEntriesResult. Term t belongs to member t mod n, and an entry is committed by signed COMMITs, which
each member sends to all (docs/understand/protocol/raft.md lists the departures).
"""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus import RAFT_TERM
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.quorum import Mode
from tests.consensus.helpers import Cluster, Node, is_kind

LONG = 6_000
"""Milliseconds in which a leader is missed, and another one elected, whatever their timeouts."""


def raft(members: int = 5) -> Cluster:
    """A cluster whose member 0 leads term 0, with one decided entry."""
    cluster = Cluster(members, mode=Mode.RAFT)
    assert cluster.executed() == [1] * members
    return cluster


def only_asks(cluster: Cluster, member: int) -> None:
    """From now on no other member's RequestVote arrives."""
    cluster.drop(lambda source, _target, message: type(message) is m.RequestVote and source != member)


def term(node: Node) -> int:
    found: int = node.core.state.views.view
    return found


def leads(node: Node) -> bool:
    found: bool = node.core.elections.leads and not node.core.state.views.changing
    return found


def ends(node: Node) -> list[int | None]:
    """Own terms of the entries in a member's log."""
    log = node.core.log
    return [log.own_term(index) for index in range(1, log.last + 1)]


def body(own_term: int, proposed: int = 0) -> bytes:
    """An empty entry that was made in a term."""
    return canonical.encode(m.Batch(origin_view=own_term, proposed=proposed, requests=()))


def append(cluster: Cluster, target: int, of: int, previous: tuple[int, int], *bodies: bytes) -> Any:
    """The owner of term `of` sends entries after (index, own term); returns the answer."""
    source = cluster[of % cluster.members]
    message = m.AppendEntries(0, of, *previous, bodies, 0)
    cluster[target].hear(source, source.signer.link(message))
    return cluster.messages(m.AppendEntriesResult, source=target)[-1]


def ask(cluster: Cluster, target: int, of: int, last: tuple[int, int], **changes: Any) -> list[Any]:
    """The owner of term `of` asks for a vote, with a log that ends at (index, own term); its answers."""
    source = cluster[changes.pop("source", of % cluster.members)]
    clock = cluster[target].now().wall // 1_000
    message = m.RequestVote(0, of, *last, 0, changes.pop("pre", False), clock)
    before = len(cluster.messages(m.RequestVoteResult, source=target))
    cluster[target].hear(source, source.signer.link(message))
    return cluster.messages(m.RequestVoteResult, source=target)[before:]


def silent(cluster: Cluster) -> None:
    """Lets time pass until no member hears a leader, and nobody is elected."""
    cluster.drop(is_kind(m.AppendEntries, m.RequestVote, m.RequestVoteResult))
    cluster.advance(1_700)
    cluster.heal()


# --- 5.1 Raft basics -----------------------------------------------------------------------------


def test_r44_the_smaller_term_is_updated_to_the_larger_one() -> None:
    """ "If one server's current term is smaller than the other's, then it updates its current term to the
    larger value. If a candidate or leader discovers that its term is out of date, it immediately reverts to
    follower state." 5.1."""
    cluster = raft()
    cluster[0].hear(cluster[1], cluster[1].signer.link(m.AppendEntriesResult(0, 7, False, 1, 1, 0)))
    assert term(cluster[0]) == 7
    assert not leads(cluster[0])


def test_r44_a_request_with_a_stale_term_is_rejected() -> None:
    """ "If a server receives a request with a stale term number, it rejects the request." 5.1."""
    cluster = raft()
    append(cluster, 1, 8, (1, 0), body(8))
    answer = append(cluster, 1, 7, (1, 0), body(7))
    assert (answer.term, answer.matches) == (8, False)
    assert ends(cluster[1]) == [0, 8]
    silent(cluster)
    assert [(each.granted, each.current) for each in ask(cluster, 1, 7, (9, 8))] == [(False, 8)]


# --- 5.2 Leader election -------------------------------------------------------------------------


def test_r44_a_follower_without_a_leader_begins_an_election() -> None:
    """ "If a follower receives no communication over a period of time called the election timeout, then it
    assumes there is no viable leader and begins an election to choose a new leader." 5.2."""
    cluster = raft(3)
    cluster[0].crash()
    cluster.advance(LONG)
    leader = [node for node in cluster.up() if leads(node)]
    assert len(leader) == 1
    assert term(leader[0]) % 3 == leader[0].index
    assert {term(node) for node in cluster.up()} == {term(leader[0])}


def test_r44_a_candidate_wins_by_the_votes_of_a_majority() -> None:
    """ "A candidate wins an election if it receives votes from a majority of the servers in the full cluster
    for the same term." 5.2."""
    cluster = raft()
    cluster[0].crash()
    only_asks(cluster, 4)
    cluster.drop(lambda source, _t, message: type(message) is m.RequestVoteResult and source in (2, 3))
    cluster.advance(LONG)
    assert not any(leads(node) for node in cluster.up())
    cluster.heal()
    only_asks(cluster, 4)
    cluster.drop(lambda source, _t, message: type(message) is m.RequestVoteResult and source == 3)
    cluster.advance(LONG)
    assert leads(cluster[4])


def test_r44_each_server_votes_for_at_most_one_candidate_in_a_term() -> None:
    """ "Each server will vote for at most one candidate in a given term." 5.2. Here a term has only one."""
    cluster = raft()
    silent(cluster)
    assert not ask(cluster, 1, 4, (1, 0), source=3), "a term that is not its sender's"
    assert [each.granted for each in ask(cluster, 1, 4, (1, 0))] == [True]


def test_r44_a_new_leader_sends_to_all_others_at_once() -> None:
    """ "Once a candidate wins an election, it becomes leader. It then sends heartbeat messages to all of the
    other servers to establish its authority and prevent new elections." 5.2."""
    cluster = raft()
    cluster[0].crash()
    only_asks(cluster, 3)
    cluster.advance(LONG)
    first = [
        (target, message.term)
        for source, target, message in cluster.sent
        if source == 3 and type(message) is m.AppendEntries
    ]
    assert sorted(first[:4]) == [(target, 3) for target in (0, 1, 2, 4)]
    assert {term(node) for node in cluster.up()} == {term(cluster[3])}


def test_r44_a_candidate_recognizes_a_leader_of_its_term_or_a_later_one() -> None:
    """ "If the leader's term (included in its RPC) is at least as large as the candidate's current term, then
    the candidate recognizes the leader as legitimate and returns to follower state." 5.2."""
    cluster = raft()
    silent(cluster)
    cluster[1].core.elections.adopt(6)
    assert cluster[1].core.state.views.changing
    assert not append(cluster, 1, 5, (1, 0)).matches, "an older one is none"
    assert cluster[1].core.state.views.changing
    assert append(cluster, 1, 7, (1, 0)).matches
    assert (term(cluster[1]), cluster[1].core.state.views.changing) == (7, False)


def test_r44_election_timeouts_differ() -> None:
    """ "Raft uses randomized election timeouts to ensure that split votes are rare and that they are resolved
    quickly." 5.2. Here they follow from member, term and attempt: T to 2 T."""
    cluster = raft()
    found = {node.core.elections.patience for node in cluster.nodes}
    assert len(found) == 5
    timeout = cluster[0].core.state.timeouts.timeout
    assert all(timeout <= each < 2 * timeout for each in found)


# --- 5.3 Log replication -------------------------------------------------------------------------


def test_r44_the_leader_appends_the_entry_then_sends_it_to_each_other_server() -> None:
    """ "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in parallel
    to each of the other servers to replicate the entry." 5.3."""
    cluster = raft()
    before = len(cluster.sent)
    cluster.request("T-1")
    sent = [
        target
        for _s, target, message in cluster.sent[before:]
        if type(message) is m.AppendEntries and message.bodies
    ]
    assert sent == [1, 2, 3, 4]
    assert (0, 0, 2, "append") in cluster[0].journal.slots


def test_r44_an_entry_is_committed_once_a_majority_has_it() -> None:
    """ "A log entry is committed once the leader that created the entry has replicated it on a majority of
    the servers." 5.3. "The leader applies the entry to its state machine and returns the result of that
    execution to the client." 5.3."""
    cluster = raft()
    cluster.drop(lambda _s, target, message: type(message) is m.AppendEntries and target in (2, 3, 4))
    cluster.request("T-1")
    cluster.stabilize()
    assert cluster.executed() == [1] * 5
    assert not cluster.answers(m.Reply)
    cluster.heal()
    cluster.drop(lambda _s, target, message: type(message) is m.AppendEntries and target in (3, 4))
    cluster.advance(450)
    assert cluster.executed()[:3] == [2, 2, 2]
    assert cluster.answers(m.Reply)


def test_r44_an_entry_is_on_the_disk_of_who_acknowledges_it() -> None:
    """ "Persistent state on all servers (updated on stable storage before responding to RPCs): currentTerm,
    votedFor, log[]." Figure 2."""
    cluster = raft()
    append(cluster, 1, 5, (1, 0), body(5))
    assert (0, 5, 2, "append") in cluster[1].journal.slots
    assert (0, 5, 2, "commit") in cluster[1].journal.slots
    kept = cluster[1].journal.load().states
    assert canonical.encode((0, 5)) in [record.value for record in kept if record.name == RAFT_TERM]
    cluster[1].crash()
    cluster[1].restart()
    assert term(cluster[1]) == 5
    assert ends(cluster[1]) == [0, 5]


def test_r44_entries_are_refused_where_the_one_before_them_differs() -> None:
    """ "If the follower does not find an entry in its log with the same index and term, then it refuses the
    new entries." 5.3."""
    cluster = raft()
    append(cluster, 1, 5, (1, 0), body(5), body(5, 1))
    for previous in ((4, 5), (3, 7)):
        answer = append(cluster, 1, 7, previous, body(7))
        assert not answer.matches
        assert answer.last < previous[0]
    assert ends(cluster[1]) == [0, 5, 5]


def test_r44_a_conflicting_entry_and_all_that_follow_it_are_replaced() -> None:
    """ "If an existing entry conflicts with a new one (same index but different terms), delete the existing
    entry and all that follow it." Figure 2. "Conflicting entries in follower logs will be overwritten with
    entries from the leader's log." 5.3."""
    cluster = raft()
    append(cluster, 1, 5, (1, 0), body(5), body(5, 1), body(5, 2))
    assert append(cluster, 1, 7, (2, 5), body(7)).matches
    assert ends(cluster[1]) == [0, 5, 7]
    cluster[1].crash()
    cluster[1].restart()
    assert ends(cluster[1]) == [0, 5, 7], "what followed is void"


def test_r44_entries_that_are_present_already_are_ignored() -> None:
    """ "If a follower receives an AppendEntries request that includes log entries already present in its log,
    it ignores those entries in the new request." 5.5."""
    cluster = raft()
    append(cluster, 1, 5, (1, 0), body(5), body(5, 1))
    before = dict(cluster[1].journal.slots)
    assert append(cluster, 1, 5, (1, 0), body(5)).matches
    assert append(cluster, 1, 10, (1, 0), body(5)).matches
    assert ends(cluster[1]) == [0, 5, 5], "what follows them stays"
    appended = {key for key in cluster[1].journal.slots if key[3] == "append"}
    assert appended == {key for key in before if key[3] == "append"}


def test_r44_the_leader_goes_back_to_where_the_logs_match() -> None:
    """ "The leader decrements nextIndex and retries the AppendEntries RPC. Eventually nextIndex will reach a
    point where the leader and follower logs match." 5.3."""
    cluster = raft()
    cluster.cut(0, 1)
    for number in range(3):
        cluster.request(f"T-{number}")
        cluster.advance(100)
    assert len(ends(cluster[1])) > 1 == len(ends(cluster[2]))
    cluster.advance(LONG)
    leader = next(node for node in cluster.nodes[2:] if leads(node))
    cluster.heal()
    cluster.advance(LONG)
    assert leads(leader)
    assert ends(cluster[0]) == ends(cluster[1]) == ends(leader)
    cluster.agree()


def test_r44_the_leader_retries_until_all_followers_have_all_entries() -> None:
    """ "If followers crash or run slowly, or if network packets are lost, the leader retries AppendEntries
    RPCs indefinitely (even after it has responded to the client) until all followers eventually store all log
    entries." 5.3."""
    cluster = raft()
    cluster[4].crash()
    for number in range(3):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    assert cluster.executed() == [4, 4, 4, 4, 1]
    cluster[4].restart()
    cluster.drop(is_kind(m.Entries))
    cluster.advance(LONG)
    assert cluster.executed() == [4] * 5


# --- 5.4 Safety ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "granted"),
    [((3, 5), True), ((2, 5), False), ((9, 0), False), ((1, 6), True), ((4, 5), True)],
)
def test_r44_a_voter_denies_its_vote_if_its_own_log_is_more_up_to_date(
    last: tuple[int, int], granted: bool
) -> None:
    """ "If the logs have last entries with different terms, then the log with the later term is more
    up-to-date. If the logs end with the same term, then whichever log is longer is more up-to-date."
    5.4.1."""
    cluster = raft()
    append(cluster, 1, 5, (1, 0), body(5), body(5, 1))
    silent(cluster)
    assert [each.granted for each in ask(cluster, 1, 8, last)] == [granted]


def test_r44_entries_of_previous_terms_are_not_committed_by_counting_replicas() -> None:
    """ "Raft never commits log entries from previous terms by counting replicas. Only log entries from the
    leader's current term are committed by counting replicas; once an entry from the current term has been
    committed in this way, then all prior entries are committed indirectly because of the Log Matching
    Property." 5.4.2."""
    cluster = raft()
    cluster.drop(lambda *_: True)
    for follower in (2, 3, 4):
        append(cluster, follower, 6, (1, 0), body(4))
    given = {(message.view, message.sequence) for message in cluster.messages(m.Commit)}
    assert (6, 2) not in given, "a majority has it"
    cluster.heal()
    for follower in (2, 3, 4):
        append(cluster, follower, 6, (1, 0), body(4), body(6))
        cluster.stabilize()
    given = {(message.view, message.sequence) for message in cluster.messages(m.Commit)}
    assert {(6, 2), (6, 3)} <= given
    assert cluster.executed()[2:] == [3, 3, 3]


# --- 6, 8 and the dissertation -------------------------------------------------------------------


def test_r44_a_request_for_votes_is_disregarded_while_a_leader_is_heard() -> None:
    """ "If a server receives a RequestVote RPC within the minimum election timeout of hearing from a current
    leader, it does not update its term or grant its vote." 6."""
    cluster = raft()
    for pre in (True, False):
        assert [each.granted for each in ask(cluster, 1, 4, (9, 0), pre=pre)] == [False]
        assert term(cluster[1]) == 0
    silent(cluster)
    assert [each.granted for each in ask(cluster, 1, 4, (9, 0))] == [True]
    assert term(cluster[1]) == 4


def test_r44_a_leader_begins_its_term_with_a_blank_entry() -> None:
    """ "Raft handles this by having each leader commit a blank no-op entry into the log at the start of its
    term." 8."""
    cluster = raft()
    cluster[0].crash()
    cluster.advance(LONG)
    leader = next(node for node in cluster.up() if leads(node))
    assert ends(leader) == [0, term(leader)]
    assert not leader.core.log.batch(2).bundles
    assert cluster.executed()[1:] == [2] * 4


def test_r44_a_leader_steps_down_without_a_majority() -> None:
    """ "A leader in Raft steps down if an election timeout elapses without a successful round of heartbeats
    to a majority of its cluster." Ongaro 2014, 6.2."""
    cluster = raft()
    cluster.cut(0, 1)
    cluster.advance(1_200)
    assert leads(cluster[0])
    cluster.advance(1_000)
    assert not leads(cluster[0])
    assert cluster[0].told("stepped_down") == [{"term": 0}]


def test_r44_a_candidate_asks_first_whether_it_would_be_elected() -> None:
    """ "In the Pre-Vote algorithm, a candidate only increments its term if it first learns from a majority of
    the cluster that they would be willing to grant the candidate their votes." Ongaro 2014, 9.6."""
    cluster = raft()
    cluster.cut(4)
    cluster.advance(LONG)
    assert {message.pre for message in cluster.messages(m.RequestVote, source=4)} == {True}
    assert term(cluster[4]) == 0
    cluster.heal()
    cluster.advance(LONG)
    assert leads(cluster[0])
    assert {term(node) for node in cluster.nodes} == {0}
