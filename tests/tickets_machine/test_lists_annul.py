"""Forced entries, annulments and late retries as R41 has them, each rule by itself (D11)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.machine import (
    Admit,
    Annul,
    Block,
    ChangeTicket,
    Command,
    CommandError,
    Consume,
    Dispute,
    EventList,
    ImportEntry,
    Replace,
    Resolve,
    State,
    Validate,
)
from dtvn.protocol.genesis import Grant, Principal
from tests.tickets_machine.doors import EVENT, PRINCIPALS, Door
from tests.tickets_machine.lists import DAY, annul, codes, door_with, force, scan, status, visit
from tests.tickets_machine.support import HOUR, MINUTE, START, genesis, public

# --- force -------------------------------------------------------------------------------------------


def test_force_passes_window_product_list_and_entries() -> None:
    door = door_with(EventList("vip", not_after=1, products=("Box",), capacity=1), product="Parking")
    door.does(ChangeTicket(not_before=START + DAY), "T-1")
    assert codes(scan(door, "vip"), force(door, "vip"), force(door, "vip")) == ["not_yet_valid", "ok", "ok"]
    assert codes(scan(door), force(door), force(door)) == ["not_yet_valid", "ok", "ok"]
    assert status(door) is State.CONSUMED


def test_force_passes_no_unknown_revoked_blocked_or_disputed_ticket_and_no_unknown_list() -> None:
    door = door_with()
    assert codes(force(door, text="NOBODY"), force(door, "bar")) == ["barcode_not_found", "unknown_list"]
    assert force(door, event="oprea").code == "unknown_event"
    door.does(Block(), "T-1")
    assert force(door).code == "blocked"
    door.issues("T-2", "DEF")
    door.does(Replace(door.digests("NEW")), "T-2")
    assert force(door, text="DEF").code == "revoked"
    for command in (Validate(), Dispute()):
        door.does(command, "T-2")
    assert force(door, text="NEW").code == "disputed"
    door.does(Resolve(verdict="uphold"), "T-2")
    assert force(door, text="NEW").code == "disputed"


def test_a_forced_entry_uses_one_that_is_left() -> None:
    door = door_with(EventList("ride", rule="times", times=2))
    forced = force(door, "ride")
    assert (visit(forced).used, visit(forced).forced, visit(forced).kind) == (1, True, "force")
    assert codes(scan(door, "ride"), scan(door, "ride")) == ["ok", "already_consumed"]
    assert force(door).code == "ok"
    assert scan(door).code == "already_consumed"


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


def test_movements_are_taken_back_the_newest_first() -> None:
    door = door_with(EventList("vip", rule="times", times=2))
    assert codes(scan(door, "vip"), scan(door, "vip", "exit"), scan(door, "vip")) == ["ok"] * 3
    found = [annul(door, "vip") for _ in range(4)]
    assert codes(*found) == ["ok"] * 3 + ["not_the_newest"]
    assert [(visit(each).used, visit(each).inside) for each in found] == [(1, 0), (1, 1), (0, 0), (0, 0)]


def test_an_annulled_exit_is_inside_again() -> None:
    door = door_with(EventList("vip", returns=True))
    assert codes(scan(door, "vip"), scan(door, "vip", "exit"), annul(door, "vip")) == ["ok"] * 3
    assert codes(scan(door, "vip"), scan(door, "vip", "exit")) == ["already_consumed", "ok"]


def test_annul_takes_back_a_forced_entry() -> None:
    door = door_with()
    scan(door)
    force(door)
    assert annul(door).code == "not_the_newest", "the steward made it"
    assert annul(door, principal="steward").code == "ok"
    assert status(door) is State.CONSUMED, "the first entry stands"
    assert annul(door).code == "ok"
    assert status(door) is State.VALIDATED


def test_each_list_has_a_newest_movement_of_its_own() -> None:
    door = door_with(EventList("vip"))
    assert codes(scan(door), scan(door, "vip"), annul(door), annul(door)) == [
        "ok",
        "ok",
        "ok",
        "not_the_newest",
    ]
    assert codes(annul(door, "vip"), annul(door, "bar")) == ["ok", "unknown_list"]


@pytest.mark.parametrize("who", [{"device": "d2"}, {"actor": "otto"}, {"principal": "gateway"}])
def test_nobody_else_takes_it_back(who: dict[str, str]) -> None:
    door = door_with()
    scan(door)
    assert annul(door, **who).code == "not_the_newest"
    assert status(door) is State.CONSUMED
    assert annul(door).code == "ok"


def test_within_fifteen_minutes_of_log_time() -> None:
    for late, code in ((0, "ok"), (1, "too_late_to_annul")):
        door = door_with()
        scan(door)
        door.now += 15 * MINUTE - 1 + late
        assert annul(door).code == code


def test_an_undo_that_names_its_scan_takes_nothing_else_back() -> None:
    """A supervisor annulled the exit meanwhile: its undo must not take back the entry before it."""
    door = door_with(EventList("main", returns=True))
    assert scan(door, nonce=b"came").code == "ok"
    assert scan(door, kind="exit", nonce=b"left").code == "ok"
    annulled = {"principal": "steward", "supervised": True, "reason": "still here"}
    assert annul(door, movement=b"came", **annulled).code == "not_the_newest"
    assert annul(door, movement=b"left", **annulled).code == "ok"
    assert annul(door, movement=b"left").code == "not_the_newest"
    assert status(door) is State.CONSUMED, "the guest is inside"
    assert annul(door, movement=b"came").code == "ok"
    assert annul(door).code == "not_the_newest"


def test_later_or_of_another_person_only_who_may_supervise_with_a_reason() -> None:
    door = door_with()
    scan(door)
    door.now += HOUR
    assert annul(door).code == "too_late_to_annul"
    assert annul(door, supervised=True, reason="wrong guest").code == "not_permitted"
    with pytest.raises(CommandError, match="reason"):
        annul(door, principal="steward", supervised=True)
    assert annul(door, principal="steward", reason="wrong guest").code == "not_the_newest"
    other = annul(door, principal="steward", supervised=True, reason="wrong guest", device="d2")
    assert other.code == "not_the_newest", "the device must be the one that made the entry"
    assert annul(door, principal="steward", supervised=True, reason="wrong guest", actor="eve").code == "ok"
    assert status(door) is State.VALIDATED


def test_annul_asks_neither_block_nor_revocation_but_no_dispute_ends_by_it() -> None:
    door = door_with(EventList("vip"))
    scan(door)
    scan(door, "vip")
    door.does(Block(), "T-1")
    door.does(Replace(door.digests("NEW")), "T-1")
    assert annul(door).code == "ok"
    assert status(door) is State.VALIDATED
    door.does(Dispute(), "T-1")
    assert annul(door, "vip").code == "disputed"
    assert status(door) is State.DISPUTED


def test_a_gate_annuls_by_id_what_it_made() -> None:
    door = door_with()
    scan(door)
    by_id = Annul(gate="north", device="d1")
    assert codes(
        door.does(by_id, "T-1", principal="scanner"), door.does(by_id, "T-9", principal="scanner")
    ) == [
        "ok",
        "ticket_not_found",
    ]


def test_an_annulment_of_yesterday_frees_nothing_today() -> None:
    door = door_with(EventList("day", rule="daily"))
    door.now = (START // DAY + 1) * DAY - 5 * MINUTE
    scan(door, "day")
    door.now += 10 * MINUTE
    scan(door, "day", device="d2")
    assert codes(annul(door, "day", device="d2"), annul(door, "day")) == ["ok", "ok"]
    assert codes(scan(door, "day"), scan(door, "day")) == ["ok", "already_consumed"]


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


def test_a_late_retry_of_what_was_annulled_enters_nobody() -> None:
    door = door_with()
    scan(door, nonce=b"n1")
    annul(door, nonce=b"n2")
    door.now += 3 * HOUR
    again = scan(door, nonce=b"n1")
    assert (again.code, visit(again).used) == ("ok", 0), "first outcome for ever"
    assert annul(door, nonce=b"n2").code == "ok"
    assert status(door) is State.VALIDATED
    door.now += 3 * HOUR
    assert scan(door, nonce=b"n2").code == "nonce_reused"


@pytest.mark.parametrize("command", [Consume("north", "d1"), Admit("north", "d1"), ImportEntry(gate="west")])
def test_a_late_retry_of_an_older_form_is_known_too(command: Command) -> None:
    door = door_with(entries=3)
    door.does(Validate(), "T-1")
    door.does(command, "T-1", nonce=b"n1")
    scan(door, nonce=b"n2")
    door.now += 3 * HOUR
    assert door.does(command, "T-1", nonce=b"n1").code == "ok"
    door.now += 3 * HOUR
    other = msgspec.structs.replace(command, gate="east")
    assert door.does(other, "T-1", nonce=b"n1").code == "nonce_reused"
    row = door.application.row(EVENT, "T-1")
    assert row is not None
    assert row.counts[0].entries == 2


def test_a_late_retry_of_an_imported_entry_names_the_same_time() -> None:
    """The first of a group: its ticket keeps the movement, and is not consumed by it."""
    door = door_with(entries=2)
    command = ImportEntry(at=START - HOUR, gate="west")
    assert door.does(command, "T-1", nonce=b"n").code == "ok"
    door.now += 3 * HOUR
    other = msgspec.structs.replace(command, at=START)
    assert door.does(other, "T-1", nonce=b"n").code == "nonce_reused"
    door.now += 3 * HOUR
    assert door.does(command, "T-1", nonce=b"n").code == "ok"
    row = door.application.row(EVENT, "T-1")
    assert row is not None
    assert [count.entries for count in row.counts] == [1]


def test_a_repetition_within_the_hour_has_its_first_outcome() -> None:
    door = door_with(EventList("vip", returns=True))
    scan(door, "vip", nonce=b"n1")
    assert scan(door, "vip", "exit", nonce=b"n2").code == "ok"
    assert scan(door, "vip", nonce=b"n1").code == "ok"
    row = door.application.row(EVENT, "T-1")
    assert row is not None
    assert (row.counts[0].entries, row.counts[0].exits) == (1, 1)
