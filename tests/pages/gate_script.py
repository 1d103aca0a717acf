"""The scripts of the gate's page in an engine without a browser, with time and answers set by a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from py_mini_racer import MiniRacer

SCRIPTS = Path(__file__).parents[2] / "static/js"
FOR_ANSWERS = (
    "gate-kept",
    "gate-login",
    "scan-asking",
    "gate-answers",
    "gate-signals",
    "gate-showing",
)
PAGE = """
let now = 1_000_000, due = [], answers = [], sent = [], nonces = 0;
class Clock extends Date { static now() { return now; } }
globalThis.Date = Clock;
globalThis.setTimeout = (act, after) => due.push([now + after, act]);
globalThis.clearTimeout = (id) => { due[id - 1] = [Infinity, () => {}]; };
globalThis.crypto = { getRandomValues: (bytes) => bytes.fill(nonces += 1) };
globalThis.scrollTo = () => {};
globalThis.AbortController = class { abort() {} };
globalThis.AbortSignal = { timeout() {} };
globalThis.location = { search: "", href: "/gate/", reload() {} };
globalThis.fetch = async () => ({ ok: true, redirected: loggedOut, text: async () => "" });
globalThis.DOMParser = class { parseFromString() { return { querySelector: () => root }; } };
globalThis.navigator = { vibrate: (pattern) => felt.push(pattern.length) };
let loggedOut = false, felt = []; // felt: pulses of each vibration
class Storage {
  setItem(name, value) {
    if (this.full) throw Error("full");
    Object.defineProperty(this, name, { value, enumerable: true, configurable: true });
  }
  getItem(name) { return this[name] ?? null; }
  removeItem(name) { delete this[name]; }
}
const localStorage = new Storage();
Object.defineProperty(localStorage, "full", { value: false, writable: true, enumerable: false });
const node = { append() {} };
const elements = {}; // of the page, by their names
function at(name) {
  return elements[name] ??= {
    addEventListener(kind, act) { this[kind] = act; }, setAttribute() {}, replaceChildren() {},
    contains: () => false, dataset: {}, classList: { toggle() {} },
  };
}
const acts = { admit: "/tickets/admit", annul: "/tickets/annul", force: "/tickets/force" };
const root = { dataset: { actor: "user:ada", ...acts } };
const words = JSON.stringify({ reasons: { already_consumed: "The ticket is already consumed." } });
const events = { addEventListener() {}, querySelector: () => null };
globalThis.document = { ...events, getElementById: () => ({ textContent: words }) };
async function call(method, path, body) {
  sent.push(body);
  const answer = answers.length > 1 ? answers.shift() : answers[0];
  if (answer.lost) throw new TypeError("Failed to fetch");
  if (answer.status) throw Object.assign(new Error(answer.error), { status: answer.status, content: answer });
  return answer;
}
const dtvn = { ui: { call, root, at, facts() {}, make: () => node, pill: () => node, whenLoggedOut() {} } };
let outcome, waits = [];
function ask(scan) {
  dtvn.scanAsking.settle(scan, (told) => waits.push(told.message)).then((told) => { outcome = told; });
}
function pass(milliseconds) {
  now += milliseconds;
  const ready = due.filter(([at]) => at <= now);
  due = due.map((one) => (one[0] <= now ? [Infinity, () => {}] : one));
  ready.forEach(([, act]) => act());
}
"""
ADMITTED = {"outcome": "admitted", "code": "ok", "whose": None}
REFUSED = {
    "outcome": "refused",
    "code": "already_consumed",
    "whose": "guest",
    "status": 409,
    "message": "Used.",
}
UNSENT = {"outcome": "unknown", "code": "unavailable", "whose": "network", "status": 503, "error": "Too few."}
FORBIDDEN = {
    "outcome": "error",
    "code": "not_permitted",
    "whose": "gate",
    "status": 403,
    "error": "No right.",
}
DONE = {"outcome": "done", "code": "ok", "whose": None}
TOO_LATE = {
    "outcome": "error",
    "code": "too_late_to_annul",
    "whose": "gate",
    "status": 409,
    "message": "Late.",
}
LOST = {"lost": True}
LOGIN_PAGE: dict[str, Any] = {}
MINUTES_10 = 600_000


class Page:
    """The page over a browser's storage; `reload` opens another one over the same."""

    def __init__(self, stored: str = "{}") -> None:
        self.engine = MiniRacer()
        self.engine.eval(PAGE)
        self.engine.eval(f"Object.entries({stored}).forEach((one) => localStorage.setItem(...one))")
        for name in FOR_ANSWERS:
            self.engine.eval((SCRIPTS / f"{name}.js").read_text(encoding="utf-8"))

    def js(self, text: str) -> Any:
        return json.loads(self.engine.eval(f"JSON.stringify(({text}) ?? null)"))

    def answers(self, *given: dict[str, Any]) -> None:
        """The last one is given for ever."""
        self.engine.eval(f"answers = {json.dumps(given)}; outcome = undefined")

    def scan(self, code: str = "secret") -> None:
        body = {"event": "fest", "barcode": code, "gate": "north", "device": "d1"}
        self.engine.eval(f"scan = dtvn.scanAsking.begin('/tickets/admit', {json.dumps(body)}); ask(scan)")

    def passes(self, milliseconds: int) -> None:
        for _ in range(milliseconds // 100):
            self.engine.eval("pass(100)")

    @property
    def kept(self) -> list[str]:
        return [name for name in self.js("Object.keys(localStorage)") if name.startswith("gate-scan:")]

    def reload(self) -> Page:
        found = Page(self.engine.eval("JSON.stringify(localStorage)"))
        found.engine.eval(f"now = {self.js('now')}; nonces = 100")
        return found


GATE = """
const field = { value: "", options: [], addEventListener() {}, replaceChildren() {}, add() {}, focus() {} };
field.closest = () => ({});
globalThis.Option = class {};
at("setup").elements = { event: field, list: field, named: field, gate: field, device: field, stays: field };
root.classList = { toggle() {} };
const byId = (id) => ({ textContent: id === "gate-events" ? "[]" : words });
globalThis.document = { ...events, getElementById: byId };
globalThis.history = { replaceState() {} };
globalThis.URLSearchParams = class { *[Symbol.iterator]() {} };
globalThis.setInterval = (act, every) => {
  const again = () => { act(); setTimeout(again, every); };
  setTimeout(again, every);
};
let offers = [], scan, typing, admitAll;
dtvn.gateGuests = { follow({ admit }) { admitAll = admit; }, close() {} };
dtvn.ui.button = (name, act, label) => { offers.push([label, act]); return node; };
dtvn.ui.ask = async () => true;
dtvn.ui.counted = (number) => number;
dtvn.ui.follow = () => {};
dtvn.gateReading = { follow(form, code, { take, typing: typed }) {
  [scan, typing] = [take, typed];
  return { focus() {} };
} };
localStorage.setItem("gate-place", JSON.stringify({ event: "fest", gate: "north" }));
"""


class GatePage(Page):
    """The whole page at gate north, on the main list; each question of a dialog is agreed to."""

    def __init__(self, *, supervises: bool = False) -> None:
        super().__init__()
        self.engine.eval(GATE)
        self.engine.eval(f"root.dataset.force = {json.dumps('/tickets/force' if supervises else '')}")
        for name in ("gate-place", "gate-corrections", "gate"):
            self.engine.eval((SCRIPTS / f"{name}.js").read_text(encoding="utf-8"))

    def scans(self, code: str, answer: dict[str, Any]) -> None:
        self.answers(answer)
        self.engine.eval(f"scan({json.dumps(code)})")

    @property
    def offers(self) -> list[str]:
        """The buttons beside the last scans."""
        return list(self.js("(offers = [], dtvn.gateShowing.drawLast(), offers.map(([label]) => label))"))

    def press(self, label: str) -> None:
        assert label in self.offers
        self.engine.eval(f"offers.find(([label]) => label === {json.dumps(label)})[1]()")

    @property
    def answer(self) -> str:
        """The class of the large answer: its colour."""
        return str(self.js("at('answer').className"))

    @property
    def words(self) -> list[str]:
        return list(self.js("dtvn.gateShowing.rows().map((one) => one.word)"))
