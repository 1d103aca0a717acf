"""The day of an entry on a list that becomes a daily one, or whose zone is changed (R41, decision 0228)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.machine import Consume, EventList, ImportEntry, SetEvent, Validate
from tests.tickets_machine.doors import Door, answer
from tests.tickets_machine.lists import DAY, annul, codes, door_with, force, scan, visit
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


def test_an_imported_entry_that_the_source_dates_tomorrow_counts_today() -> None:
    """The source's clock is wrong: whoever is inside comes in no second time."""
    door = door_with(daily("main", BERLIN))
    assert door.does(ImportEntry(at=door.now + DAY), "T-1").code == "ok"
    assert scan(door).code == "already_consumed"


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
