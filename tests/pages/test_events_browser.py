"""The page of judged runs in a real browser, over four real nodes: a recording under each algorithm, a run
that is judged meanwhile, and its offending event."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.events.rules.samples import event
from tests.integration.network import Network
from tests.pages.browsing import Complaints, expect_to_fit, opened, shown

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

NAME = "live-" + 50 * "1"
HOSTILE = "<img src=x onerror='window.hit=1'>" + 40 * "w"
BAD = (
    event("RS:r", threadId="t"),
    event("TS:m"),
    event("TC:" + HOSTILE),
    event("TE:m"),
    event("RF:r", threadId="t"),
)


@pytest.fixture
def page(shared: Network, browser: Browser, complaints: Complaints) -> Iterator[Page]:
    with opened(browser, shared.url, complaints, credentials=shared.credentials) as found:
        yield found
    assert complaints == []


def test_a_recording_is_shown_under_each_algorithm(shared: Network, page: Page) -> None:
    page.goto(f"{shared.url}/dashboard/events")
    expect(shown(page, "connection")).to_have_text("Live")
    page.get_by_label("Events of one run").fill(b"\n".join(BAD).decode())
    page.get_by_label("Algorithm").select_option("unanimous")
    expect(shown(page, "caution")).to_contain_text("one member denies")
    page.get_by_label("Algorithm").select_option("")
    expect(shown(page, "caution")).to_be_hidden()
    page.get_by_role("button", name="Check").press("Enter")
    compared = shown(page, "comparison").locator("tr")
    expect(compared).to_have_count(4)
    for number, algorithm in enumerate(("majority", "unanimous", "pbft")):
        expect(compared.nth(number)).to_contain_text(algorithm)
        expect(compared.nth(number)).to_contain_text("not valid")
        expect(compared.nth(number)).to_contain_text("MESSAGE NOT OPEN at event 2")
        expect(compared.nth(number)).to_contain_text("node0")
        expect(compared.nth(number)).to_contain_text(re.compile(r"\d ms"))
    for number, needed, certificate in ((0, "3 of 4", "yes"), (1, "4 of 4", "yes"), (2, "3 of 4", "yes")):
        expect(compared.nth(number)).to_contain_text(needed)
        expect(compared.nth(number)).to_contain_text(certificate)
    expect(compared.nth(1)).to_contain_text("One that lies refuses every run")
    expect(compared.nth(2)).to_contain_text("1 lying member cannot turn a verdict. With 1 down")
    expect(compared.nth(3)).to_contain_text("raftnot offered here: this cluster was founded with pbft")
    expect(shown(page, "caution")).to_contain_text("one member denies")
    page.get_by_role("button", name="Details under unanimous").press("Enter")
    expect(shown(page, "facts")).to_contain_text("one member denies")
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Details under pbft").press("Enter")
    expect(shown(page, "one-title")).to_be_focused()
    offending = shown(page, "violations").locator("li")
    expect(offending).to_have_count(1)
    expect(offending).to_contain_text(HOSTILE)
    expect(offending.locator("pre span")).to_have_count(4)
    expect(shown(page, "votes").locator("tr")).to_have_count(4)
    expect(shown(page, "pieces").locator("tr").first).to_contain_text("not waited for")
    expect(shown(page, "facts")).to_contain_text("not recorded")
    assert page.evaluate("window.hit") is None
    for width in (320, 390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        expect_to_fit(page)
    page.get_by_role("button", name="Close").click()
    expect(shown(page, "one")).to_be_hidden()


def test_a_run_appears_while_it_is_judged(shared: Network, page: Page) -> None:
    page.goto(f"{shared.url}/dashboard/events")
    expect(shown(page, "connection")).to_have_text("Live")
    with shared.client() as client:
        path = begun(client)
        judged(client, path, event(f"RS:{NAME}", threadId="t"))
        row = shown(page, "runs").locator("tr", has_text=NAME)
        expect(row).to_contain_text("open")
        expect(row).to_contain_text("valid")
        page.set_viewport_size({"width": 390, "height": 844})
        expect_to_fit(page)
        judged(client, path, event("TC:unknown"))
        expect(row).to_contain_text("MESSAGE NOT OPEN")
        assert client.post(f"{path}/end").json()["data"]["recorded"] == "ok"
        expect(row).not_to_contain_text("open")
    row.get_by_role("button", name="Details").click()
    expect(page).to_have_url(re.compile(r"/dashboard/events\?run=\d+$"))
    page.reload()  # as a colleague opens it
    expect(shown(page, "one-title")).to_have_text(f"Run {NAME}")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(row).to_be_hidden()
    page.go_back()
    expect(row).to_be_visible()
    page.go_back()
    expect(shown(page, "one")).to_be_hidden()


def begun(client: httpx.Client) -> str:
    """The path of a new run."""
    answer = client.post("/api/v1/events/runs", json={"thread": "t", "run": NAME})
    return str(answer.headers["Location"])


def judged(client: httpx.Client, path: str, text: bytes) -> None:
    client.post(
        f"{path}/events", content=text, headers={"Content-Type": "application/x-ndjson"}
    ).raise_for_status()
