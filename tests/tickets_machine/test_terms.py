"""Blocks, replaced codes, changed terms and imported entries (D5)."""

from __future__ import annotations

import pytest

from dtvn.machine import (
    Admit,
    Block,
    ChangeTicket,
    Command,
    CommandError,
    Consume,
    Dispute,
    ImportEntry,
    Issue,
    Replace,
    Resolve,
    State,
    Unblock,
    Validate,
)
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


@pytest.mark.parametrize("state", State)
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


@pytest.mark.parametrize("command", [Validate(), Admit(), Admit(code=b"")])
def test_a_blocked_ticket_opens_nothing_by_its_id_either(command: Command) -> None:
    door = door_with()
    door.does(Block(), "T-1")
    assert door.does(command, "T-1").code == "blocked"
    door.does(Unblock(), "T-1")
    assert door.does(command, "T-1").code == "ok"


def test_a_ticket_that_was_validated_before_its_block_is_not_consumed() -> None:
    door = door_with(State.VALIDATED)
    door.does(Block(), "T-1")
    assert door.does(Consume(), "T-1").code == "blocked"
    assert door.does(Dispute(), "T-1").code == "ok"


def test_a_ticket_may_be_issued_blocked_and_its_gate_reads_why() -> None:
    door = Door()
    door.issues("T-1", "ABC", blocked=True, block_reason="cancelled")
    refused = door.scans("ABC")
    assert (refused.code, answer(refused).block_reason) == ("blocked", "cancelled")
    with pytest.raises(CommandError, match="block_reason"):
        door.operation(Issue(block_reason="why"), "T-2")


@pytest.mark.parametrize("state", State)
def test_a_replaced_code_is_revoked_and_the_new_one_opens(state: State) -> None:
    door = door_with(state)
    assert door.does(Replace(door.digests("NEW")), "T-1").code == "ok"
    refused = door.scans("ABC")
    assert (refused.code, answer(refused).ticket) == ("revoked", "T-1")
    door.restart()
    assert door.scans("ABC").code == "revoked"
    entered = {State.ISSUED: "ok", State.VALIDATED: "ok", State.CONSUMED: "already_consumed"}
    assert door.scans("NEW").code == entered.get(state, "disputed")


def test_a_revoked_code_may_return_to_its_own_ticket_only() -> None:
    door = door_with()
    door.issues("T-2", "OTHER")
    door.does(Replace(door.digests("NEW")), "T-1")
    assert door.does(Replace(door.digests("ABC")), "T-2").code == "barcode_taken"
    assert door.scans("OTHER").code == "ok", "a refusal replaces nothing"
    assert door.does(Replace(door.digests("ABC")), "T-1").code == "ok"
    assert door.scans("NEW").code == "revoked"
    assert door.scans("ABC").code == "ok"


def test_a_replacement_keeps_the_codes_that_it_names_again() -> None:
    door = Door()
    door.issues("T-1", "A", "B")
    door.does(Replace(door.digests("B", "C")), "T-1")
    assert [door.scans(text).code for text in "ABC"] == ["revoked", "ok", "already_consumed"]


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


@pytest.mark.parametrize(
    "command", [Block(), Unblock(), Replace((bytes(32),)), ChangeTicket(seat="A"), ImportEntry()]
)
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
