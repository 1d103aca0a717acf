"""The drawing of the network page, in a browser, with nodes that the test names instead of a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from dtvn.watch import NO_CLUSTER
from tests.pages.browsing import window
from validators.dashboard.context import WORDS
from validators.dashboard.formatting import node_tone

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
ADDRESS = "http://network.test/"
TEMPLATE = (ROOT / "templates/dashboard/network.html").read_text()
MAIN = TEMPLATE.partition("{% block main %}")[2].partition("{% endblock %}")[0]
SCRIPTS = ("model", "feed", "outcomes", "page", "hearing", "network")
STYLES = ("shared", "base", "dashboard", "pages", "drawings")
NOTHING_SEEN = {
    "as_of": None,
    "sentence": "Nothing is known of the members yet.",
    "members": [],
    "quorum": 0,
    "consequence": "",
    "stopped": [],
    "cut": None,
    "links": [],
    "history": [],
}
PAGE = f"""<!doctype html><html lang="en" data-theme="light"><title>Network</title>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
{"".join(f'<link rel="stylesheet" href="/css/{name}.css">' for name in STYLES)}
<body class="dtvn">
<div data-dashboard data-states="ISSUED" data-owner="primary" data-view="View"
  data-snapshot-url="/snapshot" data-links-url="/links">
<header><span data-at="connection"></span><p data-at="cluster-state"></p>
<p data-at="stale"></p><p data-at="said"></p>
<p data-at="cut-link" hidden><a href="#hears-title">See who hears whom</a></p></header>
<main><h1 class="unseen">Network</h1>{MAIN}</main></div>
<script id="words" type="application/json">{json.dumps(WORDS)}</script>
{"".join(f'<script src="/js/{name}.js"></script>' for name in SCRIPTS)}"""
DOT = """(id) => {
  const dot = document.querySelector(`[data-node=${id}]`);
  const drawn = getComputedStyle(dot.querySelector("circle"));
  const cross = dot.querySelector(".cross");
  const surface = getComputedStyle(document.querySelector("circle.stopped")).fill; // in the legend
  return {
    ring: drawn.fill === surface && drawn.strokeDasharray !== "none",
    cross: cross !== null && getComputedStyle(cross).stroke !== drawn.fill,
    name: [...dot.querySelectorAll("tspan")].map((part) => part.textContent),
  };
}"""


def node(name: str, status: str = "running", error: str = "") -> dict[str, Any]:
    """A validator as the snapshot of a page has it."""
    state = {"id": name, "status": status, "error": error, "role": "validator", "joining": ""}
    return state | {"is_primary": False, "port": 1, "api_port": 2, "view": 0, "sequence": 0}


@contextmanager
def drawn(
    browser: Browser,
    nodes: list[dict[str, Any]],
    agreeing: list[str],
    heard: dict[str, Any] = NOTHING_SEEN,
    *,
    context: BrowserContext | None = None,
) -> Iterator[Page]:
    """The page with these nodes, and what the API says of who hears whom, which a test may change later."""
    seen = msgspec.structs.replace(NO_CLUSTER, level="tight", agreeing_members=tuple(agreeing))
    tones = {one["id"]: node_tone(one["id"], one["status"], one["error"], seen) for one in nodes}
    cut = (heard["cut"] or {}).get("sentence", "")
    state = {"level": "tight", "sentence": "", "tones": tones, "cut": cut}
    snapshot = {"now": 1, "nodes_as_of": 1, "nodes": nodes, "state": state, "log": {"sequence": 0}}
    answers = {"/snapshot": snapshot, "/links": {"at": 1, "peers": {}}, "/api/v1/network": heard}

    def answer(route: Route) -> None:
        path = "/" + route.request.url.removeprefix(ADDRESS)
        if path in answers:
            told = {"success": True, "data": heard} if answers[path] is heard else answers[path]
            route.fulfill(body=json.dumps(told), content_type="application/json")
        elif path == "/":
            route.fulfill(body=PAGE, content_type="text/html")
        else:
            route.fulfill(path=ROOT / "static" / path[1:])

    context = context or window(browser)
    page = context.new_page()
    page.route(re.compile(re.escape(ADDRESS)), answer)
    page.route_web_socket(re.compile("/ws"), lambda _: None)
    page.goto(ADDRESS)
    page.wait_for_selector("[data-node]")
    yield page
    context.close()


def test_a_stopped_node_is_a_ring_and_a_failed_one_has_a_cross(browser: Browser) -> None:
    nodes = [
        node("runs"),
        node("waits"),
        node("starts", "starting"),
        node("stopped", "stopped"),
        node("hangs", "unresponsive"),
        node("broken", error="its disk is full"),
    ]
    with drawn(browser, nodes, agreeing=["runs"]) as page:
        dots = {one["id"]: page.evaluate(DOT, one["id"]) for one in nodes}
    assert {name for name, dot in dots.items() if dot["ring"]} == {"stopped"}
    assert {name for name, dot in dots.items() if dot["cross"]} == {"hangs", "broken"}
    assert dots["stopped"]["name"] == ["stopped", "stopped"]
    assert dots["waits"]["name"] == ["waits", "does not agree"]


def test_one_node_has_no_link_and_two_have_one(browser: Browser) -> None:
    for count, said in ((1, ""), (2, "0 of 1 link up"), (3, "0 of 3 links up")):
        nodes = [node(f"node{number}") for number in range(count)]
        with drawn(browser, nodes, agreeing=[]) as page:
            assert page.locator("[data-at=count]").inner_text() == said
            assert page.locator("[data-at=links] tr").count() == count * (count - 1) // 2


def test_a_day_before_today_is_written_as_in_the_log(browser: Browser) -> None:
    with drawn(browser, [node("r0")], ["r0"]) as page:
        assert str(page.evaluate("dtvn.ui.clock(Date.UTC(2026, 6, 18, 12) / 1000)")).startswith("2026-07-18 ")
