"""Tells what the feed sends to pages after a festival: frames, snapshots and counts of gates."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.api.conftest import KEY, Api
from tests.api.telling import Story, Teller, beside, clock  # noqa: F401 - a fixture
from tests.golden import Compare
from tests.pages.learner import RealLearner
from tests.support.clock import SetClock
from tests.team_keys import store_key
from validators.feed import rows
from validators.feed.gates import GateCount

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.django_db(databases=["default", "learner"])]

FEST = {
    "name": "Fest",
    "zone": "Europe/Berlin",
    "products": [{"name": "Adult", "admits": True}, {"name": "Parking", "admits": False}],
    "lists": [{"list": "bar", "name": "Bar", "rule": "times", "times": 2, "returns": True}],
}


@pytest.fixture
def story() -> Story:
    return Story(exact=True)


@pytest.fixture
def call(learner: RealLearner) -> Any:
    store_key(KEY, label="suite")
    return Api().call


@pytest.fixture
def play(call: Any, clock: SetClock) -> Any:  # noqa: F811
    """Operations of a festival, a part at a time."""

    def ask(path: str, **body: Any) -> None:
        clock.forward(1.5)
        answer = call("POST", f"tickets{path}", {"event": "fest"} | body)
        assert answer.status_code < 500, answer.content

    def part(number: int) -> None:
        clock.forward(60)
        if number == 0:
            call("PUT", "events/fest", FEST)
            ask("", ticket_id="T-2", product="Adult", barcodes=["second", "2nd"], seat="B 2", entries=2)
            ask("", ticket_id="T-1", product="Parking", barcodes=["first"])
            ask("", ticket_id="T-3", product="Adult", blocked=True, block_reason="unpaid")
            call("POST", "tickets", {"ticket_id": "D-1", "metadata": {"tier": "gold"}})
        elif number == 1:
            ask("/admit", barcode="second", gate="north", device="d-1", nonce="s-1")
            ask("/admit", barcode="second", gate="north", device="d-1", nonce="s-1")
            ask("/admit", barcode="2nd", gate="south", device="d-2", nonce="s-2")
            ask("/admit", barcode="2nd", gate="south", device="d-2", nonce="s-3")
            ask("/admit", barcode="first", gate="north", device="d-1")
            ask("/admit", barcode="nobody", gate="north", device="d-1")
            ask("/admit", ticket_id="T-3", gate="south")
            ask("/annul", barcode="2nd", device="d-2", reason="mistaken", gate="south")
            ask("/admit", barcode="second", list="bar", gate="bar", device="d-3", nonce="b-1")
            ask("/admit", barcode="second", list="bar", gate="bar", device="d-3", kind="exit", nonce="b-2")
        elif number == 2:
            ask("/unblock", ticket_id="T-3")
            ask("/validate", ticket_id="T-3")
            ask("/dispute", ticket_id="T-3", reason="seen twice")
            ask("/resolve", ticket_id="T-3", verdict="uphold")
            ask("/consume", ticket_id="T-3", gate="east")
            ask("/replace", ticket_id="T-1", barcodes=["newer"])
            ask("/change", ticket_id="T-1", product="Adult", seat="A 1")
            ask("/import_entry", ticket_id="T-1", at=1_789_990_000, gate="old")
            call("POST", "tickets/consume", {"ticket_id": "D-1"})
            call("POST", "locks/acquire", {"name": "leader", "holder": "w", "lease": 60})
            call("POST", "principals", {"name": "x", "peer_id": "nothing"})
        else:
            call("POST", "tickets/seed")
            call("POST", "tickets/batch", {"operations": [{"op": "admit", "ticket_id": "TICKET-003"}] * 2})

    return part


def tell_frames(story: Story, after: int, *, most: int) -> int:
    while True:
        frame = rows.read_frame(after, events_max=most)
        if frame.to == after:
            return after
        story.value(msgspec.to_builtins(frame), 2)
        after = frame.to


def test_what_the_feed_tells(
    golden: Compare,
    learner: RealLearner,
    story: Story,
    play: Any,
    clock: SetClock,  # noqa: F811
) -> None:
    gates = GateCount(clock.unix)
    after = 0
    for number in range(2):
        play(number)
        story.heading(f"Part {number}: frames")
        after = tell_frames(story, after, most=4)
    story.heading("Gates")
    story.value(gates.look(), 2)
    clock.forward(86_400)
    story.value(gates.look(), 2)
    story.heading("Snapshot")
    story.value(rows.read_snapshot(), 2)
    golden(beside(__file__, "feed"), str(story))
