"""Locks: one holder a name, leases by batch time, tokens that only rise; queues in order until a deadline."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from dtvn.machine import Acquire, CancelLock, Command, Lock, Release, Renew, Unlock, build, locks, waiters
from dtvn.machine.rows import LockRow, WaiterRow, change_from
from dtvn.protocol import canonical
from dtvn.protocol.genesis import Grant, Principal
from dtvn.protocol.genesis.terms import BOUNDS
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

    def __init__(self) -> None:
        super().__init__(genesis(demo=False, principals=LOCKERS))
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


def test_an_ended_lease_goes_to_the_waiters_in_order_with_higher_tokens(machine: Queues) -> None:
    first = queued(machine, b"a", b"b", b"c")
    machine.tick(first.ends)
    assert machine.holder() == first
    machine.tick(first.ends + 1)
    second = machine.holder()
    assert second is not None
    assert (second.holder, second.ends) == (b"b", machine.now + SECOND)
    machine.tick(second.ends + 1)
    third = machine.holder()
    assert third is not None
    assert third.holder == b"c"
    assert first.token < second.token < third.token
    machine.tick(third.ends + 1)
    assert (machine.holder(), machine.waiting()) == (None, 0)


def test_a_lock_given_back_goes_to_the_next_waiter_at_once(machine: Queues) -> None:
    first = queued(machine, b"a", b"b")
    assert machine.code(Unlock("leader", b"a", first.token)) == "ok"
    second = machine.holder()
    assert second is not None
    assert (second.holder, second.token > first.token) == (b"b", True)
    assert machine.code(Acquire("leader", b"a", SECOND)) == "lock_held"
    assert machine.code(Release("leader", b"b")) == "ok"
    assert machine.holder() is None


def test_a_waiter_sees_who_holds_the_lock_and_keeps_its_place(machine: Queues) -> None:
    first = queued(machine, b"a", b"b", b"c")
    assert machine.ask(Lock("leader", b"b", MINUTE, MINUTE)) == ("lock_waiting", first)
    assert machine.waiting() == 2
    assert machine.ask(Lock("leader", b"d", MINUTE)) == ("lock_held", first)
    machine.tick(first.ends + 1)
    second = machine.holder()
    assert second is not None
    assert (second.holder, second.ends) == (b"b", machine.now + MINUTE)
    assert machine.ask(Lock("leader", b"b", SECOND, MINUTE))[0] == "ok"


def test_a_waiter_ends_at_its_own_deadline_in_batch_time(machine: Queues) -> None:
    queued(machine, b"a")
    machine.ask(Lock("leader", b"b", SECOND, 10))
    until = machine.now + 10
    machine.tick(until)
    assert machine.waiting() == 1
    machine.tick(until + 1)
    assert machine.waiting() == 0


def test_a_cancelled_wait_ends_and_a_lock_handed_on_meanwhile_goes_back(machine: Queues) -> None:
    first = queued(machine, b"a", b"b", b"c")
    assert machine.code(CancelLock("leader", b"b"), principal="other") == "ok"
    assert machine.waiting() == 2
    assert machine.code(CancelLock("leader", b"b")) == "ok"
    assert machine.waiting() == 1
    machine.tick(first.ends + 1)
    assert machine.code(CancelLock("leader", b"c")) == "ok"
    assert machine.holder() is None
    assert machine.code(CancelLock("leader", b"c")) == "ok"


def test_only_the_present_token_renews_and_gives_back(machine: Queues) -> None:
    first = queued(machine, b"a", b"b", wait=2 * MINUTE)
    code, renewed = machine.ask(Renew("leader", b"a", first.token, MINUTE))
    assert renewed is not None
    assert (code, renewed.token, renewed.ends) == ("ok", first.token, machine.now + MINUTE)
    assert machine.ask(Renew("leader", b"b", first.token, MINUTE)) == ("stale_lock_token", renewed)
    assert machine.ask(Unlock("leader", b"a", first.token - 1)) == ("stale_lock_token", renewed)
    assert machine.ask(Unlock("leader", b"b", first.token)) == ("lock_held", renewed)
    machine.tick(renewed.ends + 1)
    second = machine.holder()
    assert machine.ask(Renew("leader", b"a", first.token, MINUTE)) == ("stale_lock_token", second)
    assert machine.ask(Unlock("leader", b"a", first.token)) == ("stale_lock_token", second)
    assert machine.ask(Unlock("never held", b"a", 1)) == ("ok", None)
    assert machine.ask(Renew("never held", b"a", 1, MINUTE)) == ("stale_lock_token", None)


def test_an_earlier_token_of_the_same_holder_neither_renews_nor_gives_back(machine: Queues) -> None:
    """The holder lost the lock and has it again: who still works under the old lease may not extend the new
    one, nor end it."""
    first = queued(machine, b"a")
    machine.tick(first.ends + 1)
    second = queued(machine, b"a")
    assert second.token > first.token
    for stale in (first.token, second.token + 1):
        assert machine.ask(Renew("leader", b"a", stale, MINUTE)) == ("stale_lock_token", second)
        assert machine.ask(Unlock("leader", b"a", stale)) == ("stale_lock_token", second)
    assert machine.holder() == second
    assert machine.code(Renew("leader", b"a", second.token, MINUTE)) == "ok"
    assert machine.code(Unlock("leader", b"a", second.token)) == "ok"


def test_the_token_of_another_holder_renews_nothing(machine: Queues) -> None:
    """Tokens are shown to all: knowing one is no right to the lock."""
    held = queued(machine, b"a")
    for principal, word in (("gateway", b"b"), ("other", b"a")):
        renewal = Renew("leader", word, held.token, MINUTE)
        assert machine.ask(renewal, principal=principal) == ("stale_lock_token", held)
        back = Unlock("leader", word, held.token)
        assert machine.ask(back, principal=principal) == ("lock_held", held)


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


def test_locks_of_other_names_and_events_are_apart(machine: Queues) -> None:
    assert machine.code(Acquire("leader", b"a", MINUTE)) == "ok"
    assert machine.code(Acquire("follower", b"b", MINUTE), principal="other") == "ok"
    assert machine.do(Acquire("leader", b"b", MINUTE), event="tickets") == "ok"


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
    machine = Machine(genesis(demo=False, principals=PRINCIPALS))
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


def test_payload_outcome_and_root_of_a_queue_never_change(machine: Queues) -> None:
    """Replicas of every version compute these."""
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

names, holders = st.sampled_from(["x", "y"]), st.sampled_from([b"a", b"b", b"c"])
principals = st.sampled_from(["gateway", "other"])


class Order(RuleBasedStateMachine):
    """The holder and the queue of each lock are those of two lists; restarts change nothing."""

    @initialize()
    def begin(self) -> None:
        self.machine = Queues()
        self.held: dict[str, tuple[tuple[str, bytes], int, int]] = {}
        """Name -> (owner, last moment, token)."""
        self.queues: dict[str, list[tuple[tuple[str, bytes], int, int]]] = {"x": [], "y": []}
        """Name -> (owner, lease, last moment) in order."""
        self.highest = {"x": 0, "y": 0}
        """Name -> highest token that was seen."""

    def pass_time(self) -> None:
        """Model of the beginning of a batch, a microsecond from now."""
        now = self.machine.now + 1
        for name, queue in self.queues.items():
            queue[:] = [wait for wait in queue if wait[2] >= now]
            if name in self.held and self.held[name][1] < now:
                self.hand_on(name, now)

    def hand_on(self, name: str, now: int) -> None:
        del self.held[name]
        if self.queues[name]:
            owner, lease, _until = self.queues[name].pop(0)
            self.held[name] = owner, now + lease, 0

    def compare(self, name: str) -> None:
        row, held = self.machine.holder(name), self.held.get(name)
        assert (row is None) == (held is None)
        if row is None or held is None:
            assert not self.queues[name]
            return
        assert ((row.principal, row.holder), row.ends) == held[:2]
        assert row.token == held[2] or (not held[2] and row.token > self.highest[name])
        self.highest[name] = row.token
        self.held[name] = *held[:2], row.token
        assert self.machine.waiting() == sum(map(len, self.queues.values()))

    @rule(name=names, holder=holders, principal=principals, lease=st.integers(1, 4), wait=st.integers(0, 6))
    def locks(self, name: str, holder: bytes, principal: str, lease: int, wait: int) -> None:
        self.pass_time()
        lease, wait, owner = lease * SECOND, wait * SECOND, (principal, holder)
        command = Lock(name, holder, lease, wait) if wait else Acquire(name, holder, lease)
        code = self.machine.code(command, principal=principal)
        now, held, queue = self.machine.now, self.held.get(name), self.queues[name]
        if held is None or held[0] == owner:
            assert code == "ok"
            self.held[name] = owner, now + lease, 0 if held is None else held[2]
        elif not wait:
            assert code == "lock_held"
        else:
            assert code == "lock_waiting"
            place = next((at for at, each in enumerate(queue) if each[0] == owner), len(queue))
            queue[place : place + 1] = [(owner, lease, now + wait)]
        self.compare(name)

    @rule(name=names, holder=holders, principal=principals)
    def cancels(self, name: str, holder: bytes, principal: str) -> None:
        self.pass_time()
        assert self.machine.code(CancelLock(name, holder), principal=principal) == "ok"
        owner = principal, holder
        self.queues[name] = [wait for wait in self.queues[name] if wait[0] != owner]
        if name in self.held and self.held[name][0] == owner:
            self.hand_on(name, self.machine.now)
        self.compare(name)

    @rule(name=names, holder=holders, principal=principals)
    def releases(self, name: str, holder: bytes, principal: str) -> None:
        self.pass_time()
        held = self.held.get(name)
        code = self.machine.code(Release(name, holder), principal=principal)
        assert code == ("ok" if held is None or held[0] == (principal, holder) else "lock_held")
        if held is not None and code == "ok":
            self.hand_on(name, self.machine.now)
        self.compare(name)

    @rule(name=names, right=st.booleans())
    def unlocks(self, name: str, right: bool) -> None:
        self.pass_time()
        held = self.held.get(name)
        row = self.machine.holder(name)
        if held is None or row is None or row.ends < self.machine.now + 1:
            self.machine.tick(self.machine.now + 1)
            return
        code = self.machine.code(
            Unlock(name, held[0][1], row.token if right else row.token + 1), principal=held[0][0]
        )
        assert code == ("ok" if right else "stale_lock_token")
        if right:
            self.hand_on(name, self.machine.now)
        self.compare(name)

    @rule(pause=st.integers(0, 6))
    def waits(self, pause: int) -> None:
        """Whole seconds: leases and waits are over in most runs."""
        self.machine.now += pause * SECOND

    @rule(backwards=st.booleans())
    def restarts(self, backwards: bool) -> None:
        self.machine.restart(backwards=backwards)


TestOrder = Order.TestCase
TestOrder.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
