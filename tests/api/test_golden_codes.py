"""Where ids are codes, what looks like a code, and a copy of the log that lags: over REST, told whole.

The event `old` was never created, so ids open its tickets unless they have codes. Readers pose as
keyboards, codes are typed in another case, and the platform's copy of the log is behind or cannot be read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from tests.api.festival import Day, make_fest
from tests.api.test_keyboards import typed
from tests.golden import Compare
from tests.importing.telling import told
from tests.pages.conftest import _own_listener, empty_ledger, learner
from tests.pages.learner import RealLearner
from tests.pages.stories import Clock, clock
from tickets.services import data_text, keyboards, patience
from tickets.services.lists import in_words
from validators.ledger import read
from validators.ledger.event_zones import zone_of
from validators.rest import keys
from validators.services.api_keys import store_api_key

__all__ = ["_own_listener", "clock", "empty_ledger", "learner"]
pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True, databases=["default", "learner"])

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def day(clock: Clock, learner: RealLearner) -> Day:
    return Day(clock)


def scan(day: Day, who: str, code: str, event: str = "old") -> None:
    """A scan in an event, of which gates are not told."""
    day.ask(who, "post", "tickets/admit", {"event": event, "barcode": code, "gate": "g"})


def test_where_ids_are_codes(day: Day, golden: Compare) -> None:
    story = day.story
    for ticket in (
        {"ticket_id": "ZY-1"},
        {"ticket_id": "ZY-2", "barcodes": ["C9"]},
        {"ticket_id": "ZY-3", "barcodes": ["ZY-1"]},
        {"ticket_id": "ZY-4", "barcodes": ["ZY-4"]},
        {"ticket_id": "ZY-5", "product": "Late", "barcodes": ["Oil10", "second-code"]},
        {"ticket_id": "C9"},
    ):
        day.ask("organiser", "post", "tickets", {"event": "old", **ticket})
    story.part("By id, by code, by what looks like them")
    for name in ("ZY-1", "ZY-2", "ZY-9"):
        day.ask("south", "post", "tickets/admit", {"event": "old", "ticket_id": name})
    for code in (
        "ZY-1",
        "ZY-2",
        "C9",
        "ZY-4",
        "zy-4",
        "zy-1",
        "0I1lo",
        "second_code",
        typed("Oil10", "German"),
    ):
        scan(day, "south", code)
    for code in ("0il1O", typed("ZY-4", "German"), typed("second-code", "French"), typed("Q-2026", "French")):
        scan(day, "desk", code)
        day.ask("desk", "post", "tickets/find", {"event": "old", "barcode": code})
    story.part("A code that is an id, in a batch, and by a replacement")
    operations = [
        {"op": "issue", "event": "old", "ticket_id": "N-1", "barcodes": ["N-2"]},
        {"op": "issue", "event": "old", "ticket_id": "N-2"},
        {"op": "issue", "event": "old", "ticket_id": "N-3", "barcodes": ["N-2"]},
        {"op": "issue", "event": "old", "ticket_id": "N-4", "barcodes": ["x" * 4097]},
    ]
    day.ask("organiser", "post", "tickets/batch", {"operations": operations})
    day.ask("desk", "post", "tickets/replace", {"event": "old", "ticket_id": "ZY-5", "barcodes": ["ZY-1"]})
    day.ask(
        "desk", "post", "tickets/replace", {"event": "old", "ticket_id": "ZY-5", "barcodes": ["ZY-5", "n"]}
    )
    story.part("Created again, and ids are codes no more")
    day.ask("organiser", "put", "events/old", {"name": "Old", "ids_are_codes": False})
    day.ask("south", "post", "tickets/admit", {"event": "old", "ticket_id": "N-2"})
    scan(day, "south", "N-2")
    story.end(golden, GOLDEN / "ids-as-codes.txt")


def test_a_copy_that_lags_or_is_away(
    day: Day, learner: RealLearner, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_fest(day)
    story = day.story
    story.restart()
    monkeypatch.setattr("tickets.rest.asking.OWN_WRITES_WAIT", 0.0)
    monkeypatch.setattr("tickets.services.codes.OWN_WRITES_WAIT", 0.0)
    monkeypatch.setattr("tickets.services.reading.BARRIER_WAIT", 0.0)
    monkeypatch.setattr("validators.rest.http.OWN_WRITES_WAIT", 0.0)
    story.part("The copy lags")
    learner.lagging = True
    day.ask("organiser", "post", "tickets", {"event": "fest", "ticket_id": "L-1", "barcodes": ["late"]})
    day.at_gate("north", "admit", "late", nonce="l-1")
    day.at_gate("north", "admit", "ada/+1=", nonce="l-2")
    day.at_gate("north", "admit", "ada/+1=", nonce="l-2")
    day.at_gate("lounge", "admit", "late", list="vip")
    day.ask("organiser", "put", "events/fest", {"zone": "UTC"})
    day.ask("auditor", "get", "tickets/L-1?event=fest&read=linearizable")
    day.ask("desk", "post", "tickets/find", {"event": "fest", "barcode": "late"})
    learner.catch_up()
    story.written()
    story.part("The copy cannot be read")

    def away(*_: Any) -> Any:
        raise OperationalError("the disk is gone")

    with monkeypatch.context() as context:
        context.setattr(read, "event_row", away)
        context.setattr(read, "ticket_by_code", away)
        for code in ("ada/+1=", "vip/+1="):
            day.at_gate("north", "admit", code)
        scan(day, "south", "ZY-1", event="unread")
    patience.copy._away_until = 0.0
    day.at_gate("north", "admit", "vip/+1=")
    story.end(golden, GOLDEN / "copy-away.txt")


def test_the_demo_tickets(day: Day, golden: Compare) -> None:
    """Of five hundred rows only their number is told."""
    store_api_key("dtvn_admin", label="admin", scopes=["admin"])
    keys.forget()
    for _ in range(2):
        day.ask("admin", "post", "tickets/seed", {})
        seeded = [line for line in day.story.lines if line.startswith("  + Ticket ")]
        day.story.lines = [line for line in day.story.lines if not line.startswith("  + Ticket ")]
        day.story.say(f"{len(seeded)} tickets are new")
    day.ask("admin", "get", "tickets?limit=2")
    day.ask("admin", "get", "tickets/TICKET-001/certificate")
    day.story.end(golden, GOLDEN / "demo-tickets.txt")


DATA = (
    b'{"table": 7, "vegan": true, "halal": false, "note": null, "tags": ["a", "", "b"], "shirt_size": "XL"}',
    b'{"guest": {"first": "Ada", "dogs": 2, "none": null}, "seat": "A1", "empty": ""}',
    b"[1, 2]",
    b"plain text",
    b"\xff\xfe",
    b"",
    b"[" * 9999,
)


def test_words_of_data_keyboards_and_lists(day: Day, golden: Compare) -> None:
    lines = [f"{data[:40]!r}: {data_text.in_words(data, ('A1',))[:60]}" for data in DATA]
    for text in ("AZ-19/yq", "yx1", "&é\"'(-è_çà", "ABß12", "!@#$%^", "Müller", "TICKET", "a+b/c=="):
        found = keyboards.misreadings(text)
        likely = keyboards.looks_misread(text, found)
        lines += [f"{text}: looks like {likely.meant if likely else 'a code'}"]
        lines += [f"  {one.meant}: {one.sentence}" for one in found]
    day.ask("organiser", "put", "events/fest", {"zone": "Europe/Berlin", "lists": LISTS})
    row = read.event_row("learner", "fest")
    assert row is not None
    lines += [f"{one.slug}: {in_words(one, zone_of(row))} {told(one.offsets)}" for one in row.lists]
    golden(GOLDEN / "words.txt", "\n".join(lines) + "\n")


LISTS: list[dict[str, Any]] = [
    {"list": "a", "rule": "once", "products": []},
    {"list": "b", "rule": "daily", "exit_first": True},
    {"list": "c", "rule": "times", "times": 1, "not_before": 1_780_680_600},
    {"list": "d", "rule": "times", "times": 7, "returns": True, "not_after": 1_780_680_601},
    {"list": "e", "rule": "free", "capacity": 1, "products": ["VIP", "Adult"]},
    {"list": "f", "rule": "free", "capacity": 5_000, "not_before": 1, "not_after": 2},
]
