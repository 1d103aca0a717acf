"""Where ids are codes, and a copy of the log that lags: over REST.

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
from tests.pages.conftest import _own_listener, empty_ledger, learner
from tests.pages.learner import RealLearner
from tests.pages.stories import clock
from tests.support.clock import SetClock
from tickets.services import patience
from validators.ledger import read

__all__ = ["_own_listener", "clock", "empty_ledger", "learner"]
pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True, databases=["default", "learner"])

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def day(clock: SetClock, learner: RealLearner) -> Day:
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
