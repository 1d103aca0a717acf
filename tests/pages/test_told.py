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
from validators.feed.rows import read_applied, read_frame
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


def test_a_code_of_no_ticket_is_a_guests_matter_and_names_no_ticket(door: Door) -> None:
    door.order(Issue(product="Parking", codes=(door.code("car"),)), ticket="P-1")
    unknown, parked = door.order(
        Admit("north", code=door.code("other")), Admit("north", code=door.code("car"))
    )
    assert (unknown["ticket_id"], unknown["code"], unknown["whose"]) == ("", "barcode_not_found", "guest")
    assert "product" not in unknown
    assert (parked["ticket_id"], parked["code"], parked["product"]) == ("P-1", "wrong_product", "Parking")


@pytest.mark.parametrize("zone", ["Mars/Base", "Europe"])
def test_a_zone_that_this_host_does_not_know_is_the_platforms(door: Door, settings: Any, zone: str) -> None:
    """The log checks only its form."""
    settings.EVENT_TIME_ZONE = "Asia/Tokyo"
    door.order(kind("set_event", zone=zone))
    [issued] = door.order(Issue(not_before=YEAR_2030, not_after=2**62, codes=(bytes(32),)), ticket="T-1")
    assert issued["valid_from"] == "2030-01-01T09:00:00+09:00"
    assert issued["valid_until"] == "9999-12-31T23:59:59+00:00", "where the calendar ends"
