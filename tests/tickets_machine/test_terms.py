"""Blocks, replaced codes, changed terms and imported entries (D5)."""

from __future__ import annotations

import pytest

from dtvn.machine import (
    Admit,
    Block,
    ChangeTicket,
    Command,
    CommandError,
    Dispute,
    ImportEntry,
    Issue,
    Replace,
    Resolve,
    State,
    Unblock,
    Validate,
)
from tests.support.table import table
from tests.tickets_machine.doors import EVENT, Door, answer
from tests.tickets_machine.support import HOUR, START

ROADS: dict[State, tuple[Command, ...]] = {
    State.ISSUED: (),
    State.VALIDATED: (Validate(),),
    State.CONSUMED: (Admit(gate="north", device="d1"),),
    State.DISPUTED: (Validate(), Dispute(reason="copied")),
    State.UPHELD: (Validate(), Dispute(reason="copied"), Resolve(verdict="uphold")),
}


def door_with(state: State = State.ISSUED) -> Door:
    """A door, and one ticket in this state with the code ABC."""
    door = Door()
    door.issues("T-1", "ABC")
    for command in ROADS[state]:
        assert door.does(command, "T-1").code == "ok"
    return door


@table("state", State, count=5)
def test_a_ticket_is_blocked_and_unblocked_in_every_state_and_keeps_it(state: State) -> None:
    door = door_with(state)
    before = door.application.ticket(EVENT, "T-1")
    blocked = answer(door.does(Block(reason="refunded"), "T-1"))
    assert (blocked.blocked, blocked.block_reason, blocked.state) == (True, "refunded", state)
    assert door.does(Block(), "T-1").code == "already_blocked"
    assert door.scans("ABC").code == "blocked"
    door.restart()
    assert door.scans("ABC").code == "blocked", "a block outlives a restart"
    free = answer(door.does(Unblock(), "T-1"))
    assert (free.blocked, free.block_reason, free.state) == (False, "", state)
    assert door.does(Unblock(), "T-1").code == "not_blocked"
    assert door.application.ticket(EVENT, "T-1") == before, "an entry that was made stays recorded"


def test_a_ticket_may_be_issued_blocked_and_its_gate_reads_why() -> None:
    door = Door()
    door.issues("T-1", "ABC", blocked=True, block_reason="cancelled")
    refused = door.scans("ABC")
    assert (refused.code, answer(refused).block_reason) == ("blocked", "cancelled")
    with pytest.raises(CommandError, match="block_reason"):
        door.operation(Issue(block_reason="why"), "T-2")


def test_a_ticket_has_32_codes_in_all() -> None:
    door = Door()
    door.issues("T-1", *(f"0-{place}" for place in range(8)))
    for turn in (1, 2, 3):
        codes = door.digests(*(f"{turn}-{place}" for place in range(8)))
        assert door.does(Replace(codes), "T-1").code == "ok"
    refused = door.does(Replace(door.digests("ONE MORE")), "T-1")
    assert (refused.code, answer(refused).ticket) == ("too_many_codes", "T-1")
    assert door.scans("ONE MORE").code == "barcode_not_found"
    assert door.does(Replace(door.digests("0-0")), "T-1").code == "ok", "one that it had before"
    assert door.scans("3-7").code == "revoked"
    assert door.scans("0-0").code == "ok"
    with pytest.raises(CommandError, match="codes"):
        door.operation(Replace(()), "T-1")


def test_product_seat_and_window_change_until_the_ticket_enters() -> None:
    door = Door()
    door.issues(
        "T-1", "ABC", product="Stalls", seat="A1", not_before=START + HOUR, not_after=START + 2 * HOUR
    )
    assert door.scans("ABC").code == "not_yet_valid"
    changed = answer(door.does(ChangeTicket(seat="B2", not_before=0), "T-1"))
    assert (changed.product, changed.seat, changed.not_before, changed.not_after) == (
        "Stalls",
        "B2",
        0,
        START + 2 * HOUR,
    )
    door.restart()
    assert door.scans("ABC").code == "ok"
    assert door.does(ChangeTicket(seat="C3"), "T-1").code == "already_consumed"
    with pytest.raises(CommandError, match="one must be given"):
        door.operation(ChangeTicket(), "T-1")


def test_a_changed_window_is_not_empty() -> None:
    door = door_with()
    door.does(ChangeTicket(not_before=100), "T-1")
    refused = door.does(ChangeTicket(not_after=99), "T-1")
    assert (refused.code, answer(refused).not_before) == ("empty_window", 100)
    assert door.does(ChangeTicket(not_before=98, not_after=99), "T-1").code == "ok"
    assert door.does(ChangeTicket(not_before=200), "T-1").code == "empty_window"
    assert door.does(ChangeTicket(not_before=200, not_after=0), "T-1").code == "ok", "no end"
    assert door.scans("ABC").code == "ok"


def test_an_entry_made_elsewhere_is_imported_whatever_the_terms_say() -> None:
    door = Door()
    door.issues("T-1", "ABC", not_before=START + HOUR, blocked=True)
    entered = answer(door.does(ImportEntry(at=START - HOUR, gate="west"), "T-1", nonce=b"n"))
    assert (entered.state, entered.gate, entered.entered_at) == (State.CONSUMED, "west", START - HOUR)
    assert (entered.timestamp, entered.operation) == (door.now, "import_entry")
    assert door.does(ImportEntry(at=START - HOUR, gate="west"), "T-1").code == "already_consumed"
    door.now += 3 * HOUR
    assert door.does(ImportEntry(at=START - HOUR, gate="west"), "T-1", nonce=b"n").code == "ok"
    door.now += 3 * HOUR
    assert door.does(ImportEntry(at=START, gate="west"), "T-1", nonce=b"n").code == "nonce_reused"
    door.does(Unblock(), "T-1")
    door.now = START + 2 * HOUR
    assert answer(door.scans("ABC")).entered_at == START - HOUR
    disputed = door_with(State.DISPUTED)
    assert disputed.does(ImportEntry(), "T-1").code == "disputed"


@table("command", [Block(), Unblock(), Replace((bytes(32),)), ChangeTicket(seat="A"), ImportEntry()], count=5)
def test_all_that_changes_terms_names_a_ticket_and_needs_operate(command: Command) -> None:
    door = door_with()
    assert door.does(command, "NOBODY").code == "ticket_not_found"
    denied = door.does(command, "T-1", principal="scanner")
    assert (denied.code, answer(denied).ticket) == ("not_permitted", "T-1")


def test_a_late_retry_of_an_issue_is_recognised_though_its_terms_changed() -> None:
    """R13: an import that lost an answer repeats it, and somebody blocked the ticket meanwhile."""
    door = Door()
    command = Issue(seat="A1", codes=door.digests("ABC"), metadata=(("order", "1"),))
    door.does(command, "T-1", nonce=b"n")
    door.does(Block(), "T-1")
    door.does(Replace(door.digests("NEW")), "T-1")
    door.now += 3 * HOUR
    assert door.does(command, "T-1", nonce=b"n").code == "ok"
    door.now += 3 * HOUR
    other = Issue(seat="A1", codes=door.digests("ABC"), metadata=(("order", "2"),))
    assert door.does(other, "T-1", nonce=b"n").code == "nonce_reused"
    assert door.does(command, "T-1", nonce=b"m").code == "ticket_exists"


def test_a_change_that_changes_nothing_leaves_the_ticket_as_it_was() -> None:
    door = Door()
    door.issues("T-1", "ABC", seat="A1")
    door.save()
    for command in (Replace(door.digests("ABC")), ChangeTicket(seat="A1")):
        assert door.does(command, "T-1").code == "ok"
    assert not [change for change in door.application.changes() if change.table == "ticket"]


def test_terms_that_no_change_touches_stay() -> None:
    door = Door()
    kept = {"commitment": b"c" * 32, "data": b"d", "metadata": (("order", "1"),)}
    door.issues("T-1", "ABC", **kept)
    door.does(Block(reason="why"), "T-1")
    door.does(ChangeTicket(product="P", seat="S", not_before=1, not_after=2**63 - 1), "T-1")
    row = door.application.row(EVENT, "T-1")
    assert row is not None
    assert (row.commitment, row.data, row.metadata) == (b"c" * 32, b"d", {"order": "1"})
    assert (row.blocked, row.block_reason, row.product, row.not_after) == (True, "why", "P", 2**63 - 1)
