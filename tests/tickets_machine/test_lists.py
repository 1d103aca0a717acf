"""Lists and exits as R41 has them, each rule by itself (D10)."""

from __future__ import annotations

import pytest

from dtvn.machine import (
    Admit,
    AnsweredState,
    Block,
    ChangeTicket,
    Command,
    Consume,
    Dispute,
    EventList,
    ImportEntry,
    Replace,
    Resolve,
    SetEvent,
    State,
    Validate,
)
from dtvn.machine.lists import LISTS_MAX
from dtvn.machine.movements import COUNTS_KEPT, MOVEMENTS_KEPT, Visit
from tests.tickets_machine.doors import EVENT, Door, answer, row
from tests.tickets_machine.lists import DAY, annul, codes, counted, door_with, force, scan, status, visit
from tests.tickets_machine.support import HOUR, START

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


def test_lists_are_independent_of_each_other() -> None:
    door = door_with(EventList("meal"), EventList("vip"))
    assert codes(scan(door, "vip"), scan(door, "vip")) == ["ok", "already_consumed"]
    assert status(door) is State.VALIDATED, "nobody entered the house"
    assert scan(door).code == "ok"
    assert status(door) is State.CONSUMED
    assert codes(scan(door, "meal"), scan(door), scan(door, "bar")) == [
        "ok",
        "already_consumed",
        "unknown_list",
    ]
    assert status(door) is State.CONSUMED
    door.restart()
    assert codes(scan(door, "meal"), scan(door, "vip")) == ["already_consumed"] * 2


def test_the_entry_node_of_the_first_entry_of_whatever_list_validates() -> None:
    door = door_with(EventList("vip"))
    scan(door, "vip", entry="node2")
    scan(door, entry="node3")
    found = door.application.ticket(EVENT, "T-1")
    assert found is not None
    assert (found.validator, found.state) == ("node2", State.CONSUMED)


def test_n_times() -> None:
    door = door_with(EventList("ride", rule="times", times=3))
    assert codes(*(scan(door, "ride") for _ in range(4))) == ["ok"] * 3 + ["already_consumed"]
    last = scan(door, "ride")
    assert (visit(last).used, visit(last).allowed, visit(last).inside) == (3, 3, 3)


def test_without_limit() -> None:
    door = door_with(EventList("main", rule="free"))
    found = [scan(door) for _ in range(20)]
    assert {outcome.code for outcome in found} == {"ok"}
    assert (visit(found[-1]).used, visit(found[-1]).allowed) == (20, 0)
    assert status(door) is State.VALIDATED


def test_a_day_is_that_of_the_offset_that_holds_then() -> None:
    midnight = (START // DAY + 1) * DAY
    door = door_with(EventList("day", rule="daily", offsets=((0, 7_200), (midnight + HOUR, -3_600))))
    door.now = midnight - HOUR
    assert scan(door, "day").code == "ok", "the next day there"
    door.now = midnight + HOUR
    assert scan(door, "day").code == "already_consumed", "the clocks were put back to that day"
    door.now = midnight + DAY + HOUR - 2
    assert codes(scan(door, "day"), scan(door, "day")) == ["already_consumed", "ok"]


def test_the_day_changes_at_midnight_of_the_zone_and_not_a_microsecond_earlier() -> None:
    listed = EventList("day", rule="daily", offsets=((0, 7_200),))
    door = door_with(listed)
    change = (START // DAY + 1) * DAY - 2 * HOUR
    door.now = change - HOUR
    assert scan(door, "day").code == "ok"
    door.now = change - 2
    assert scan(door, "day").code == "already_consumed"
    assert scan(door, "day").code == "ok", "exactly at midnight"
    assert scan(door, "day").code == "already_consumed"


def test_an_exit_of_the_day_before_is_not_inside_today() -> None:
    door = door_with(EventList("day", rule="daily", returns=True))
    assert scan(door, "day").code == "ok"
    door.now += DAY
    assert scan(door, "day", "exit").code == "not_inside"
    assert codes(scan(door, "day"), scan(door, "day", "exit"), scan(door, "day")) == ["ok"] * 3


def test_an_exit_gives_the_entry_back_where_the_list_says_so() -> None:
    for returns, second in ((True, "ok"), (False, "already_consumed")):
        door = door_with(EventList("vip", returns=returns))
        assert codes(scan(door, "vip"), scan(door, "vip", "exit"), scan(door, "vip")) == ["ok", "ok", second]


def test_an_exit_frees_one_entry_and_no_second_one() -> None:
    door = door_with(EventList("vip", rule="times", times=2, returns=True))
    assert codes(scan(door, "vip"), scan(door, "vip"), scan(door, "vip")) == ["ok", "ok", "already_consumed"]
    assert codes(scan(door, "vip", "exit"), scan(door, "vip"), scan(door, "vip")) == [
        "ok",
        "ok",
        "already_consumed",
    ]


def test_nobody_leaves_who_is_not_inside() -> None:
    door = door_with()
    assert scan(door, kind="exit").code == "not_inside"
    assert status(door) is State.ISSUED
    assert codes(scan(door), scan(door, kind="exit"), scan(door, kind="exit")) == ["ok", "ok", "not_inside"]


def test_where_an_exit_is_required_nobody_enters_twice_before_it() -> None:
    door = door_with(EventList("smoke", rule="free", exit_first=True))
    assert codes(scan(door, "smoke"), scan(door, "smoke")) == ["ok", "still_inside"]
    assert codes(scan(door, "smoke", "exit"), scan(door, "smoke")) == ["ok", "ok"]


def test_a_ticket_for_a_group_enters_once_a_person() -> None:
    door = door_with(EventList("smoke", rule="free", exit_first=True), entries=3)
    found = [scan(door) for _ in range(4)]
    assert codes(*found) == ["ok"] * 3 + ["already_consumed"]
    assert [visit(outcome).used for outcome in found] == [1, 2, 3, 3]
    assert {visit(outcome).allowed for outcome in found} == {3}
    assert codes(*(scan(door, "smoke") for _ in range(4))) == ["ok"] * 3 + ["still_inside"]


def test_a_group_is_consumed_with_its_last_entry_by_whatever_route() -> None:
    door = door_with(entries=3)
    door.does(Validate(), "T-1")
    states = []
    for command in (Consume("north", "d1"), Admit("north", "d1"), ImportEntry(gate="west"), Consume()):
        states.append((door.does(command, "T-1").code, status(door)))
    assert states == [
        ("ok", State.VALIDATED),
        ("ok", State.VALIDATED),
        ("ok", State.CONSUMED),
        ("already_consumed", State.CONSUMED),
    ]


def test_a_returning_exit_from_main_validates_the_ticket_again() -> None:
    door = door_with(EventList("main", returns=True))
    scan(door, entry="node2")
    assert status(door) is State.CONSUMED
    assert scan(door, kind="exit", entry="node3").code == "ok"
    found = door.application.ticket(EVENT, "T-1")
    assert found is not None
    assert (found.state, found.validator) == (State.VALIDATED, "node2")
    assert scan(door).code == "ok"


@pytest.mark.parametrize(
    "command",
    [
        Validate(),
        Consume(),
        Admit(),
        Dispute(),
        Resolve(verdict="clear"),
        ImportEntry(),
        ChangeTicket(seat="B"),
    ],
)
def test_no_route_of_the_contract_leaves_consumed(command: Command) -> None:
    door = door_with(EventList("main", rule="daily", returns=True))
    scan(door)
    door.now += DAY
    assert door.does(command, "T-1").code != "ok"
    assert status(door) is State.CONSUMED
    assert scan(door).code == "ok", "a list that counts by day is asked by admit"


def test_the_older_forms_ask_what_main_says() -> None:
    door = door_with(EventList("main", not_before=START + HOUR, products=("Stalls",), capacity=1))
    door.does(Validate(), "T-1")
    assert codes(door.does(Consume(), "T-1"), door.does(Admit(), "T-1")) == ["list_closed"] * 2
    door.now = START + 2 * HOUR
    door.issues("T-2", "DEF", product="Parking")
    assert door.does(Admit(), "T-2").code == "wrong_product"
    door.issues("T-3", "GHI", product="Stalls")
    assert door.does(Admit(), "T-3").code == "ok"
    assert codes(door.does(Consume(), "T-1"), scan(door)) == ["list_full"] * 2


# --- window, products, capacity ----------------------------------------------------------------------


def test_a_list_takes_entries_in_its_window_and_exits_at_any_time() -> None:
    door = door_with(EventList("vip", rule="free", not_before=START + HOUR, not_after=START + 2 * HOUR))
    assert scan(door, "vip").code == "list_closed"
    door.now = START + HOUR - 1
    assert scan(door, "vip").code == "ok"
    door.now = START + 2 * HOUR - 1
    assert codes(scan(door, "vip"), scan(door, "vip")) == ["ok", "list_closed"]
    assert scan(door, "vip", "exit").code == "ok"


def test_a_list_takes_the_products_that_it_names_or_all_that_admit() -> None:
    door = door_with(EventList("cars", products=("Parking",)), EventList("vip"), product="Parking")
    assert codes(scan(door, "cars"), scan(door, "vip"), scan(door)) == [
        "ok",
        "wrong_product",
        "wrong_product",
    ]
    door.issues("T-2", "DEF", product="Stalls")
    assert codes(scan(door, "cars", text="DEF"), scan(door, "vip", text="DEF")) == ["wrong_product", "ok"]
    door.issues("T-3", "GHI")
    assert codes(scan(door, "cars", text="GHI"), scan(door, "vip", text="GHI")) == ["wrong_product", "ok"]


@pytest.mark.parametrize("searched", [True, False])
def test_a_list_with_a_capacity_is_full_until_somebody_leaves(searched: bool) -> None:
    door = door_with(EventList("smoke", rule="free", capacity=2), searched=searched)
    for ticket, text in (("T-2", "DEF"), ("T-3", "GHI")):
        door.issues(ticket, text, product="Stalls")
    assert codes(scan(door, "smoke"), scan(door, "smoke", text="DEF")) == ["ok", "ok"]
    assert scan(door, "smoke", text="GHI").code == "list_full"
    door.restart()
    assert scan(door, "smoke", text="GHI").code == "list_full"
    assert codes(scan(door, "smoke", "exit"), scan(door, "smoke", text="GHI")) == ["ok", "ok"]
    assert force(door, "smoke").code == "ok", "a supervisor may"
    assert codes(annul(door, "smoke", text="GHI"), scan(door, "smoke", text="GHI")) == ["ok", "list_full"]


def test_the_capacity_of_main_counts_those_who_entered_before_it_was_said() -> None:
    door = door_with()
    door.issues("T-2", "DEF", product="Stalls")
    scan(door)
    door.does(SetEvent(lists=(EventList("main", rule="daily", capacity=1),)))
    assert scan(door, text="DEF").code == "list_full"
    door.now += DAY
    assert scan(door, text="DEF").code == "ok", "on a daily list those of the day"


# --- later changes -----------------------------------------------------------------------------------


def test_later_changes_judge_no_entry_already_made() -> None:
    door = door_with(EventList("vip", rule="free"))
    assert codes(scan(door, "vip"), scan(door, "vip")) == ["ok", "ok"]
    door.does(SetEvent(lists=(EventList("vip", products=("Box",)),)))
    refused = scan(door, "vip")
    assert (refused.code, visit(refused).used, visit(refused).allowed) == ("wrong_product", 2, 1)
    door.does(SetEvent(lists=()))
    assert scan(door, "vip").code == "unknown_list"
    door.does(SetEvent(lists=(EventList("vip", rule="times", times=3),)))
    assert codes(scan(door, "vip"), scan(door, "vip")) == ["ok", "already_consumed"]
    door.does(ChangeTicket(product="Parking"), "T-1")
    assert scan(door, "vip", "exit").code == "wrong_product"


def test_an_entry_of_today_counts_when_the_list_becomes_a_daily_one() -> None:
    door = door_with(EventList("vip", rule="times", times=9))
    scan(door, "vip")
    door.now += DAY
    scan(door, "vip")
    door.does(SetEvent(lists=(EventList("vip", rule="daily"),)))
    assert codes(scan(door, "vip")) == ["already_consumed"]
    door.does(SetEvent(lists=(EventList("vip", rule="times", times=3),)))
    assert codes(scan(door, "vip"), scan(door, "vip")) == ["ok", "already_consumed"]


def test_offsets_that_are_changed_backwards_give_no_second_entry() -> None:
    door = door_with(EventList("day", rule="daily", offsets=((0, 86_400),)))
    assert scan(door, "day").code == "ok"
    door.does(SetEvent(lists=(EventList("day", rule="daily", offsets=((0, -86_400),)),)))
    assert scan(door, "day").code == "already_consumed"
    door.now += 3 * DAY
    assert codes(scan(door, "day"), scan(door, "day")) == ["ok", "already_consumed"]


def test_offsets_that_are_changed_backwards_keep_the_later_day_of_a_group() -> None:
    """An entry after the change counts beside the one before it, and who came is still inside."""

    def days(offset: int) -> EventList:
        return EventList("day", rule="daily", capacity=2, offsets=((0, offset),))

    door = door_with(days(86_400), entries=2)
    door.issues("T-2", "DEF", product="Stalls")
    assert scan(door, "day").code == "ok"
    door.does(SetEvent(lists=(days(-86_400),)))
    assert codes(scan(door, "day"), scan(door, "day")) == ["ok", "already_consumed"]
    assert scan(door, "day", text="DEF").code == "list_full"
    door.restart()
    assert scan(door, "day", text="DEF").code == "list_full"


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


def test_a_ticket_that_entered_another_list_is_changed_blocked_and_replaced_as_before() -> None:
    door = door_with(EventList("vip", rule="free"))
    scan(door, "vip")
    assert door.does(ChangeTicket(seat="B2"), "T-1").code == "ok"
    assert door.does(Replace(door.digests("NEW")), "T-1").code == "ok"
    assert codes(scan(door, "vip"), scan(door, "vip", text="NEW")) == ["revoked", "ok"]
    assert door.does(Block(reason="stolen"), "T-1").code == "ok"
    assert codes(scan(door, "vip", text="NEW"), scan(door, "vip", "exit", text="NEW")) == ["blocked"] * 2
    row = door.application.row(EVENT, "T-1")
    assert row is not None
    assert (row.seat, row.blocked, [count.entries for count in row.counts]) == ("B2", True, [2])
