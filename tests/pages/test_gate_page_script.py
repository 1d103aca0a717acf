"""The gate's page as a whole: undoing, one answer for each guest, acts on several tickets, ended logins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pages.gate_script import ADMITTED, DONE, FORBIDDEN, LOST, REFUSED, TOO_LATE, UNSENT, GatePage

# --- what is taken back -----------------------------------------------------------------------------

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
