"""The script of the admin's pages, with the connection played by the test."""

from __future__ import annotations

import json
from pathlib import Path

from py_mini_racer import MiniRacer

SCRIPT = Path(__file__).parents[2] / "static/js/admin.js"
WHOLE = "4 of 4 agree, can lose 1 more"
PAGE = """
const sentence = { dataset: {}, className: "state ok", textContent: "4 of 4 agree, can lose 1 more" };
const document = {
  querySelector: (selector) => (selector === "[data-state-url]" ? sentence : null),
  querySelectorAll: () => [],
};
let page;
const dtvn = { feed: (made) => { page = made; } };
const shown = () => JSON.stringify([sentence.className, sentence.textContent]);
"""


def test_without_connection_the_state_is_shown_as_the_last_known() -> None:
    engine = MiniRacer()
    engine.eval(PAGE + SCRIPT.read_text(encoding="utf-8"))

    def after(call: str) -> list[str]:
        found: list[str] = json.loads(engine.eval(f"page.{call}; shown()"))
        return found

    lost = ["state tight", f"Connection lost; last known: {WHOLE}"]
    assert [after(f'onState("{name}")') for name in ("lost", "connecting", "lost")] == [lost] * 3
    tight = {"state": {"level": "tight", "sentence": "3 of 4 agree, can lose none"}}
    assert after(f"onNodes({json.dumps(tight)})") == ["state tight", "3 of 4 agree, can lose none"]
