"""Pages as everyone can use them: axe finds nothing, in both themes, at a desk and on a phone; and what is
touched on a phone, also in the admin, is large enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.network import Network
from tests.pages.browsing import PATIENCE, log_in, shown

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

AXE = Path(__file__).parents[1] / "vendor/axe.min.js"
HEADER_MAX = 64
TARGET_MIN = 44
"""Pixels."""
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
PAGES = (
    "/",
    "/dashboard/nodes",
    "/dashboard/network",
    "/dashboard/tickets",
    "/dashboard/events",
    "/dashboard/simulator",
    "/dashboard/metrics",
    "/dashboard/tickets/files",
    "/dashboard/tickets/events",
    "/gate/",
)
ADMIN = (
    "/admin/",
    "/admin/tickets/ticketholder/",
    "/admin/ledger/operationrecord/",
    "/admin/validators/managednode/",
    "/admin/validators/apikey/",
    "/admin/validators/apikey/add/",
    "/admin/auth/user/add/",
)
LOGIN = ("/admin/login/",)
API = "/api/docs"
ENTRY = ("/", *LOGIN, "/no-such-page", API)
"""What everyone sees who is not logged in."""

FIND = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.flatMap((rule) =>
    rule.nodes.map((node) =>
      `${rule.impact} ${rule.id}: ${node.html.slice(0, 160)} ${node.any.map((one) => one.message)}`));
}"""

SMALL = """(least) => {
  const all = [...document.querySelectorAll("a, button, input, select, textarea, summary")];
  const target = (one) => ["checkbox", "radio"].includes(one.type) ? one.closest("label") ?? one : one;
  // In text.
  const apart = (one) => one.matches("p a:not(.button), li a, .notice a");
  return all.filter((one) => one.checkVisibility() && !apart(one)).map(target)
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([one, box]) => box.width && box.right > 0 && box.bottom > 0)
    .filter(([one, box]) => Math.min(box.height, box.width) < least - 0.5)
    .map(([one, box]) => `${one.outerHTML.slice(0, 100)} ${box.width.toFixed(0)}x${box.height.toFixed(0)}`);
}"""

SHORTEN = (
    """() => document.querySelectorAll("td a, .opener b").forEach((one) => { one.textContent = "A"; })"""
)
"""Tickets and files may have names of one letter."""

CUT = """() => {
  const pen = document.createElement("canvas").getContext("2d");
  const words = (one) => one.placeholder || one.selectedOptions[0]?.label || "";
  const width = (one) => {
    pen.font = getComputedStyle(one).font;
    return pen.measureText(words(one)).width;
  };
  const arrow = (one) => (one.tagName === "SELECT" ? 16 : 0);
  const room = (one) => one.clientWidth - 2 * parseFloat(getComputedStyle(one).paddingLeft) - arrow(one);
  return [...document.querySelectorAll("input[placeholder], select")]
    .filter((one) => one.checkVisibility() && width(one) > room(one)).map(words);
}"""


@contextmanager
def visitor(browser: Browser, size: str, theme: Any) -> Iterator[Page]:
    """A window with axe in every page; it is brought in before the policy of the page applies."""
    context = browser.new_context(viewport=SIZES[size], color_scheme=theme, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    context.add_init_script(path=AXE)
    yield context.new_page()
    context.close()


def violations(page: Page, url: str, paths: tuple[str, ...]) -> dict[str, list[str]]:
    """Path to what axe finds there, where it finds anything."""
    found = {}
    for path in paths:
        assert page.goto(f"{url}{path}").ok
        if path in PAGES:
            expect(shown(page, "connection")).to_have_text("Live")
        if path == API:
            expect(page.locator(".opblock").first).to_be_visible()
        found[path] = page.evaluate(FIND)
    return {path: problems for path, problems in found.items() if problems}


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        ("desktop", "dark"),
        ("phone", "light"),
        pytest.param("desktop", "light", marks=pytest.mark.exhaustive),
        pytest.param("phone", "dark", marks=pytest.mark.exhaustive),
    ],
)
def test_axe_finds_nothing_on_the_pages(shared: Network, browser: Browser, size: str, theme: str) -> None:
    """test_admin_accessibility walks the admin."""
    with visitor(browser, size, theme) as page:
        found = violations(page, shared.url, (*LOGIN, API))
        log_in(page, shared.url, shared.credentials)
        found |= violations(page, shared.url, PAGES)
    assert found == {}


def test_a_phone_has_a_low_header_and_large_targets(shared: Network, browser: Browser) -> None:
    with visitor(browser, "phone", "light") as page:
        log_in(page, shared.url, shared.credentials)
        for path in PAGES:
            page.goto(f"{shared.url}{path}")
            expect(shown(page, "connection")).to_have_text("Live")
            box = page.locator(".topbar").bounding_box()
            assert box is not None
            assert box["height"] < HEADER_MAX, path
            page.evaluate(SHORTEN)
            assert page.evaluate(SMALL, TARGET_MIN) == [], path
            assert page.evaluate(CUT) == [], path
            page.get_by_role("button", name="Menu").click()
            expect(page.get_by_role("link", name="Metrics")).to_be_visible()
            assert page.evaluate(SMALL, TARGET_MIN) == [], f"the menu of {path}"
        page.get_by_role("link", name="Nodes").click()
        expect(page).to_have_url(f"{shared.url}/dashboard/nodes")
        expect(page.get_by_role("link", name="Metrics")).to_be_hidden()


def test_no_field_cuts_what_is_written_in_it_at_a_desk(shared: Network, browser: Browser) -> None:
    with visitor(browser, "desktop", "light") as page:
        log_in(page, shared.url, shared.credentials)
        for path in PAGES:
            page.goto(f"{shared.url}{path}")
            expect(shown(page, "connection")).to_have_text("Live")
            assert page.evaluate(CUT) == [], path


def test_the_link_of_a_missing_page_stands_below_its_words(shared: Network, browser: Browser) -> None:
    with visitor(browser, "desktop", "light") as page:
        page.goto(f"{shared.url}/no-such-page")
        words, link = (
            one.bounding_box() or {}
            for one in (page.get_by_text("does not exist"), page.get_by_role("link", name="Live page"))
        )
        assert link["y"] >= words["y"] + words["height"]


def test_a_phone_shows_the_box_that_selects_all(shared: Network, browser: Browser) -> None:
    with visitor(browser, "phone", "light") as page:
        log_in(page, shared.url, shared.credentials)
        page.goto(f"{shared.url}/dashboard/tickets")
        expect(shown(page, "tickets").locator("tr").first).to_be_visible()
        page.get_by_label("Select all tickets shown").check()
        expect(shown(page, "selected")).to_contain_text(" selected")


def test_the_admin_on_a_phone_has_a_low_header_and_the_same_menu(shared: Network, browser: Browser) -> None:
    with visitor(browser, "phone", "light") as page:
        log_in(page, shared.url, shared.credentials)
        for path in ADMIN:
            page.goto(f"{shared.url}{path}")
            box = page.locator("#header").bounding_box()
            assert box is not None
            assert box["height"] < HEADER_MAX, path
            assert page.evaluate(SMALL, TARGET_MIN) == [], path
        page.get_by_role("button", name="Menu").click()
        expect(page.get_by_role("link", name="Change password")).to_be_visible()
        assert page.evaluate(SMALL, TARGET_MIN) == [], "the menu"
        page.get_by_role("link", name="Tickets", exact=True).click()
        expect(page).to_have_url(f"{shared.url}/dashboard/tickets")


def test_what_a_phone_touches_before_login_is_large(shared: Network, browser: Browser) -> None:
    with visitor(browser, "phone", "light") as page:
        for path in ENTRY:
            page.goto(f"{shared.url}{path}")
            expect(page.get_by_role("button").or_(page.get_by_role("link")).first).to_be_visible()
            assert page.evaluate(SMALL, TARGET_MIN) == [], path


def test_the_live_page_is_largest_where_its_reader_looks(shared: Network, browser: Browser) -> None:
    """State, admitted today, rate and p95 are set larger than sequence and view."""
    with visitor(browser, "desktop", "light") as page:
        log_in(page, shared.url, shared.credentials)

        def size(name: str) -> float:
            return float(shown(page, name).evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)"))

        small = max(size(name) for name in ("sequence", "view", "primary"))
        for name in ("cluster-state", "admitted", "rate", "p95"):
            assert size(name) > 1.5 * small, name
        before = int(shown(page, "admitted").text_content().replace(",", ""))
        with shared.client() as client:
            sent = {"ticket_id": "TICKET-470", "nonce": "admitted-today"}
            client.post("/api/v1/tickets/admit", json=sent).raise_for_status()
        expect(shown(page, "admitted")).to_have_text(f"{before + 1:,}")
        expect(shown(page, "p95")).to_contain_text(" ms")
        page.reload()
        expect(shown(page, "admitted")).to_have_text(f"{before + 1:,}")
