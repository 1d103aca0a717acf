"""The page of judged runs in a real browser while two of four real nodes hang: what is owed, through a kill
of the web process, and what the members said."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.integration.network import Network, network
from tests.pages.browsing import Complaints, expect_to_fit, opened, shown
from tests.runs.test_rest import BAD, texts

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

NAME = "owed-" + 50 * "1"
HUNG = ("node1", "node2")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Network]:
    with network(tmp_path / "data") as made:
        made.start()
        yield made


@pytest.fixture
def page(town: Network, browser: Browser, complaints: Complaints) -> Iterator[Page]:
    with opened(browser, town.url, complaints, credentials=town.credentials) as found:
        yield found


def signal_nodes(town: Network, number: int) -> None:
    for name in HUNG:
        town.wait_for_title(name).send_signal(number)


def judge(town: Network) -> dict[str, Any]:
    with town.client() as client:
        body = texts(list(BAD), thread="t", run=NAME)
        answer = client.post("/api/v1/events/validate-sequence", json=body)
    found: dict[str, Any] = answer.raise_for_status().json()["data"]
    return found


def test_a_run_is_owed_on_the_page_until_the_members_have_judged(town: Network, page: Page) -> None:
    page.goto(f"{town.url}/dashboard/events")
    expect(shown(page, "connection")).to_have_text("Live")
    page.get_by_role("button", name="Owed", exact=True).press("Enter")
    expect(shown(page, "no-runs")).to_contain_text("No run is owed")
    signal_nodes(town, signal.SIGSTOP)
    try:
        told = judge(town)
        assert (told["scope"], told["owed"]) == ("LOCAL_ONLY", "waiting")
        row = shown(page, "runs").locator("tr", has_text=NAME)
        expect(row).to_contain_text("not valid here")
        expect(row).to_contain_text("owed")
        expect(row.locator("[data-label=Events]")).to_have_text(str(len(BAD)))
        expect(shown(page, "owed")).to_have_text("1 run owed")
        row.get_by_role("button", name="Details").press("Enter")
        expect(shown(page, "twice")).to_contain_text(
            "not valid, MESSAGE NOT OPEN. The members owe a judgement"
        )
        for width in (320, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            expect_to_fit(page)
        web = town.wait_for_title("dtvn web")
        web.kill()
        town.wait_for_title("dtvn web", besides=web.pid)
    finally:
        signal_nodes(town, signal.SIGCONT)
    expect(shown(page, "twice")).to_contain_text("by the members at")
    expect(shown(page, "twice")).to_contain_text(": the same.")
    expect(shown(page, "facts")).to_contain_text("at ")  # in the log
    expect(shown(page, "no-runs")).to_contain_text("No run is owed")
    expect(shown(page, "owed")).to_be_empty()
    page.get_by_role("button", name="Differences").press("Enter")
    expect(shown(page, "no-runs")).to_contain_text("nothing otherwise")
    check_difference(page, told["id"])


def check_difference(page: Page, number: int) -> None:
    """What is read where the members said otherwise."""

    def differing(route: Route) -> None:
        answer = route.fetch()
        content = answer.json()
        found = [{"index": 2, "here": "MESSAGE_NOT_OPEN", "members": ""}]
        content["data"] |= {"differs": True, "differences": found}
        route.fulfill(response=answer, json=content)

    page.route(f"**/api/v1/events/runs/{number}", differing)
    page.reload()
    expect(shown(page, "twice")).to_contain_text(
        "differs: event 2: refused here (MESSAGE NOT OPEN), accepted by the members."
    )
