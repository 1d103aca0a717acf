"""The scripts of the gate's page, with time and the platform's answers given by the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
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


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.mark.parametrize("lost", [LOST, UNSENT, LOGIN_PAGE])
def test_a_scan_is_asked_again_with_its_nonce_until_its_outcome_is_known(
    page: Page, lost: dict[str, Any]
) -> None:
    page.answers(lost, lost, ADMITTED)
    page.scan()
    page.passes(1_000)
    assert (page.js("outcome"), len(page.kept)) == (None, 1)
    page.passes(2_000)
    assert page.js("outcome.outcome") == "admitted"
    assert (page.kept, page.js("new Set(sent.map((body) => body.nonce)).size")) == ([], 1)
    assert page.js("sent.length") == 3


def test_an_open_scan_survives_a_reload_and_another_persons_does_not_ask(page: Page) -> None:
    page.answers(LOST)
    page.scan()
    page.passes(1_000)
    again = page.reload()
    again.answers(ADMITTED)
    again.engine.eval("left = dtvn.scanAsking.left(); ask(left[0])")
    assert again.js("outcome.outcome") == "admitted"
    assert again.js("sent[0]") == page.js("sent[0]")
    assert again.kept == []
    other = page.reload()
    other.engine.eval("root.dataset.actor = 'user:bob'; left = dtvn.scanAsking.left()")
    assert other.js("left.map(dtvn.scanAsking.isOwn)") == [False]
    assert other.js("dtvn.scanAsking.same('/tickets/admit', left[0].body)") is None


def test_the_same_code_continues_its_open_scan(page: Page) -> None:
    page.answers(LOST)
    page.scan("one")
    page.scan("two")
    body = {"event": "fest", "barcode": "one", "gate": "south", "device": "d1"}
    found = page.js(f"dtvn.scanAsking.same('/tickets/admit', {json.dumps(body)})")
    assert found["body"]["barcode"] == "one"


@pytest.mark.parametrize(
    "other",
    [{"event": "fair"}, {"barcode": "two"}, {"list": "lunch"}, {"kind": "exit"}, {"ticket_id": "T-1"}],
)
def test_what_asks_for_something_else_is_another_scan(page: Page, other: dict[str, str]) -> None:
    page.answers(LOST)
    page.scan("one")
    body = {"event": "fest", "barcode": "one", "gate": "north", "device": "d1"}
    assert page.js(f"dtvn.scanAsking.same('/tickets/admit', {json.dumps(body)})") is not None
    assert page.js(f"dtvn.scanAsking.same('/tickets/annul', {json.dumps(body)})") is None
    assert page.js(f"dtvn.scanAsking.same('/tickets/admit', {json.dumps(body | other)})") is None


def test_a_lost_right_says_nothing_about_a_request_of_an_earlier_page(page: Page) -> None:
    page.engine.eval("dtvn.scanAsking.begin('/tickets/admit', { barcode: 'on its way' })")
    again = page.reload()
    again.answers(FORBIDDEN)
    again.engine.eval("ask(dtvn.scanAsking.left()[0])")
    again.passes(1_000)
    assert (again.js("outcome"), len(again.kept)) == (None, 1)


def test_a_lost_right_says_nothing_about_a_request_before_it(page: Page) -> None:
    page.answers(FORBIDDEN)
    page.scan("new")
    assert page.js("outcome.outcome") == "error"
    page.answers(LOST, FORBIDDEN, FORBIDDEN, REFUSED)
    page.scan("in doubt")
    page.passes(2_000)
    assert page.js("outcome") is None
    page.passes(5_000)
    assert page.js("outcome.outcome") == "refused"


def test_after_ten_minutes_a_person_decides_whether_to_ask(page: Page) -> None:
    page.answers(UNSENT)
    page.scan()
    page.passes(MINUTES_10 + 5_000)
    asked = page.js("sent.length")
    page.passes(60_000)
    assert (page.js("sent.length"), len(page.kept)) == (asked, 1)
    assert page.js("dtvn.scanAsking.isLate(scan)")


def test_a_browser_that_stores_nothing_says_so_and_asks_all_the_same(page: Page) -> None:
    page.engine.eval("localStorage.full = true")
    page.answers(LOST, ADMITTED)
    page.scan()
    assert page.js("scan.stored") is False
    page.passes(1_000)
    assert page.js("outcome.outcome") == "admitted"


# --- answers in words -------------------------------------------------------------------------------

ENTRY = {"at": "1970-01-01T02:16:35+02:00", "gate": "north", "device": "d1"}


def view(
    page: Page, path: str = "admit", kind: str = "entry", *, supervised: bool = False, **told: Any
) -> dict[str, Any]:
    body = {"barcode": "abcdefgh", "gate": "north", "device": "d1", "kind": kind, "supervised": supervised}
    scan = {"path": f"/tickets/{path}", "body": body}
    found: dict[str, Any] = page.js(
        f"dtvn.gateAnswers.viewOf({json.dumps(told)}, {json.dumps(scan)}, 1_000_000)"
    )
    return found


@pytest.mark.parametrize(
    ("told", "tone", "word"),
    [
        (ADMITTED, "ok", "Admitted"),
        (REFUSED, "bad", "Refused"),
        (REFUSED | {"keyboard": "Set both."}, "warn", "Wrong keyboard"),
        (UNSENT, "warn", "Wait"),
        (FORBIDDEN, "warn", "Call the office"),
        (ADMITTED | {"whose": "network"}, "warn", "Wait"),
        ({"outcome": "done", "whose": None, "message": "?"}, "warn", "Call the office"),
        (DONE | {"kind": "exit"}, "ok", "Goodbye"),
        (REFUSED | {"kind": "exit", "code": "not_inside"}, "warn", "Not inside"),
        (FORBIDDEN | {"code": "barcode_not_found", "hint": "Set the reader."}, "warn", "Check the gate"),
        (DONE | {"path": "annul"}, "idle", "Undone"),
        (TOO_LATE | {"path": "annul"}, "warn", "Not undone"),
        (UNSENT | {"path": "annul"}, "warn", "Wait"),
        (DONE | {"path": "annul", "supervised": True}, "idle", "Annulled"),
        (TOO_LATE | {"path": "annul", "supervised": True}, "warn", "Not annulled"),
        (UNSENT | {"path": "annul", "supervised": True}, "warn", "Wait"),
        (ADMITTED | {"path": "force"}, "ok", "Admitted"),
        (REFUSED | {"path": "force", "code": "blocked"}, "bad", "Refused"),
    ],
)
def test_only_an_admission_is_green_and_only_the_guests_own_matter_red(
    page: Page, told: dict[str, Any], tone: str, word: str
) -> None:
    found = view(page, **told)
    assert (found["tone"], found["word"]) == (tone, word)


def test_an_answer_tells_what_the_person_needs(page: Page) -> None:
    used = REFUSED | {"ticket_id": "T-1", "product": "Adult", "seat": "A-1", "holder": "Ada", "hint": None}
    found = view(page, **used, last_entry=ENTRY, entries_used=1, entries_allowed=1)
    assert (found["what"], found["sentence"]) == ("T-1", "The ticket is already consumed.")
    assert dict(found["pairs"]) == {
        "Product": "Adult",
        "Seat": "A-1",
        "Name": "Ada",
        "Entries": "1 of 1",
        "Last entry": "02:16 at gate north, d1",
        "Perhaps": "read twice: this device admitted it just now",
    }
    elsewhere = view(page, **used, last_entry=ENTRY | {"at": "1969-12-31T22:00:00Z", "gate": "south"})
    assert dict(elsewhere["pairs"])["Last entry"] == "1969-12-31 22:00 at gate south, d1"
    assert "Perhaps" not in dict(elsewhere["pairs"])
    assert view(page, **UNSENT)["what"] == "…efgh", "a whole code is not shown"


@pytest.mark.parametrize(
    ("code", "kind", "forceable"),
    [
        ("already_consumed", "entry", True),
        ("list_full", "entry", True),
        ("already_consumed", "exit", False),
        ("blocked", "entry", False),
        ("revoked", "entry", False),
        ("disputed", "entry", False),
        ("barcode_not_found", "entry", False),
    ],
)
def test_only_what_a_supervisor_may_override_is_offered(
    page: Page, code: str, kind: str, forceable: bool
) -> None:
    assert view(page, kind=kind, **REFUSED | {"code": code, "message": "?"})["forceable"] is forceable


@pytest.mark.parametrize(
    ("path", "code", "annuls"),
    [
        ("admit", "already_consumed", "T-1"),
        ("admit", "still_inside", "T-1"),
        ("admit", "not_inside", "T-1"),
        ("annul", "too_late_to_annul", "T-1"),
        ("admit", "wrong_product", ""),
        ("admit", "ok", ""),
    ],
)
def test_a_supervisor_is_offered_to_annul_what_keeps_the_guest_out(
    page: Page, path: str, code: str, annuls: str
) -> None:
    told = ADMITTED if code == "ok" else REFUSED
    assert view(page, path, **told | {"code": code, "ticket_id": "T-1", "message": "?"})["annuls"] == annuls


@pytest.mark.parametrize("code", ["blocked", "revoked", "wrong_product"])
def test_a_guest_inside_whose_ticket_was_blocked_since_is_annulled_by_a_supervisor(
    page: Page, code: str
) -> None:
    """The exit is refused, and the guest would count as inside for ever."""
    told = REFUSED | {"code": code, "ticket_id": "T-1"}
    assert view(page, kind="exit", **told | {"last_entry": ENTRY})["annuls"] == "T-1"
    assert view(page, kind="exit", **told | {"last_entry": None})["annuls"] == ""


def test_an_annulment_that_came_too_late_says_to_look_again(page: Page) -> None:
    newest = TOO_LATE | {"code": "not_the_newest"}
    assert "look it up again" in view(page, "annul", supervised=True, **newest)["sentence"]
    assert "nothing is changed" in view(page, "annul", **newest)["sentence"]
    assert view(page, "annul", **TOO_LATE)["sentence"] == "Late."


def test_an_undo_is_asked_again_and_remembers_what_it_undoes(page: Page) -> None:
    page.answers(LOST)
    page.engine.eval(
        "scan = dtvn.scanAsking.begin('/tickets/annul', { ticket_id: 'T-1' }, 'nonce'); ask(scan)"
    )
    left = page.reload().js("dtvn.scanAsking.left()")
    assert [(one["undoes"], one["body"]["ticket_id"]) for one in left] == [("nonce", "T-1")]


def test_the_last_ten_scans_stay_and_open_ones_beside_them(page: Page) -> None:
    page.engine.eval("dtvn.gateShowing.list({ nonce: 'open', open: true, at: 0 })")
    page.engine.eval(
        "for (let n = 0; n < 12; n += 1) dtvn.gateShowing.list({ nonce: n, open: false, at: n })"
    )
    page.engine.eval("dtvn.gateShowing.list({ nonce: 11, word: 'changed' })")
    assert page.js("dtvn.gateShowing.rows().map((one) => one.nonce)") == [*range(11, 1, -1), "open"]
    assert page.js("JSON.parse(localStorage.getItem('gate-last'))[0].word") == "changed"


def test_the_last_scans_name_guests_and_keep_no_names(page: Page) -> None:
    """The id of a ticket may be made up."""
    row = {"nonce": "n", "what": "t-cb66", "name": "Ada Berg", "about": "Day, A-1", "open": False, "at": 0}
    page.engine.eval(f"dtvn.gateShowing.list({json.dumps(row)})")
    titles = "dtvn.gateShowing.rows().map(dtvn.gateShowing.titleOf)"
    assert page.js(titles) == ["Ada Berg, Day, A-1"]
    assert page.reload().js(titles) == ["Day, A-1"]


# --- what is taken back -----------------------------------------------------------------------------

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


UNDO = "Undo Admitted T-1"


def test_only_an_undo_that_is_done_marks_its_scan_undone() -> None:
    page = GatePage()
    page.scans("one", ADMITTED | {"ticket_id": "T-1"})
    page.answers(TOO_LATE | {"ticket_id": "T-1"})
    page.press(UNDO)
    assert page.words == ["Not undone", "Admitted"]
    page.answers(DONE | {"ticket_id": "T-1"})
    page.press(UNDO)
    assert page.words == ["Undone", "Not undone", "Undone"]
    assert page.offers == []


@pytest.mark.parametrize(
    ("later", "offers"),
    [
        ({}, ["Undo Admitted T-1 again"]),
        ({"list": "lunch"}, ["Undo Admitted T-1 again", UNDO]),
        ({"event": "fair"}, ["Undo Admitted T-1 again", UNDO]),
        ({"ticket_id": "T-2"}, ["Undo Admitted T-1 again", UNDO]),
    ],
)
def test_only_the_newest_movement_of_a_ticket_on_a_list_is_undone(
    later: dict[str, str], offers: list[str]
) -> None:
    page = GatePage()
    page.scans("one", ADMITTED | {"ticket_id": "T-1"})
    undo = {"event": "fest", "ticket_id": "T-1", "gate": "north", "device": "d1"} | later
    row = {"nonce": "n", "actor": "user:ada", "word": "Admitted", "what": "T-1 again", "open": False}
    page.engine.eval(f"dtvn.gateShowing.list({json.dumps(row | {'at': 1_000_000, 'undo': undo})})")
    assert page.offers == offers


def test_an_own_scan_is_undone_for_a_quarter_of_an_hour_and_then_by_a_supervisor() -> None:
    for supervises, after in ((False, []), (True, ["Annul Admitted T-1"])):
        page = GatePage(supervises=supervises)
        page.scans("one", ADMITTED | {"ticket_id": "T-1"})
        page.engine.eval("now += 15 * 60000")
        assert page.offers == [UNDO]
        page.engine.eval("now += 1")
        assert page.offers == after


def test_the_scan_of_another_person_is_only_a_supervisors_to_take_back() -> None:
    for supervises, offers in ((False, []), (True, ["Annul Admitted T-1"])):
        page = GatePage(supervises=supervises)
        page.scans("one", ADMITTED | {"ticket_id": "T-1"})
        page.engine.eval("root.dataset.actor = 'user:bob'")
        assert page.offers == offers


def test_a_guest_who_is_scanned_again_is_not_refused_by_an_answer_of_before() -> None:
    page = GatePage()
    page.scans("one", LOST)
    page.answers(REFUSED, ADMITTED | {"ticket_id": "T-1"})
    page.engine.eval("scan('one')")  # asked about already: the same scan, and the guest is here again
    page.passes(1_000)
    assert page.words == ["Admitted", "Refused"]
    assert page.js("new Set(sent.map((body) => body.nonce)).size") == 2


# --- one guest, one answer --------------------------------------------------------------------------


def test_five_checks_of_one_code_on_a_slow_network_are_one_scan() -> None:
    page = GatePage()
    for _ in range(5):
        page.scans("one", LOST)
    page.answers(ADMITTED | {"ticket_id": "T-1"})
    page.passes(2_000)
    assert (page.words, page.js("new Set(sent.map((body) => body.nonce)).size")) == (["Admitted"], 1)


def test_an_answer_goes_grey_at_the_first_key_of_the_next_code() -> None:
    page = GatePage()
    for answer, tone in ((ADMITTED, "ok"), (REFUSED, "bad"), (UNSENT, "warn")):
        page.scans("one", answer)
        assert page.answer == f"answer {tone}"
        page.engine.eval("typing()")
        assert page.answer == "answer old"
    assert page.words == ["waiting", "Refused", "Admitted"]


def test_an_answer_goes_grey_by_itself_and_says_how_old_it_is() -> None:
    page = GatePage()
    page.scans("one", ADMITTED)
    page.passes(9_000)
    assert page.answer == "answer ok"
    page.passes(2_000)
    assert (page.answer, page.js("at('answer-age').textContent")) == ("answer old", "11 s ago")
    page.engine.eval("dtvn.gateShowing.colourSeconds(30)")
    page.scans("two", REFUSED)
    page.passes(29_000)
    assert page.answer == "answer bad"
    page.passes(2_000)
    assert page.answer == "answer old"


def test_a_scan_that_waits_stays_amber() -> None:
    page = GatePage()
    page.scans("one", UNSENT)
    page.passes(60_000)
    assert page.answer == "answer warn"


def test_an_answer_that_comes_while_the_next_code_is_typed_is_not_green() -> None:
    page = GatePage()
    page.scans("one", LOST)
    page.engine.eval("typing()")
    page.answers(ADMITTED)
    page.passes(1_000)
    assert (page.answer, page.words) == ("answer old", ["Admitted"])


def test_a_code_read_while_a_question_is_open_is_asked_after_it() -> None:
    page = GatePage()
    page.scans("before", REFUSED)
    page.engine.eval("at('confirm').open = true; felt = []; sent = []")
    page.scans("one", ADMITTED | {"ticket_id": "T-1"})
    assert (page.words[0], page.js("sent.length"), page.js("felt")) == ("not asked", 0, [7])
    assert page.answer == "answer old", "it is of the guest before"
    page.engine.eval("at('confirm').open = false; at('confirm').close()")
    assert (page.words, page.js("sent.length")) == (["Admitted", "Refused"], 1)


@pytest.mark.parametrize("change", ["leaving", "testing", "place-change"])
def test_a_green_answer_outlives_no_change_of_what_the_page_asks(change: str) -> None:
    grey = "answer idle" if change == "place-change" else "answer old"
    for answer, later in ((ADMITTED, []), (LOST, [ADMITTED])):
        page = GatePage()
        page.scans("one", answer)
        page.engine.eval(f"at({json.dumps(change)}).click()")
        page.answers(*later, answer)
        page.passes(1_000)
        assert (page.answer, page.words) == (grey, ["Admitted"])


def test_each_colour_vibrates_in_its_own_way_without_sound() -> None:
    page = GatePage()
    for answer in (ADMITTED, REFUSED, UNSENT):
        page.scans("one", answer)
        page.engine.eval("typing()")
    assert page.js("new Set(felt).size") == 3


# --- several tickets in one act ---------------------------------------------------------------------

FAMILY = json.dumps([{"id": f"T-{number}", "name": f"Guest {number}"} for number in (1, 2, 3)])
EACH = "dtvn.each.map(({ tone, name, word }) => [tone, name, word])"
SEES_EACH = """
const show = dtvn.gateAnswers.viewOfAll;
dtvn.gateAnswers.viewOfAll = (each, past) => show(dtvn.each = [...each], past);
"""


def family(*answers: dict[str, Any]) -> GatePage:
    """A gate that admits three guests by name, with these answers in their order."""
    page = GatePage()
    page.engine.eval(SEES_EACH)
    page.answers(*answers)
    page.engine.eval(f"admitAll({FAMILY})")
    return page


def test_an_act_on_several_tickets_has_one_answer_with_each_of_theirs() -> None:
    page = family(ADMITTED | {"ticket_id": "T-1"}, REFUSED | {"ticket_id": "T-2"}, FORBIDDEN)
    page.passes(100)
    assert page.answer == "answer warn"
    assert page.js("at('answer-word').textContent") == "1 of 3 admitted"
    assert page.js(EACH) == [
        ["ok", "Guest 1", "Admitted"],
        ["bad", "Guest 2", "Refused"],
        ["warn", "Guest 3", "Call the office"],
    ]
    assert len(page.words) == 3, "each stands among the last scans"
    assert page.offers == [UNDO]
    assert page.js("felt.length") == 1, "one signal for one act"
    assert "Guest" not in page.js("JSON.stringify(localStorage)"), "the browser keeps no names"


@pytest.mark.parametrize(("answer", "tone"), [(ADMITTED, "ok"), (REFUSED, "bad")])
def test_an_act_on_several_tickets_is_green_only_if_each_is(answer: dict[str, Any], tone: str) -> None:
    page = family(answer)
    page.passes(100)
    assert page.answer == f"answer {tone}"


def test_an_act_at_a_gate_that_is_set_to_exits_lets_out() -> None:
    page = GatePage()
    page.answers(DONE)
    page.engine.eval(f"at('leaving').click(); admitAll({FAMILY})")
    page.passes(100)
    assert page.js("sent.map((body) => body.kind)") == ["exit"] * 3
    assert (page.answer, page.js("at('answer-word').textContent")) == ("answer ok", "3 of 3 let out")


def test_only_the_part_of_an_act_without_an_answer_is_asked_again() -> None:
    page = family(ADMITTED, LOST, ADMITTED)
    page.passes(2_000)
    assert page.js("sent.map((body) => body.ticket_id)") == ["T-1", "T-2", "T-3", "T-2"]
    assert page.js("sent[1].nonce === sent[3].nonce")
    assert (page.answer, page.kept) == ("answer ok", [])


def test_an_act_whose_answer_comes_while_the_next_code_is_typed_is_not_green() -> None:
    page = family(ADMITTED)
    page.engine.eval("typing()")
    page.passes(100)
    assert page.answer == "answer old"


def test_the_next_guest_takes_the_answer_of_an_act_that_waits() -> None:
    page = family(LOST)
    page.passes(1_000)
    assert page.answer == "answer warn"
    page.scans("one", REFUSED)
    page.passes(5_000)
    assert page.answer == "answer bad", "the family's answers stand among the last scans"
    assert len(page.words) == 4


# --- the login ends ---------------------------------------------------------------------------------

ENDED = {"status": 401, "error": "Invalid or missing API key", "outcome": "error", "whose": "gate"}
NEW_TOKEN = FORBIDDEN | {"error": "CSRF Failed: CSRF token incorrect."}


def test_a_scan_after_the_end_of_the_login_waits_for_the_next_login() -> None:
    page = GatePage()
    page.engine.eval("loggedOut = true")
    page.scans("one", ENDED)
    page.passes(5_000)
    assert (page.answer, page.words, len(page.kept)) == ("answer warn", ["waiting"], 1)
    assert "sign in again" in page.js("at('answer-sentence').textContent")
    page.engine.eval("loggedOut = false")  # in another tab
    page.answers(ADMITTED)
    page.passes(5_000)
    assert (page.answer, page.words, page.kept) == ("answer ok", ["Admitted"], [])


def test_the_login_of_another_tab_is_taken_over_before_anybody_is_told() -> None:
    page = GatePage()
    page.answers(NEW_TOKEN, ADMITTED)
    page.engine.eval("scan('one')")
    page.passes(100)
    assert (page.answer, page.js("felt")) == ("answer ok", [1])
