"""The order of reasons on lists, tried with every pair of them for each thing that may be asked (R42)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from dtvn.machine import Block, ChangeTicket, Dispute, EventList, Replace, SetEvent, Validate
from dtvn.protocol.consensus.messages import Outcome
from tests.tickets_machine.doors import Door
from tests.tickets_machine.lists import annul, door_with, force, scan
from tests.tickets_machine.support import HOUR, START

OF_ALL = ("unknown_event", "unknown_list", "barcode_not_found", "ok")
ASKED: dict[str, tuple[str, ...]] = {
    "entry": (
        *OF_ALL,
        "revoked",
        "blocked",
        "disputed",
        "no_longer_valid",
        "list_closed",
        "wrong_product",
        "already_consumed",
        "still_inside",
        "list_full",
    ),
    "exit": (*OF_ALL, "revoked", "blocked", "disputed", "wrong_product", "not_inside"),
    "force": (*OF_ALL, "revoked", "blocked", "disputed"),
    "annul": (*OF_ALL, "disputed", "not_the_newest", "too_late_to_annul"),
}
"""What is asked -> what may hold against it, in the order in which it is told; `ok`: a late retry."""
PASSED = {
    "exit": ("no_longer_valid", "list_closed", "already_consumed", "still_inside", "list_full"),
    "force": ("no_longer_valid", "list_closed", "wrong_product", "already_consumed", "still_inside"),
    "annul": ("revoked", "blocked", "no_longer_valid", "list_closed", "wrong_product"),
}
"""What is not asked of it."""
NOWHERE = {"unknown_event", "unknown_list", "barcode_not_found"}
"""Where this holds, nothing is known of the ticket on the list."""


def list_for(holds: set[str], **window: int) -> EventList:
    """The list `vip` as what holds says, before (without `window`) and after the scans that come first."""
    return EventList(
        "vip",
        rule="once" if "already_consumed" in holds else "free",
        exit_first="still_inside" in holds,
        capacity=1 if "list_full" in holds else 0,
        products=("Box",) if window and "wrong_product" in holds else None,
        not_after=window.get("closed", 0) if "list_closed" in holds else 0,
    )


def scanned(door: Door, asked: str, slug: str = "vip", **more: Any) -> Outcome:
    if asked == "annul":
        return annul(door, slug, **more)
    return force(door, slug, **more) if asked == "force" else scan(door, slug, asked, **more)


def outcome(asked: str, *holding: str) -> str:
    """The code of a scan for which all this holds."""
    holds = set(holding)
    door = door_with(list_for(holds))
    actor = "otto" if "not_the_newest" in holds else "anna"
    used = {"already_consumed", "still_inside", "list_full", "too_late_to_annul"}
    entered = bool(holds & used) or (asked in ("exit", "annul") and "not_inside" not in holds)
    if "ok" in holds:
        if asked in ("exit", "annul"):
            scan(door, "vip")
        assert scanned(door, asked, nonce=b"n").code == "ok"
        entered = entered and asked in ("exit", "annul")
    if entered:
        assert scan(door, "vip", actor=actor).code == "ok"
    door.does(SetEvent(lists=(list_for(holds, closed=START + HOUR),)))
    if "no_longer_valid" in holds:
        door.does(ChangeTicket(not_after=START + HOUR), "T-1")
    if "disputed" in holds:
        door.does(Validate(), "T-1")
        assert door.does(Dispute(), "T-1").code == "ok"
    if "revoked" in holds:
        door.does(Replace(door.digests("NEW")), "T-1")
    if "blocked" in holds:
        door.does(Block(), "T-1")
    door.now += 3 * HOUR if asked != "annul" or holds & {"too_late_to_annul", "ok"} else 0
    return scanned(
        door,
        asked,
        "bar" if "unknown_list" in holds else "vip",
        event="oprea" if "unknown_event" in holds else door.event,
        text="NOBODY" if "barcode_not_found" in holds else "ABC",
        nonce=b"n" if "ok" in holds else b"",
    ).code


SINGLE = [(asked, reason) for asked, reasons in ASKED.items() for reason in reasons]
PAIRS = [
    (asked, first, second)
    for asked, reasons in ASKED.items()
    for first, second in itertools.combinations(reasons, 2)
    if first not in NOWHERE or second in NOWHERE
]


@pytest.mark.parametrize(("asked", "reason"), SINGLE)
def test_each_reason_alone(asked: str, reason: str) -> None:
    assert outcome(asked, reason) == reason


@pytest.mark.parametrize(("asked", "first", "second"), PAIRS)
def test_of_two_reasons_the_first_is_told(asked: str, first: str, second: str) -> None:
    assert outcome(asked, first, second) == first


@pytest.mark.parametrize(
    ("asked", "passed"), [(asked, each) for asked, some in PASSED.items() for each in some]
)
def test_what_is_not_asked(asked: str, passed: str) -> None:
    assert outcome(asked, passed) == "ok"
