"""Locks: one holder a name, leases by the time of the log, tokens that only rise."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from dtvn.machine import Acquire, Command, Release, build, locks
from dtvn.machine.rows import LockRow, change_from
from dtvn.protocol import canonical
from dtvn.protocol.genesis.terms import BOUNDS
from tests.tickets_machine.recording import PRINCIPALS
from tests.tickets_machine.support import MINUTE, SECOND, Machine, genesis


class Leases(Machine):
    """A machine with two principals that may lock."""

    def __init__(self) -> None:
        super().__init__(genesis(demo=False, principals=PRINCIPALS))

    def ask(
        self, command: Command, *, principal: str = "gateway", nonce: bytes = b""
    ) -> tuple[str, LockRow | None]:
        """(outcome code, the lock as the outcome shows it)."""
        operation = self.operation(command, event="agents", nonce=nonce)
        (outcome,) = self.order(operation, principal=principal)
        return outcome.code, canonical.decode(LockRow, outcome.state) if outcome.state else None


@pytest.fixture
def machine() -> Leases:
    return Leases()


def taken(machine: Leases, command: Command, *, principal: str = "gateway") -> LockRow:
    code, row = machine.ask(command, principal=principal)
    assert row is not None
    assert code == "ok"
    return row


def test_a_holder_extends_its_lease_and_keeps_its_token_a15(machine: Leases) -> None:
    first = taken(machine, Acquire("leader", b"a", MINUTE))
    machine.now += 50 * SECOND
    second = taken(machine, Acquire("leader", b"a", MINUTE))
    assert (second.token, second.ends) == (first.token, machine.now + MINUTE)
    machine.now += 50 * SECOND
    assert machine.ask(Acquire("leader", b"b", MINUTE)) == ("lock_held", second)


def test_release_of_a_free_lock_is_ok_and_of_anothers_refused_a16_a17(machine: Leases) -> None:
    assert machine.ask(Release("leader", b"a")) == ("ok", None)
    row = taken(machine, Acquire("leader", b"a", MINUTE))
    assert machine.ask(Release("leader", b"b")) == ("lock_held", row)
    assert machine.ask(Release("leader", b"a"), principal="other") == ("lock_held", row)
    assert machine.ask(Release("leader", b"a")) == ("ok", None)
    assert taken(machine, Acquire("leader", b"b", MINUTE)).token > row.token


def test_a_lease_ends_by_the_time_of_the_log_a18(machine: Leases) -> None:
    machine.session("other")
    first = taken(machine, Acquire("leader", b"a", SECOND))
    machine.now = first.ends - 1
    assert machine.ask(Acquire("leader", b"b", SECOND), principal="other") == ("lock_held", first)
    second = taken(machine, Acquire("leader", b"b", SECOND), principal="other")
    assert second.token > first.token
    assert machine.ask(Acquire("leader", b"a", SECOND)) == ("lock_held", second)
    assert machine.ask(Release("leader", b"a")) == ("lock_held", second)


def test_locks_of_other_names_events_and_rights_are_apart(machine: Leases) -> None:
    taken(machine, Acquire("leader", b"a", MINUTE))
    taken(machine, Acquire("follower", b"b", MINUTE), principal="other")
    assert machine.do(Acquire("leader", b"b", MINUTE), event="tickets") == "ok"
    assert machine.do(Acquire("x", b"b", MINUTE), event="tickets", principal="other") == "not_permitted"
    assert machine.do(Release("leader", b"b"), event="agents", principal="reader") == "not_permitted"


def test_locks_are_bounded_and_room_comes_back(machine: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCKS_MAX", 2)
    taken(machine, Acquire("one", b"a", SECOND))
    taken(machine, Acquire("two", b"a", MINUTE))
    assert machine.ask(Acquire("three", b"a", MINUTE)) == ("full", None)
    for _ in range(4):
        taken(machine, Acquire("one", b"a", SECOND))
    machine.now += 2 * SECOND
    taken(machine, Acquire("three", b"a", MINUTE))
    machine.save()
    assert sorted(key[1][1] for key in machine.rows if key[0] == "lock") == ["three", "two"]


def test_r13_a_repeated_acquire_extends_nothing(machine: Leases) -> None:
    asked = machine.operation(Acquire("leader", b"a", MINUTE), event="agents", nonce=b"n")
    first = canonical.decode(LockRow, machine.order(asked)[0].state)
    assert machine.order(asked)[0].code == "ok"
    machine.now = first.ends + 1
    assert machine.ask(Acquire("leader", b"b", MINUTE))[0] == "ok"


def test_a_batch_has_fewer_operations_than_tokens() -> None:
    assert BOUNDS["batch_operations_max"][1] < locks.TOKEN_STEP


def test_payload_outcome_and_root_of_a_lock_never_change(machine: Leases) -> None:
    """Replicas of every version compute these."""
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


names, holders = st.sampled_from(["x", "y"]), st.sampled_from([b"a", b"b"])
principals = st.sampled_from(["gateway", "other"])


class Holders(RuleBasedStateMachine):
    """Whoever was told `ok` holds the lock alone until its lease ends, and tokens rise."""

    @initialize()
    def begin(self) -> None:
        self.machine = Leases()
        for name in ("gateway", "other"):
            self.machine.session(name)
        self.held: dict[str, tuple[str, bytes, int, int]] = {}
        """Name -> (principal, holder, token, end)."""
        self.highest = 0

    def holder(self, name: str) -> tuple[str, bytes] | None:
        """Who holds it when the next batch is ordered, a microsecond from now."""
        held = self.held.get(name)
        return None if held is None or held[3] < self.machine.now + 1 else held[:2]

    @rule(name=names, holder=holders, principal=principals, lease=st.integers(1, 5))
    def acquires(self, name: str, holder: bytes, principal: str, lease: int) -> None:
        before = self.holder(name)
        code, row = self.machine.ask(Acquire(name, holder, lease * SECOND), principal=principal)
        assert row is not None
        assert (code == "ok") == (before in (None, (principal, holder)))
        assert code in ("ok", "lock_held")
        if code == "lock_held":
            assert (row.principal, row.holder, row.token, row.ends) == self.held[name]
            return
        if before is None:
            assert row.token > self.highest
            self.highest = row.token
        else:
            assert row.token == self.held[name][2]
        assert row.ends == self.machine.now + lease * SECOND
        self.held[name] = row.principal, row.holder, row.token, row.ends

    @rule(name=names, holder=holders, principal=principals)
    def releases(self, name: str, holder: bytes, principal: str) -> None:
        before = self.holder(name)
        code, _row = self.machine.ask(Release(name, holder), principal=principal)
        assert (code == "ok") == (before in (None, (principal, holder)))
        if code == "ok":
            self.held.pop(name, None)

    @rule(pause=st.integers(1, 3 * SECOND))
    def waits(self, pause: int) -> None:
        self.machine.now += pause

    @rule(backwards=st.booleans())
    def restarts(self, backwards: bool) -> None:
        self.machine.restart(backwards=backwards)


TestHolders = Holders.TestCase
TestHolders.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
