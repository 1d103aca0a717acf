"""Locks, their queues and recorded runs of agent events, told whole; and a state that is transferred."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dtvn.machine import (
    Acquire,
    CancelLock,
    Issue,
    Lock,
    Record,
    Release,
    Renew,
    Seed,
    SetEvent,
    Unlock,
    Validate,
    locks,
    runs,
    waiters,
)
from dtvn.machine.snapshot import Staging
from dtvn.protocol.genesis import Principal
from tests.golden import Compare
from tests.tickets_machine.recording import Recorder, changed
from tests.tickets_machine.support import HOUR, MINUTE, SECOND, Machine, genesis, public
from tests.tickets_machine.telling import Teller, words
from tests.tickets_machine.test_locks import LOCKERS

GOLDEN = Path(__file__).parent / "golden"


def test_locks(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken, waited for, renewed, handed on, given back, ended by time; and each limit."""
    monkeypatch.setattr(locks, "LOCKS_MAX", 3)
    monkeypatch.setattr(waiters, "QUEUE_MAX", 3)
    monkeypatch.setattr(waiters, "WAITERS_MAX", 4)
    founded = genesis(demo=False, principals=(*LOCKERS, Principal("stranger", public("x"), ())))
    teller = Teller(Machine(founded))
    _first_forms(teller)
    _queue(teller)
    _times(teller)
    _limits(teller)
    golden(GOLDEN / "locks.txt", teller.text)


def _ask(teller: Teller, command: Any, who: str = "gateway", **more: Any) -> None:
    teller.ask(command, principal=who, **{"event": "agents"} | more)


def _first_forms(teller: Teller) -> None:
    teller.chapter("The first forms")
    for who in ("stranger", "recorder", "operator", "gateway", "other"):
        _ask(teller, Acquire("one", b"h", 5 * SECOND), who)
    _ask(teller, Acquire("one", b"H", 5 * SECOND), "operator")
    _ask(teller, Acquire("one", b"h", 9 * SECOND), "operator", nonce=b"a", actor="otto")
    _ask(teller, Release("one", b"H"), "operator")
    _ask(teller, Release("one", b"h"), "gateway")
    _ask(teller, Release("one", b"h"), "operator")
    _ask(teller, Release("one", b"h"), "operator")
    _ask(teller, Acquire("one", b"h", SECOND), "other", event="elsewhere")
    teller.restart()


def _queue(teller: Teller) -> None:
    teller.chapter("A queue, in the order of its places")
    _ask(teller, Lock("q", b"first", MINUTE))
    _ask(teller, Lock("q", b"second", MINUTE), "other")
    _ask(teller, Lock("q", b"second", 20 * SECOND, wait=30 * SECOND), "other")
    _ask(teller, Lock("q", b"third", 21 * SECOND, wait=40 * SECOND))
    _ask(teller, Lock("q", b"second", 25 * SECOND, wait=50 * SECOND), "other", nonce=b"again")
    _ask(teller, Lock("q", b"first", 2 * MINUTE, wait=SECOND))
    token = teller.machine.rows["lock", ("agents", "q")].row.token
    _ask(teller, Renew("q", b"first", token, 3 * MINUTE))
    _ask(teller, Renew("q", b"first", token + 1, 3 * MINUTE))
    _ask(teller, Renew("q", b"second", token, 3 * MINUTE), "other")
    _ask(teller, Renew("free", b"first", token, 3 * MINUTE))
    teller.restart()
    _ask(teller, Unlock("q", b"first", token + 1))
    _ask(teller, Unlock("q", b"second", token), "other")
    _ask(teller, Unlock("q", b"first", token))
    _ask(teller, Unlock("q", b"first", token))
    _ask(teller, Lock("q", b"fourth", 22 * SECOND, wait=60 * SECOND), "operator")
    _ask(teller, Lock("q", b"fourth", 22 * SECOND, wait=60 * SECOND))
    _ask(teller, CancelLock("q", b"third"))
    _ask(teller, CancelLock("q", b"nobody"))
    _ask(teller, CancelLock("q", b"second"), "other")
    _ask(teller, CancelLock("free", b"second"), "other")
    teller.restart()


def _times(teller: Teller) -> None:
    teller.chapter("Leases and waits end by time, their last microsecond included")
    machine = teller.machine
    _ask(teller, Lock("t", b"a", 10 * SECOND))
    ends = machine.now + 10 * SECOND
    _ask(teller, Lock("t", b"b", 10 * SECOND, wait=5 * SECOND), "other")
    waits = machine.now + 5 * SECOND
    _ask(teller, Lock("t", b"c", 7 * SECOND, wait=30 * SECOND), "other")
    for moment in (waits, waits + 1, ends, ends + 1, ends + 7 * SECOND + 1, ends + 7 * SECOND + 2):
        teller.batch(after=moment - machine.now)
        teller.say(f"  due {words(machine.application.due())} {machine.application.count_kept()}")
    machine.now += HOUR
    teller.batch()
    teller.restart()


def _limits(teller: Teller) -> None:
    teller.chapter("Three locks, three in a queue, four waiters in all")
    for name in ("x", "y", "z", "w"):
        _ask(teller, Lock(name, b"h", MINUTE, wait=SECOND))
    for number in range(4):
        _ask(teller, Lock("x", b"w%d" % number, SECOND, wait=MINUTE), "other")
    _ask(teller, Lock("x", b"w1", SECOND, wait=2 * MINUTE), "other")
    for number in range(2):
        _ask(teller, Lock("y", b"w%d" % number, SECOND, wait=MINUTE), "other")
    _ask(teller, Lock("x", b"h", 2 * MINUTE))
    teller.restart()
    teller.batch(after=MINUTE + 2 * SECOND)
    teller.batch(after=2 * MINUTE)
    teller.batch(after=2 * MINUTE)
    teller.restart()


def test_runs(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs recorded to their end, other histories, wrong certificates, other writers; the oldest go."""
    monkeypatch.setattr(runs, "RUNS_MAX", 4)
    monkeypatch.setattr(runs, "CHECKS_MAX", 6)
    recorder = Recorder()
    teller = Teller(recorder, Recorder())
    _chunks(teller, recorder)
    _certificates(teller, recorder)
    _full(teller, recorder)
    golden(GOLDEN / "runs.txt", teller.text)


def _record(teller: Teller, *records: Record, who: str = "gateway", nonce: bytes = b"") -> None:
    operation = teller.machine.operation
    teller.order(*(operation(each, event="agents", nonce=nonce) for each in records), principal=who)


def _chunks(teller: Teller, recorder: Recorder) -> None:
    teller.chapter("Chunks of a run, and other histories of it")
    run = recorder.run("thread", "run")
    twin = run.copy()
    first = run.next("a", "!NOT_JSON", "b")
    _record(teller, first, nonce=b"one")
    _record(teller, first, nonce=b"one")
    _record(teller, first)
    _record(teller, first, who="other")
    _record(teller, first, who="reader")
    _record(teller, twin.next("other"))
    skipped = run.next("c")
    _record(teller, run.copy().next("d"))
    _record(teller, skipped)
    _record(teller, run.next("e", ends=True))
    late = run.copy().next("!NOT_JSON", "e", ends=True)
    _record(teller, late, run.copy().next("f"), who="gateway")
    teller.restart()


def _certificates(teller: Teller, recorder: Recorder) -> None:
    teller.chapter("Certificates that do not hold")
    run = recorder.run("thread", "wrong")
    few = run.copy().next("a", signers=(0, 1))
    good = run.copy().next("a")
    _record(teller, few)
    _record(teller, changed(good, epoch=1))
    _record(teller, changed(good, ballots=good.certificate.ballots[::-1]))
    three = [recorder.run("many", f"m{number}").next("x") for number in range(3)]
    _record(teller, *three)
    teller.restart()


def _full(teller: Teller, recorder: Recorder) -> None:
    teller.chapter("Four runs are kept: ended ones go first, when their time is over")
    machine = teller.machine
    kept = [change.row for (table, _key), change in machine.rows.items() if table == "run"]
    over = next(row.timestamp for row in kept if row.ended) + HOUR
    _record(teller, recorder.run("full", "f0").next("y"), who="other")
    for moment in (over, over + 1):
        machine.now = moment - 1
        _record(teller, recorder.run("full", "f1").next("y", ends=True), who="other")
    _record(teller, recorder.run("full", "f2").next("z"), who="other")
    teller.restart()
    machine.now += HOUR
    _record(teller, recorder.run("full", "f2").next("z"), who="other")
    _record(teller, recorder.run("full", "f3").next("z"), who="other")
    machine.now += 24 * HOUR
    _record(teller, recorder.run("full", "f3").next("z"), who="other")
    teller.restart()


def test_a_transferred_state(golden: Compare) -> None:
    """A frozen state: its manifest, groups and rows as another node installs them, and proofs of tickets."""
    teller = Teller(Machine())
    for name in ("T-2", "T-1", "T-3"):
        teller.ask(Issue(product="Stalls", seat=name), name)
    teller.ask(Validate(), "T-1", entry="node2", nonce=b"v")
    teller.ask(SetEvent(name="Fest", products=(("Stalls", True),)), event="fest")
    machine = teller.machine
    root = machine.application.freeze(machine.sequence)
    _proofs(teller)
    teller.ask(Validate(), "T-3")
    teller.chapter("Pinned")
    assert machine.application.pin(machine.sequence) is None
    manifest = machine.application.pin(machine.sequence - 1)
    assert manifest is not None
    teller.say(f"root {words(root)}, manifest {words(manifest)}")
    staging = _staged(teller, manifest, root)
    rows = sorted(staging.rows(), key=lambda change: (change.table, words(change.key)))
    for change in rows:
        teller.say(f"  {change.table} {words(change.key)}: {words(change.row)}")
    fresh = Machine().application
    fresh.load(rows)
    teller.say(f"installed {words(fresh.root())} {fresh.size()}, changes {fresh.changes()}")
    _proofs(teller)
    machine.application.release()
    teller.say(f"released: {machine.application.read_pinned(0)}")
    golden(GOLDEN / "transfer.txt", teller.text)


def _staged(teller: Teller, manifest: bytes, root: bytes) -> Staging:
    application = teller.machine.application
    assert application.staging(manifest[::-1], root) is None
    staging = application.staging(manifest, root)
    assert staging is not None
    for number in list(staging.missing):
        items = application.read_pinned(number)
        assert items is not None
        refused = staging.add(number, items[1:])
        teller.say(f"  group {number}: {words(items)} less one {refused}, whole {staging.add(number, items)}")
    teller.say(f"  missing {list(staging.missing)}, late {staging.add(0, ())}")
    return staging


def _proofs(teller: Teller) -> None:
    teller.chapter("Proofs in the newest frozen state")
    for event, ticket in (("default", "T-1"), ("default", "T-3"), ("default", "T-9"), ("fest", "T-1")):
        proof = teller.machine.application.prove(event, ticket)
        teller.say(f"  {event}/{ticket}: {words(proof)}")


def test_the_seed_of_a_demo(golden: Compare) -> None:
    """Demonstration tickets beside one of the same name, and in a cluster that is no demonstration."""
    teller = Teller(Machine())
    teller.ask(Issue(seat="mine"), "TICKET-250")
    teller.ask(Seed(), nonce=b"s", entry="node1")
    teller.ask(Validate(), "TICKET-500")
    teller.restart()
    plain = Teller(Machine(genesis(demo=False)))
    plain.ask(Seed())
    golden(GOLDEN / "seed.txt", teller.text + plain.text)
