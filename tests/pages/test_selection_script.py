"""One act on all selected tickets, with the platform's answers given by the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from py_mini_racer import MiniRacer

SCRIPT = Path(__file__).parents[2] / "static/js/ticket-selection.js"
PAGE = """
const elements = {};
function element(name) {
  return elements[name] ??= {
    lines: [],
    addEventListener() {},
    append(...lines) { this.lines.push(...lines); },
    querySelectorAll: () => [],
    replaceChildren(...lines) { this.lines = lines; },
  };
}
let answer;
const dtvn = { ui: {
  at: element,
  put: () => {},
  make: (tag, kind, text) => ({ tag, text, lines: [], append(...lines) { this.lines.push(...lines); } }),
  counted: (count, noun) => `${count} ${noun}s`,
  grouped: { format: String },
  ask: () => Promise.resolve(true),
  call: () => Promise.resolve({ results: answer }),
  root: { dataset: { partSize: "50", selectedMax: "100" }, querySelectorAll: () => [] },
} };
const flat = (one) => [one.text, ...(one.lines ?? []).flatMap(flat)].filter(Boolean);
"""


def reported(*results: dict[str, Any]) -> list[str]:
    """What the page says when the platform answers with these results."""
    engine = MiniRacer()
    engine.eval(PAGE + SCRIPT.read_text(encoding="utf-8"))
    tickets = [{"event": "e", "id": f"T-{number}"} for number in range(len(results))]
    found = json.dumps({"tickets": tickets, "after": None})
    engine.eval(f"answer = {json.dumps(results)}; dtvn.ticketSelection.selectFound(async () => ({found}))")
    engine.eval("dtvn.ticketSelection.actOnAll('validate', () => ({ op: 'validate' }), '', [])")
    said: list[str] = json.loads(engine.eval("JSON.stringify(flat(element('bulk')))"))
    return said


DONE = {"status": 200}
REFUSED = {"status": 409, "code": "already_validated", "error": "It is validated."}
UNKNOWN = {"status": 504, "code": "outcome_unknown", "error": "Not known yet."}
FULL = {"status": 507, "code": "full", "error": "The cluster has reached its limit."}
UNSENT = {"status": 503, "code": "unavailable", "error": "Nothing was sent."}


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([DONE, DONE], ["validate: 2 of 2 tickets done"]),
        ([DONE, REFUSED], ["validate: 1 of 2 tickets done; 1 refused:", "T-1: It is validated."]),
        ([UNKNOWN, UNSENT], ["validate: 0 of 2 tickets done; 2 not confirmed:"]),
        ([UNKNOWN, REFUSED, FULL], ["validate: 0 of 3 tickets done; 2 refused, 1 not confirmed:"]),
    ],
)
def test_refused_tickets_are_told_from_those_without_an_answer(
    results: list[dict[str, Any]], said: list[str]
) -> None:
    assert reported(*results)[: len(said)] == said
