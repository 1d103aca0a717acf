"""An evening at a gate in a browser: a test before the doors open, a family, and scans at bad moments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.network import Network, network
from tests.pages.browsing import PATIENCE, shown
from tests.pages.test_accessibility import AXE, SMALL
from tests.pages.test_gate_browser import code, expect_answer, fits_everyone, scan, stand

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(900)]

NAMES = (
    "Ada Lovelace",
    "Byron Lovelace",
    "Ralph Lovelace",
    "Grace Hopper",
    "Emmy Noether",
    "Medora Lovelace",
    "Irène Curie",
    "Ève Curie",
    "Sofja Kowalewskaja",
    "Mary Somerville",
    "Maria Mitchell",
)
PARTY = 10
"""Whose ticket is for four persons."""
PEOPLE = f"""
from django.contrib.auth.models import User
from tests.team_keys import join
from tickets.models import TicketHolder
from tickets.services.event_gates import set_gates
set_gates("bare", ["West door", "East"])
for number, name in enumerate({NAMES!r}):
    order = "ORDER-" + name.split()[1]
    TicketHolder.objects.create(event="fest", ticket="T-" + str(number), name=name, order=order, salt=b"s")
for name, group in {{"stella": "gate", "olga": "organiser"}}.items():
    user = User.objects.create_user(name, password="open sesame", is_staff=True)
    join(user, group)
"""
SMALLEST = {"width": 360, "height": 640}
GLOVE_MIN = 48
"""Pixels of what a glove touches."""
CONTRAST_MIN = 3
CONTRAST = """() => {
  const answer = document.querySelector('[data-at="answer"]');
  const before = answer.className;
  const light = (tone) => {
    answer.className = `answer ${tone}`;
    const parts = getComputedStyle(answer).backgroundColor.match(/\\d+/g).slice(0, 3).map((one) => one / 255);
    const [r, g, b] = parts.map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const [green, red] = [light("ok"), light("bad")];
  answer.className = before;
  return Math.max(green / red, red / green);
}"""
FOOT = """(name) => document.querySelector(`[data-at="${name}"]`).getBoundingClientRect().bottom"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Tonight's event, one of last year and one without a date; a family of four in one order."""
    with network(tmp_path_factory.mktemp("evening") / "data") as made:
        made.start()
        tonight = datetime.now(UTC).replace(microsecond=0)
        events = {
            "fest": {"name": "Fest tonight", "doors": tonight.isoformat()},
            "past": {"name": "Fest of last year", "doors": (tonight - timedelta(days=365)).isoformat()},
            "bare": {"name": "No date"},
        }
        with made.client() as client:
            for slug, event in events.items():
                products = [{"name": "Adult", "admits": True}]
                sent = event | {"zone": "Europe/Berlin", "products": products}
                client.put(f"/api/v1/events/{slug}", json=sent).raise_for_status()
            for number in range(len(NAMES)):
                ticket = {
                    "ticket_id": f"T-{number}",
                    "event": "fest",
                    "product": "Adult",
                    "seat": f"A-{number}",
                }
                sent = ticket | {"barcodes": [code(number)]} | ({"entries": 4} if number == PARTY else {})
                client.post("/api/v1/tickets", json=sent).raise_for_status()
        assert made.run("shell", "-c", PEOPLE).returncode == 0
        yield made


def log_in_at_gate(page: Page, name: str, running: Network) -> None:
    page.goto(f"{running.url}/gate/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Gate")).to_be_attached()


def phone_of(name: str, browser: Browser, running: Network) -> Page:
    """The smallest phone of a person, which asks where it stands."""
    context = browser.new_context(viewport=SMALLEST, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    context.add_init_script(path=AXE)
    page = context.new_page()
    log_in_at_gate(page, name, running)
    return page


def standing(name: str, browser: Browser, running: Network) -> Page:
    """The phone of a person at the gate north."""
    page = phone_of(name, browser, running)
    stand(page, "north", f"phone-{name}", "fest")
    return page


@pytest.fixture
def page(browser: Browser, running: Network) -> Iterator[Page]:
    found = standing("stella", browser, running)
    yield found
    found.context.close()


def test_tonights_event_comes_first_and_the_others_behind_all_events(
    browser: Browser, running: Network
) -> None:
    page = phone_of("stella", browser, running)
    assert page.evaluate(SMALL, GLOVE_MIN) == []
    names = page.get_by_label("Event").locator("option").all_text_contents()
    assert [name.split(",")[0] for name in names] == ["Choose an event", "Fest tonight", "All events"]
    page.get_by_label("Event").select_option("All events")
    page.get_by_label("Event").select_option("bare")
    page.context.close()


def test_a_test_scan_says_what_the_reader_sends_and_admits_nobody(page: Page) -> None:
    expect(shown(page, "answer-sentence")).to_contain_text("The platform answers")
    page.get_by_role("button", name="Test").click()
    scan(page, code(3))
    expect_answer(page, "idle", "Test", "a ticket of this event", "11 characters", "nobody is admitted")
    scan(page, code(3)[1:])
    expect_answer(page, "warn", "Test", "10 characters", "No ticket of this event has this code")
    fits_everyone(page)
    page.get_by_role("button", name="Test").click()
    scan(page, code(3))
    expect_answer(page, "ok", "Admitted", "1 of 1")
    assert page.evaluate(SMALL, GLOVE_MIN) == []
    assert page.evaluate(FOOT, "answer-facts") <= SMALLEST["height"], "product and seat are seen at once"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_green_and_red_differ_in_lightness(page: Page, theme: str) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    assert page.evaluate(CONTRAST) >= CONTRAST_MIN


def test_a_family_is_admitted_in_one_act(page: Page) -> None:
    """By a steward, who may scan and nothing else."""
    page.get_by_role("button", name="Find guest").click()
    page.get_by_label("Name, order or seat").fill("hopper")
    page.keyboard.press("Enter")
    guests = shown(page, "guests-list").locator("li")
    expect(guests).to_have_count(1)
    expect(guests).to_contain_text("Grace Hopper")
    scan(page, code(0))  # a reader's code is a scan, also while a name is typed
    expect_answer(page, "ok", "Admitted", "T-0")
    expect(shown(page, "guests-q")).to_have_value("hopper")
    page.get_by_role("button", name="Others of this order").click()
    expect(guests).to_have_count(4)
    expect(shown(page, "guests-title")).to_have_text("Order ORDER-Lovelace")
    expect(guests.filter(has_text="Ada Lovelace")).to_contain_text("admitted")
    assert page.evaluate(SMALL, GLOVE_MIN) == []
    fits_everyone(page)
    page.get_by_label("Medora Lovelace").uncheck()
    page.get_by_role("button", name="Admit 2 persons").click()
    page.get_by_role("dialog").get_by_role("button", name="Admit").focus()
    page.keyboard.type(f"{code(0)}\n", delay=70)  # a slow reader, while the question is open
    expect(shown(page, "confirm-waits")).to_contain_text("1 scan made meanwhile")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect_answer(page, "bad", "used already")
    page.get_by_role("button", name="Admit 2 persons").click()
    page.get_by_role("dialog").get_by_role("button", name="Admit").click()
    expect_answer(page, "ok", "2 of 2 admitted", "Byron Lovelace", "Ralph Lovelace")
    fits_everyone(page)
    for ticket in ("T-1", "T-2"):
        expect(shown(page, "last").locator("li", has_text=ticket)).to_contain_text("Admitted")
    scan(page, code(5))
    expect_answer(page, "ok", "Admitted", "T-5")


def test_several_persons_of_one_ticket_come_in_in_one_act(page: Page) -> None:
    for count, left in ((3, 4), (1, 1)):
        page.get_by_role("button", name="Find guest").click()
        page.get_by_label("Name, order or seat").fill("mitchell")
        page.keyboard.press("Enter")
        expect(shown(page, "guests-admit")).to_have_text(f"Admit {left} person{'s' if left > 1 else ''}")
        assert page.evaluate(SMALL, GLOVE_MIN) == []
        fits_everyone(page)
        if left > 1:
            page.get_by_label("Persons: Maria Mitchell").fill("9")
            expect(shown(page, "guests-admit")).to_be_disabled()
            page.get_by_label("Persons: Maria Mitchell").fill(str(count))
        page.get_by_role("button", name=f"Admit {count} person").click()
        page.get_by_role("dialog").get_by_role("button", name="Admit").click()
        expect_answer(page, "ok", f"{count} of {count} admitted", "Maria Mitchell")
    scan(page, code(PARTY))
    expect_answer(page, "bad", "used already")


def test_each_ticket_of_an_act_has_its_own_answer(page: Page, running: Network) -> None:
    page.get_by_role("button", name="Find guest").click()
    page.get_by_label("Name, order or seat").fill("curie")
    page.keyboard.press("Enter")
    expect(shown(page, "guests-list").locator("li")).to_have_count(2)
    expect(shown(page, "guests-admit")).to_be_disabled()
    fits_everyone(page)
    page.get_by_role("button", name="Its order: Irène Curie").click()
    expect(shown(page, "guests-admit")).to_have_text("Admit 2 persons")
    with running.client() as client:  # at another gate, while the steward looks
        client.post("/api/v1/tickets/admit", json={"event": "fest", "barcode": code(6)}).raise_for_status()
    page.get_by_role("button", name="Admit 2 persons").click()
    page.get_by_role("dialog").get_by_role("button", name="Admit").click()
    expect_answer(page, "warn", "1 of 2 admitted", "Irène Curie", "Refused", "used already")
    each = shown(page, "answer-each").locator("li")
    expect(each.filter(has_text="Irène Curie")).to_have_class("bad")
    expect(each.filter(has_text="Ève Curie")).to_have_class("ok")
    fits_everyone(page)
    page.get_by_role("button", name="Find guest").click()
    page.get_by_role("button", name="Change", exact=True).click()
    expect(shown(page, "guests")).to_be_hidden()  # they are guests of this place


def test_with_exits_on_a_guest_who_is_found_is_let_out(page: Page) -> None:
    page.get_by_role("button", name="Exits").click()
    page.get_by_role("button", name="Find guest").click()
    page.get_by_label("Name, order or seat").fill("somerville")
    page.keyboard.press("Enter")
    guests = shown(page, "guests-list").locator("li")
    expect(guests).to_contain_text("nobody of this ticket is inside")
    expect(shown(page, "guests-admit")).to_be_hidden()
    page.get_by_role("button", name="Exits").click()
    expect(shown(page, "guests")).to_be_hidden()  # who may leave is not who may come in
    for mode, act, answer in ((None, "Admit", "1 of 1 admitted"), ("Exits", "Let out", "1 of 1 let out")):
        if mode:
            page.get_by_role("button", name=mode).click()
        page.get_by_role("button", name="Find guest").click()
        page.get_by_label("Name, order or seat").fill("somerville")
        page.keyboard.press("Enter")
        page.get_by_role("button", name=f"{act} 1 person").click()
        page.get_by_role("dialog").get_by_role("button", name=act).click()
        expect_answer(page, "ok", answer, "Mary Somerville")
    expect(shown(page, "last").locator("li").first).to_contain_text("Mary Somerville, Adult, A-9 T-9")
    fits_everyone(page)


def test_a_gate_that_the_event_names_is_chosen_or_another_one_is_typed(
    browser: Browser, running: Network
) -> None:
    page = phone_of("stella", browser, running)
    page.get_by_label("Event").select_option("All events")
    page.get_by_label("Event").select_option("bare")
    gate = page.get_by_role("combobox", name="Gate", exact=True)
    another = page.get_by_role("combobox", name="Name of the gate")
    assert gate.locator("option").all_text_contents() == [
        "Choose a gate",
        "West door",
        "East",
        "Another gate",
    ]
    expect(another).to_be_hidden()
    fits_everyone(page)
    gate.select_option("East")
    page.get_by_role("button", name="Start scanning").click()
    expect(page).to_have_url(f"{running.url}/gate/?event=bare&gate=East")
    page.get_by_role("button", name="Change", exact=True).click()
    expect(gate).to_have_value("East")
    gate.select_option("Another gate")
    another.fill("Backstage")
    page.get_by_role("button", name="Start scanning").click()
    expect(page).to_have_url(f"{running.url}/gate/?event=bare&gate=Backstage")
    page.reload()
    expect(shown(page, "place-gate")).to_have_text("gate Backstage")
    page.context.close()


def test_outcomes_and_tickets_are_on_the_clocks_of_the_event(browser: Browser, running: Network) -> None:
    """Wherever the browser is."""
    context = browser.new_context(viewport=SMALLEST, timezone_id="Pacific/Auckland")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    log_in_at_gate(page, "olga", running)
    with running.client() as client:
        client.post("/api/v1/tickets/admit", json={"event": "fest", "barcode": code(8)}).raise_for_status()
        moved = client.get("/api/v1/tickets/T-8", params={"event": "fest"}).json()["data"]["last_entry"]["at"]
    page.goto(f"{running.url}/")
    outcome = shown(page, "outcomes").locator("li", has_text="T-8").filter(has_text="admitted")
    expect(outcome.locator("time")).to_contain_text(re.compile(f"{moved[11:19]} (CET|CEST)"))
    page.goto(f"{running.url}/dashboard/tickets?event=fest#q=T-8")
    changed = shown(page, "tickets").locator('td[data-label="Changed"]')
    expect(changed).to_have_text(re.compile(f"{moved[:10]} {moved[11:19]} (CET|CEST)"))
    context.close()


def test_a_scan_after_the_login_ended_is_asked_after_the_next_login(
    page: Page, browser: Browser, running: Network
) -> None:
    expect(shown(page, "answer-sentence")).to_contain_text("The platform answers")
    page.context.clear_cookies()
    scan(page, code(4))
    expect_answer(page, "warn", "Sign in again", "in this tab or another one")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    fits_everyone(page)
    other = page.context.new_page()
    log_in_at_gate(other, "stella", running)
    expect_answer(page, "ok", "Admitted", "T-4")
    expect(page.get_by_role("link", name="Sign in")).to_be_hidden()
