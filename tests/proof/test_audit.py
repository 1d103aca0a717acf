"""Too many liars, a fork, and the auditor: f + 1 culprits, no honest member (P22)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.proof import Chain, Epoch, read_chain
from dtvn.proof.audit import Audit, Fork, find_forks
from dtvn.proof.evidence import convict
from dtvn.protocol import genesis as g
from dtvn.protocol import quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.genesis import Parameters
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import NEWEST
from simulator.campaign import Cut, Play
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.dice import Dice
from simulator.faults import FaultPlan
from simulator.network import LinkQuality
from simulator.run_plan import Partition, RunPlan
from simulator.violation import Violation
from simulator.workload import Traffic
from simulator.world import Settings, World
from tests.host.support import Paper, make_genesis


class Ledgers:
    """What the disks of a world hold when it ends, twins' too."""

    def __init__(self, world: World) -> None:
        self.frames: dict[str, list[bytes]] = {}
        self.logs: dict[str, dict[int, bytes]] = {}
        """Entry hashes of the honest ones."""
        for name, node in world.nodes.items():
            kept = self.frames[name] = [frame for record in node.disk.log for frame in record.commits]
            kept += [frame for record in node.disk.slots.values() for frame in record.frames]
            kept += [frame for record in node.disk.checkpoints for frame in record.frames]
            if node.honest:
                self.logs[name] = {record.entry.sequence: record.entry_hash for record in node.disk.log}


def split_world(seed: int, *, members: int, liars: int) -> RunPlan:
    """Twins that the network keeps apart, one of each on either side, in partings that change."""
    dice = Dice(seed).fork("audit")
    names = [f"r{index}" for index in range(members)]
    twinned = dice.sample(names, liars)
    honest = [name for name in names if name not in twinned]
    partitions = []
    for number in range(3):
        there = set(dice.sample(honest, dice.between(1, len(honest) - 1)))
        groups: tuple[list[str], list[str]] = ([], [])
        for name in honest:
            groups[name in there].append(name)
        for name in twinned:
            flip = dice.hit(0.3)
            groups[flip].append(name)
            groups[not flip].append(f"{name}~twin")
        partitions.append(Partition((number + 1) * SECOND // 2, (tuple(groups[0]), tuple(groups[1]))))
    return RunPlan(
        settings=Settings(
            members=members,
            learners=0,
            gateways=2,
            quality=LinkQuality(latency_min=MILLISECOND, latency_max=5 * MILLISECOND),
            parameters=Parameters(version=NEWEST, checkpoint_interval=5, view_timeout=200_000),
        ),
        traffic=Traffic(tickets=5, pause_max=80 * MILLISECOND),
        plan=FaultPlan(pause_max=100 * SECOND),
        adversaries=("twin/parted",) * liars,
        liars=tuple(names.index(name) for name in twinned),
        duration=2 * SECOND,
        partitions=tuple(partitions),
        dead=False,
    )


def chain_of(world: World) -> Chain:
    cluster = g.cluster_id(world.genesis)
    return Chain(
        cluster, "world", (Epoch(world.genesis.members, 0, cluster),), Mode.PBFT, scheme=world.keyring.scheme
    )


def play(drawn: RunPlan, seed: int) -> tuple[Ledgers, Chain, str]:
    """(what the ledgers hold, whom to trust, who broke which promise). The world is left in its trouble."""
    cluster = Cluster(seed, drawn.settings)
    workload = Play(cluster, drawn, Cut()).workload
    cluster.start()
    cluster.world.after(100 * MILLISECOND, workload.start)
    checker = ""
    try:
        cluster.world.run(drawn.duration)
    except Violation as violation:
        checker = violation.checker
    return Ledgers(cluster.world), chain_of(cluster.world), checker


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("members", "liars", "wanted"),
    [(4, 2, 2), (5, 3, 2), (7, 3, 1)],
)
def test_p22_after_a_fork_f_plus_1_are_convicted_and_no_honest_member(
    members: int, liars: int, wanted: int
) -> None:
    forked, codes = 0, set()
    for seed in range(400):
        drawn = split_world(seed, members=members, liars=liars)
        ledgers, chain, checker = play(drawn, seed)
        audit = Audit(chain)
        for name in ledgers.logs:
            audit.add(ledgers.frames[name])
        culprits = audit.culprits()
        guilty = {f"r{index}" for index in drawn.liars}
        assert set(culprits) <= guilty, f"seed {seed}: an honest member is convicted"
        for pieces in culprits.values():
            assert [convict(data, chain) for _conviction, data in pieces] == [each for each, _data in pieces]
        if find_forks(ledgers.logs):
            assert checker in ("agreement", "history")
            forked += 1
            codes |= {each.code for pieces in culprits.values() for each, _data in pieces}
            assert len(culprits) >= quorum.weak_quorum(members, Mode.PBFT), f"seed {seed}: {sorted(culprits)}"
        if forked >= wanted and "hidden_commit" in codes:
            break
    assert forked >= wanted, "too few worlds forked: the bound was not broken"
    assert "hidden_commit" in codes, "no fork lies across two views"


def test_p22_with_f_liars_no_log_forks_and_no_honest_member_is_named() -> None:
    for seed in range(4):
        drawn = split_world(seed, members=4, liars=1)
        ledgers, chain, checker = play(drawn, seed)
        assert checker == ""
        audit = Audit(chain)
        for frames in ledgers.frames.values():
            audit.add(frames)
        assert set(audit.culprits()) <= {f"r{drawn.liars[0]}"}
        assert find_forks(ledgers.logs) == []
        assert audit.statements > 50


def test_p22_of_several_forks_the_one_with_the_most_liars_says_how_many() -> None:
    """A fork before the cluster grew takes two of four, one after it three of seven."""
    small, large = (tuple(make_genesis(count).members) for count in (4, 7))
    audit = Audit(Chain(bytes(32), "c", (Epoch(small, 0, bytes(32)), Epoch(large, 10, bytes(32))), Mode.PBFT))
    early, late = Fork(10, "a", "b"), Fork(11, "a", "c")
    assert [audit.needed(forks) for forks in ([early], [late], [early, late], [])] == [2, 3, 3, 3]


def test_find_forks_names_the_sequence_at_which_two_ledgers_differ() -> None:
    logs = {"a": {1: b"x", 2: b"y", 3: b"z"}, "b": {1: b"x", 2: b"w"}, "c": {1: b"x"}}
    assert [msgspec.structs.astuple(fork) for fork in find_forks(logs)] == [(2, "a", "b")]


def test_p22_forgeries_in_a_ledger_hide_no_crime_and_convict_no_member() -> None:
    """The owner of a ledger may have filled it with frames that were never signed."""
    paper = Paper()
    commits = [m.Commit(0, 1, 0, 7, bytes([number]) * 32) for number in (1, 2)]
    signed = [paper.sign(each) for each in commits]
    forged = [paper.signer("r2").sign(each) for each in commits]
    lonely = paper.signer("r2").sign(m.Commit(0, 3, 0, 7, bytes(32)))
    audit = Audit(read_chain(g.encode(paper.genesis)))
    audit.add([*forged, b"noise", lonely, *signed, paper.sign(m.Commit(0, 3, 0, 7, bytes([1]) * 32))])
    (pieces,) = audit.culprits().values()
    assert [found.sentence() for found, _data in pieces] == [
        "r1 is convicted: commit, epoch 0, view 0, sequence 7"
    ]


def test_p22_a_checkpoint_that_stands_only_inside_a_view_change_convicts_its_signer() -> None:
    paper = Paper()
    one, other = (paper.sign(m.Checkpoint(0, 1, 10, bytes([number]) * 32, bytes(32), 7)) for number in (1, 2))
    audit = Audit(read_chain(g.encode(paper.genesis)))
    audit.add([one, paper.sign(m.ViewChange(0, 3, 1, (other,), ()))])
    assert [found.code for found, _data in audit.culprits()["r1"]] == ["checkpoint"]


def test_p22_an_unreadable_statement_prevents_no_verdict() -> None:
    """A culprit may sign noise inside a VIEW-CHANGE, and who compares it with his COMMITs stumbles."""
    paper = Paper()
    noise = m.ViewChange(0, 3, 1, (b"noise",), ())
    twice = [m.Commit(0, 2, 0, 5, bytes([number]) * 32) for number in (1, 2)]
    audit = Audit(read_chain(g.encode(paper.genesis)))
    audit.add(paper.sign(each) for each in [*twice, noise, m.Commit(0, 3, 0, 5, bytes(32))])
    named = {name: [found.code for found, _data in pieces] for name, pieces in audit.culprits().items()}
    assert named == {"r2": ["commit"], "r3": ["bad_view_change"]}
