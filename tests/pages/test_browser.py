"""The pages in a real browser over a real network; skipped, with a word why, where there is no browser."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.network import Network
from tests.pages.browsing import Complaints, confirm, expect_to_fit, opened, shown
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
def running(browser: Browser, shared: Network) -> Network:
    """One network for all these tests: each leaves it running and uses tickets of its own."""
    return shared


@pytest.fixture
def api(running: Network) -> Iterator[httpx.Client]:
    with running.client() as client:
        yield client


@pytest.fixture
def page(running: Network, browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """The live page, logged in; some of these tests give cause for complaint."""
    with opened(browser, running.url, complaints, credentials=running.credentials) as found:
        yield found


def model(page: Page) -> Any:
    return page.evaluate("dtvn.page.state()")


def fresh(page: Page) -> Any:
    return page.evaluate(
        "fetch('/dashboard/snapshot').then((answer) => answer.json()).then((all) => all.log)"
    )


def expect_outcome(page: Page, ticket: str, word: str) -> None:
    item = page.locator(".outcomes li", has_text=ticket).filter(has_text=word)
    expect(item.first).to_be_visible()


def expect_model_equals_snapshot(page: Page) -> None:
    """The page's model, updated by frames, equals a new snapshot."""
    wait_until(lambda: model(page) == fresh(page), what="the page's model equal to a snapshot")


def test_events_are_shown_at_once_and_agree_with_a_new_snapshot(
    page: Page, api: httpx.Client, complaints: Complaints
) -> None:
    expect(page.locator("table.matrix tbody tr").first).to_contain_text("node0")
    expect(shown(page, "cluster-state")).to_have_text("4 of 4 agree, can lose 1 more")
    expect(page.get_by_text("of 4")).to_have_count(1)  # one sentence of state
    for path, ticket in (("validate", "301"), ("consume", "301"), ("validate", "302"), ("dispute", "302")):
        api.post(f"/api/v1/tickets/{path}", json={"ticket_id": f"TICKET-{ticket}"}).raise_for_status()
    assert api.post("/api/v1/tickets/consume", json={"ticket_id": "TICKET-301"}).status_code == 409
    for ticket, word in (("301", "used"), ("302", "disputed"), ("301", "used already")):
        expect_outcome(page, f"TICKET-{ticket}", word)
    expect_model_equals_snapshot(page)
    page.set_viewport_size({"width": 390, "height": 844})
    expect_to_fit(page)
    assert complaints == []


NOTE_STALE = """() => {
  const stale = document.querySelector('[data-at="stale"]');
  window.wasStale = false;
  new MutationObserver(function () {
    if (!stale.hidden && !window.wasStale) {
      const band = document.querySelector('[data-at="cluster-state"]');
      window.bandThen = `${band.className.replace("state ", "")}: ${band.textContent}`;
      window.wasStale = true;
    }
  }).observe(stale, { attributes: true });
}"""
"""A web process may be back before anybody looks: the page itself remembers what it showed."""


def test_nothing_is_missed_while_the_web_process_is_replaced(
    page: Page, running: Network, api: httpx.Client
) -> None:
    """kill -9 of the web process: the page says so, comes back by itself, and has no gap."""
    before = model(page)["sequence"]
    web = running.wait_for_title("dtvn web")
    page.evaluate(NOTE_STALE)
    web.send_signal(signal.SIGKILL)
    wait_until(lambda: page.evaluate("window.wasStale"), what="the page says that it is cut off")
    assert re.fullmatch(r"none: State unknown since \d\d:\d\d:\d\d", page.evaluate("window.bandThen"))
    wait_until(lambda: _posted(api, "TICKET-310"), what="the API answering again")
    expect(shown(page, "connection")).to_have_text("Live")
    expect_outcome(page, "TICKET-310", "admitted")
    expect(shown(page, "stale")).to_be_hidden()
    expect_model_equals_snapshot(page)
    assert model(page)["sequence"] > before


def _posted(api: httpx.Client, ticket: str) -> bool:
    sent = {"ticket_id": ticket, "nonce": f"browser-{ticket}"}
    try:
        return api.post("/api/v1/tickets/admit", json=sent).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.exhaustive
def test_a_flood_of_events_is_followed_to_its_end(page: Page, api: httpx.Client) -> None:
    operations = [{"op": "issue", "ticket_id": f"FLOOD-{number}"} for number in range(6_000)]
    for start in range(0, 6_000, 2_000):
        sent = {"operations": operations[start : start + 2_000]}
        api.post("/api/v1/tickets/batch", json=sent, timeout=60).raise_for_status()
    expect_outcome(page, "FLOOD-5999", "added")
    expect_model_equals_snapshot(page)


@pytest.mark.parametrize(
    "width",
    [320, 1201, *(pytest.param(width, marks=pytest.mark.exhaustive) for width in (360, 781, 1100, 1280))],
)
def test_everything_is_shown_without_scrolling_sideways(page: Page, width: int) -> None:
    """Nothing runs out of its card, with numbers of a long life."""
    page.set_viewport_size({"width": width, "height": 740})
    expect(shown(page, "sequence")).not_to_have_text("–")
    page.evaluate(
        """() => {
          for (const name of ["applied", "refused"]) {
            document.querySelector(`[data-at="${name}"]`).textContent = "10,036,017";
          }
        }"""
    )
    expect_to_fit(page)


@pytest.mark.exhaustive
def test_a_stopped_learner_is_shown_with_the_time_of_its_stop(page: Page, running: Network) -> None:
    """The log on the page is the learner's and must not look current while the learner is stopped."""
    other = page.context.new_page()

    def wish(act: str) -> None:
        other.goto(f"{running.url}/admin/validators/managednode/")
        other.get_by_label("Select this object for an action - learner").check()
        other.get_by_label("Action:").select_option(act)
        other.get_by_role("button", name="Go", exact=True).click()
        if act == "stop":
            expect(other.locator(".consequence")).to_contain_text("pages and lists are not updated")
            other.get_by_role("button", name="Stop", exact=True).click()
        expect(other.locator(".messagelist")).to_contain_text(f"Requested: {act} learner.")

    wish("stop")
    expect(shown(page, "outdated")).to_contain_text("has been stopped since ")
    expect(shown(page, "connection")).to_have_text("Not updating")
    expect(shown(page, "verdict")).to_contain_text(
        "pages and lists are not updated: the learner has been stopped"
    )
    wish("start")
    expect(shown(page, "outdated")).to_be_hidden()
    expect(shown(page, "connection")).to_have_text("Live")
    expect(shown(page, "why-card")).to_be_hidden()
    expect_model_equals_snapshot(page)


def test_every_control_is_reachable_by_keyboard(page: Page) -> None:
    reached: list[str] = []
    page.locator("body").press("Tab")
    for _ in range(40):
        reached.append(
            page.evaluate("(document.activeElement.ariaLabel || document.activeElement.innerText).trim()")
        )
        page.keyboard.press("Tab")
    for name in ("Skip to content", "Live", "Tickets", "Nodes", "Log", "Log out"):
        assert name in map(str.strip, reached)
    assert any("Latest outcomes" in name for name in reached)


@pytest.mark.exhaustive
def test_the_light_or_dark_theme_is_remembered(page: Page) -> None:
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Switch between light and dark").click()
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert after != before
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == after


@pytest.mark.exhaustive
def test_a_node_that_is_down_is_named_with_the_consequence(page: Page, running: Network) -> None:
    page.goto(f"{running.url}/admin/validators/managednode/")
    page.get_by_label("Select this object for an action - node3").check()
    page.get_by_label("Action:").select_option("stop")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator(".consequence")).to_have_text("Afterwards: 3 of 4 agree, can lose none.")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("Requested: stop node3.")
    page.goto(f"{running.url}/")
    expect(shown(page, "cluster-state")).to_have_text("3 of 4 agree, can lose none")
    expect(shown(page, "why-card")).to_be_hidden()  # it was stopped, and nothing is stuck
    page.goto(f"{running.url}/admin/validators/managednode/")
    page.get_by_label("Select this object for an action - node3").check()
    page.get_by_label("Action:").select_option("start")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("Requested: start node3.")
    page.goto(f"{running.url}/")
    expect(shown(page, "cluster-state")).to_have_text("4 of 4 agree, can lose 1 more")


@pytest.mark.exhaustive
def test_nodes_that_all_stopped_without_a_watcher_are_shown_stopped(page: Page, running: Network) -> None:
    """The next page shows neither the nodes that ran for the last watcher nor a healthy cluster."""
    members = [f"node{number}" for number in range(4)]

    def wish(act: str) -> None:
        page.goto(f"{running.url}/admin/validators/managednode/")
        for name in members:
            page.get_by_label(f"Select this object for an action - {name}").check()
        page.get_by_label("Action:").select_option(act)
        page.get_by_role("button", name="Go", exact=True).click()
        if act == "stop":
            page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator(".messagelist")).to_contain_text(f"Requested: {act} node3")

    def all_are(status: str) -> bool:
        found = page.request.get(f"{running.url}/dashboard/snapshot").json()["nodes"]
        return all(node["status"] == status for node in found if node["id"] in members)

    wish("stop")
    wait_until(lambda: all_are("stopped"), what="four nodes stopped")
    page.goto(f"{running.url}/")
    expect(shown(page, "connection")).to_have_text("Live")
    expect(shown(page, "cluster-state")).to_have_text(
        "No quorum: 0 of 4 reachable, 3 needed; nothing can be decided"
    )
    wish("start")
    page.goto(f"{running.url}/")
    expect(shown(page, "cluster-state")).to_have_text("4 of 4 agree, can lose 1 more")


def test_tickets_are_changed_on_their_page_through_consensus(
    page: Page, running: Network, api: httpx.Client, complaints: Complaints
) -> None:
    assert _posted(api, "TICKET-319"), "the nodes, which may have just been started, decide again"
    page.goto(f"{running.url}/admin/ledger/ticket/")  # an address of before
    expect(page).to_have_url(f"{running.url}/dashboard/tickets")
    page.get_by_label("Search", exact=True).fill("TICKET-32")
    for ticket in ("TICKET-320", "TICKET-321"):
        page.get_by_label(f"Select {ticket}", exact=True).check()
    shown(page, "selection").get_by_role("button", name="Check only").click()
    confirm(page, "Check only", "those in another state stay as they are")
    expect(shown(page, "bulk")).to_have_text("check only: 2 of 2 tickets done")
    expect(page.locator("tr", has_text="TICKET-320").first).to_contain_text("checked")
    page.get_by_role("button", name="History of TICKET-320").click()
    expect(page.locator("tr.history")).to_contain_text("by admin")
    assert complaints == []


@pytest.mark.exhaustive
def test_a_second_operator_sees_what_the_first_one_did(
    page: Page, running: Network, api: httpx.Client
) -> None:
    api.post("/api/v1/tickets", json={"ticket_id": "SECOND-1"}).raise_for_status()
    page.goto(f"{running.url}/dashboard/tickets")
    expect(shown(page, "connection")).to_have_text("Live")
    page.get_by_label("Ticket or code", exact=True).fill("SECOND-1")
    validate = page.get_by_role("button", name="Check only", exact=True).first
    api.post("/api/v1/tickets/validate", json={"ticket_id": "SECOND-1"}).raise_for_status()
    validate.click()
    expect(shown(page, "said")).to_have_text(
        re.compile(
            r"The ticket is already validated\. SECOND-1: validate by first key at .*\d\d:\d\d:\d\d UTC\."
        )
    )
    page.route("**/api/v1/tickets/validate", lambda route: None)  # an answer that does not come
    validate.click()
    expect(shown(page, "said")).to_be_hidden()
    page.unroute_all(behavior="ignoreErrors")


def test_an_address_is_reached_through_the_login(
    running: Network, browser: Browser, api: httpx.Client
) -> None:
    with opened(browser, running.url, Complaints()) as page:
        page.goto(f"{running.url}/dashboard/tickets?ticket=default%2FTICKET-445#q=ticket-44")
        page.get_by_label("User name").fill(running.credentials["admin_user"])
        page.get_by_label("Password").fill(running.credentials["admin_password"])
        page.get_by_role("button", name="Log in").click()
        expect(shown(page, "tickets").locator("tr.history")).to_have_count(1)
        expect(shown(page, "tickets")).to_contain_text("TICKET-445")


def test_logging_out_elsewhere_leads_to_the_login_form(page: Page, running: Network) -> None:
    page.context.clear_cookies()
    running.wait_for_title("dtvn web").send_signal(signal.SIGKILL)
    expect(page.get_by_label("Password")).to_be_visible()
