"""A day of a festival over REST: an event with lists, tickets with codes, and several gates with their keys.

Told are each answer with all its fields and headers, each ticket's row in the log's copy, each operation, and
what the platform stores of codes; then what lists, finds and the log say of the day.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.festival import EVENT, TICKETS, Day, base64, make_fest
from tests.golden import Compare
from tests.pages.conftest import _own_listener, empty_ledger, learner
from tests.pages.learner import RealLearner
from tests.pages.stories import Clock, clock
from tickets.services import reading

__all__ = ["_own_listener", "clock", "empty_ledger", "learner"]
pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True, databases=["default", "learner"])

GOLDEN = Path(__file__).parent / "golden"
WRONG_EVENTS = (
    {"zone": "Mars/North"},
    {"doors": "tomorrow"},
    {"doors": "2026-06-05T20:00:00"},
    {"products": [{"name": "", "admits": True}]},
    {"lists": [{"list": "v ip"}]},
    {"lists": [{"list": "vip", "rule": "often"}]},
    {"lists": [{"list": "vip", "not_before": 20, "not_after": 10}]},
    {"lists": [{"list": "vip"}, {"list": "vip"}]},
    {"lists": [{"list": "vip", "rule": "times"}]},
    "[]",
    "{",
)
"""Bodies that make no event."""
MORE_TICKETS = (
    TICKETS[0],
    {"ticket_id": "B-1", "barcodes": ["ada/+1="]},
    {"ticket_id": "B-2", "product": "Camping", "barcodes": ["camp/+1="]},
    {"ticket_id": "B-3", "not_before": 20, "not_after": 10},
    {"ticket_id": "B 4"},
    {"ticket_id": "B-5", "entries": 0},
    {"ticket_id": "B-6", "barcodes": [""]},
    {"ticket_id": "B-7", "barcodes": ["x"] * 9},
    {"ticket_id": "B-8", "event": "", "seat": 7},
    {"ticket_id": "B-9", "data": {"table": 7}},
)
"""Tickets that repeat others, differ from them, or are wrong."""
AT_THE_DESK: tuple[tuple[str, dict[str, Any]], ...] = (
    ("change", {"seat": "15"}),
    ("change", {"product": "Parking", "not_before": 30, "not_after": 20}),
    ("change", {}),
    ("block", {"reason": "stolen"}),
    ("block", {"reason": "once more"}),
    ("unblock", {}),
    ("unblock", {}),
    ("replace", {"barcodes": ["bob-new"]}),
    ("replace", {"barcodes": ["ada/+1="]}),
    ("replace", {"barcodes": ["bob/+2="]}),
    ("replace", {}),
    ("validate", {"data": base64(b"\xff passport")}),
    ("validate", {}),
    ("dispute", {"reason": "two of them"}),
    ("resolve", {"verdict": "clear"}),
    ("resolve", {"verdict": "perhaps"}),
    ("dispute", {}),
    ("resolve", {"verdict": "uphold"}),
    ("resolve", {"verdict": "clear"}),
)
"""What is done to ticket A-2, in order."""
READ = (
    "tickets/A-1?event=fest",
    "tickets/A-1",
    "tickets/V-1?event=fest&read=linearizable",
    "tickets/V-1?event=fest&read=quorum",
    "tickets/V-1?event=fest&read=never",
    "tickets/V-1?event=a b",
    "tickets?event=fest&limit=3",
    "tickets?event=fest&limit=3&after=A-3",
    "tickets?event=fest&state=CONSUMED",
    "tickets?event=fest&state=GONE",
    "tickets?event=fest&limit=0",
    "tickets?event=none",
    "events/fest",
    "consensus/logs?limit=2",
    "consensus/logs?outcome=all&kind=all&limit=30",
    "consensus/logs?kind=all&after=13",
    "consensus/logs?state=CONSUMED",
    "consensus/logs?after=x",
    "tickets/A-1/certificate?event=fest&at=x",
    "tickets/A-1/certificate?event=fest&at=900",
    "tickets/A-9/certificate?event=fest",
)
"""Addresses that an auditor reads."""
OPERATIONS = [
    {"op": "admit", "event": "fest", "barcode": "vip/+1=", "gate": "north", "nonce": "b-1"},
    {"op": "admit", "event": "fest", "barcode": "vip/+1=", "gate": "north", "nonce": "b-1"},
    {"op": "admit", "event": "fest", "barcode": "vip/+1=", "gate": "north", "nonce": "b-2"},
    {"op": "issue", "event": "fest", "ticket_id": "N-1"},
    {"op": "fly", "event": "fest"},
    {"op": "block", "event": "fest", "ticket_id": "A-9", "reason": "?"},
    7,
]
"""One batch."""


@pytest.fixture
def day(clock: Clock, learner: RealLearner) -> Day:
    return Day(clock)


def test_an_event_and_its_tickets_are_made(day: Day, golden: Compare) -> None:
    story = day.story
    story.part("An event, said, shown and said again")
    day.ask("", "get", "events/fest")
    day.ask("auditor", "get", "events/fest")
    day.ask("north", "put", "events/fest", EVENT)
    for wrong in WRONG_EVENTS:
        day.ask("organiser", "put", "events/fest", wrong)
    day.ask("organiser", "put", "events/runs", {})
    day.ask("organiser", "put", "events/a b", {})
    day.ask("organiser", "put", "events/fest", EVENT, Idempotency_Key="said-once")
    day.ask("organiser", "put", "events/fest", EVENT, Idempotency_Key="said-once")
    day.ask("organiser", "put", "events/fest", {"name": "Another"}, Idempotency_Key="said-once")
    day.ask("organiser", "put", "events/fest", {"products": EVENT["products"][1:]})
    day.ask(
        "organiser", "put", "events/fest", {"products": EVENT["products"], "zone": "Asia/Tokyo", "doors": 0}
    )
    day.ask("organiser", "put", "events/fest", {"zone": "Europe/Berlin", "doors": 1_780_682_400})
    story.part("Tickets: new, repeated, of another code, wrong")
    for ticket in (*TICKETS, *MORE_TICKETS):
        day.ask("organiser", "post", "tickets", {"event": "fest"} | ticket)
    day.ask("north", "post", "tickets", {"event": "fest", "ticket_id": "B-9"})
    shirt = {"ticket_id": "T-1", "data": base64(b"shirt XL")}
    for _ in range(2):
        day.ask("organiser", "post", "tickets", shirt, Idempotency_Key="t1")
    day.ask("organiser", "get", "tickets/events")
    day.ask("organiser", "get", "tickets/events?limit=1")
    day.ask("organiser", "get", "tickets/events?limit=1&after=default")
    day.ask("north", "get", "tickets/events")
    day.ask("organiser", "get", "tickets/events?after=a b")
    story.end(golden, GOLDEN / "event-and-tickets.txt")


def test_gates_admit_and_refuse(day: Day, golden: Compare) -> None:
    """Friday evening at the main entrance, then at the lists behind it."""
    make_fest(day)
    story = day.story
    story.restart()
    story.part("At the main entrance")
    day.at_gate("north", "admit", " ada/+1=\r\n", nonce="scan-1")
    day.at_gate("north", "admit", "ada/+1=", nonce="scan-1")
    day.at_gate("north", "admit", "bob/+2=", nonce="scan-1")
    day.clock.forward(65)
    day.at_gate("south", "admit", "ADA-SECOND")
    for code in ("bob/+2=", "bob/+2=", "bob/+2=", "bob/+2="):
        day.clock.forward(5)
        day.at_gate("south", "admit", code)
    for code in (
        "cy/+3=",
        "dan/+4=",
        "eve/+5=",
        "park/+1=",
        "vip/+1=",
        "ADA/+1=",
        "adaü+1´",
        "A-1",
        "nobody",
    ):
        day.at_gate("desk", "admit", code)
    day.ask("north", "post", "tickets/admit", {"event": "fest", "ticket_id": "V-2", "gate": "north"})
    day.ask("desk", "post", "tickets/admit", {"event": "fest", "ticket_id": "V-2", "gate": "desk"})
    day.ask("north", "post", "tickets/admit", {"event": "gala", "barcode": "x"})
    day.ask("north", "post", "tickets/admit", {"barcode": "ada/+1="})
    day.ask("auditor", "post", "tickets/admit", {"event": "fest", "barcode": "ada/+1="})
    day.ask("north", "post", "tickets/admit", {"event": "fest", "barcode": "x", "ticket_id": "A-1"})
    story.part("The windows begin and end")
    day.clock.forward(3_600)
    day.at_gate("north", "admit", "cy/+3=")
    day.at_gate("north", "admit", "dan/+4=")
    story.part("The lounge for two, where nobody enters twice before leaving")
    for kind, code in (
        ("entry", "vip/+1="),
        ("entry", "vip/+1="),
        ("entry", "vip/+2="),
        ("entry", "vip/+3="),
        ("exit", "vip/+3="),
        ("exit", "vip/+1="),
        ("entry", "vip/+3="),
        ("entry", "ada/+1="),
    ):
        day.at_gate("lounge", "admit", code, kind=kind, list="vip")
    day.at_gate("lounge", "admit", "vip/+1=")
    day.at_gate("south", "admit", "vip/+1=", list="vip")
    day.at_gate("north", "admit", "vip/+1=", list="roof")
    story.part("Dinner twice, given back by an exit")
    for kind in ("entry", "entry", "entry", "exit", "entry"):
        day.at_gate("south", "admit", "ada/+1=", list="dinner", kind=kind)
    story.end(golden, GOLDEN / "gates.txt")


def test_what_supervisors_and_desks_change(
    day: Day,
    learner: RealLearner,
    golden: Compare,
) -> None:
    """Forced, annulled, disputed, blocked, replaced and changed tickets, and entries elsewhere."""
    make_fest(day)
    story = day.story
    story.restart()
    story.part("Forced and taken back")
    day.at_gate("north", "force", "park/+1=", reason="carries the cake")
    day.at_gate("chief", "force", "park/+1=", reason="")
    day.at_gate("chief", "force", "park/+1=", reason="carries the cake", nonce="forced-1")
    day.at_gate("chief", "force", "eve/+5=", reason="a friend")
    day.at_gate("chief", "force", "nobody", reason="a friend")
    day.at_gate("north", "annul", "ada/+1=")
    day.at_gate("north", "admit", "ada/+1=", nonce="scan-7")
    day.at_gate("south", "annul", "ada/+1=", nonce="undo-1")
    day.at_gate("north", "annul", "ada/+1=", movement="scan-8")
    day.at_gate("north", "annul", "ada/+1=", movement="scan-7", nonce="undo-2")
    day.at_gate("north", "annul", "ada/+1=", movement="scan-7", nonce="undo-2")
    day.at_gate("north", "admit", "ada/+1=")
    day.clock.forward(900)
    day.at_gate("north", "annul", "ada/+1=")
    day.clock.forward(1)
    day.at_gate("north", "annul", "ada/+1=", supervised=True, reason="late")
    day.at_gate("chief", "annul", "park/+1=", supervised=True)
    day.at_gate("chief", "annul", "park/+1=", supervised=True, reason="the cake fell")
    story.part("Changed by the desk")
    for verb, fields in AT_THE_DESK:
        day.ask("desk", "post", f"tickets/{verb}", {"event": "fest", "ticket_id": "A-2", **fields})
    day.ask("desk", "post", "tickets/consume", {"event": "fest", "ticket_id": "V-1"})
    day.ask("desk", "post", "tickets/validate", {"event": "fest", "ticket_id": "V-1"})
    day.ask("desk", "post", "tickets/consume", {"event": "fest", "ticket_id": "V-1", "gate": "west"})
    day.ask(
        "desk", "post", "tickets/import_entry", {"event": "fest", "ticket_id": "V-2", "at": 1_780_675_200}
    )
    day.ask("desk", "post", "tickets/import_entry", {"event": "fest", "ticket_id": "V-2", "gate": "east"})
    for code in ("bob/+2=", "bob-new", "vip/+2="):
        day.at_gate("north", "admit", code)
    story.part("A network that is away, mute and full")
    for name in ("quorum", "mute", "full"):
        setattr(learner.gateway, name, name != "quorum")
        day.at_gate("north", "admit", "vip/+3=", nonce=f"while-{name}")
        day.ask("organiser", "post", "tickets", {"event": "fest", "ticket_id": "W-1", "barcodes": [name]})
        setattr(learner.gateway, name, name == "quorum")
    day.at_gate("north", "admit", "vip/+3=", nonce="while-mute")
    story.end(golden, GOLDEN / "changed-tickets.txt")


def test_what_is_read_of_the_day(day: Day, golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finds, lists, the log, and batches."""
    monkeypatch.setattr(reading, "WAIT", 0.0)
    make_fest(day)
    for code in ("ada/+1=", "bob/+2=", "bob/+2=", "eve/+5="):
        day.clock.forward(10)
        day.at_gate("north", "admit", code)
    day.ask("desk", "post", "tickets/replace", {"event": "fest", "ticket_id": "V-2", "barcodes": ["vip-new"]})
    story = day.story
    story.restart()
    story.part("Found by a code")
    for code in ("ADA-SECOND", "vip/+2=", "vip-new", "VIP-NEW", "nothing", "", "A-1"):
        day.ask("desk", "post", "tickets/find", {"event": "fest", "barcode": code})
    day.ask("north", "post", "tickets/find", {"event": "fest", "barcode": "Vip-New"})
    day.ask("north", "post", "tickets/find", {"event": "gala", "barcode": "x"})
    story.part("Shown and listed")
    for path in READ:
        day.ask("auditor", "get", path)
    day.ask("north", "get", "tickets?event=gala")
    day.ask("auditor", "get", "tickets/A-1?event=fest", X_DTVN_Min_Sequence="3")
    day.ask("auditor", "get", "tickets/A-1?event=fest", X_DTVN_Min_Sequence="three")
    story.part("Several in one call")
    day.ask("desk", "post", "tickets/batch", {"operations": OPERATIONS})
    day.ask("organiser", "post", "tickets/batch", {"operations": OPERATIONS[3:4]})
    day.ask("desk", "post", "tickets/batch", {"operations": []})
    day.ask("auditor", "post", "tickets/batch", {"operations": OPERATIONS[:1]})
    story.part("Seeded, with a network that is away, and an unknown address")
    day.ask("desk", "post", "tickets/seed", {})
    day.ask("desk", "get", "tickets/admit")
    day.ask("desk", "post", "tickets/fly", {})
    story.end(golden, GOLDEN / "day-is-read.txt")
