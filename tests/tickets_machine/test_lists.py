"""Lists and exits as R41 has them, each rule by itself (D10)."""

from __future__ import annotations

import pytest

from dtvn.machine import (
    Admit,
    AnsweredState,
    Command,
    Consume,
    EventList,
    ImportEntry,
    SetEvent,
    State,
    Validate,
)
from dtvn.machine.lists import LISTS_MAX
from dtvn.machine.movements import COUNTS_KEPT, MOVEMENTS_KEPT, Visit
from tests.tickets_machine.doors import EVENT, Door, answer, row
from tests.tickets_machine.lists import annul, codes, counted, door_with, scan, status, visit

# --- what stays as it was ----------------------------------------------------------------------------


def test_a_plain_admission_writes_nothing_more_than_it_did() -> None:
    door = door_with()
    before = door.application._state.registry.get(EVENT, "T-1")
    assert before is not None
    issued = before.issued
    first = door.scans("ABC")
    assert type(answer(first)) is AnsweredState
    after = door.application._state.registry.get(EVENT, "T-1")
    assert after is not None
    assert after.issued == issued
    by_name = door.operation(Admit("north", "d1", door.digest("ABC"), list="main"), event=EVENT)
    assert by_name.payload == door.operation(Admit("north", "d1", door.digest("ABC")), event=EVENT).payload


def test_an_event_without_lists_keeps_the_bytes_of_its_row() -> None:
    door = Door()
    assert row(door.does(SetEvent("Opera"))).lists == ()
    assert door.does(SetEvent("Opera")).state[:1] == b"\x9b", "eleven fields"


@pytest.mark.parametrize("entered", [Admit("north", "d1"), Consume("north", "d1"), ImportEntry(gate="north")])
def test_an_entry_of_an_older_form_counts_as_one_on_main(entered: Command) -> None:
    door = door_with()
    door.does(Validate(), "T-1")
    assert door.does(entered, "T-1").code == "ok"
    assert status(door) is State.CONSUMED
    at, device = (0, "") if isinstance(entered, ImportEntry) else (door.now, "d1")
    gone = scan(door, kind="exit")
    assert gone.code == "ok"
    assert visit(gone) == Visit("main", "exit", 1, 1, 0, False, at, "north", device)
    assert scan(door).code == "already_consumed"
    assert scan(door, kind="exit").code == "not_inside"


# --- rules of entry ----------------------------------------------------------------------------------


def test_the_entry_node_of_the_first_entry_of_whatever_list_validates() -> None:
    door = door_with(EventList("vip"))
    scan(door, "vip", entry="node2")
    scan(door, entry="node3")
    found = door.application.ticket(EVENT, "T-1")
    assert found is not None
    assert (found.validator, found.state) == ("node2", State.CONSUMED)


def test_a_returning_exit_from_main_validates_the_ticket_again() -> None:
    door = door_with(EventList("main", returns=True))
    scan(door, entry="node2")
    assert status(door) is State.CONSUMED
    assert scan(door, kind="exit", entry="node3").code == "ok"
    found = door.application.ticket(EVENT, "T-1")
    assert found is not None
    assert (found.state, found.validator) == (State.VALIDATED, "node2")
    assert scan(door).code == "ok"


# --- window, products, capacity ----------------------------------------------------------------------


# --- later changes -----------------------------------------------------------------------------------


def test_counts_of_lists_that_are_no_more_are_dropped_behind_the_kept_movements() -> None:
    """So a ticket of a long season stays small, and a list that is put back has what was entered last."""
    seasons = [[f"{season}{number:02}" for number in range(LISTS_MAX)] for season in "abc"]
    door = door_with()
    for season in seasons[:2]:
        lists = tuple(map(EventList, season))
        assert door.does(SetEvent(lists=lists)).code == "ok"
        assert codes(*(scan(door, slug) for slug in season)) == ["ok"] * LISTS_MAX
    assert len(counted(door)) == COUNTS_KEPT
    assert door.does(SetEvent(lists=tuple(map(EventList, seasons[2])))).code == "ok"
    assert scan(door, "c00").code == "ok"
    kept = [*seasons[1][1 - MOVEMENTS_KEPT :], "c00"]
    assert counted(door) == kept
    assert door.does(SetEvent(lists=(EventList("b00"), EventList("b31")))).code == "ok"
    assert annul(door, "b31").code == "ok"
    assert codes(scan(door, "b31"), scan(door, "b31")) == ["ok", "already_consumed"]


def test_the_count_of_a_list_that_is_still_there_is_kept_however_long_ago_it_was_entered() -> None:
    door = door_with()
    for season in "abc":
        lists = ["all", *(f"{season}{number:02}" for number in range(LISTS_MAX - 1))]
        assert door.does(SetEvent(lists=tuple(map(EventList, sorted(lists))))).code == "ok"
        entered = [scan(door, slug).code for slug in lists]
        assert entered == ["ok" if season == "a" else "already_consumed"] + ["ok"] * (LISTS_MAX - 1)
    door.restart()
    assert scan(door, "all").code == "already_consumed"
