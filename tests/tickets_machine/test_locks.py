"""Locks: one holder a name, leases by batch time, tokens that only rise; queues in order until a deadline."""

from __future__ import annotations

import pytest

from dtvn.machine import Acquire, CancelLock, Command, Lock, Release, Renew, Unlock, build, locks, waiters
from dtvn.machine.rows import LockRow, WaiterRow, change_from
from dtvn.protocol import canonical
from dtvn.protocol.genesis import Grant, Principal
from dtvn.protocol.genesis.terms import BOUNDS
from dtvn.protocol.versions import FIRST, NEWEST
from tests.tickets_machine.recording import PRINCIPALS
from tests.tickets_machine.support import MINUTE, SECOND, Machine, genesis, public

LOCKERS = (
    Principal("gateway", public("g"), (Grant("*", "lock"),)),
    Principal("operator", public("p"), (Grant("*", "operate"),)),
    Principal("other", public("o"), (Grant("agents", "lock"),)),
    Principal("recorder", public("r"), (Grant("*", "record"),)),
)


class Queues(Machine):
    """A machine with two principals that may lock."""

    def __init__(self, version: int = NEWEST) -> None:
        super().__init__(genesis(demo=False, principals=LOCKERS, version=version))
        for name in ("gateway", "other"):
            self.session(name)

    def ask(self, command: Command, *, principal: str = "gateway") -> tuple[str, LockRow | None]:
        """(outcome code, the lock as the outcome shows it)."""
        (outcome,) = self.order(self.operation(command, event="agents"), principal=principal)
        return outcome.code, canonical.decode(LockRow, outcome.state) if outcome.state else None

    def code(self, command: Command, *, principal: str = "gateway") -> str:
        """The outcome code alone."""
        return self.ask(command, principal=principal)[0]

    def tick(self, moment: int) -> None:
        """Execute a batch without requests at this moment."""
        self.execute([], after=moment - self.now)

    def holder(self, name: str = "leader") -> LockRow | None:
        """The lock as the ledger has it."""
        self.save()
        change = self.rows.get(("lock", ("agents", name)))
        return None if change is None else change.row

    def waiting(self) -> int:
        """Number of waiters that the ledger has."""
        self.save()
        return sum(table == "waiter" for table, _key in self.rows)


@pytest.fixture
def machine() -> Queues:
    return Queues()


def queued(machine: Queues, *holders: bytes, wait: int = MINUTE) -> LockRow:
    """The first holder has the lock for a second, the others wait in this order, each for as long a lease."""
    for holder in holders:
        machine.ask(Lock("leader", holder, SECOND, wait))
    row = machine.holder()
    assert row is not None
    return row


@pytest.mark.parametrize("backwards", [False, True])
def test_a_queue_read_back_from_rows_keeps_its_order(machine: Queues, backwards: bool) -> None:
    held = queued(machine, b"a", b"b", b"c", b"d")
    machine.restart(backwards=backwards)
    order = []
    while held is not None:
        order.append(held.holder)
        machine.tick(held.ends + 1)
        held = machine.holder()
    assert order == [b"a", b"b", b"c", b"d"]


def test_queues_are_bounded_each_and_in_all(machine: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiters, "QUEUE_MAX", 2)
    monkeypatch.setattr(waiters, "WAITERS_MAX", 3)
    queued(machine, b"a", b"b", b"c")
    assert machine.code(Lock("leader", b"d", SECOND, MINUTE)) == "too_many_waiters"
    assert machine.code(Lock("leader", b"b", SECOND, MINUTE)) == "lock_waiting"
    assert machine.code(Lock("x", b"a", MINUTE)) == "ok"
    assert machine.code(Lock("x", b"b", SECOND, MINUTE)) == "lock_waiting"
    assert machine.code(Lock("x", b"c", SECOND, MINUTE)) == "too_many_waiters"
    machine.code(CancelLock("leader", b"c"))
    assert machine.code(Lock("x", b"c", SECOND, MINUTE)) == "lock_waiting"


def test_bounds_hold_for_a_lock_given_back_early_and_a_wait_moved_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a lease or a wait leaves behind when it ends early, or later than it was said first, has no effect
    and is bounded."""
    monkeypatch.setattr(locks, "LOCKS_MAX", 2)
    monkeypatch.setattr(waiters, "WAITERS_MAX", 2)
    table = locks.Locks(lambda _key: None, lambda _key: None)
    key, others = ("agents", "leader"), ("agents", "other")
    holder, waiting = ("gateway", b"a"), ("gateway", b"b")
    for number in range(1, 30):
        table.lock(key, holder, lease=number, place=(number, 0), timestamp=100)
        table.lock(key, waiting, lease=9, wait=number, place=(number, 1), timestamp=100)
    assert len(table._ending) <= 2 * 2 + 1
    assert len(table.waiters._deadlines) <= 2 * 2 + 1
    table.begin(40, 128)
    assert (len(table), len(table.waiters)) == (1, 1), "the leases and waits that were said first are over"
    table.lock(others, holder, lease=1, place=(41, 0), timestamp=128)
    table.lock(others, waiting, lease=1, wait=1, place=(41, 1), timestamp=128)
    table.cancel(others, waiting, place=(41, 2), timestamp=128)
    table.unlock(others, holder, place=(41, 3), timestamp=128)
    table.begin(42, 1_000)
    assert (len(table), len(table.waiters)) == (0, 0)
    assert table.due() is None


def test_leases_and_waits_end_however_often_others_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """To forget what the moves left behind forgets nothing else."""
    monkeypatch.setattr(locks, "LOCKS_MAX", 3)
    monkeypatch.setattr(waiters, "WAITERS_MAX", 3)
    table = locks.Locks(lambda _key: None, lambda _key: None)
    holder, waiting = ("gateway", b"a"), ("gateway", b"b")
    for number, (name, moves) in enumerate((("first", 1), ("often", 30), ("last", 1), ("often", 30))):
        for _ in range(moves):
            table.lock(("agents", name), holder, lease=40 + number, place=(number, 0), timestamp=100)
            table.lock(("agents", name), waiting, lease=9, wait=30 + number, place=(number, 1), timestamp=100)
    assert (len(table), len(table.waiters)) == (3, 3)
    left = []
    while (moment := table.due()) is not None:
        table.begin(moment, moment)
        left.append((moment, len(table), len(table.waiters)))
    assert left == [(131, 3, 2), (133, 3, 1), (134, 3, 0), (141, 2, 0), (143, 1, 0), (144, 0, 0)]


def test_a_wait_ends_when_it_was_said_last_and_leaves_nothing() -> None:
    touched: list[waiters.WaiterKey] = []
    queue, lock = waiters.Waiters(touched.append), ("agents", "leader")
    queue.put(lock, (1, 0), WaiterRow("gateway", b"a", 1, 10))
    queue.put(lock, (1, 1), WaiterRow("gateway", b"b", 1, 20))
    queue.put(lock, (2, 0), WaiterRow("gateway", b"a", 1, 30))
    assert queue.due() == 21, "the first deadline of the first one is no longer its deadline"
    queue.begin(21)
    assert (queue.waits(lock, ("gateway", b"a")), queue.waits(lock, ("gateway", b"b"))) == (True, False)
    queue.put(lock, (3, 0), WaiterRow("gateway", b"c", 1, 25))
    queue.leave(lock, ("gateway", b"c"))
    assert queue.due() == 31
    stored = [(key, row) for key in set(touched) if (row := queue.row(key)) is not None]
    queue.begin(31)
    assert (len(queue), queue.due(), queue._queues) == (0, None, {})
    touched.clear()
    queue.load(stored)
    assert (len(queue), touched) == (1, []), "what was read is not written again"


def test_something_is_due_when_a_lease_or_a_wait_is_over(machine: Queues) -> None:
    assert machine.application.due() is None
    first = queued(machine, b"a")
    assert machine.application.due() == first.ends + 1
    machine.ask(Lock("leader", b"b", SECOND, 100))
    until = machine.now + 100
    assert machine.application.due() == until + 1
    machine.ask(Renew("leader", b"a", first.token, MINUTE))
    machine.tick(until + 1)
    assert machine.application.due() == machine.holder().ends + 1  # type: ignore[union-attr]
    machine.restart(backwards=True)
    machine.tick(machine.holder().ends + 1)  # type: ignore[union-attr]
    assert machine.application.due() is None


def test_locks_handed_on_by_one_batch_have_tokens_of_their_own(machine: Queues) -> None:
    for name in ("x", "y"):
        machine.ask(Lock(name, b"a", SECOND))
        machine.ask(Lock(name, b"b", SECOND, MINUTE))
    highest = max(machine.holder(name).token for name in ("x", "y"))  # type: ignore[union-attr]
    machine.now += 2 * SECOND
    third = machine.ask(Lock("z", b"a", SECOND))[1]
    assert third is not None
    handed = [machine.holder(name).token for name in ("x", "y")]  # type: ignore[union-attr]
    assert highest < min(handed) < max(handed) < third.token
    assert locks.LOCKS_MAX + BOUNDS["batch_operations_max"][1] < locks.TOKEN_STEP


@pytest.mark.parametrize(
    ("principal", "code"),
    [("operator", "not_permitted"), ("recorder", "not_permitted"), ("gateway", "ok"), ("other", "ok")],
)
def test_locks_need_the_capability_lock_and_nothing_else(machine: Queues, principal: str, code: str) -> None:
    assert machine.code(Lock("leader", b"a", SECOND), principal=principal) == code
    assert machine.do(Lock("x", b"a", SECOND), principal="other") == "not_permitted"
    assert machine.do(CancelLock("x", b"a"), principal="operator") == "not_permitted"


def test_release_of_a_free_lock_is_ok_and_of_anothers_refused_a16_a17(machine: Queues) -> None:
    assert machine.ask(Release("leader", b"a")) == ("ok", None)
    _code, row = machine.ask(Acquire("leader", b"a", MINUTE))
    assert machine.ask(Release("leader", b"b")) == ("lock_held", row)
    assert machine.ask(Release("leader", b"a"), principal="other") == ("lock_held", row)
    assert machine.ask(Release("leader", b"a")) == ("ok", None)


def test_locks_are_bounded_and_room_comes_back(machine: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCKS_MAX", 2)
    machine.ask(Acquire("two", b"a", MINUTE))
    for _ in range(5):  # a lease that is extended takes no further room
        assert machine.code(Acquire("one", b"a", SECOND)) == "ok"
    assert machine.ask(Acquire("three", b"a", MINUTE)) == ("full", None)
    machine.now += 2 * SECOND
    assert machine.code(Acquire("three", b"a", MINUTE)) == "ok"
    assert [machine.holder(name) is not None for name in ("one", "two", "three")] == [False, True, True]


def test_r13_a_repeated_acquire_extends_nothing(machine: Queues) -> None:
    asked = machine.operation(Acquire("leader", b"a", MINUTE), event="agents", nonce=b"n")
    first = canonical.decode(LockRow, machine.order(asked)[0].state)
    assert machine.order(asked)[0].code == "ok"
    machine.now = first.ends + 1
    assert machine.code(Acquire("leader", b"b", MINUTE)) == "ok"


def test_payload_outcome_and_root_of_a_lock_never_change() -> None:
    """Replicas of every version compute these."""
    machine = Machine(genesis(demo=False, principals=PRINCIPALS, version=FIRST))
    operation = build(
        Acquire("leader", b"a", MINUTE), event="agents", actor="a", entry="node0", valid_until=machine.now + 9
    )
    assert operation.payload.hex() == "93a66c6561646572c40161ce03938700"
    (outcome,) = machine.order(operation)
    assert outcome.state.hex() == "94a767617465776179c40161ce00200000cf00060a241bb1c702"
    assert machine.application.root().hex() == (
        "cebb72de9cde2508f7c54a4e3c71d069e804b522f5a8e07fce1da5653f48238a"
    )
    machine.save()
    (row,) = [change for (table, _key), change in machine.rows.items() if table == "lock"]
    assert change_from("lock", canonical.encode(row.key), canonical.encode(row.row)) == row


def test_payload_outcome_and_root_of_a_queue_never_change() -> None:
    """Replicas of every version compute these."""
    machine = Queues(FIRST)
    payloads = [
        machine.operation(command, event="agents").payload.hex()
        for command in (
            Lock("leader", b"a", SECOND, MINUTE),
            Renew("leader", b"a", 1, 2),
            Unlock("leader", b"a", 1),
            CancelLock("leader", b"a"),
        )
    ]
    assert payloads == PAYLOADS
    queued(machine, b"a", b"b")
    assert machine.application.root().hex() == QUEUED
    machine.tick(machine.now + 2 * SECOND)
    assert machine.holder() is not None
    assert machine.application.root().hex() == HANDED_ON


PAYLOADS = [
    "94a66c6561646572c40161ce000f4240ce03938700",
    "94a66c6561646572c401610102",
    "93a66c6561646572c4016101",
    "92a66c6561646572c40161",
]
QUEUED = "9fd16276c15d37f1ee67028223062628d2b0d3baac015078217e915d0febe740"
HANDED_ON = "b1e807f88f7758e9460b8b41f74fcccd15fc76ef0bfa4f95f461950367ad3b9f"
