"""The page's model, the JavaScript itself: old snapshot + frames == fresh snapshot, for every operation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from py_mini_racer import MiniRacer, mini_racer

from tests.pages.learner import RealLearner
from validators.dashboard.context import WORDS
from validators.feed import rows
from validators.feed.rows import read_frame, read_snapshot

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

MODEL = Path(__file__).parents[2] / "static/js/model.js"
OUTCOMES = MODEL.with_name("outcomes.js")
OF_LIVES = ("issue", "validate", "consume", "admit", "scan", "dispute", "clear", "uphold", "seed")
LINES = st.tuples(
    st.sampled_from((*OF_LIVES, "block", "enter")),
    st.sampled_from(("T-1", "T-2", "T-3", "TICKET-001")),
)


class Page:
    """What the page does with a snapshot and frames; JSON in and out, as over the wire."""

    def __init__(self, engine: MiniRacer) -> None:
        self.engine = engine

    def load(self, snapshot: dict[str, Any]) -> None:
        self.engine.eval(f"state = {encoded(snapshot)}")

    def relation(self, frame: Any) -> str:
        found: str = self.engine.eval(f"dtvn.model.relation(state, {encoded(frame)})")
        return found

    def apply(self, frame: Any) -> None:
        self.engine.eval(f"state = dtvn.model.apply(state, {encoded(frame)})")

    @property
    def state(self) -> Any:
        return json.loads(self.engine.eval("JSON.stringify(state)"))


def encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def as_sent(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.fixture(scope="module")
def engine() -> Iterator[MiniRacer]:
    with mini_racer() as found:
        found.eval(MODEL.read_text(encoding="utf-8"))
        found.eval("var state")
        yield found


@pytest.fixture
def page(engine: MiniRacer) -> Page:
    return Page(engine)


def follow(page: Page, position: int, events_max: int) -> int:
    while (frame := read_frame(position, events_max=events_max)).to > position:
        assert page.relation(frame) == "next"
        page.apply(frame)
        position = frame.to
    return position


def line(verb: str, ticket: str) -> str:
    """An operation for `operate`; a scan is an admission that may be repeated under its nonce."""
    if verb == "scan":
        return f"admit {ticket} scan-{ticket}"
    return verb if verb == "seed" else f"{verb} {ticket}"


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)
@given(
    batches=st.lists(st.lists(LINES, min_size=1, max_size=6), min_size=1, max_size=8),
    seen=st.integers(0, 8),
    events_max=st.sampled_from((1, 5, 500)),
)
def test_old_snapshot_and_frames_make_the_fresh_snapshot(
    learner: RealLearner,
    operate: Callable[..., object],
    page: Page,
    batches: list[list[tuple[str, str]]],
    seen: int,
    events_max: int,
) -> None:
    for number, batch in enumerate(batches):
        if number == min(seen, len(batches) - 1):
            page.load(read_snapshot())
            position = page.state["sequence"]
        operate(*(line(verb, ticket) for verb, ticket in batch))
    follow(page, position, events_max)
    assert page.state == as_sent(read_snapshot())


def test_repeated_frames_and_frames_after_a_gap_are_not_applied(page: Page) -> None:
    page.load({"sequence": 10, "second": 0, "counts": {}, "rates": [], "latest": []})
    assert page.relation({"after": 8, "to": 10}) == "old"
    assert page.relation({"after": 9, "to": 12}) == "gap"
    assert page.relation({"after": 11, "to": 12}) == "gap"
    assert page.relation({"after": 10, "to": 11}) == "next"


def test_the_series_has_a_place_for_every_second(page: Page) -> None:
    series = page.engine.eval("JSON.stringify(dtvn.model.series([[5, 3], [8, 4], [9, 1]], 10, 6))")
    assert json.loads(series) == [0, 3, 0, 0, 4, 1]


def test_a_frame_holds_what_a_snapshot_lists() -> None:
    assert rows.FRAME_EVENTS >= rows.LATEST_MAX


@pytest.mark.parametrize(
    ("known", "as_of", "overtaken"),
    [(100.0, 101.0, False), (100.0, 100.0, False), (100.0, 99.5, True), (100_000.0, 99_000.0, False)],
)
def test_older_nodes_replace_newer_ones_only_if_the_clock_was_set_back(
    engine: MiniRacer, known: float, as_of: float, overtaken: bool
) -> None:
    assert engine.eval(f"dtvn.model.overtaken({known}, {as_of})") is overtaken


DOM = """
const make = (tag) => ({ tag, parts: [], className: "",
  append(...parts) { this.parts.push(...parts); }, replaceChildren(...parts) { this.parts = parts; } });
const document = {
  getElementById: (id) => id === 'words' && { textContent: words }, createElement: make };
globalThis.URLSearchParams = class {};
const pillOf = (one) => [one.parts[2].className, one.parts[2].textContent];
"""


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ({"code": "ok"}, ["pill plain ok", "admitted"]),
        ({"code": "ok", "operation": "force"}, ["pill plain warn", "forced in"]),
        ({"code": "ok", "kind": "exit"}, ["pill plain ok", "left"]),
        ({"code": "ok", "repeated": True}, ["pill plain ok", "admitted before"]),
        ({"code": "already_consumed", "whose": "guest"}, ["pill plain bad", "used already"]),
        ({"code": "list_unknown", "whose": "gate"}, ["pill plain warn", "list unknown"]),
        ({"code": "expired", "whose": "network"}, ["pill plain warn", "expired"]),
    ],
)
def test_only_what_is_the_guests_own_matter_looks_like_a_refused_guest(
    event: dict[str, Any], shown: list[str]
) -> None:
    engine = MiniRacer()
    words = json.dumps(WORDS | {"places": {"tickets": "/tickets"}, "callers": {}})
    engine.eval(f"const dtvn = {{}}, words = {json.dumps(words)};{DOM}")
    engine.eval(OUTCOMES.read_text())
    one = {"operation": "admit", "event": "fest", "ticket_id": "T-1", "timestamp": 0} | event
    engine.eval(f"const list = make('ol'); dtvn.outcomes.draw(list, [{encoded(one)}], null)")
    assert json.loads(engine.eval("JSON.stringify(pillOf(list.parts[0]))")) == shown
