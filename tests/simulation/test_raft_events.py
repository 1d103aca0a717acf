"""Agent events judged and recorded by clusters that order by Raft (A11 to A13, R44)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from dtvn.events.config import algorithms_of
from dtvn.events.judging import Event, Verdict
from dtvn.gateway import Judged
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import AppendEntries
from dtvn.protocol.genesis import CAPABILITIES
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import Envelope
from simulator.campaign import Cut, Play
from simulator.checkers.decision_rules import DecisionRules
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.event_client import TEXTS, THREAD, EventClient, Written
from simulator.node import Node
from simulator.observers import Observer
from simulator.world import Settings
from simulator.worlds import world_of

pytestmark = pytest.mark.ci

OPENED = 200 * MILLISECOND
"""After which sessions are open and a leader is known."""
VERDICT = SECOND
RECORD = 10 * SECOND
"""For a record, elections included."""
RUN = [text for text in TEXTS if text != b"no JSON"]


class Leaders(Observer):
    """Who sent entries or heartbeats as the leader of each term."""

    kinds = frozenset({AppendEntries})

    def __init__(self) -> None:
        self.of: dict[int, set[str]] = {}

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        body = canonical.decode(Envelope, frame).body
        self.of.setdefault(canonical.decode(AppendEntries, body).term, set()).add(node.name)


class Asker(EventClient):
    """Has whole runs judged, when told to."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        super().__init__(cluster.gateways[number], cluster.world.dice.fork(f"asker {number}"))
        self.said: dict[str, Judged] = {}
        self.watchers.append(self)

    def hears(self, client: EventClient, member: int, body: bytes) -> None: ...

    def heard(self, client: EventClient) -> None: ...

    def answers(self, client: EventClient, answer: Judged, events: Sequence[Event]) -> None:
        self.said[answer.run] = answer

    def judge(self, name: str) -> None:
        """Have one run judged and recorded by the algorithm of the cluster."""
        now = self.gateway.clock.now().monotonic
        live = self.runs.begin(THREAD, name, event="agents", actor="proxy")
        events = [Event(bytes(16), text) for text in RUN]
        call = self.runs.judge(live.number, events, now, wait=VERDICT)
        self._written[live.number] = Written(live, self.gateway.world.time, {call: events})
        self.runs.end(live.number, now, wait=RECORD)
        self.gateway.attend()

    def recorded(self, name: str) -> bool:
        return any(record.run == name for record in self.records)


def cluster_of(members: int, gateways: int = 1) -> tuple[Cluster, list[Asker], Leaders]:
    """A Raft cluster whose sessions are open."""
    settings = Settings(members=members, learners=0, gateways=gateways, mode=Mode.RAFT)
    settings = msgspec.structs.replace(settings, capabilities=(*settings.capabilities, "record"))
    cluster = Cluster(1, settings)
    leaders = Leaders()
    cluster.world.observers.add(leaders)
    askers = [Asker(cluster, number) for number in range(gateways)]
    cluster.start()
    cluster.world.run_for(OPENED)
    return cluster, askers, leaders


def check_recorded(cluster: Cluster, asker: Asker, name: str, *, within: int = RECORD) -> None:
    """The members judge a run by raft, and the log holds it."""
    asker.judge(name)
    assert cluster.world.run_for(within, done=lambda: asker.recorded(name)), f"{name} is recorded"
    judged = asker.said[name]
    assert (judged.algorithm, judged.verdict, judged.certified) == ("raft", Verdict.VALID, True)


def leader_of(cluster: Cluster) -> Node | None:
    """The node that leads the highest term that any node is in; None while it has no leader."""
    up = [node for node in cluster.world.honest_members() if node.up]
    looks = [(node, node.look()) for node in up if node.look is not None]
    newest = max(look.view for _node, look in looks)
    leading = [
        node
        for node, look in looks
        if look.view == newest and not look.changing and look.primary == look.index
    ]
    return leading[0] if leading else None


def timeout(cluster: Cluster) -> int:
    """T, nanoseconds, of a member that is up."""
    return max(node.look().timeout for node in cluster.world.honest_members() if node.up and node.look)


def check_logs(cluster: Cluster) -> None:
    """All members hold the same entries, and no checker objects."""
    assert cluster.world.run_for(20 * SECOND, done=cluster.settled)
    nodes = cluster.world.honest_members()
    logs = [[None if one is None else one.entry_hash for one in node.disk.log] for node in nodes]
    assert logs[0]
    assert all(log == logs[0] for log in logs)
    cluster.finish()


def test_a11_a_single_member_leads_at_once_and_events_are_accepted() -> None:
    cluster, (asker,), _leaders = cluster_of(1)
    leader = leader_of(cluster)
    assert leader is not None
    assert cluster.world.time <= 2 * timeout(cluster)
    check_recorded(cluster, asker, "alone")
    check_logs(cluster)


@pytest.mark.parametrize("members", [3, 5])
def test_a11_one_leader_a_term_and_after_its_death_a_higher_term_judges_on(members: int) -> None:
    cluster, (asker,), leaders = cluster_of(members)
    check_recorded(cluster, asker, "before")
    spare = members // 2
    for death in range(spare):
        old = leader_of(cluster)
        assert old is not None
        term, patience = old.view(), 5 * timeout(cluster)
        old.crash(thorough=True)

        def led() -> bool:
            found = leader_of(cluster)
            return found is not None and found.view() > term  # noqa: B023

        assert cluster.world.run_for(patience, done=led), f"a leader above term {term}"
        check_recorded(cluster, asker, f"after death {death}")
    for node in cluster.world.honest_members():
        cluster.world.start(node)
    check_logs(cluster)
    assert len(leaders.of) > spare
    assert all(len(who) == 1 for who in leaders.of.values()), leaders.of


def test_a12_followers_that_are_asked_forward_to_the_leader() -> None:
    cluster, (asker,), _leaders = cluster_of(3)
    leader = leader_of(cluster)
    assert leader is not None
    gateway = asker.gateway.name
    cluster.world.network.part([gateway], [leader.name])
    cluster.world.relink()
    check_recorded(cluster, asker, "through a follower")
    assert leader_of(cluster) is leader, "nobody had to be elected"
    cluster.world.network.heal()
    cluster.world.relink()
    check_logs(cluster)


def test_a13_of_two_and_three_only_three_commit_and_healed_all_logs_are_equal() -> None:
    cluster, (few, many), leaders = cluster_of(5, gateways=2)
    check_recorded(cluster, few, "before")
    leader = leader_of(cluster)
    assert leader is not None
    names = [node.name for node in cluster.world.honest_members() if node is not leader]
    two, three = [leader.name, names[0]], names[1:]
    before = cluster.ends()
    cluster.world.network.part([*two, few.gateway.name], [*three, many.gateway.name])
    cluster.world.relink()
    few.judge("of two")
    check_recorded(cluster, many, "of three")
    cluster.world.run_for(5 * SECOND)
    after = cluster.ends()
    assert {name: after[name] for name in two} == {name: before[name] for name in two}, "two never commit"
    assert min(after[name] for name in three) > max(before.values())
    assert few.said["of two"].verdict is Verdict.NONE, "nor do they judge"
    assert few.said["of two"].failure[0] == "NO_QUORUM"
    assert not few.recorded("of two")
    cluster.world.network.heal()
    cluster.world.relink()
    check_recorded(cluster, few, "healed")
    check_logs(cluster)
    assert all(len(who) == 1 for who in leaders.of.values()), leaders.of


@pytest.mark.parametrize("seed", [2, 7])
def test_raft_worlds_judge_by_raft_beside_a_forger(seed: int) -> None:
    """In the second all runs are by any algorithm of such a cluster."""
    drawn = world_of("raft:recorded-runs", seed)
    may = msgspec.structs.replace(drawn.settings, capabilities=CAPABILITIES)
    plan = msgspec.structs.replace(
        drawn, event_runs=True, algorithms=algorithms_of(Mode.RAFT) if seed == 7 else (), settings=may
    )
    play = Play(Cluster(seed, plan.settings), plan, cut=Cut())
    play.run()
    (rules,) = [each for each in play.cluster.checkers if isinstance(each, DecisionRules)]
    found = {(algorithm.value, verdict) for algorithm, verdict, _certified in rules.verdicts}
    assert {("raft", Verdict.VALID), ("raft", Verdict.INVALID)} <= found
    assert {algorithm for algorithm, _verdict in found} == set(plan.algorithms or ("raft",))
