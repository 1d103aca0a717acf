"""What each gate did today, counted from the log."""

from __future__ import annotations

import time
from datetime import date
from typing import Any

import pytest
from django.test import Client

from dtvn.machine import (
    Admit,
    Annul,
    Command,
    EventList,
    Force,
    ImportEntry,
    Issue,
    SetEvent,
    build,
)
from tests.pages.learner import RealLearner
from tickets.scanning.rehearsal import make_tickets
from validators.dashboard import pages
from validators.feed import gates
from validators.feed.gates import GATES_MAX, OTHERS, GateCount
from validators.feed.rows import day

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

DAY = 86_400


class Doors:
    """Tickets of the default event, scanned."""

    def __init__(self, learner: RealLearner) -> None:
        self._gateway = learner.gateway

    def order(
        self, *given: tuple[Command, str], nonce: bytes = b"", event: str = "default", seconds: int = 60
    ) -> None:
        """`seconds`: how long from now the operations are valid."""
        until = time.time_ns() // 1_000 + seconds * 1_000_000
        operations = [
            build(one, ticket=ticket, event=event, actor="desk", entry="r0", valid_until=until, nonce=nonce)
            for one, ticket in given
        ]
        self._gateway.submit(operations).result()

    def scan(self, gate: str, *tickets: str, **named: Any) -> None:
        self.order(*((Admit(gate, "d-1", b""), ticket) for ticket in tickets), **named)


@pytest.fixture
def doors(learner: RealLearner) -> Doors:
    found = Doors(learner)
    found.order(*((Issue(), f"T-{number}") for number in range(6)))
    return found


def told(count: GateCount) -> dict[tuple[str, str], tuple[int, int]]:
    """(event, gate) -> (admitted, refused)."""
    rows = count.look()["gates"]
    return {(row["event"], row["gate"]): (row["admitted"], row["refused"]) for row in rows}


def test_admissions_and_refusals_are_those_of_the_gate_that_asked(doors: Doors) -> None:
    count = GateCount()
    doors.scan("north", "T-0", "T-1", "T-2")
    doors.scan("south", "T-0", "T-9")
    assert told(count) == {("default", "north"): (3, 0), ("default", "south"): (0, 2)}
    doors.scan("south", "T-3", "T-1")
    found = count.look()
    assert told(count)["default", "south"] == (1, 3)
    assert found["reasons"] == {"already_consumed": 2, "ticket_not_found": 1}
    assert [row["gate"] for row in found["gates"]] == ["south", "north"], "the busiest first"
    assert found["gates"][0]["reasons"] == {"already_consumed": 2, "ticket_not_found": 1}
    assert found["until"] is None


def test_who_is_admitted_twice_under_one_nonce_came_in_once(doors: Doors) -> None:
    """A scan that is repeated after a time-out may be ordered again (R13)."""
    count = GateCount()
    for _ in range(2):
        doors.scan("north", "T-0", nonce=b"n-1")
        assert told(count) == {("default", "north"): (1, 0)}


def test_each_entry_of_a_list_is_one_and_no_exit_or_annulment_is(doors: Doors) -> None:
    doors.order((SetEvent(lists=(EventList("vip", rule="free"),)), ""), (Issue(entries=2), "G-1"))
    count = GateCount()
    lounge = {"gate": "lounge", "device": "d-1", "code": b"", "list": "vip"}
    doors.scan("north", "T-0", "G-1", "G-1", "G-1")
    doors.order((Admit(**lounge), "T-0"), (Admit(**lounge, kind="exit"), "T-0"), (Admit(**lounge), "T-0"))
    doors.order((Annul(**lounge), "T-0"), (Force(**lounge, reason="known"), "T-1"))
    assert told(count) == {("default", "north"): (3, 1), ("default", "lounge"): (3, 0)}
    doors.order((Annul(**lounge | {"device": "d-9"}), "T-0"))
    assert told(count)["default", "lounge"] == (3, 0), "an undo that is refused refuses no guest"
    doors.order((Admit(**lounge), "T-2"), nonce=b"n-1")
    doors.order((Admit(**lounge), "T-2"), nonce=b"n-1")
    assert told(count)["default", "lounge"] == (4, 0)


def test_a_rehearsal_and_an_entry_made_elsewhere_are_no_gates_admissions(doors: Doors) -> None:
    (rehearsed,) = make_tickets(1, run="a", today=date(2026, 7, 31))
    doors.order((Issue(), rehearsed.ticket_id), event=rehearsed.event)
    doors.scan("north", rehearsed.ticket_id, event=rehearsed.event)
    doors.order((ImportEntry(gate="north"), "T-0"))
    assert told(GateCount()) == {}


def test_a_scan_that_was_ordered_too_late_refuses_nobody(doors: Doors) -> None:
    """The gate waits, and asks again."""
    doors.scan("north", "T-0", seconds=-60)
    assert told(GateCount()) == {("default", "north"): (0, 0)}
    doors.scan("north", "T-0")
    assert told(GateCount()) == {("default", "north"): (1, 0)}


def test_a_long_day_is_counted_in_several_looks_and_says_how_far_it_is(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "READ_AT_ONCE", 2)
    monkeypatch.setattr(gates, "LOOK_SECONDS", 0.0)
    doors.scan("north", *(f"T-{number}" for number in range(5)))
    count = GateCount()
    assert count.look()["until"] == day()["start"], "not one read was in time"
    monkeypatch.setattr(gates, "LOOK_SECONDS", 60.0)
    found = count.look()
    assert (found["until"], found["gates"][0]["admitted"]) == (None, 5)


def test_gates_are_bounded_in_number(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "GATES_MAX", 2)
    assert GATES_MAX > 2
    for number in range(5):
        doors.scan(f"gate-{number}", f"T-{number}")
    assert told(GateCount()) == {
        ("", OTHERS): (3, 0), ("default", "gate-0"): (1, 0), ("default", "gate-1"): (1, 0),
    }  # fmt: skip
    doors.scan("gate-1", "T-5")
    assert told(GateCount())["default", "gate-1"] == (2, 0), "those that are known go on"


def test_what_is_the_gates_own_mistake_refuses_no_guest(doors: Doors) -> None:
    doors.order((SetEvent(ids_are_codes=False), ""), (Issue(), "F-1"), event="fest")
    count = GateCount()
    doors.scan("north", "T-0", event="nowhere")
    doors.order((Admit("north", "d-1", b"c" * 32), ""), event="fest", nonce=b"n-1")
    doors.order((Admit("north", "d-1", b"d" * 32), ""), event="fest", nonce=b"n-2")
    for _ in range(2):
        count.mistaken("fest", "north", b"n-1")  # as the answer says, also when it is asked again
    rows = {row["event"]: (row["refused"], row["mistakes"]) for row in count.look()["gates"]}
    assert rows == {"fest": (1, 1), "nowhere": (0, 1)}
    assert count.look()["reasons"] == {"barcode_not_found": 1}


def test_the_day_is_that_of_the_zone_which_all_events_have(doors: Doors) -> None:
    assert GateCount().look()["zone"] == "UTC"
    doors.order((SetEvent(zone="Asia/Tokyo"), ""), event="fest")
    assert GateCount().look()["zone"] == "Asia/Tokyo"
    doors.order((SetEvent(zone="Europe/Rome"), ""), event="gala")
    assert GateCount().look()["zone"] == "UTC", "not that of one of them"


def test_before_there_is_a_ledger_no_gate_has_asked(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "count", GateCount())
    assert admin.get("/dashboard/gates").json()["gates"] == []
