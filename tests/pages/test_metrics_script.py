"""The script of the metrics page, with nodes given by the test."""

from __future__ import annotations

import json
from pathlib import Path

from py_mini_racer import MiniRacer

SCRIPT = Path(__file__).parents[2] / "static/js/metrics.js"
PAGE = """
let page;
const drawn = {};
const setInterval = () => {}, addEventListener = () => {};
const dtvn = {
  charts: { bars: (name, counts) => { drawn[name] = counts.map(([words, count]) => [words, count]); } },
  ui: {
    at: (name) => name,
    put: () => {},
    root: { dataset: { figuresInterval: "2" } },
    grouped: { format: String },
    states: [],
    soon: (act) => act,
    toneOf: (node) => node.tone,
    follow: (made) => { page = made; },
  },
};
"""


def test_a_node_outside_the_quorum_is_counted_as_not_agreeing() -> None:
    """A quorum may be without it: "in no quorum" would be wrong."""
    engine = MiniRacer()
    engine.eval(PAGE + SCRIPT.read_text(encoding="utf-8"))
    tones = [["ok", ""], ["ok", ""], ["ok", ""], ["warn", "does not agree"]]
    nodes = [{"role": "validator", "tone": tone} for tone in tones]
    counted = json.loads(engine.eval(f"page.onNodes({json.dumps(nodes)}); JSON.stringify(drawn.health)"))
    assert [each for each in counted if each[1]] == [["running", 3], ["not agreeing", 1]]
