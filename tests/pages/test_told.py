"""Live events of what came with codes: what a gate was told, and of which ticket."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dtvn.machine import Admit, Issue, build
from dtvn.machine.codes import code_digest
from dtvn.machine.commands import Command
from dtvn.machine.kinds import KINDS
from dtvn.protocol.genesis import cluster_id
from tests.pages.learner import RealLearner
from validators.feed.rows import read_applied, read_frame, read_snapshot
from validators.ledger import read

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

YEAR_2030 = 1_893_456_000_000_000
NOTHING = {
    "product": "",
    "seat": "",
    "valid_from": None,
    "valid_until": None,
    "blocked": False,
    "block_reason": "",
}


class Door:
    """Orders operations in the event `gala` and tells the events that follow."""

    def __init__(self, learner: RealLearner) -> None:
        self._gateway = learner.gateway
        self._cluster = cluster_id(learner.gateway.genesis)
        self.order(kind("set_event", zone="Europe/Berlin", products=(("Day pass", True), ("Parking", False))))

    def code(self, text: str) -> bytes:
        return code_digest(read.salt_of("learner", self._cluster, "gala"), text)

    def order(self, *commands: Command, ticket: str = "") -> list[dict[str, Any]]:
        before = read_applied()
        until = time.time_ns() // 1_000 + 60_000_000
        operations = [
            build(one, ticket=ticket, event="gala", actor="desk", entry="r0", valid_until=until)
            for one in commands
        ]
        self._gateway.submit(operations).result()
        return list(read_frame(before).events)


def kind(name: str, /, **fields: Any) -> Command:
    return KINDS[name].command(**fields)


@pytest.fixture
def door(learner: RealLearner) -> Door:
    return Door(learner)


def test_a_scan_tells_its_ticket_and_what_the_steward_needs(door: Door) -> None:
    issue = Issue(product="Day pass", seat="A1", not_after=YEAR_2030, codes=(door.code("printed"),))
    [issued] = door.order(issue, ticket="T-1")
    worth = {"product": "Day pass", "seat": "A1", "valid_until": "2030-01-01T01:00:00+01:00"}
    assert issued.items() >= (NOTHING | worth | {"state": "ISSUED", "last_entry": None}).items()
    assert "whose" not in issued
    first, second = door.order(*[Admit("north", "d-1", door.code("printed"))] * 2)
    assert (first["type"], first["ticket_id"], first["state"]) == ("ticket_consumed", "T-1", "CONSUMED")
    assert first.items() >= (NOTHING | worth).items()
    entry = first["last_entry"]
    assert (entry["gate"], entry["device"]) == ("north", "d-1")
    assert entry["at"].endswith(("+01:00", "+02:00"))
    assert (second["type"], second["ticket_id"], second["code"], second["whose"]) == (
        "operation_refused", "T-1", "already_consumed", "guest",
    )  # fmt: skip
    assert second["last_entry"] == entry
    assert (first["gate"], first["device"]) == (second["gate"], second["device"]) == ("north", "d-1")
    [third] = door.order(Admit("south", "d-2", door.code("printed")))
    assert (third["gate"], third["device"]) == ("south", "d-2"), "where it was refused, not where it entered"
    assert third["last_entry"] == entry
    assert "state" not in second


def test_a_code_of_no_ticket_is_a_guests_matter_and_names_no_ticket(door: Door) -> None:
    door.order(Issue(product="Parking", codes=(door.code("car"),)), ticket="P-1")
    unknown, parked = door.order(
        Admit("north", code=door.code("other")), Admit("north", code=door.code("car"))
    )
    assert (unknown["ticket_id"], unknown["code"], unknown["whose"]) == ("", "barcode_not_found", "guest")
    assert "product" not in unknown
    assert (parked["ticket_id"], parked["code"], parked["product"]) == ("P-1", "wrong_product", "Parking")


def test_an_event_that_nobody_created_is_the_gates_matter(learner: RealLearner) -> None:
    before = read_applied()
    until = time.time_ns() // 1_000 + 60_000_000
    scans = [
        build(
            Admit("north", code=code), ticket=ticket, event="galla", actor="d", entry="r0", valid_until=until
        )
        for code, ticket in ((bytes(32), ""), (b"", "T-1"))
    ]
    learner.gateway.submit(scans).result()
    told = [(event["ticket_id"], event["code"], event["whose"]) for event in read_frame(before).events]
    assert told == [("", "unknown_event", "gate"), ("T-1", "unknown_event", "gate")]


def test_blocks_replacements_changes_and_events_are_live(door: Door) -> None:
    door.order(Issue(codes=(door.code("old"),)), ticket="T-1")
    changes = [
        kind("block", reason="refunded"),
        kind("unblock"),
        kind("replace", codes=(door.code("new"),)),
        kind("change", seat="B2"),
    ]
    told = door.order(*changes, ticket="T-1")
    assert [(event["type"], event["blocked"], event["block_reason"], event["seat"]) for event in told] == [
        ("ticket_blocked", True, "refunded", ""),
        ("ticket_unblocked", False, "", ""),
        ("ticket_replaced", False, "", ""),
        ("ticket_changed", False, "", "B2"),
    ]
    assert {(event["ticket_id"], event["state"]) for event in told} == {("T-1", "ISSUED")}
    [old] = door.order(Admit("north", code=door.code("old")))
    assert (old["ticket_id"], old["code"], old["whose"]) == ("T-1", "revoked", "guest")
    [created] = door.order(kind("set_event", name="Gala"))
    assert (created["type"], created["event"], created["ticket_id"]) == ("event_set", "gala", "")


def test_an_entry_made_elsewhere_is_told_with_its_time_and_gate(door: Door) -> None:
    door.order(Issue(), ticket="T-1")
    door.order(Issue(), ticket="T-2")
    [known] = door.order(kind("import_entry", at=YEAR_2030, gate="south"), ticket="T-1")
    [unknown] = door.order(kind("import_entry"), ticket="T-2")
    assert (known["type"], known["state"]) == ("ticket_consumed", "CONSUMED")
    assert known["last_entry"] == {"at": "2030-01-01T01:00:00+01:00", "gate": "south", "device": ""}
    assert unknown["last_entry"] == {"at": None, "gate": "", "device": ""}
    assert read_snapshot()["counts"]["CONSUMED"] == 2


@pytest.mark.parametrize("zone", ["Mars/Base", "Europe"])
def test_a_zone_that_this_host_does_not_know_is_the_platforms(door: Door, settings: Any, zone: str) -> None:
    """The log checks only its form."""
    settings.EVENT_TIME_ZONE = "Asia/Tokyo"
    door.order(kind("set_event", zone=zone))
    [issued] = door.order(Issue(not_before=YEAR_2030, not_after=2**62, codes=(bytes(32),)), ticket="T-1")
    assert issued["valid_from"] == "2030-01-01T09:00:00+09:00"
    assert issued["valid_until"] == "9999-12-31T23:59:59+00:00", "where the calendar ends"


def test_events_of_the_first_forms_stay_as_they_were(learner: RealLearner, operate: Any) -> None:
    before = read_applied()
    operate("issue T-1", "admit T-1", "admit T-1", "admit T-2")
    fields = {
        "type",
        "sequence",
        "index",
        "timestamp",
        "operation",
        "event",
        "ticket_id",
        "node_id",
        "actor",
        "code",
    }
    assert [set(event) - fields for event in read_frame(before).events] == [
        {"state"},
        {"state", "gate"},
        {"shown", "gate"},
        {"shown", "gate"},
    ]
