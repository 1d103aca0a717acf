"""Forms of lists and scans, and what is kept of a ticket (D10, D11)."""

from __future__ import annotations

import pytest

from dtvn.machine import (
    Admit,
    Annul,
    CommandError,
    EventList,
    Force,
    ImportEntry,
    Issue,
    SetEvent,
    State,
    read_terms,
)
from tests.support.table import table
from tests.tickets_machine.doors import EVENT, Door, row, with_payload
from tests.tickets_machine.lists import DAY, annul, codes, door_with, scan, status, visit
from tests.tickets_machine.support import HOUR, START


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


def test_a_movement_that_is_kept_is_counted_however_many_lists_there_were() -> None:
    door = door_with()
    for number in range(64):
        door.does(SetEvent(lists=(EventList(f"list{number}", rule="free"),)))
        assert scan(door, f"list{number}").code == "ok"
    door.does(SetEvent(lists=(EventList("bar"),)))
    assert scan(door, "bar").code == "ok"
    door.does(SetEvent(lists=(EventList("list63", returns=True),)))
    assert visit(scan(door, "list63")).used == 1
    assert codes(annul(door, "list63"), scan(door, "list63")) == ["ok", "ok"]
    door.restart()


def test_golden_payloads_of_scans() -> None:
    door = Door()
    code = bytes(range(32))
    built = {
        "94a16ea164c420{}a3766970": Admit("n", "d", code, "vip"),
        "95a16ea164c420{}a0a465786974": Admit("n", "d", code, kind="exit"),
        "93a16ea164c420{}": Annul("n", "d", code),
        "96a16ea164c420{}a3766970a3776879c3": Annul("n", "d", code, "vip", "why", True),
        "97a16ea164c420{}a3766970a3776879c3c4026e31": Annul("n", "d", code, "vip", "why", True, b"n1"),
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
    again = scan(door, "vip", text="ABC0", nonce=b"n")
    assert (again.code, again.state, again.first) == ("ok", first.state, (door.sequence - 1, 0))


@table(
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
    count=7,
)
def test_an_admission_has_one_form(fields: tuple[object, ...]) -> None:
    door = door_with(EventList("vip"))
    asked = door.operation(Admit("n", "d", b""), "T-1", event=EVENT)
    assert door.order(with_payload(asked, fields))[0].code == "malformed"


@table(
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
    count=12,
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
