"""The day of an entry on a list that becomes a daily one, or whose zone is changed (R41, decision 0228)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dtvn.machine import Consume, EventList, ImportEntry, SetEvent, State, Validate
from tests.tickets_machine.doors import EVENT, Door, answer
from tests.tickets_machine.lists import DAY, annul, codes, door_with, force, founded, scan, status, visit
from tests.tickets_machine.stored import KeptDoor, door_of
from tests.tickets_machine.support import HOUR, MINUTE, START

NEW_YORK = ((0, -5 * 3_600),)
BERLIN = ((0, 2 * 3_600),)
MIDNIGHT = (START // DAY + 2) * DAY
"""Of UTC."""
EVENING_IN_NEW_YORK = MIDNIGHT + HOUR
"""Eight o'clock; in UTC it is the next day."""
NIGHT_IN_BERLIN = MIDNIGHT - 90 * MINUTE
"""Half an hour after midnight; in UTC it is the day before."""


def says(door: Door, *lists: EventList) -> None:
    assert door.does(SetEvent(lists=lists)).code == "ok"


def daily(slug: str, offsets: Any, **said: Any) -> EventList:
    return EventList(slug, rule="daily", offsets=offsets, **said)


@pytest.mark.parametrize("slug", ["main", "vip"])
@pytest.mark.parametrize("persons", [1, 3, 20])
def test_who_came_in_the_evening_in_new_york_comes_again_the_next_day(slug: str, persons: int) -> None:
    door = door_with(EventList("vip"), entries=persons)
    door.now = EVENING_IN_NEW_YORK
    assert codes(*(scan(door, slug) for _ in range(persons + 1))) == ["ok"] * persons + ["already_consumed"]
    says(door, daily(slug, NEW_YORK))
    door.restart()
    assert scan(door, slug).code == "already_consumed", "it is the same evening"
    door.now += 14 * HOUR
    assert codes(*(scan(door, slug) for _ in range(persons + 1))) == ["ok"] * persons + ["already_consumed"]
    door.now += 14 * HOUR
    assert scan(door, slug).code == "ok"


@pytest.mark.parametrize("slug", ["main", "vip"])
@pytest.mark.parametrize("persons", [1, 3])
def test_who_came_after_midnight_in_berlin_comes_once_on_that_day(slug: str, persons: int) -> None:
    door = door_with(EventList("vip"), entries=persons)
    door.now = NIGHT_IN_BERLIN
    assert codes(*(scan(door, slug) for _ in range(persons))) == ["ok"] * persons
    says(door, daily(slug, BERLIN))
    door.restart()
    door.now += 10 * HOUR
    refused = scan(door, slug)
    assert (refused.code, visit(refused).used, visit(refused).inside) == (
        "already_consumed",
        persons,
        persons,
    )
    assert scan(door, slug, "exit").code == "ok", "a guest who came last night can leave in the morning"
    door.now += DAY
    assert codes(*(scan(door, slug) for _ in range(persons + 1))) == ["ok"] * persons + ["already_consumed"]


@pytest.mark.parametrize("how", ["consume", "force", "import"])
def test_by_whatever_way_somebody_came(how: str) -> None:
    door = door_with()
    door.does(Validate(), "T-1")
    door.now = NIGHT_IN_BERLIN
    match how:
        case "consume":
            made = door.does(Consume("north", "d1"), "T-1")
        case "force":
            made = force(door)
        case _:
            door.now += 5 * HOUR
            made = door.does(ImportEntry(at=NIGHT_IN_BERLIN), "T-1")
    assert made.code == "ok"
    says(door, daily("main", BERLIN))
    door.now = NIGHT_IN_BERLIN + 10 * HOUR
    assert scan(door).code == "already_consumed"
    says(door, daily("main", NEW_YORK))
    assert scan(door).code == "ok", "there it was yesterday"


def test_an_imported_entry_has_the_day_of_the_source_also_once_the_list_is_daily() -> None:
    door = door_with(entries=3)
    door.now = EVENING_IN_NEW_YORK + 20 * HOUR
    for _ in range(2):
        assert door.does(ImportEntry(at=EVENING_IN_NEW_YORK), "T-1").code == "ok"
    says(door, daily("main", NEW_YORK))
    assert answer(scan(door)).entered_at == EVENING_IN_NEW_YORK
    assert codes(scan(door), scan(door), scan(door)) == ["ok", "ok", "already_consumed"]


def test_imported_entries_of_several_days_stay_on_theirs() -> None:
    door = door_with(daily("main", BERLIN), entries=3)
    for at in (door.now - DAY, door.now):
        assert door.does(ImportEntry(at=at), "T-1").code == "ok"
    door.restart()
    assert visit(scan(door)).used == 2, "today's imported entry and this one"


def test_a_list_becomes_daily_and_ceases_to_be_it() -> None:
    door = door_with(EventList("vip"))
    door.now = EVENING_IN_NEW_YORK
    assert codes(scan(door, "vip"), scan(door, "vip")) == ["ok", "already_consumed"]
    says(door, daily("vip", NEW_YORK))
    door.now += 14 * HOUR
    assert scan(door, "vip").code == "ok"
    says(door, EventList("vip"))
    refused = scan(door, "vip")
    assert (refused.code, visit(refused).used) == ("already_consumed", 2), "both entries count"
    says(door, EventList("vip", rule="times", times=3))
    assert codes(scan(door, "vip"), scan(door, "vip")) == ["ok", "already_consumed"]
    says(door, daily("vip", NEW_YORK))
    refused = scan(door, "vip")
    assert (refused.code, visit(refused).used) == ("already_consumed", 2), "those of this day"
    door.now += DAY
    assert scan(door, "vip").code == "ok"


def test_a_zone_that_is_corrected_dates_all_entries_anew() -> None:
    door = door_with(daily("vip", BERLIN))
    door.now = EVENING_IN_NEW_YORK
    assert scan(door, "vip").code == "ok"
    says(door, daily("vip", NEW_YORK))
    assert scan(door, "vip").code == "already_consumed", "the same evening"
    door.now += 6 * HOUR
    assert codes(scan(door, "vip"), scan(door, "vip")) == ["ok", "already_consumed"], "a new day in New York"
    says(door, daily("vip", BERLIN))
    refused = scan(door, "vip")
    assert (refused.code, visit(refused).used) == ("already_consumed", 2), "in Berlin both were on this day"
    row = door.application.row(EVENT, "T-1")
    assert row is not None
    assert [count.entries for count in row.counts] == [2], "and no entry that was made is judged again"


@pytest.mark.parametrize("searched", [True, False])
def test_who_came_after_midnight_comes_no_second_time_when_clocks_go_back_to_the_day_before(
    searched: bool,
) -> None:
    back = MIDNIGHT + 30 * MINUTE
    door = door_with(daily("vip", ((0, 0), (back, -3_600)), capacity=1), searched=searched)
    door.issues("T-2", "DEF", product="Stalls")
    door.now = MIDNIGHT + 10 * MINUTE
    assert scan(door, "vip").code == "ok"
    door.now = back + MINUTE
    for _ in range(2):
        refused = scan(door, "vip")
        assert (refused.code, visit(refused).used, visit(refused).inside) == ("already_consumed", 1, 1)
        assert scan(door, "vip", text="DEF").code == "list_full"
        door.restart()
    door.now = back + DAY + HOUR
    assert scan(door, "vip").code == "ok", "the next day"


def test_an_imported_entry_that_the_source_dates_tomorrow_counts_today() -> None:
    """The source's clock is wrong: whoever is inside comes in no second time."""
    door = door_with(daily("main", BERLIN))
    assert door.does(ImportEntry(at=door.now + DAY), "T-1").code == "ok"
    assert scan(door).code == "already_consumed"


def test_what_is_taken_back_counts_on_no_day() -> None:
    door = door_with(EventList("vip", returns=True))
    door.now = NIGHT_IN_BERLIN
    scan(door, "vip")
    says(door, daily("vip", BERLIN, returns=True))
    assert codes(annul(door, "vip"), scan(door, "vip"), scan(door, "vip")) == ["ok", "ok", "already_consumed"]
    assert codes(scan(door, "vip", "exit"), annul(door, "vip"), scan(door, "vip")) == [
        "ok",
        "ok",
        "already_consumed",
    ]
    door.restart()
    door.now += 10 * HOUR
    assert codes(scan(door, "vip"), scan(door, "vip", "exit"), scan(door, "vip")) == [
        "already_consumed",
        "ok",
        "ok",
    ]


@pytest.mark.parametrize("searched", [True, False])
def test_the_persons_inside_are_those_of_the_day_as_the_list_has_it_now(searched: bool) -> None:
    door = door_with(EventList("vip", capacity=1), searched=searched)
    door.issues("T-2", "DEF", product="Stalls")
    door.now = EVENING_IN_NEW_YORK
    assert codes(scan(door, "vip"), scan(door, "vip", text="DEF")) == ["ok", "list_full"]
    says(door, daily("vip", NEW_YORK, capacity=1))
    assert scan(door, "vip", text="DEF").code == "list_full", "the same evening"
    door.now += 14 * HOUR
    says(door, daily("vip", BERLIN, capacity=1))
    assert scan(door, "vip", text="DEF").code == "list_full", "in Berlin it was at night, on this day"
    says(door, daily("vip", NEW_YORK, capacity=1))
    assert scan(door, "vip", text="DEF").code == "ok", "in New York it was yesterday"
    assert scan(door, "vip").code == "list_full"
    door.restart()
    assert scan(door, "vip").code == "list_full"
    assert scan(door, "vip", "exit", text="DEF").code == "ok"
    assert scan(door, "vip").code == "ok"


def test_consumed_follows_the_day_of_the_list() -> None:
    door = door_with(entries=2)
    door.now = EVENING_IN_NEW_YORK
    assert codes(scan(door), scan(door)) == ["ok", "ok"]
    says(door, daily("main", NEW_YORK))
    door.now += 14 * HOUR
    assert scan(door).code == "ok"
    assert status(door) is State.VALIDATED, "one of two has come today"
    assert scan(door).code == "ok"
    assert status(door) is State.CONSUMED


def test_of_more_than_sixteen_at_night_the_older_ones_stay_on_the_recorded_day() -> None:
    """The limit that decision 0228 tells: their time is not known any more."""
    door = door_with(daily("vip", BERLIN), entries=20)
    door.now = NIGHT_IN_BERLIN
    assert codes(*(scan(door, "vip") for _ in range(20))) == ["ok"] * 20
    door.now += 10 * HOUR
    assert scan(door, "vip").code == "already_consumed", "a list that was daily then has recorded them all"
    says(door, EventList("bar"), daily("main", BERLIN))
    door.now = NIGHT_IN_BERLIN + DAY
    assert codes(*(scan(door, "bar") for _ in range(20))) == ["ok"] * 20
    says(door, daily("bar", BERLIN))
    door.now += 10 * HOUR
    found = [scan(door, "bar") for _ in range(5)]
    assert codes(*found) == ["ok"] * 4 + ["already_consumed"], "as many as are older than the last sixteen"
    assert visit(found[0]).used == 17


KEPT: dict[str, KeptDoor] = json.loads((Path(__file__).parent / "golden" / "before_days.json").read_text())


@pytest.mark.parametrize("name", KEPT)
def test_rows_of_before_have_the_same_root_and_their_entries_the_right_day(name: str) -> None:
    """Written by the commit before: three persons in the evening in New York, and one through `main`."""
    door = door_of(KEPT[name], founded(), searched=name == "searched")
    assert door.application.root().hex() == KEPT[name]["root"]
    assert door.application.changes() == []
    says(door, daily("main", NEW_YORK), daily("vip", NEW_YORK))
    assert codes(scan(door, "vip"), scan(door, text="DEF")) == ["already_consumed"] * 2
    door.now = EVENING_IN_NEW_YORK + 14 * HOUR
    assert codes(*(scan(door, "vip") for _ in range(4))) == ["ok"] * 3 + ["already_consumed"]
    assert codes(scan(door, text="DEF"), scan(door, text="DEF")) == ["ok", "already_consumed"]
    door.restart()


def left_after_midnight(before: EventList, after: EventList, *texts: str) -> Door:
    """Guests come an hour before midnight of UTC and leave an hour after it; then the list says something
    else, and it is ten in the morning."""
    door = door_with(before)
    for place, text in enumerate(texts[1:], 2):
        door.issues(f"T-{place}", text, product="Stalls")
    door.now = MIDNIGHT - HOUR
    assert codes(*(scan(door, "vip", text=text) for text in texts)) == ["ok"] * len(texts)
    door.now = MIDNIGHT + HOUR
    assert codes(*(scan(door, "vip", "exit", text=text) for text in texts)) == ["ok"] * len(texts)
    says(door, after)
    door.restart()
    door.now = MIDNIGHT + 10 * HOUR
    return door


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (EventList("vip", returns=True), daily("vip", (), returns=True)),
        (EventList("vip", rule="free", exit_first=True), daily("vip", (), returns=True, exit_first=True)),
        (daily("vip", NEW_YORK, returns=True), daily("vip", (), returns=True)),
    ],
    ids=["once", "free", "another zone"],
)
def test_an_exit_of_an_entry_of_the_day_before_takes_nothing_off_this_day(
    before: EventList, after: EventList
) -> None:
    door = left_after_midnight(before, after, "ABC")
    assert scan(door, "vip", "exit").code == "not_inside"
    first, second = scan(door, "vip"), scan(door, "vip")
    assert codes(first, second) == ["ok", "already_consumed"]
    assert (visit(first).used, visit(first).inside) == (1, 1)
    assert codes(scan(door, "vip", "exit"), scan(door, "vip", "exit")) == ["ok", "not_inside"]
    assert codes(scan(door, "vip"), scan(door, "vip")) == ["ok", "already_consumed"], (
        "that exit gives it back"
    )


def test_who_left_after_midnight_makes_no_room_on_the_second_day() -> None:
    texts = ("ABC", "B", "C", "D", "E")
    capacity = {"returns": True, "capacity": 5}
    door = left_after_midnight(EventList("vip", **capacity), daily("vip", (), **capacity), *texts)
    fresh = tuple(f"F-{number}" for number in range(6))
    for text in fresh:
        door.issues(f"T-{text}", text, product="Stalls")
    assert codes(*(scan(door, "vip", text=text) for text in texts[:2])) == ["ok"] * 2
    assert codes(*(scan(door, "vip", text=text) for text in fresh)) == ["ok"] * 3 + ["list_full"] * 3
    door.restart()
    assert scan(door, "vip", text="C").code == "list_full"


def test_exits_that_are_dropped_take_nothing_off_the_second_day_either() -> None:
    """Twenty persons of one ticket leave after midnight: more than the sixteen movements that are kept."""
    door = door_with(EventList("vip", returns=True), entries=20)
    door.now = MIDNIGHT - HOUR
    assert codes(*(scan(door, "vip") for _ in range(20))) == ["ok"] * 20
    door.now = MIDNIGHT + HOUR
    assert codes(*(scan(door, "vip", "exit") for _ in range(20))) == ["ok"] * 20
    says(door, daily("vip", (), returns=True))
    door.now = MIDNIGHT + 10 * HOUR
    assert codes(*(scan(door, "vip") for _ in range(21))) == ["ok"] * 20 + ["already_consumed"]


def test_an_import_without_a_time_has_the_day_of_its_record_not_of_an_earlier_import() -> None:
    door = door_with(daily("main", ()), entries=2)
    long_ago = door.now - 3 * DAY
    for at, nonce in ((long_ago, b"one"), (0, b"two")):
        assert door.does(ImportEntry(at=at), "T-1", nonce=nonce).code == "ok"
    door.restart()
    made = scan(door)
    assert (visit(made).used, answer(made).entered_at) == (2, 0), "today's imported entry and this one"
    assert scan(door).code == "already_consumed"


def test_an_import_after_an_annulled_one_does_not_take_its_time() -> None:
    door = door_with(daily("main", ()))
    assert door.does(ImportEntry(at=door.now - 3 * DAY, device="d1"), "T-1").code == "ok"
    taken = annul(door, principal="steward", supervised=True, reason="wrong ticket")
    assert codes(taken, door.does(ImportEntry(), "T-1"), scan(door)) == ["ok", "ok", "already_consumed"]


def test_a_late_retry_of_an_older_import_is_recognised() -> None:
    """R13: only the newest import's time is kept, so only that one's is compared."""
    door = door_with(entries=3)
    first, second = ImportEntry(at=door.now - 5 * HOUR), ImportEntry(at=door.now - 4 * HOUR)
    for command, nonce in ((first, b"one"), (second, b"two")):
        assert door.does(command, "T-1", nonce=nonce).code == "ok"
    door.now += 3 * HOUR
    assert codes(door.does(first, "T-1", nonce=b"one"), door.does(second, "T-1", nonce=b"two")) == [
        "ok",
        "ok",
    ]
    door.now += 3 * HOUR
    assert door.does(first, "T-1", nonce=b"two").code == "nonce_reused"
    door.now += 3 * HOUR
    other_gate = ImportEntry(at=first.at, gate="west")
    assert door.does(other_gate, "T-1", nonce=b"one").code == "nonce_reused"
    assert visit(scan(door)).used == 3
