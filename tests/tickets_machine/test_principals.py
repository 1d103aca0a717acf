"""Principals are added, re-keyed and revoked by ordered operations; nodes enforce it (R15)."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest

from dtvn.machine import (
    AddPrincipal,
    Admit,
    Barrier,
    Command,
    CommandError,
    Issue,
    LimitPrincipal,
    Reconfigure,
    RevokePrincipal,
    RotatePrincipal,
    TicketApplication,
    build,
    principals,
    shown_principal,
)
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.genesis import Grant, Member, Principal, cluster_id
from tests.support.table import table
from tests.tickets_machine.support import HOUR, MINUTE, SECOND, Machine, public

GATE = (Grant("default", "gate"),)
NEW = public("n")


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    machine.do(Issue(), "T-1")
    return machine


def reloaded(machine: Machine) -> TicketApplication:
    """The application that a restart makes of what a ledger holds."""
    for change in machine.application.changes():
        machine.rows[(change.table, tuple(change.key))] = change
    fresh = TicketApplication(machine.genesis, cluster_id(machine.genesis), searched=True)
    fresh.load(change for change in machine.rows.values() if change.row is not None)
    return fresh


def test_r15_a_new_principal_may_do_only_what_it_was_granted(machine: Machine) -> None:
    assert machine.do(AddPrincipal("door", NEW, GATE)) == "ok"
    assert machine.application.principal_key("door") == NEW
    assert machine.do(Admit(), "T-1", principal="door") == "ok"
    assert machine.do(Issue(), "T-2", principal="door") == "not_permitted"


@pytest.mark.parametrize(
    "command",
    [
        AddPrincipal("door", NEW, GATE),
        RotatePrincipal("gateway", NEW),
        LimitPrincipal("gateway", GATE),
        RevokePrincipal("gateway"),
    ],
)
def test_r15_only_an_administrator_of_all_events_changes_principals(
    machine: Machine, command: Command
) -> None:
    for grants in ((), GATE, (Grant("default", "admin"),)):
        machine = Machine()
        machine.do(AddPrincipal("clerk", public("c"), grants))
        before = machine.application.root()
        assert machine.do(command, principal="clerk") == "not_permitted"
        assert machine.application.principal_key("gateway") == public("g")
        assert machine.application.root() != before  # the session and its bundle, nothing of principals
        assert "door" not in machine.application.principals


def test_r15_a_rotated_key_signs_under_a_new_name_and_the_old_key_is_void(machine: Machine) -> None:
    operation = machine.operation(RotatePrincipal("scanner", NEW))
    [outcome] = machine.order(operation)
    shown = shown_principal(outcome.state)
    assert (shown.wire, shown.principal.public_key, shown.principal.grants) == ("scanner#1", NEW, GATE)
    skipped = machine.execute([machine.bundle([machine.operation(Barrier())], principal="gateway")])
    assert skipped.results[0] is not None
    old = machine.execute([machine.opening(principal="scanner", nonce=b"late")])
    assert old.results == (None,)
    assert machine.do(Admit(), "T-1", principal="scanner#1") == "ok"


def test_r13_nonces_and_sessions_are_kept_over_a_key_rotation(machine: Machine) -> None:
    """Otherwise a retry with the new key would be executed a second time."""
    machine.do(Barrier(), principal="scanner")
    session = machine.session("scanner")
    admission = machine.operation(Admit(), "T-1", nonce=b"once")
    assert machine.order(admission, principal="scanner")[0].code == "ok"
    assert machine.do(RotatePrincipal("scanner", NEW)) == "ok"
    machine.sessions["scanner#1"] = session
    machine.numbers["scanner#1"] = machine.numbers["scanner"]
    assert machine.order(admission, principal="scanner#1")[0].code == "ok"
    assert machine.do(Admit(), "T-1", principal="scanner#1") == "already_consumed"


def test_r15_an_overlap_lets_the_old_key_finish_and_then_ends(machine: Machine) -> None:
    machine.do(Barrier(), principal="scanner")
    machine.do(RotatePrincipal("scanner", NEW, overlap=MINUTE))
    machine.now += 30 * SECOND
    assert machine.do(Barrier(), principal="scanner") == "ok"
    machine.now += 31 * SECOND
    late = machine.execute([machine.bundle([machine.operation(Barrier())], principal="scanner")])
    assert late.results == (None,)


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("restarted", [False, True])
def test_r15_an_overlap_is_over_at_its_end_and_not_before(
    machine: Machine, late: int, *, restarted: bool
) -> None:
    machine.do(Barrier(), principal="scanner")
    machine.do(RotatePrincipal("scanner", NEW, overlap=MINUTE))
    retired = machine.application.principals.retired("scanner")
    assert retired is not None
    if restarted:
        machine.restart()
    version = machine.application.principals.version
    bundle = machine.bundle([machine.operation(Barrier())], principal="scanner")
    machine.now = retired.until - 2 + late  # it is executed a microsecond later
    executed = machine.execute([bundle])
    assert executed.results.count(None) == late
    principals = machine.application.principals
    assert (principals.who("scanner") == "") == ("scanner" not in principals.counting()) == bool(late)
    assert (principals.version > version) == bool(late), "or lists of keys keep it"


def test_r15_revoking_ends_keys_in_overlap_too(machine: Machine) -> None:
    machine.do(RotatePrincipal("scanner", NEW, overlap=MINUTE))
    assert machine.do(RevokePrincipal("scanner")) == "ok"
    for name in ("scanner", "scanner#1"):
        assert machine.execute([machine.opening(principal=name, nonce=name.encode())]).results == (None,)
        assert machine.application.principal_key(name) is not None  # who checks an old batch needs it


def test_a_key_that_another_has_or_had_is_refused(machine: Machine) -> None:
    assert machine.do(AddPrincipal("door", public("s"))) == "key_in_use"
    assert machine.do(RotatePrincipal("scanner", public("g"))) == "key_in_use"
    machine.do(RevokePrincipal("scanner"))
    assert machine.do(AddPrincipal("door", public("s"))) == "key_in_use"
    assert machine.do(AddPrincipal("gateway", NEW)) == "principal_exists"
    assert machine.do(RotatePrincipal("nobody", NEW)) == "principal_not_found"
    assert machine.do(RevokePrincipal("nobody")) == "principal_not_found"


def test_retired_keys_count_for_the_most_that_there_may_be(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key is kept for ever, because old batches are checked with it."""
    monkeypatch.setattr(principals, "KEYS_MAX", 5)
    assert machine.do(RotatePrincipal("scanner", public("1"))) == "ok"
    assert machine.do(RevokePrincipal("reader")) == "ok"
    assert machine.do(AddPrincipal("door", NEW)) == "ok"
    assert machine.do(AddPrincipal("other", public("2"))) == "full"
    assert machine.do(RotatePrincipal("scanner", public("2"))) == "full"


def test_a_revoked_name_can_be_added_again_with_another_key(machine: Machine) -> None:
    machine.do(RevokePrincipal("scanner"))
    assert machine.do(AddPrincipal("scanner", NEW)) == "ok"
    assert machine.application.principals.wire("scanner") == "scanner#1"
    assert machine.do(Admit(), "T-1", principal="scanner#1") == "not_permitted"


@pytest.mark.parametrize("restarted", [False, True])
def test_the_last_administrator_cannot_be_revoked(machine: Machine, *, restarted: bool) -> None:
    """A revoked principal of genesis stays revoked when a node starts from genesis again."""
    assert machine.do(RevokePrincipal("gateway")) == "last_admin"
    machine.do(AddPrincipal("chief", NEW, (Grant("*", "admin"),)))
    assert machine.do(RevokePrincipal("gateway")) == "ok"
    if restarted:
        machine.restart()
    assert not machine.application.principals.may("gateway", "admin", "default")
    assert machine.do(RevokePrincipal("chief"), principal="chief") == "last_admin"


def test_r15_a_limited_principal_keeps_its_key_and_other_grants(machine: Machine) -> None:
    machine.do(AddPrincipal("door", NEW, (*GATE, Grant("default", "issue"))))
    assert machine.do(LimitPrincipal("door", GATE)) == "ok"
    assert machine.do(Issue(), "T-2", principal="door") == "not_permitted"
    assert machine.do(Admit(), "T-1", principal="door") == "ok"
    assert machine.application.principal_key("door") == NEW
    assert machine.do(LimitPrincipal("nobody")) == "principal_not_found"
    # One of genesis too, and so that a restart knows it.
    assert machine.do(LimitPrincipal("scanner")) == "ok"
    assert machine.do(Admit(), "T-1", principal="scanner") == "not_permitted"
    assert not reloaded(machine).principals.may("scanner", "gate", "default")


def test_the_last_administrator_cannot_be_limited(machine: Machine) -> None:
    everything = tuple(Grant("*", capability) for capability in ("admin", "gate"))
    assert machine.do(LimitPrincipal("gateway", GATE)) == "last_admin"
    assert machine.do(LimitPrincipal("gateway", (Grant("default", "admin"),))) == "last_admin"
    assert machine.do(LimitPrincipal("gateway", everything)) == "ok"
    assert machine.do(Issue(), "T-2") == "not_permitted"


def test_r24_principals_are_in_the_root_and_survive_a_restart(machine: Machine) -> None:
    machine.application.root()
    steps: list[tuple[Command, str]] = [
        (AddPrincipal("door", NEW, GATE), "gateway"),
        (RotatePrincipal("scanner", public("1"), overlap=MINUTE), "gateway"),
        (RotatePrincipal("scanner", public("2")), "gateway"),
        (LimitPrincipal("scanner", (Grant("other", "gate"),)), "gateway"),
        (LimitPrincipal("scanner"), "gateway"),
        (RotatePrincipal("reader", public("5"), overlap=MINUTE), "gateway"),
        (RevokePrincipal("reader"), "gateway"),
        (RevokePrincipal("door"), "gateway"),
        (AddPrincipal("door", public("3")), "gateway"),
        (RotatePrincipal("gateway", public("4")), "gateway"),
    ]
    roots = set()
    for command, principal in steps:
        assert machine.do(command, principal=principal) == "ok", command
        fresh = reloaded(machine)
        assert fresh.root() == machine.application.root(), command
        kept, now = fresh.principals, machine.application.principals
        assert kept.names() == now.names()
        assert [kept.wire(name) for name in kept.names()] == [now.wire(name) for name in now.names()]
        assert {w: kept.who(w) for w in kept._keys} == {w: now.who(w) for w in now._keys}
        roots.add(fresh.root())
    assert len(roots) == len(steps)
    machine.now += HOUR
    machine.execute([])
    assert machine.application.principals.who("scanner") == ""


NO_KEYS = (sha256(b"0").digest(), bytes(32), b"\1" + bytes(31), b"\xff" * 32)
"""32 bytes each: no point of the curve, points of a small order, no canonical form."""


@pytest.mark.parametrize("key", NO_KEYS, ids=["no point", "order 4", "identity", "not canonical"])
def test_a_key_that_is_no_curve_point_is_never_listed(machine: Machine, key: bytes) -> None:
    """Listing one ended every node at once and at every start: no CURVE key comes out of it."""
    good = [
        machine.operation(command)
        for command in (
            AddPrincipal("door", NEW),
            RotatePrincipal("scanner", NEW),
            Reconfigure(Change(epoch=0, joins=(Member("node9", NEW, "127.0.0.1", 1),))),
        )
    ]
    for operation in good:
        bad = msgspec.structs.replace(operation, payload=operation.payload.replace(NEW, key))
        assert bad.payload != operation.payload
        assert [outcome.code for outcome in machine.order(bad)] == ["malformed"]
    assert sorted(machine.application.principals.names()) == ["gateway", "reader", "scanner"]


@table(
    ("command", "field"),
    [
        (AddPrincipal("a", NO_KEYS[0]), "public_key"),
        (RotatePrincipal("a", NO_KEYS[0]), "public_key"),
        (AddPrincipal("a#1", NEW), "name"),
        (AddPrincipal("", NEW), "name"),
        (AddPrincipal("a", b"short"), "public_key"),
        (AddPrincipal("a", NEW, (Grant("default", "fly"),)), "grants"),
        (AddPrincipal("a", NEW, (Grant("a b", "gate"),)), "grants"),
        (AddPrincipal("a", NEW, GATE * 2), "grants"),
        (RotatePrincipal("a", NEW, overlap=HOUR), "overlap"),
        (LimitPrincipal("a", (Grant("default", "fly"),)), "grants"),
        (RevokePrincipal("../a"), "name"),
    ],
    count=11,
)
def test_a_malformed_command_names_its_field(command: Command, field: str) -> None:
    with pytest.raises(CommandError, match=f"^{field}:"):
        build(command, actor="anna", entry="node0", valid_until=1)


def test_grants_are_sorted() -> None:
    unordered = (Grant("b", "gate"), Grant("*", "issue"), Grant("*", "gate"))
    one = build(AddPrincipal("a", NEW, unordered), actor="anna", entry="node0", valid_until=1)
    two = build(AddPrincipal("a", NEW, unordered[::-1]), actor="anna", entry="node0", valid_until=1)
    assert one == two


def test_the_outcome_of_a_revocation_shows_the_principal(machine: Machine) -> None:
    [outcome] = machine.order(machine.operation(RevokePrincipal("scanner")))
    assert shown_principal(outcome.state).wire == ""
    assert shown_principal(outcome.state).principal == Principal("scanner", public("s"), GATE)
