"""The script of the admin's pages, with the connection played by the test."""

from __future__ import annotations

import json
from pathlib import Path

from py_mini_racer import MiniRacer

SCRIPT = Path(__file__).parents[2] / "static/js/admin.js"
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


def test_without_connection_the_state_is_unknown_since_it_was_lost() -> None:
    """Amber or green told of a cluster that nobody had heard of since."""
    engine = MiniRacer()
    engine.eval(PAGE + SCRIPT.read_text(encoding="utf-8"))

    def after(call: str) -> list[str]:
        found: list[str] = json.loads(engine.eval(f"page.{call}; shown()"))
        return found

    at = "new Date(2026, 6, 31, 5, 24, 10).getTime()"
    lost = ["state none", "State unknown since 05:24:10"]
    assert [after(f'onState("{name}", {at})') for name in ("lost", "connecting", "lost")] == [lost] * 3
    tight = {"state": {"level": "tight", "sentence": "3 of 4 agree, can lose none"}}
    assert after(f"onNodes({json.dumps(tight)})") == ["state tight", "3 of 4 agree, can lose none"]
