"""The script of the live connection, with time, sockets and snapshots given by the test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from py_mini_racer import MiniRacer

SCRIPT = Path(__file__).parents[2] / "static/js/feed.js"
PAGE = """
let now = 1_000_000, due = [], sockets = [], said = [];
globalThis.Date = { now: () => now };
globalThis.setTimeout = (act, after) => due.push([now + after, act, 0]);
globalThis.setInterval = (act, every) => due.push([now + every, act, every]);
globalThis.location = { protocol: "https:", host: "platform" };
globalThis.WebSocket = class {
  static OPEN = 1;
  constructor() { this.readyState = 0; sockets.push(this); }
  send() {}
  close() {}
};
const dtvn = {};
const snapshot = () => Promise.resolve({ log: { sequence: 1 } });
const never = () => new Promise(() => {});
const begin = (fetchSnapshot) => dtvn.feed({
  fetchSnapshot, onSnapshot: () => {}, onState: (name, heard) => said.push([name, heard]),
});
const newest = () => sockets[sockets.length - 1];
const pass = (milliseconds) => {
  now += milliseconds;
  for (const one of due.filter(([at]) => at <= now)) {
    due.splice(due.indexOf(one), 1);
    if (one[2]) due.push([now + one[2], one[1], one[2]]);
    one[1]();
  }
};
"""


@pytest.fixture
def engine() -> MiniRacer:
    made = MiniRacer()
    made.eval(PAGE + SCRIPT.read_text(encoding="utf-8"))
    return made


def said(engine: MiniRacer) -> list[list[object]]:
    found: list[list[object]] = json.loads(engine.eval("JSON.stringify(said)"))
    return found


@pytest.mark.parametrize("fetched", ["snapshot", "never"])
def test_a_page_that_is_never_greeted_is_lost_after_eight_seconds(engine: MiniRacer, fetched: str) -> None:
    """A proxy may hold the handshake, or the snapshot, for ever: the band was that of the served page."""
    engine.eval(f"begin({fetched})")
    engine.eval("pass(7_999)")
    assert said(engine) == [["connecting", None]]
    engine.eval("pass(1)")
    assert said(engine) == [["connecting", None], ["lost", 1_000_000]]


def test_a_page_whose_socket_is_refused_stays_lost_until_it_is_greeted(engine: MiniRacer) -> None:
    engine.eval("begin(snapshot)")
    for _ in range(3):
        engine.eval("newest().onclose({ code: 1006 })")
        engine.eval("pass(12_000)")
    assert {name for name, _heard in said(engine)[1:]} == {"lost"}
    engine.eval("""newest().onmessage({ data: '{"type": "connected"}' })""")
    assert said(engine)[-1] == ["live", None]


def test_a_page_that_is_greeted_in_time_is_never_lost(engine: MiniRacer) -> None:
    engine.eval("begin(snapshot)")
    engine.eval("""newest().onmessage({ data: '{"type": "connected"}' })""")
    engine.eval("pass(8_000)")
    assert said(engine) == [["connecting", None], ["live", None]]
