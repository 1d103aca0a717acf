"""axe finds nothing, and nothing runs out of its place, whatever the band above a page says: on the live page
and at a gate, at a desk and on a phone. The sentences are those of a cluster that chooses a primary, changes
its members or has no quorum, in a real snapshot; the lost connection is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect

from tests.integration.network import Network
from tests.pages.browsing import expect_to_fit, log_in, shown
from tests.pages.test_accessibility import FIND, HEADER_MAX, visitor

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SNAPSHOT = "**/dashboard/snapshot"
SOCKET = "**/ws"
STATES = (
    ("tight", "Choosing a new primary; scans wait a moment"),
    ("tight", "3 of 4 agree, can lose none; changing members: add node4, newcomer catches up"),
    ("stuck", "No quorum: 2 of 4 reachable, 3 needed; nothing can be decided"),
)
PLACES = ("/", "/gate/?event=default&gate=north")


def says(level: str, sentence: str) -> Callable[[Route], None]:
    """A snapshot of now, with another sentence of state."""

    def answer(route: Route) -> None:
        response = route.fetch()
        found = response.json()
        found["state"] |= {"level": level, "sentence": sentence}
        route.fulfill(response=response, json=found)

    return answer


def fits_everyone(page: Page) -> None:
    expect_to_fit(page)
    assert page.evaluate(FIND) == []


def test_the_bar_with_every_page_in_it_is_one_line(shared: Network, browser: Browser) -> None:
    with visitor(browser, "desktop", "light") as page:
        log_in(page, shared.url, shared.credentials)
        for width in (1200, 1280, 1400):
            page.set_viewport_size({"width": width, "height": 900})
            box = page.locator(".topbar").bounding_box()
            assert box is not None
            assert box["height"] < HEADER_MAX, width


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        ("desktop", "dark"),
        ("phone", "light"),
        pytest.param("desktop", "light", marks=pytest.mark.exhaustive),
        pytest.param("phone", "dark", marks=pytest.mark.exhaustive),
    ],
)
def test_every_state_of_the_cluster_can_be_read(
    shared: Network, browser: Browser, size: str, theme: str
) -> None:
    with visitor(browser, size, theme) as page:
        log_in(page, shared.url, shared.credentials)
        sockets: list[WebSocketRoute] = []

        def hold(socket: WebSocketRoute) -> None:
            """Nothing true comes after the snapshot."""
            sockets.append(socket)

        page.route_web_socket(SOCKET, hold)
        for place in PLACES:
            for level, sentence in STATES:
                page.route(SNAPSHOT, says(level, sentence))
                page.goto(f"{shared.url}{place}")
                expect(shown(page, "cluster-state")).to_have_text(sentence)
                expect(shown(page, "cluster-state")).to_have_class(f"state {level}")
                fits_everyone(page)
                page.unroute(SNAPSHOT)
            page.route(SNAPSHOT, lambda route: route.abort())
            sockets[-1].close()
            expect(shown(page, "cluster-state")).to_contain_text("State unknown since")
            expect(shown(page, "stale")).to_be_visible()
            fits_everyone(page)
            page.unroute(SNAPSHOT)
