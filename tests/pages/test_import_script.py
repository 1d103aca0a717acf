"""The script of the import page, with time and the platform's answers given by the test."""

from __future__ import annotations

import json
from pathlib import Path

from py_mini_racer import MiniRacer

SCRIPT = Path(__file__).parents[2] / "static/js/imports.js"
PAGE = """
let now = 0, due = [], shown = "Reading the file", answer = null, silent = false;
globalThis.Date = { now: () => now };
globalThis.setTimeout = (act, after) => due.push([now + after, act, 0]);
globalThis.setInterval = (act, every) => due.push([now + every, act, every]);
const bar = { addEventListener() {} };
let tick;
const box = (checked) => ({ checked, defaultChecked: checked });
const group = (chosen, isNew, boxes) => {
  const said = {}, dataset = { chosen, new: isNew };
  return { boxes, said, dataset, querySelector: () => said, querySelectorAll: () => boxes };
};
const groups = [group("2", "yes", [box(true), box(true)]), group("0", "", [box(false), box(false)])];
const confirm = { textContent: "", dataset: { new: "2", changes: "0" } };
const changes = {
  addEventListener: (name, act) => { if (name === "change") tick = act; },
  querySelectorAll: () => groups,
};
globalThis.window = { addEventListener: () => {} };
let submit, said = "", sent = true;
const form = {
  elements: { file: { files: [{ name: "guests.csv", size: 0 }] } },
  addEventListener: (name, act) => { submit = act; },
};
function give(size) {
  form.elements.file.files[0].size = size;
  sent = true;
  submit.call(form, { preventDefault: () => { sent = false; } });
}
const dtvn = { ui: {
  at: (name) =>
    ({
      "import-text": { textContent: shown }, "import-form": form, "confirm-import": confirm, changes,
    })[name] ?? bar,
  fetchJson: () => (silent ? new Promise(() => {}) : Promise.resolve(answer)),
  counted: (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`,
  grouped: { format: String },
  put: (name, text) => { shown = text; },
  say: (text) => { said = text; },
  root: { dataset: { importState: "issuing", fileMax: "16000000" } },
  follow: () => ({}),
} };
function pass(until) {
  now = until;
  const ready = due.filter(([at]) => at <= now);
  due = due.filter(([at]) => at > now);
  for (const [at, act, every] of ready) {
    if (every) due.push([at + every, act, every]);
    act();
  }
}
"""


class Window:
    """The page: `at(ms, done)` says what is shown then."""

    def __init__(self) -> None:
        self.engine = MiniRacer()
        self.engine.eval(PAGE + SCRIPT.read_text(encoding="utf-8"))
        self.now = 0

    def at(self, until: int, done: int) -> str:
        answer = {"state": "issuing", "done": done, "total": 9, "waits_for": "the validators"}
        self.engine.eval(f"answer = {json.dumps(answer)}")
        for now in range(self.now + 100, until + 1, 100):
            self.engine.eval(f"pass({now})")
        self.now = until
        shown: str = self.engine.eval("shown")
        return shown


def test_an_import_without_progress_says_what_it_waits_for() -> None:
    window = Window()
    assert window.at(1_500, done=1) == "1 of 9 tickets"
    assert window.at(3_000, done=1) == "1 of 9 tickets; waiting for the validators"
    assert window.at(4_500, done=2) == "2 of 9 tickets"
    window.engine.eval("silent = true")
    assert window.at(9_000, done=2) == "2 of 9 tickets; waiting for the platform to answer"


def test_a_file_that_is_too_large_is_refused_before_it_is_sent() -> None:
    engine = Window().engine
    engine.eval("give(16_000_000)")
    assert engine.eval("sent")
    engine.eval("give(16_000_001)")
    assert not engine.eval("sent")
    assert engine.eval("said") == (
        "guests.csv is larger than 16 MB: divide it, and import the parts one after the other."
    )


def test_the_button_says_how_much_is_ticked() -> None:
    engine = Window().engine
    assert engine.eval("confirm.textContent") == "Import 2 new tickets"
    engine.eval("groups[1].boxes[0].checked = true; tick()")
    assert engine.eval("confirm.textContent") == "Import 2 new tickets and make 1 change"
    assert engine.eval("groups.map((one) => one.said.textContent).join()") == "2,1"
    engine.eval("groups[0].boxes.forEach((one) => { one.checked = false; }); tick()")
    assert engine.eval("confirm.textContent") == "Make 1 change"
    engine.eval("groups[1].boxes[0].checked = false; tick()")
    assert engine.eval("confirm.textContent") == "Import without changes"
