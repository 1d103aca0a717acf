"""Scans at the gate's page: asked again until their outcome is known, and answered in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pages.gate_script import (
    ADMITTED,
    DONE,
    FORBIDDEN,
    LOGIN_PAGE,
    LOST,
    MINUTES_10,
    REFUSED,
    TOO_LATE,
    UNSENT,
    Page,
)


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
