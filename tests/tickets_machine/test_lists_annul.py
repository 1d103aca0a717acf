"""Forced entries, annulments and late retries as R41 has them, each rule by itself (D11)."""

from __future__ import annotations

import pytest

from dtvn.machine import (
    CommandError,
    EventList,
    State,
)
from dtvn.protocol.genesis import Grant, Principal
from tests.tickets_machine.doors import EVENT, PRINCIPALS, Door
from tests.tickets_machine.lists import annul, codes, door_with, force, scan, visit
from tests.tickets_machine.support import HOUR, genesis, public

# --- force -------------------------------------------------------------------------------------------


def test_force_needs_gate_and_supervise_and_a_reason() -> None:
    door = door_with()
    assert codes(force(door, principal="scanner"), force(door, principal="reader")) == ["not_permitted"] * 2
    assert force(door, principal="gateway").code == "ok", "admin gives supervise"
    with pytest.raises(CommandError, match="reason: needed"):
        force(door, reason="")
    only = genesis(principals=(*PRINCIPALS, Principal("chief", public("c"), (Grant("*", "supervise"),))))
    alone = Door(only)
    alone.issues("T-1", "ABC")
    assert force(alone, principal="chief").code == "not_permitted", "gate is needed besides"


# --- annul -------------------------------------------------------------------------------------------


def test_an_annulled_entry_is_free_again_and_the_ticket_validated() -> None:
    door = door_with()
    scan(door, entry="node2", nonce=b"n1")
    taken = annul(door)
    assert (taken.code, visit(taken).used, visit(taken).inside) == ("ok", 0, 0)
    found = door.application.ticket(EVENT, "T-1")
    assert found is not None
    assert (found.state, found.validator) == (State.VALIDATED, "node2")
    assert (found.gate, found.device) == ("", ""), "nobody has entered anywhere"
    door.restart()
    assert codes(annul(door), scan(door), scan(door)) == ["not_the_newest", "ok", "already_consumed"]


# --- late retries ------------------------------------------------------------------------------------


def test_a_late_retry_is_known_by_the_newest_sixteen_movements() -> None:
    door = door_with(EventList("ride", rule="free"))
    for number in range(16):
        assert scan(door, "ride", nonce=b"n%d" % number).code == "ok"
    door.restart()
    door.now += 3 * HOUR
    first = scan(door, "ride", nonce=b"n0")
    assert (first.code, visit(first).used) == ("ok", 16)
    door.now += 3 * HOUR
    assert scan(door, "ride", nonce=b"n3", gate="south").code == "nonce_reused"
    assert scan(door, "ride", "exit", nonce=b"n4").code == "nonce_reused"
    assert scan(door, nonce=b"n5").code == "nonce_reused"
    assert visit(scan(door, "ride", nonce=b"n6", principal="gateway")).used == 17, "of another principal"
    door.now += 3 * HOUR
    assert visit(scan(door, "ride", nonce=b"n0")).used == 18, "the seventeenth is known by R13's table alone"
