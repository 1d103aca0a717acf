"""Tickets in a real browser over a real supervisor: found, proved, resolved; and the admin, live."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.integration.supervised import Supervised, supervised
from tests.pages.browsing import Complaints, confirm, expect_to_fit, opened, shown
from tests.pages.test_import_browser import look

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

GUESTS = 4_000
"""So many that their import lasts long enough to be seen."""
HOLDER = "INSERT INTO tickets_ticketholder (event, ticket, name, email, phone, company, address, salt, imported_at) VALUES ('default', ?, ?, '', '', '', '', x'00', '2026-01-01')"  # noqa: E501


@pytest.fixture(scope="module")
def s(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    with supervised(tmp_path_factory.mktemp("tickets") / "data", "-auto-start=4") as made:
        made.wait_until_running(4)
        yield made


@pytest.fixture
def api(s: Supervised) -> Iterator[httpx.Client]:
    with s.client() as client:
        client.post("/tickets/seed").raise_for_status()
        yield client


@pytest.fixture
def page(s: Supervised, browser: Browser, complaints: Complaints) -> Iterator[Page]:
    with opened(browser, s.url, complaints) as found:
        yield found
    assert complaints == []


def row(page: Page, ticket: str) -> Any:
    return shown(page, "tickets").locator("tr:not(.history)", has_text=ticket)


def test_a_disputed_ticket_is_found_by_name_proved_and_upheld(
    s: Supervised, page: Page, api: httpx.Client
) -> None:
    with sqlite3.connect(s.data / "platform" / "platform.sqlite3", timeout=30) as platform:
        platform.execute(HOLDER, ("TICKET-007", "Ada Lovelace"))
    for verb in ("validate", "dispute"):
        api.post(f"/tickets/{verb}", json={"ticket_id": "TICKET-007"}).raise_for_status()
    page.goto(f"{s.url}/dashboard/tickets")
    expect(shown(page, "total")).to_have_text("500 in all")
    page.get_by_label("Search", exact=True).fill("LOVE ada")
    expect(shown(page, "tickets").locator("tr")).to_have_count(1)
    expect(row(page, "TICKET-007")).to_contain_text("Ada Lovelace")
    expect(row(page, "TICKET-007")).to_contain_text("not admitted until the dispute is resolved")
    opener = page.get_by_role("button", name="History of TICKET-007")
    opener.focus()
    page.keyboard.press("Enter")
    expect(opener).to_have_attribute("aria-expanded", "true")
    expect(opener).to_be_focused()
    history = shown(page, "tickets").locator("tr.history")
    expect(history.locator("ol li")).to_have_count(2)
    page.get_by_role("button", name="Certificate of dispute").click()
    expect(history.locator("pre")).to_contain_text("certificate")
    expect(history.get_by_role("link", name="Download")).to_have_attribute("download", "")
    page.get_by_role("button", name="Verify", exact=True).click()
    expect(history).to_contain_text("The certificate is valid.")
    expect(history).to_contain_text("ticket TICKET-007 of event default: dispute -> ok")
    page.get_by_role("button", name="uphold TICKET-007").click()
    confirm(page, "Uphold", "no gate ever admits the ticket")
    expect(row(page, "TICKET-007")).to_contain_text("upheld")
    expect(row(page, "TICKET-007")).not_to_contain_text("disputed")
    expect(history.locator("ol li")).to_have_count(3)
    expect(history).to_contain_text("The certificate is valid.")  # what was opened stays
    page.set_viewport_size({"width": 390, "height": 800})
    expect_to_fit(page)
    about = row(page, "TICKET-007").locator("td.data").bounding_box()
    assert about is not None
    assert about["width"] > 300, "on a phone the words about a ticket have a line of their own"


def test_searches_and_tickets_have_addresses_and_back_works(
    s: Supervised, page: Page, api: httpx.Client
) -> None:
    """What a person typed is in no request; a code is in no address at all."""
    code = {"ticket_id": "WITH-CODE", "event": "coded", "barcodes": ["top/secret+1"]}
    api.post("/tickets", json=code).raise_for_status()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    tickets = f"{s.url}/dashboard/tickets"
    page.goto(tickets)
    expect(shown(page, "total")).to_contain_text("in all")
    page.keyboard.press("/")
    search = page.get_by_label("Search", exact=True)
    expect(search).to_be_focused()
    page.keyboard.type("ticket-40")
    expect(page).to_have_url(f"{tickets}#q=ticket-40")
    expect(shown(page, "tickets").locator("tr")).to_have_count(10)
    shown(page, "state").select_option("issued")
    expect(page).to_have_url(f"{tickets}?state=issued#q=ticket-40")
    page.get_by_role("button", name="History of TICKET-404").click()
    opened_at = f"{tickets}?state=issued&ticket=default%2FTICKET-404#q=ticket-40"
    expect(page).to_have_url(opened_at)
    api.post("/tickets/validate", json={"ticket_id": "TICKET-404"}).raise_for_status()
    history = shown(page, "tickets").locator("tr.history")
    expect(history.locator("li", has_text="checked")).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:"))
    page.reload()  # as a colleague opens it: the ticket is there, though the search no longer finds it
    expect(search).to_have_value("ticket-40")
    expect(history).to_have_count(1)
    expect(row(page, "TICKET-404")).to_contain_text("checked")
    expect(shown(page, "tickets").locator("tr")).to_have_count(11)
    page.go_back()
    expect(history).to_have_count(0)
    expect(shown(page, "tickets").locator("tr")).to_have_count(9)
    page.go_back()
    expect(shown(page, "state")).to_have_value("")
    expect(shown(page, "tickets").locator("tr")).to_have_count(10)
    page.go_back()
    expect(search).to_have_value("")
    page.go_forward()
    expect(search).to_have_value("ticket-40")
    search.fill("top/secret+1")
    expect(shown(page, "total")).to_have_text("1 ticket with this code")
    expect(page).to_have_url(tickets)
    assert not [url for url in asked if "secret" in url or "ticket-40" in url.partition("#")[0]]


def test_a_phone_shows_a_ticket_on_its_first_screen(s: Supervised, page: Page, api: httpx.Client) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{s.url}/dashboard/tickets")
    first = shown(page, "tickets").locator("tr").first
    expect(first).to_be_visible()
    search, box = page.get_by_label("Search", exact=True).bounding_box(), first.bounding_box()
    assert search is not None
    assert box is not None
    assert search["y"] < box["y"]
    assert box["y"] + box["height"] < 844
    expect_to_fit(page)


def test_everyone_can_read_what_a_search_finds_and_that_it_finds_nothing(
    s: Supervised, page: Page, api: httpx.Client
) -> None:
    page.goto(f"{s.url}/dashboard/tickets#q=ticket-42")
    page.get_by_label("Select TICKET-420").check()
    page.get_by_role("button", name="History of TICKET-421").click()
    expect(page.locator("tr.history")).to_contain_text("History, newest first")
    look(page)
    page.get_by_label("Search", exact=True).fill("nobody has this")
    expect(shown(page, "no-tickets")).to_be_visible()
    look(page)


def test_a_dispute_takes_a_reason(s: Supervised, page: Page, api: httpx.Client) -> None:
    api.post("/tickets/validate", json={"ticket_id": "TICKET-410"}).raise_for_status()
    page.goto(f"{s.url}/dashboard/tickets#q=ticket-410")
    page.get_by_role("button", name="Dispute TICKET-410").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("sold twice")
    confirm(page, "Dispute", "Dispute TICKET-410?")
    expect(row(page, "TICKET-410")).to_contain_text("disputed")
    page.get_by_role("button", name="History of TICKET-410").click()
    expect(shown(page, "tickets").locator("tr.history")).to_contain_text("sold twice")


def test_tickets_of_several_events_are_told_apart(s: Supervised, page: Page, api: httpx.Client) -> None:
    def in_two_events(route: Route) -> None:
        answer = route.fetch()
        found = answer.json()
        first = found["tickets"][0]
        found["tickets"] = [first | {"event": name} for name in ("evening", "matinee")]
        route.fulfill(response=answer, json=found | {"events": ["evening", "matinee"], "after": None})

    page.route("**/tickets/found*", in_two_events)
    page.goto(f"{s.url}/dashboard/tickets")
    expect(shown(page, "tickets").locator("tr")).to_have_count(2)
    expect(shown(page, "tickets")).to_contain_text("evening")
    expect(shown(page, "tickets")).to_contain_text("matinee")
    expect(page.get_by_label("of event")).to_have_value("evening")


def test_one_act_on_selected_tickets_shows_its_progress(s: Supervised, page: Page, api: httpx.Client) -> None:
    page.goto(f"{s.url}/dashboard/tickets")
    page.get_by_label("Search", exact=True).fill("ticket-10")
    page.get_by_label("Select TICKET-100").check()
    page.get_by_role("button", name="Select all found").click()
    expect(shown(page, "selected")).to_have_text("10 selected")
    api.post("/tickets/validate", json={"ticket_id": "TICKET-105"}).raise_for_status()
    shown(page, "selection").get_by_role("button", name="Check only").click()
    confirm(page, "Check only", "those in another state stay as they are")
    expect(shown(page, "bulk")).to_contain_text("check only: 9 of 10 tickets done; 1 refused:")
    expect(shown(page, "bulk")).to_contain_text("TICKET-105: The ticket is already validated")
    expect(shown(page, "selected")).to_have_text("1 selected")
    expect(shown(page, "bulk-progress")).to_be_hidden()
    expect(row(page, "TICKET-109")).to_contain_text("checked")


def test_an_organiser_makes_an_event_and_its_tickets_open_by_their_codes(
    s: Supervised, page: Page, api: httpx.Client, complaints: Complaints
) -> None:
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    make_event(s, page, api)
    find_and_admit(s, page)
    block_replace_and_change(page)
    look_at_the_feed(s, page, complaints)
    ticket = api.get("/tickets/D-2", params={"event": "forsommar-2026"}).json()["data"]
    assert (ticket["product"], ticket["seat"], ticket["block_reason"]) == ("Parking", "B-7", "stolen")
    assert (ticket["codes"], ticket["valid_from"]) == (
        {"valid": 2, "revoked": 1},
        "2026-03-29T03:30:00+02:00",
    )
    assert not [address for address in addresses if "secret" in address.lower()]


def make_event(s: Supervised, page: Page, api: httpx.Client) -> None:
    """The event by its form, and two tickets with codes over REST."""
    page.goto(f"{s.url}/dashboard/tickets/events")
    page.get_by_label("Name", exact=True).fill("Försommar 2026")
    expect(page.get_by_label("Short name")).to_have_value("forsommar-2026")
    page.get_by_label("Time zone").select_option("Europe/Stockholm")
    page.get_by_label("Name of product 1").fill("Adult")
    page.get_by_label("Name of product 2").fill("Parking")
    page.get_by_label("Product 2 admits").uncheck()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("The event forsommar-2026 was saved.")).to_be_visible()
    event = {"event": "forsommar-2026"}
    for name, product in (("D-1", "Adult"), ("D-2", "Parking")):
        issued = {"ticket_id": name, "product": product, "seat": "A-1", "barcodes": [f"secret/{name}+q"]}
        api.post("/tickets", json=event | issued).raise_for_status()


def find_and_admit(s: Supervised, page: Page) -> None:
    """A code is found, with a hint where only case differs; it opens once."""
    page.goto(f"{s.url}/dashboard/tickets")
    search = page.get_by_label("Search", exact=True)
    search.fill("SECRET/d-1+Q")
    expect(shown(page, "no-tickets")).to_contain_text("differs only in case from 'secret/D-1+q'")
    search.fill("secret/D-1+q")
    expect(shown(page, "total")).to_have_text("1 ticket with this code")
    page.get_by_role("button", name="Admit D-1").click()
    confirm(page, "Admit", "an entry of the ticket is used")
    told = shown(page, "told")
    expect(told).to_contain_text("Admitted: Adult, seat A-1")
    shown(page, "act-event").select_option("forsommar-2026")
    page.get_by_label("Ticket or code").fill("secret/D-1+q")
    page.locator("[data-act=admit]").click()
    confirm(page, "Admit", "an entry of the ticket is used")
    expect(told).to_contain_text("Refused")
    expect(told).to_contain_text("used already")
    expect(told).to_contain_text("Entry")
    search.fill("D-2")
    expect(row(page, "D-2")).to_contain_text("its product does not admit")


def block_replace_and_change(page: Page) -> None:
    """A ticket is blocked, gets new codes, a seat and a window on the event's clocks."""
    search, told = page.get_by_label("Search", exact=True), shown(page, "told")
    page.get_by_role("button", name="Block D-2").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("stolen")
    confirm(page, "Block", "until it is unblocked")
    expect(row(page, "D-2")).to_contain_text("stolen")
    search.fill("")
    shown(page, "state").select_option("blocked")
    expect(shown(page, "tickets").locator("tr")).to_have_count(1)
    page.get_by_role("button", name="Replace code D-2").click()
    page.get_by_role("dialog").get_by_label("New codes").fill("fresh-1\n\n fresh-2 ")
    confirm(page, "Replace code", "are revoked")
    expect(told).to_contain_text("Codes replaced")
    page.get_by_role("button", name="Change D-2").click()
    expect(page.get_by_role("dialog").get_by_label("Product")).to_have_value("Parking")
    page.get_by_role("dialog").get_by_label("Seat").fill("B-7")
    page.get_by_role("dialog").get_by_label("Valid from").fill("2026-03-29T02:30:00")
    page.get_by_role("dialog").get_by_role("button", name="Change", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()  # the clocks skip this hour
    page.get_by_role("dialog").get_by_label("Valid from").fill("2026-03-29T03:30:00")
    confirm(page, "Change", "")
    expect(told).to_contain_text("2026-03-29 03:30:00 +02:00")


def look_at_the_feed(s: Supervised, page: Page, complaints: Complaints) -> None:
    """On a phone, the live page says what happened in words."""
    page.set_viewport_size({"width": 390, "height": 800})
    expect_to_fit(page)
    page.goto(f"{s.url}/")
    outcomes = shown(page, "outcomes")
    expect(outcomes.locator("li", has_text="code replaced")).to_contain_text("D-2 Parking")
    refused = outcomes.locator("li", has_text="used already")
    expect(refused).to_contain_text("admit refused: The ticket was used already")
    expect(outcomes.locator("li", has_text="event saved")).to_contain_text("in forsommar-2026")
    expect_to_fit(page)
    complaints[:] = [text for text in complaints if "the server responded with a status of" not in text]


def test_the_live_page_leads_from_an_outcome_to_its_tickets(
    s: Supervised, page: Page, api: httpx.Client
) -> None:
    issued = {"ticket_id": "WALK-1", "event": "walk", "product": "Day pass", "seat": "A-17"}
    api.post("/tickets", json=issued).raise_for_status()
    scan = {"ticket_id": "WALK-1", "event": "walk", "gate": "north", "device": "d-7"}
    api.post("/tickets/admit", json=scan).raise_for_status()
    assert api.post("/tickets/admit", json=scan | {"gate": "south", "device": "d-9"}).status_code == 409
    page.goto(f"{s.url}/")
    refused = shown(page, "outcomes").locator("li", has_text="used already")
    expect(refused.first).to_contain_text("gate south, device d-9, in walk")
    gates = shown(page, "gates")
    expect(gates.locator("tr", has_text="south")).to_contain_text("used already 1")
    expect(shown(page, "reasons")).to_contain_text("used already")
    expect(page.get_by_text("Why is it stuck?")).to_be_hidden()
    page.set_viewport_size({"width": 390, "height": 844})
    expect_to_fit(page)
    admitted = shown(page, "outcomes").locator("li", has_text="admitted").filter(has_text="WALK-1")
    for link, address in (
        ("A-17", "event=walk#q=A-17"),
        ("Day pass", "event=walk#q=Day+pass"),
        ("north", "event=walk#q=north"),
        ("WALK-1", "ticket=walk%2FWALK-1"),
    ):
        page.goto(f"{s.url}/")
        admitted.get_by_role("link", name=link, exact=True).click()
        expect(page).to_have_url(f"{s.url}/dashboard/tickets?{address}")
        expect(row(page, "WALK-1")).to_contain_text("used")


def test_a_readers_codes_are_admitted_one_after_the_other(
    s: Supervised, page: Page, api: httpx.Client, complaints: Complaints
) -> None:
    """A reader types a code and Enter, and waits for no answer; an open scan goes on with its nonce."""
    for number in range(1, 4):
        issued = {"ticket_id": f"R-{number}", "event": "readers", "barcodes": [f"wedge-{number}"]}
        api.post("/tickets", json=issued).raise_for_status()
    page.goto(f"{s.url}/dashboard/tickets")
    page.set_viewport_size({"width": 390, "height": 800})
    page.reload()
    expect(page.get_by_label("Ticket or code")).to_be_hidden()
    page.get_by_text("Change a ticket by its id").click()
    shown(page, "act-event").select_option("readers")
    page.reload()
    expect(shown(page, "act-event")).to_have_value("readers")  # this browser's last choice
    page.goto(f"{s.url}/dashboard/tickets?event=default")
    expect(shown(page, "act-event")).to_have_value("default")  # a colleague's link names the event
    page.goto(f"{s.url}/dashboard/tickets")
    expect(shown(page, "act-event")).to_have_value("readers")
    asked: list[str] = []
    admits = "/tickets/admit"
    page.on("request", lambda sent: sent.url.endswith(admits) and asked.append(sent.post_data or ""))
    field, told, before = page.get_by_label("Ticket or code"), shown(page, "told"), shown(page, "told-before")
    field.focus()
    page.keyboard.type("wedge-1\nwedge-2\n")
    expect(told.locator(".head")).to_contain_text("R-2")
    expect(before.locator("li")).to_have_count(1)
    expect(before).to_contain_text("R-1")
    expect(told).to_have_class("card told ok")
    expect(field).to_have_value("")
    expect(field).to_be_focused()
    expect_to_fit(page)
    page.keyboard.type("wedge-1\n")
    expect(told).to_have_class("card told bad")
    expect(told.locator(".head")).to_contain_text("Refused")
    page.route("**/tickets/admit", lambda route: route.abort())
    page.keyboard.type("wedge-3\n")
    expect(told).to_have_class("card told warn")
    expect(told.locator(".head")).to_contain_text("asked again by itself")
    page.unroute("**/tickets/admit")
    expect(told.locator(".head")).to_contain_text("R-3")
    expect(told).to_have_class("card told ok")
    assert len(set(asked)) == 4, "an open scan goes on with its nonce"
    page.locator("[data-act=block]").evaluate("button => button.scrollIntoView()")
    field.fill("R-3")
    page.locator("[data-act=block]").click()
    page.keyboard.type("wedge-2\n")
    expect(page.get_by_role("dialog")).to_be_visible()  # Enter neither confirms nor cancels
    page.keyboard.press("Escape")
    complaints[:] = [text for text in complaints if "Failed to load resource" not in text]


def enter_the_admin(s: Supervised, page: Page) -> None:
    page.goto(f"{s.url}/admin/")
    page.get_by_label("User name").fill(s.credentials["admin_user"])
    page.get_by_label("Password").fill(s.credentials["admin_password"])
    page.get_by_role("button", name="Log in").click()


def test_the_admin_shows_outcomes_as_they_come(s: Supervised, page: Page, api: httpx.Client) -> None:
    enter_the_admin(s, page)
    expect(page.locator("#container .state")).to_have_text("4 of 4 agree, can lose 1 more")
    page.evaluate("window.mark = 1")
    api.post("/tickets/validate", json={"ticket_id": "TICKET-200"}).raise_for_status()
    expect(page.locator("[data-outcomes] li").first).to_contain_text("TICKET-200checked")
    assert page.evaluate("window.mark") == 1
    page.locator("[data-outcomes] li time a").first.click()
    expect(page.locator("#content")).to_contain_text("TICKET-200")  # in the log


REMEMBER_PROGRESS = """addEventListener("DOMContentLoaded", () => {
  const bar = document.querySelector("[data-at=import-progress]");
  if (bar?.checkVisibility())
    sessionStorage.setItem("progress", document.querySelector("[data-at=import-text]").textContent);
});"""
"""The page is drawn anew when the import has ended, which may be sooner than a test looks."""


def answer_three_questions(page: Page) -> None:
    """Code, event and zone of a file that no shop wrote."""
    expect(shown(page, "import-state")).to_have_text("Questions to answer")
    expect(page.get_by_role("heading", name="3 questions before anything is imported")).to_be_visible()
    expect_to_fit(page)
    page.get_by_label("ticket id").check()
    page.get_by_label("Time zone").select_option("Europe/Berlin")
    page.get_by_label("leave it uncreated").check()
    page.get_by_role("button", name="Answer").press("Enter")
    expect(shown(page, "import-state")).to_have_text("To be confirmed")


def test_a_file_is_understood_confirmed_imported_and_harmless_again(
    s: Supervised, page: Page, tmp_path: Path
) -> None:
    """As a spreadsheet of this country writes it: Windows-1252, semicolons, dates without a time."""
    guests = range(GUESTS)
    rows = [f"G-{number:04};R-{number // 2:04};Jürgen Müller {number};40;2027-08-01" for number in guests]
    wrong = [";R-1;Zoë;40;", "G-0003;R-1;Bob;40;", "G-9999;R-1;Eve;40;soon"]
    file = tmp_path / "gäste.csv"
    file.write_text("\r\n".join(["Ticket ID;Order;Name;Schuhgröße;Valid until", *rows, *wrong]), "cp1252")

    def give() -> None:
        page.goto(f"{s.url}/dashboard/tickets")
        page.get_by_role("link", name="Import and export").click()
        page.get_by_label("File", exact=True).set_input_files(file)
        page.get_by_label("Into the event").fill("gala")
        page.get_by_role("button", name="Read the file").click()

    give()
    answer_three_questions(page)
    for text in ("CSV, Windows-1252, separated by semicolon", "schuhgröße", "Europe/Berlin (your answer)"):
        expect(page.locator("main")).to_contain_text(text)
    understood = page.locator("tr", has_text="G-0003").first
    for text in ("R-0001", "Jürgen Müller", "2027-08-01 23:59:59 CEST"):
        expect(understood).to_contain_text(text)
    problems = page.get_by_role("region", name="Wrong rows")
    expect(problems.locator("tbody tr")).to_have_count(len(wrong))
    last = GUESTS + 1
    for row, reason in (
        (last + 1, "a code is empty"),
        (last + 2, "has the code of row 5"),
        (last + 3, "'soon' is not a time"),
    ):
        expect(problems.locator("tr", has_text=str(row))).to_contain_text(reason)
    expect_to_fit(page)
    page.add_init_script(REMEMBER_PROGRESS)
    page.get_by_role("button", name=f"Import {GUESTS:,} new tickets").click()
    expect(shown(page, "import-state")).to_have_text("Imported")
    assert page.evaluate("sessionStorage.getItem('progress')")  # its words: test_import_script.py
    facts = page.locator("dl.facts").first
    expect(facts).to_contain_text("0 of them were here already")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Rows not imported (CSV)").click()
    lines = saved.value.path().read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [[str(last + n), "wrong"] for n in (1, 2, 3)]
    page.goto(f"{s.url}/dashboard/tickets")
    page.get_by_label("Search", exact=True).fill("r-0001 müller")
    expect(shown(page, "tickets").locator("tr")).to_have_count(2)
    give()
    expect(page.get_by_role("heading", name="1 question before anything is imported")).to_be_visible()
    page.get_by_label("leave it uncreated").check()
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("main")).to_contain_text(f"0 new, {GUESTS} the same")
    page.get_by_role("button", name="Import again").click()
    expect(shown(page, "import-state")).to_have_text("Imported")
    expect(facts).to_contain_text(f"{GUESTS} of them were here already")
