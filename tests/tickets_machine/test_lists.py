"""Lists, exits, annulments and forced entries as R41 has them, each rule by itself (D10, D11)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.machine import (
    Admit,
    Annul,
    AnsweredState,
    Block,
    ChangeTicket,
    Command,
    CommandError,
    Consume,
    Dispute,
    EventList,
    Force,
    ImportEntry,
    Issue,
    ListedState,
    Replace,
    Resolve,
    SetEvent,
    State,
    Validate,
    read_state,
    read_terms,
)
from dtvn.machine.movements import Visit
from dtvn.protocol.consensus.messages import Outcome
from dtvn.protocol.genesis import Genesis, Grant, Principal
from tests.tickets_machine.doors import EVENT, PRINCIPALS, Door, answer, row, with_payload
from tests.tickets_machine.support import HOUR, MINUTE, START, genesis, public

DAY = 24 * HOUR
STEWARD = Principal("steward", public("w"), (Grant("*", "gate"), Grant("*", "supervise")))


def founded() -> Genesis:
    """The gateway's `admin` gives `supervise`, as in genesis files of before; the steward has it by name."""
    return genesis(principals=(*PRINCIPALS, STEWARD))


def door_with(*lists: EventList, entries: int = 1, product: str = "Stalls", searched: bool = True) -> Door:
    """A door with these lists, and ticket T-1 with code ABC."""
    door = Door(founded(), searched=searched)
    assert door.does(SetEvent(products=(("Parking", False), ("Stalls", True)), lists=lists)).code == "ok"
    assert door.issues("T-1", "ABC", product=product, entries=entries).code == "ok"
    return door


def scan(door: Door, slug: str = "main", kind: Any = "entry", **more: Any) -> Outcome:
    """An entry or an exit by code, as the scanner at the north gate makes it."""
    command = Admit(
        gate=more.pop("gate", "north"),
        device=more.pop("device", "d1"),
        code=door.digest(more.pop("text", "ABC")),
        list=slug,
        kind=kind,
    )
    return door.does(command, **{"principal": "scanner"} | more)


def annul(door: Door, slug: str = "main", **more: Any) -> Outcome:
    command = Annul(
        gate="north",
        device=more.pop("device", "d1"),
        code=door.digest(more.pop("text", "ABC")),
        list=slug,
        reason=more.pop("reason", ""),
        supervised=more.pop("supervised", False),
    )
    return door.does(command, **{"principal": "scanner"} | more)


def force(door: Door, slug: str = "main", **more: Any) -> Outcome:
    command = Force(
        gate="north",
        device=more.pop("device", "d1"),
        code=door.digest(more.pop("text", "ABC")),
        list=slug,
        reason=more.pop("reason", "guest of the house"),
    )
    return door.does(command, **{"principal": "steward"} | more)


def codes(*outcomes: Outcome) -> list[str]:
    return [outcome.code for outcome in outcomes]


def visit(outcome: Outcome) -> Visit:
    state = read_state(outcome.state)
    assert isinstance(state, ListedState)
    return state.visit


def status(door: Door) -> State:
    found = door.application.ticket(EVENT, "T-1")
    assert found is not None
    return found.state


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
    assert other.code == "not_the_newest", "whoever asks names the device that made it"
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


# --- forms -------------------------------------------------------------------------------------------


def test_what_is_kept_of_a_ticket_is_bounded() -> None:
    door = door_with()
    for number in range(200):
        slug = f"list{number}"
        door.does(SetEvent(lists=(EventList(slug, rule="free"),)))
        scan(door, slug)
    row = door.application.row(EVENT, "T-1")
    assert row is not None
    assert (len(row.movements), len(row.counts) <= 64) == (16, True)
    assert [count.list for count in row.counts] == sorted(count.list for count in row.counts)


def test_golden_payloads_of_scans() -> None:
    door = Door()
    code = bytes(range(32))
    built = {
        "94a16ea164c420{}a3766970": Admit("n", "d", code, "vip"),
        "95a16ea164c420{}a0a465786974": Admit("n", "d", code, kind="exit"),
        "93a16ea164c420{}": Annul("n", "d", code),
        "96a16ea164c420{}a3766970a3776879c3": Annul("n", "d", code, "vip", "why", True),
        "95a16ea164c420{}a0a3776879": Force("n", "d", code, reason="why"),
    }
    for payload, command in built.items():
        assert door.operation(command).payload.hex() == payload.format(code.hex())


def test_the_code_of_every_form_is_found_in_its_payload() -> None:
    """Its nonce is bound to the code, whatever is named beside it, and a memo finds what comes with it."""
    door = Door(created=False)
    door.does(SetEvent(ids_are_codes=True, lists=(EventList("vip", rule="free"),)))
    long = " " + "\U00010348" * 48 + "\u20ac"
    for gate in ("", "north", "g" * 40, long):
        door.issues(f"T-{len(gate)}", f"ABC{len(gate)}")
        for text in (f"ABC{len(gate)}", f"ABC{len(gate)}"):
            assert scan(door, "vip", gate=gate, text=text).code == "ok"
    first = scan(door, "vip", text="ABC0", ticket="ABC0", nonce=b"n")
    assert scan(door, "vip", text="ABC0", nonce=b"n") == first


@pytest.mark.parametrize(
    "fields",
    [
        ("n", "d", None, "vip"),
        ("n", "d", b"", "main"),
        ("n", "d", b"", "", "entry"),
        ("n", "d", b"", "vip", "in"),
        ("n", "d", b"", "a b"),
        ("n", "d", b"", ""),
        ("n", "d", b"x", "vip"),
    ],
)
def test_an_admission_has_one_form(fields: tuple[object, ...]) -> None:
    door = door_with(EventList("vip"))
    asked = door.operation(Admit("n", "d", b""), "T-1", event=EVENT)
    assert door.order(with_payload(asked, fields))[0].code == "malformed"


@pytest.mark.parametrize(
    ("lists", "why"),
    [
        ((EventList("a", rule="times"),), "times"),
        ((EventList("a", times=2),), "times"),
        ((EventList("a", not_before=2, not_after=1),), "not_after"),
        ((EventList("a", offsets=((0, 1),)),), "offsets"),
        ((EventList("a", rule="daily", offsets=((5, 1), (5, 2))),), "offsets"),
        ((EventList("a"), EventList("a")), "ascend"),
        ((EventList("a", name="x\x00"),), "control"),
        ((EventList("a", products=("A", "A")),), "ascend"),
        ((EventList("a b"),), "lists"),
        ((EventList("a", capacity=-1),), "lists"),
        (tuple(EventList(f"l{number}") for number in range(33)), "lists"),
        ((EventList("a", products=tuple(f"{number:0128}" for number in range(600))),), "bytes"),
    ],
)
def test_lists_that_mean_nothing_are_refused(lists: tuple[EventList, ...], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        Door().does(SetEvent(lists=lists))


def test_lists_stay_if_a_change_does_not_name_them() -> None:
    door = door_with(EventList("vip", name="Cafe\u0301", products=("Stalls", "Box")))
    kept = row(door.does(SetEvent(name="Gala"))).lists
    assert kept == (EventList("vip", name="Caf\u00e9", products=("Box", "Stalls")),)
    door.restart()
    assert scan(door, "vip").code == "ok"
    assert row(door.does(SetEvent(lists=()))).lists == ()


def test_a_late_retry_of_a_group_s_issue_is_recognised() -> None:
    door = door_with()
    command = Issue(entries=4, seat="A1")
    assert visit(door.does(command, "G-1", nonce=b"g")).allowed == 4
    door.now += 3 * HOUR
    assert door.does(command, "G-1", nonce=b"g").code == "ok"
    door.now += 3 * HOUR
    assert door.does(Issue(entries=5, seat="A1"), "G-1", nonce=b"g").code == "nonce_reused"
    found = door.application._state.registry.get(EVENT, "G-1")
    assert found is not None
    assert read_terms(found.issued).entries == 4
    with pytest.raises(CommandError, match="entries"):
        door.does(Issue(entries=0), "G-2")


def test_the_day_of_an_imported_entry_is_that_of_the_source() -> None:
    door = door_with(EventList("main", rule="daily"))
    entered = door.does(ImportEntry(at=START - DAY, gate="west"), "T-1")
    assert (entered.code, visit(entered).used) == ("ok", 0)
    assert status(door) is State.VALIDATED
    assert codes(scan(door), scan(door)) == ["ok", "already_consumed"]
