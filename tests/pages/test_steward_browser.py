"""A steward's link in two browsers: the organiser makes it, a telephone follows it, it is taken back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.network import Network, network
from tests.pages.browsing import PATIENCE, expect_to_fit, log_in, shown
from tests.pages.test_accessibility import AXE, FIND

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network with two events, and two guests of the first."""
    with network(tmp_path_factory.mktemp("steward") / "data") as made:
        made.start()
        with made.client() as client:
            for slug, name in (("fest", "Fest 2026"), ("autumn", "Autumn 2026")):
                event = {"name": name, "zone": "Europe/Berlin", "products": []}
                client.put(f"/api/v1/events/{slug}", json=event).raise_for_status()
            for number in (1, 2):
                ticket = {"ticket_id": f"T-{number}", "event": "fest", "barcodes": [f"guest-code-{number}"]}
                client.post("/api/v1/tickets", json=ticket).raise_for_status()
        yield made


def window(browser: Browser, width: int, height: int) -> Page:
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    context.add_init_script(path=AXE)
    return context.new_page()


def fits(page: Page) -> None:
    expect_to_fit(page)
    assert page.evaluate(FIND) == []


def test_a_steward_scans_by_a_link_until_it_is_taken_back(running: Network, browser: Browser) -> None:
    office, phone = window(browser, 1366, 900), window(browser, 360, 740)
    log_in(office, running.url, running.credentials)
    office.goto(f"{running.url}/dashboard/tickets/events?slug=fest")
    office.get_by_role("link", name="Links for stewards").click()
    office.get_by_label("For whom").fill("North gate")
    fits(office)
    office.get_by_role("button", name="Make the link").click()
    expect(office.get_by_role("img", name="QR code")).to_be_visible()
    fits(office)
    link = office.get_by_label("Link, to be sent").input_value()
    secret = link.split("#")[1]

    sent: list[str] = []
    phone.on("request", lambda request: sent.append(request.url))
    phone.goto(link)
    fits(phone)
    phone.get_by_role("button", name="Open the gate page").click()
    expect(phone.get_by_label("Event")).to_have_value("fest")
    expect(shown(phone, "connection")).to_have_text("Live")
    expect(phone.get_by_label("Event").locator("option")).to_have_count(2)  # with "Choose an event"
    fits(phone)
    phone.get_by_role("combobox", name="Gate", exact=True).fill("north")
    phone.get_by_role("button", name="Start scanning").click()
    shown(phone, "code").fill("guest-code-1")
    shown(phone, "code").press("Enter")
    expect(shown(phone, "answer-word")).to_contain_text("Admitted")
    assert [url for url in sent if secret in url] == [], "no server is sent the secret in an address"
    phone.go_back()
    expect(phone.get_by_text("The link is not complete.")).to_be_visible()

    office.get_by_role("link", name="Links of Fest 2026").click()
    office.get_by_role("button", name="Take back the link North gate").click()
    expect(office.get_by_role("status").filter(has_text="was taken back")).to_be_visible()
    fits(office)
    phone.goto(link)
    phone.get_by_role("button", name="Open the gate page").click()
    expect(phone.get_by_role("alert")).to_contain_text("not valid any more")
    fits(phone)
    for page in (office, phone):
        page.context.close()


def test_the_event_of_import_and_export_is_chosen_with_the_keyboard(
    running: Network, browser: Browser
) -> None:
    office = window(browser, 390, 844)
    log_in(office, running.url, running.credentials)
    office.goto(f"{running.url}/dashboard/tickets/files")
    expect(office.get_by_text("Choose an event first.")).to_be_visible()
    fits(office)
    office.locator("select[name=event]").focus()
    office.keyboard.type("Fest")
    office.keyboard.press("Tab")
    office.keyboard.press("Enter")
    expect(office).to_have_url(f"{running.url}/dashboard/tickets/files?event=fest")
    expect(office.get_by_role("link", name="CSV Tickets")).to_have_attribute(
        "href", "/dashboard/tickets/export/tickets.csv?event=fest"
    )
    fits(office)
    office.context.close()


def test_changing_a_ticket_without_a_change_says_so(running: Network, browser: Browser) -> None:
    office = window(browser, 1366, 900)
    log_in(office, running.url, running.credentials)
    office.goto(f"{running.url}/dashboard/tickets?event=fest#q=T-2")
    row = office.locator("tr", has_text="T-2")
    row.get_by_role("button", name="Change").click()
    shown(office, "confirm-yes").click()
    expect(shown(office, "said")).to_contain_text("Nothing was changed: T-2 is as it was.")
    office.context.close()
