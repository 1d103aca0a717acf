"""Histories in which entries, answers, locks or epochs are wrong, or what is read and exported of them."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dtvn.gateway import Result
from dtvn.machine import (
    Acquire,
    Issue,
    Lock,
    Reconfigure,
    Validate,
)
from dtvn.machine.commands import build
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus import EPOCH
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import (
    CheckpointRecord,
    EntryRecord,
    Executed,
    Note,
    Prune,
    StateRecord,
)
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.genesis.terms import Parameters
from dtvn.protocol.versions import NEWEST
from simulator.checkers import exports, read_your_writes, reads
from simulator.checkers.ages import Ages
from simulator.checkers.agreement import Agreement
from simulator.checkers.archives import Archives
from simulator.checkers.as_the_model import AsTheModel
from simulator.checkers.at_most_once import AtMostOnce
from simulator.checkers.certificates import Certificates
from simulator.checkers.durability import Durability
from simulator.checkers.epoch_changes import EpochChanges
from simulator.checkers.exports import Exports
from simulator.checkers.fault_tolerance_kept import FaultToleranceKept
from simulator.checkers.history import History
from simulator.checkers.learner import Learners
from simulator.checkers.linearizable import Linearizable
from simulator.checkers.lock_order import LockOrder
from simulator.checkers.low_watermark import LowWatermark
from simulator.checkers.never_two_holders import NeverTwoHolders
from simulator.checkers.one_holder import OneHolder
from simulator.checkers.read_your_writes import RARER, ReadYourWrites
from simulator.checkers.reads import Reads
from simulator.checkers.repeats import Repeats
from simulator.checkers.state_roots import StateRoots
from simulator.checkers.statements import Statements
from simulator.checkers.validity import Validity
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.gateway import Request
from tests.consensus.world import make
from tests.simulation.firing import (
    GATE,
    NOON,
    ROOTS,
    consumes,
    fires,
    logged,
    operation,
    shown,
    signed,
    vote,
    world_of,
)
from tests.simulation.stand_ins import CLUSTER, StandInHistory, asked, entry, word

H1, H2 = b"holder 1", b"holder 2"


# --- entries and their proofs ----------------------------------------------------------------------


@fires(
    "agreement: at 1 m1 has {}, m0 has {}".format(
        *(e.entry_hash.hex()[:12] for e in (entry(1, "other"), entry(1)))
    )
)
def two_members_execute_unlike_entries() -> None:
    world = world_of()
    checker = Agreement(world)
    checker.persisted(world.nodes["m0"], [entry(1)])
    checker.persisted(world.nodes["m1"], [entry(1, "other")])


@fires("certificates: m0: 2 of 3 members prove entry 5")
def a_member_counts_itself_twice() -> None:
    world = world_of()
    frames = signed(world, vote(m.Commit), 0, 1, 1)
    Certificates(world, Statements(world, world)).persisted(world.nodes["m0"], [entry(5, commits=frames)])


@fires("low-watermark: m0: the certificate of 5 has 2 signers")
def a_checkpoint_is_stable_too_soon() -> None:
    world = world_of()
    frames = signed(world, m.Checkpoint(0, 0, 5, *ROOTS), 0, 1)
    LowWatermark(world, Statements(world, world)).persisted(
        world.nodes["m0"], [CheckpointRecord(0, 5, *ROOTS, frames)]
    )


@fires("low-watermark: m0 forgets up to 6, proven is 0")
def a_member_prunes_what_no_checkpoint_proves() -> None:
    world = world_of()
    LowWatermark(world, Statements(world, world)).persisted(world.nodes["m0"], [Prune(6)])


@fires("state-roots: m0 has not the state that the log gives after 5")
def a_member_signs_another_state() -> None:
    world = world_of()
    StateRoots(world, StandInHistory(world)).spoke(  # type: ignore[arg-type]
        world.nodes["m0"], "m2", world.sign(m.Checkpoint(0, 0, 5, *ROOTS))
    )


@fires("learner: l0 ends at 0, members at {'m0': 1, 'm1': 0, 'm2': 0, 'm3': 0}")
def a_learner_never_catches_up() -> None:
    world = world_of(learners=1)
    world.nodes["m0"].disk.log.append(entry(1))
    Learners(world).finish()


@fires("archives: m1 lacks 1 entries, from 1 to 1")
def an_archive_stays_empty() -> None:
    world = world_of()
    world.run_for = lambda time, done: done()
    world.nodes["m1"].disk.log.append(None)
    Archives(world).finish()


@fires("ages: l0 says that its log of 1 is 9900 ms old, but before that every honest member had 2")
def a_follower_calls_its_old_log_young() -> None:
    world = world_of(learners=1)
    checker, follower = Ages(world), world.nodes["l0"]
    for node in world.nodes.values():
        node.clock = SimpleNamespace(skew=0)
        checker.started(node)
    for at in (10, 20):
        world.time = at * SECOND
        for name in world.member_names:
            node = world.nodes[name]
            node.disk.log.append(entry(len(node.disk.log) + 1))
            checker.persisted(node, [node.disk.log[-1]])
    world.time = 30 * SECOND
    follower.host = SimpleNamespace(executed=1, age=lambda: 9_900_000)
    checker.turning(follower)


# --- what clients are told -------------------------------------------------------------------------


@fires("durability: gate was told already_consumed of (1, 0): it is ok")
def a_client_is_told_another_code() -> None:
    checker = logged(world_of(), Durability, (consumes(), "ok", b""))
    checker.answered(GATE, asked((consumes(), Result("already_consumed", sequence=1))))


@fires("durability: 1 was acknowledged, but only 2 of 3 disks hold it")
def an_answer_comes_before_a_quorum_of_disks() -> None:
    world = world_of()
    checker = logged(world, Durability, (consumes(), "ok", b""))
    for name in ("m0", "m1"):
        world.nodes[name].disk.log.append(entry(1))
    checker.persisted(world.nodes["m0"], [entry(1)])
    checker.answered(GATE, asked((consumes(), Result("ok", sequence=1))))


def gates() -> Any:
    """A world whose principal `gate` may scan."""
    world = world_of()
    may = tuple(SimpleNamespace(capability=each) for each in ("gate", "issue", "operate"))
    world.genesis.principals = (SimpleNamespace(name="gate", grants=may),)
    return world


@fires("at-most-once: bundle 1 of session (1, 1) at 1 and 2")
def a_request_is_executed_twice() -> None:
    world, bundle = gates(), SimpleNamespace(session=(1, 1), number=1, operations=())
    history: Any = SimpleNamespace(bundles=[(1, bundle, ()), (2, bundle, ())])
    AtMostOnce(world, history, AsTheModel(world, history)).persisted(world.nodes["m0"], [])


@fires("at-most-once: 'a': ['(1, 0)'] were all told ok")
def a_client_is_told_of_an_entry_that_was_not_made() -> None:
    world, history = gates(), StandInHistory(world_of())
    checker = AtMostOnce(world, history, AsTheModel(world, history))
    checker.answered(GATE, asked((consumes(), Result("ok", shown("a"), 1))))


def soon() -> m.Operation:
    return consumes(valid_until=NOON + SECOND // 1_000, nonce=b"n1")


@fires("model: the log answers ok, the model ticket_not_found to consume a at 3: Consume(gate='', device='')")
def a_repeat_is_answered_otherwise() -> None:
    issued = operation(Issue(), "a", valid_until=NOON + SECOND // 1_000), "ok", b""
    logged(gates(), AsTheModel, (soon(), "ticket_not_found", b""), issued, (soon(), "ok", shown("a")))


@fires("model: the log answers ok, the model ticket_not_found to consume a at 1: Consume(gate='', device='')")
def a_ticket_that_nobody_issued_is_consumed() -> None:
    logged(gates(), AsTheModel, (soon(), "ok", shown("a")))


@fires("validity: consume at 1 was executed 1 us late")
def a_request_is_executed_after_its_end() -> None:
    world = world_of()
    world.genesis.principals = (SimpleNamespace(name="gate", grants=("all",)),)
    logged(world, Validity, (consumes(valid_until=NOON), "ok", b""))


@fires("validity: guest may do nothing, but its consume at 1 is ok")
def a_principal_without_a_grant_is_served() -> None:
    world = world_of()
    world.genesis.principals = (SimpleNamespace(name="guest", grants=()),)
    logged(world, Validity, (consumes(), "ok", b""), principal="guest")


@fires(
    "linearizable: no order of its calls explains a of default: issue a [0, 1] ok, "
    "validate a [2, 3] ticket_not_found"
)
def a_ticket_that_was_issued_is_not_found() -> None:
    client: Any = SimpleNamespace(principal="gate", name="gate", world=SimpleNamespace(cluster=CLUSTER))
    client.requests = [
        Request(at, (operation(command, "a"),), at, (Result(code),), at + 1)
        for at, command, code in ((0, Issue(), "ok"), (2, Validate(), "ticket_not_found"))
    ]
    checker = Linearizable(world_of())
    checker.watch([client])
    checker.finish()


@fires("read-your-writes: l0 shows a as of 4, but its state of 5 was acknowledged")
def a_reader_shows_an_older_state() -> None:
    world = world_of(learners=1)
    node = world.nodes["l0"]
    node.serves_reads, node.disk.applied, node.bring_rows_up = True, 5, lambda: None
    checker = ReadYourWrites(world)
    client: Any = SimpleNamespace(name="gate", collector=SimpleNamespace(acknowledged=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_your_writes, "ticket_shown", lambda *_asked: 4)
        for _ in range(4 * RARER):
            checker.answered(client, asked((consumes(), Result("ok", shown("a", 5)))))
            checker.noticed(node, Executed(entry(5).entry, word("hash"), (), 0))


# --- locks -----------------------------------------------------------------------------------------


def lease(holder: bytes, token: int, ends: int) -> bytes:
    return canonical.encode(LockRow("gate", holder, token, ends))


@fires("one-holder: door at 2: token 5 after 5")
def a_lease_does_not_raise_the_token() -> None:
    first, second = operation(Acquire("desk", H1, 9)), operation(Acquire("door", H2, 9))
    leases = (first, "ok", lease(H1, 5, NOON + 10)), (second, "ok", lease(H2, 5, NOON + 11))
    logged(world_of(), OneHolder, *leases)


@fires("lock-order: desk at 2: lock is ok, not lock_held")
def a_lock_is_given_to_two() -> None:
    first, second = (operation(Lock("desk", holder, 100)) for holder in (H1, H2))
    leases = (first, "ok", lease(H1, 5, NOON + 101)), (second, "ok", lease(H2, 6, NOON + 102))
    logged(world_of(), LockOrder, *leases)


@fires("never-two-holders: desk: ('gate', b'holder 2') and ('gate', b'holder 1') have the token 5")
def two_clients_are_told_one_token() -> None:
    checker = NeverTwoHolders(world_of())
    for holder, at in ((H1, 10), (H2, 30)):
        told = Result("ok", lease(holder, 5, at + 10), 1, 0, at)
        checker.answered(GATE, asked((operation(Lock("desk", holder, 100)), told)))


# --- epochs ----------------------------------------------------------------------------------------


def changed(world: Any, kind: Any, after: int) -> None:
    """The log's first operation changes the members to these, without a word that they live."""
    history: Any = StandInHistory(world)
    history.epochs.append(
        history.epochs[0].followed_by(1, tuple(map(world.member, range(after))), Parameters(version=NEWEST))
    )
    history.batch(NOON, (operation(Reconfigure(Change(0))), m.Outcome("ok", b"")))
    checker = (
        EpochChanges(world, Statements(world, world), history)
        if kind is EpochChanges
        else kind(world, history)
    )
    checker.persisted(world.nodes["m0"], [])


@fires("epoch-changes: the change at 1 has liveness proofs of [] only (R36)")
def members_change_without_proofs_of_life() -> None:
    changed(world_of(), EpochChanges, 5)


@fires("fault-tolerance-kept: the change at 1 leaves 3 of 4 members, which nobody meant (R37)")
def a_change_gives_up_a_liar_unmeant() -> None:
    changed(world_of(), FaultToleranceKept, 3)


@fires("epoch-changes: m0 enters an epoch 1 that the log does not begin")
def a_member_enters_an_epoch_of_its_own() -> None:
    world = world_of()
    history: Any = StandInHistory(world)
    entered = canonical.encode_trimmed(history.epochs[0].followed_by(7, (), Parameters(version=NEWEST)))
    checker = EpochChanges(world, Statements(world, world), history)
    checker.persisted(world.nodes["m0"], [StateRecord(EPOCH, entered)])


@fires("repeats: the outcome at (2, 0) names no first one, which is at (1, 0)")
def a_repeat_passes_for_the_first() -> None:
    world = world_of()
    history: Any = StandInHistory(world)
    for time in (NOON, NOON + 1):
        history.batch(time, (consumes(nonce=b"scan"), m.Outcome("ok", b"", ())))
    Repeats(world, history).finish()


# --- what a real log and its proofs say --------------------------------------------------------------


@cache
def cluster() -> Cluster:
    """Twelve tickets were issued, a batch each."""
    cluster = make(1, gateways=1)
    gateway = cluster.gateways[0]
    for number in range(12):
        until = gateway.clock.now().wall // 1_000 + 10_000_000
        said = {"actor": "anna", "entry": "r0", "valid_until": until}
        gateway.ask([build(Issue(), ticket=f"t{number}", **said)])
        cluster.world.run_for(20 * MILLISECOND)
    return cluster


def read_on(**fields: Any) -> None:
    """The log's third entry with these fields is read after the first two."""
    log = [record for record in cluster().world.nodes["r0"].disk.log if record is not None]
    history = History(cluster().world, cluster().keys)
    node: Any = SimpleNamespace(name="r0", honest=True, membership=cluster().world.epochs[0])
    third = msgspec.structs.replace(log[2].entry, **fields)
    history.persisted(node, [*log[:2], EntryRecord(third, b"", log[2].body, ())])


@fires("history: the results of 3 are others")
def the_log_names_other_results() -> None:
    read_on(results_root=word("results"))


@fires("history: the effective timestamp of 3 is wrong (R3)")
def the_log_names_another_time() -> None:
    read_on(timestamp=1)


@fires("history: 3 is void: epoch 1 ended at 0 (R35)")
def an_entry_is_of_an_epoch_that_is_over() -> None:
    read_on(epoch=1)


def answered(**said: Any) -> Exports:
    """A checker that was told of the first call's answer, with these fields changed."""
    checker, (gateway,) = Exports(cluster().world, cluster().history), cluster().gateways
    first = gateway.requests[0]
    assert first.results is not None
    result = msgspec.structs.replace(first.results[0], **said)
    checker.answered(gateway, asked((first.operations[0], result)))
    return checker


@fires(
    "exports: the certificate of (2, 0) is of ('issue', 'default', 't0', 'ok'), "
    "a client was told ('issue', 'default', 't0', 'ticket_exists')"
)
def a_certificate_says_otherwise_than_the_answer() -> None:
    answered(code="ticket_exists").finish()


@fires("exports: a certificate of (2, 0) with a signature fewer is believed")
def a_verifier_believes_what_it_believed_before() -> None:
    real, first = exports.verify, []

    def believes(certificate: Any, chain: Any) -> Any:
        first.append(first[0] if first else real(certificate, chain))
        return first[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "verify", believes)
        answered().finish()


@fires("reads: r1 on t11 at 10: proved is another state than the log's")
def a_read_proves_another_state() -> None:
    checker = Reads(cluster().world, cluster().history)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reads, "proved_ticket", lambda *_asked: (0, None))
        for _ in range(24):
            checker.noticed(cluster().world.nodes["r1"], Note("checkpoint_stable", {}))
