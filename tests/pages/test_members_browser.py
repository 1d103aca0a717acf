"""The admin's pages of members and principals in a real browser over a real network: what a change would mean
is shown before it is made, and its outcome after it (R15, R35). Also that names with HTML in them are inert
in the admin (X42), and the way in by an API key."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from dtvn.node.keys import peer_id
from tests.host.support import key_pair
from tests.integration.network import REPOSITORY, Network, network
from tests.pages.browsing import PATIENCE, Complaints, expect_to_fit, opened, shown, window
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.exhaustive]

MEMBERS = "/admin/validators/membershipchange/"
PRINCIPALS = f"{MEMBERS}principals/"
HOSTILE = '<img src=x onerror="window.hit = 1"><script>window.hit = 1</script>'
CHANGE_PATIENCE = 3 * PATIENCE
"""Milliseconds: a newcomer is started, follows, and is voted in."""


@pytest.fixture(scope="module")
def running(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("members") / "data") as made:
        made.start()
        yield made


@pytest.fixture
def page(running: Network, browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """A browser page with an administrator logged in."""
    with opened(browser, running.url, complaints, credentials=running.credentials) as found:
        yield found
    assert complaints == []


def go_to_members(running: Network, page: Page) -> None:
    """Opens the page of members once all members run and no change is in progress: until then the page
    reloads itself, which would interrupt a test's clicks."""

    def all_run() -> bool:
        return {node["status"] for node in running_nodes(running)} == {"running"}

    wait_until(all_run, what=lambda: f"all members run: {running_nodes(running)}")
    page.goto(f"{running.url}{MEMBERS}")
    at_rest = "html:not(:has([data-look-again])) section.members table"
    expect(page.locator(at_rest)).to_be_visible()


def members_table(page: Page) -> Any:
    return page.locator("section.members table")


def previewed(page: Page) -> dict[str, tuple[str, str]]:
    """Values of the calculator: row to (now, after)."""
    page.get_by_role("button", name="Preview the change").click()
    expect(page.get_by_role("heading", name="Preview")).to_be_visible()
    rows = page.locator("section[aria-live] table").first.locator("tbody tr")
    return {
        each.locator("th").inner_text(): (
            each.locator("td").nth(0).inner_text(),
            each.locator("td").nth(1).inner_text(),
        )
        for each in rows.all()
    }


def change_it(page: Page) -> None:
    """Confirm, and wait on the change's own page, which refreshes itself."""
    page.get_by_role("button", name="Confirm the change").click()
    expect(page.locator(".field-state_pill")).to_contain_text("Done", timeout=CHANGE_PATIENCE)


def test_a_principal_is_added_limited_and_revoked(running: Network, page: Page) -> None:
    key = peer_id(key_pair("gate-north")[0])
    go_to_members(running, page)
    page.get_by_role("link", name="Principals").click()
    page.get_by_label("Name").fill("gate-north")
    page.locator("#id_peer_id").fill(key)
    page.get_by_label("gate", exact=True).check()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("Done: gate-north was added at sequence")
    row = page.locator("tr", has_text=key)
    expect(row).to_contain_text("gate in all events")
    row.get_by_text("Grants", exact=True).click()
    row.get_by_label("One EVENT:CAPABILITY per line").fill("summer:gate")
    row.get_by_role("button", name="Replace the grants").click()
    expect(page.locator("tr", has_text=key)).to_contain_text("gate in summer")
    row = page.locator("tr", has_text=key)
    row.get_by_text("Revoke", exact=True).click()
    row.get_by_role("button", name="Revoke gate-north").click()
    expect(page.locator(".messagelist")).to_contain_text("gate-north was revoked")
    expect(page.locator("tr", has_text=key)).to_have_count(0)


def test_a_principal_without_a_key_is_refused_on_the_form(running: Network, page: Page) -> None:
    page.goto(f"{running.url}{PRINCIPALS}")
    page.get_by_label("Name").fill("gate-south")
    page.locator("#id_peer_id").fill("12D3KooWnothing")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("Failed:")
    expect(page.get_by_label("Name")).to_have_value("gate-south")  # what was typed stands


def test_a_member_is_added_and_removed_with_the_quorum_shown_before(running: Network, page: Page) -> None:
    go_to_members(running, page)
    page.get_by_role("link", name="Add a member").click()
    page.get_by_label("Node").fill("node4")
    told = previewed(page)
    assert told["Members"] == ("4", "5")
    assert told["Quorum"] == ("3", "4")
    assert told["Byzantine members tolerated"] == ("1", "1")
    change_it(page)
    go_to_members(running, page)
    expect(members_table(page).locator("tr", has_text="node4")).to_contain_text("Running")
    assert "node4" in {node["id"] for node in running_nodes(running)}
    page.get_by_role("link", name="Remove node4").click()
    assert previewed(page)["Members"] == ("5", "4")
    change_it(page)
    go_to_members(running, page)
    expect(members_table(page)).not_to_contain_text("node4")
    expect(page.locator("#result_list")).to_contain_text("Done")


def running_nodes(running: Network) -> list[dict[str, Any]]:
    with running.client() as client:
        return list(client.get("/api/v1/nodes").json())


def test_below_four_members_is_refused_before_it_is_asked_of_the_cluster(
    running: Network, page: Page
) -> None:
    go_to_members(running, page)
    page.get_by_role("link", name="Remove node3").click()
    page.get_by_role("button", name="Preview the change").click()
    expect(page.locator(".errornote, .errorlist").first).to_be_visible()
    expect(page.get_by_role("button", name="Confirm the change")).to_have_count(0)
    assert len(running_nodes(running)) == 4


def test_a_member_gets_a_new_key(running: Network, page: Page) -> None:
    go_to_members(running, page)
    before = members_table(page).locator("tr", has_text="node1").locator("code").inner_text()
    page.get_by_role("link", name="New key for node1").click()
    assert previewed(page)["Members"] == ("4", "4")
    change_it(page)
    go_to_members(running, page)
    row = members_table(page).locator("tr", has_text="node1")
    expect(row.locator("code")).not_to_have_text(before)
    expect(row).to_contain_text("Running")
    page.goto(f"{running.url}/")
    expect(shown(page, "connection")).to_have_text("Live")
    expect(page.locator("li", has_text="reconfigure").first).to_contain_text("membership")


def test_parameters_are_changed_with_old_and_new_shown(running: Network, page: Page) -> None:
    go_to_members(running, page)
    page.get_by_role("link", name="Change parameters").click()
    field = page.get_by_label("batch operations max")
    now = field.input_value()
    field.fill("0")
    page.get_by_role("button", name="Preview the change").click()
    expect(page.locator(".errornote, .errorlist").first).to_be_visible()
    field.fill("500")
    assert previewed(page)["batch_operations_max"] == (now, "500")
    change_it(page)
    go_to_members(running, page)
    page.get_by_role("link", name="Change parameters").click()
    expect(page.get_by_label("batch operations max")).to_have_value("500")


@pytest.mark.parametrize("path", [MEMBERS, f"{MEMBERS}ask/add/", PRINCIPALS])
def test_the_pages_can_be_read_on_a_phone(running: Network, page: Page, path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{running.url}{path}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_x42_names_with_html_are_shown_as_text_in_the_admin(
    running: Network, page: Page, tmp_path: Path
) -> None:
    """Holders, ticket data and labels of keys can really contain markup."""
    file = tmp_path / "tickets.csv"
    quoted = HOSTILE.replace('"', '""')
    file.write_text(f'ticket,name,email\nH-1,"{quoted}",a@b.example\n')
    answers = ["--code", "ticket", "--new-event", "as-it-is"]
    command = [sys.executable, "manage.py", "import_tickets", str(file), *answers]
    subprocess.run(command, cwd=REPOSITORY, env=running.environment(), check=True, capture_output=True)
    page.goto(f"{running.url}/admin/tickets/ticketholder/")
    expect(page.locator("#result_list")).to_contain_text(HOSTILE)
    expect_inert(page)
    page.goto(f"{running.url}/admin/validators/apikey/add/")
    page.get_by_label("Label").fill(HOSTILE)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#content")).to_contain_text("it is shown only once")
    page.goto(f"{running.url}/admin/validators/apikey/")
    expect(page.locator("#result_list")).to_contain_text(HOSTILE)
    expect_inert(page)
    with running.client() as client:
        sent = {"ticket_id": "H-2", "metadata": {"note": HOSTILE}}
        client.post("/api/v1/tickets", json=sent).raise_for_status()
    page.goto(f"{running.url}/dashboard/tickets?ticket=default/H-2")
    expect(page.locator("tr.history")).to_contain_text("onerror")
    expect_inert(page)


def expect_inert(page: Page) -> None:
    """No part of it became an element or ran."""
    assert page.locator("img[src=x], body script:not([src], [type])").count() == 0
    assert page.evaluate("window.hit") is None


def test_p16_an_api_key_gives_access_to_all_six_pages(running: Network, browser: Browser) -> None:
    context = window(browser)
    page = context.new_page()
    page.goto(f"{running.url}/dashboard/tickets")
    page.get_by_label("API key").fill("dtvn_wrong")
    page.get_by_role("button", name="Use the API key").click()
    expect(page.get_by_role("alert")).to_have_text(
        "This key is not valid, no longer valid, or for one event only."
    )
    page.get_by_label("API key").fill(running.credentials["api_key"])
    page.get_by_role("button", name="Use the API key").click()
    expect(page).to_have_url(f"{running.url}/dashboard/tickets")
    expect(shown(page, "connection")).to_have_text("Live")
    page.get_by_role("button", name="Import demo tickets").click()
    expect(shown(page, "said")).to_contain_text("tickets imported")
    page.get_by_role("button", name="validate TICKET-001").click()
    expect(shown(page, "said")).to_contain_text("TICKET-001 is validated")
    for name in ("Nodes", "Network", "Simulator", "Metrics", "Live"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.locator("nav [aria-current]")).to_have_text(name)
        expect(shown(page, "connection")).to_have_text("Live")
        expect_to_fit(page)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    page.goto(f"{running.url}/dashboard/tickets")
    expect(page.get_by_label("API key")).to_be_visible()
    context.close()
