"""The six pages in a real browser over a real supervisor, from the empty place on: what is done
on them is done, and what happens is seen without a reload. The tests go on from one another."""

from __future__ import annotations

import base64
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.integration.network import Patient
from tests.integration.supervised import V1, Supervised, supervised
from tests.pages.browsing import PATIENCE, Complaints, confirm, expect_to_fit, opened, shown
from tests.waiting import PATIENCE as SECONDS
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PAGES = {
    "/": "Live",
    "/dashboard/nodes": "Nodes",
    "/dashboard/network": "Network",
    "/dashboard/tickets": "Tickets",
    "/dashboard/tickets/events": "Events",
    "/dashboard/events": "Agent runs",
    "/dashboard/simulator": "Simulator",
    "/dashboard/metrics": "Metrics",
}
FILLED = {
    "/": "node0",
    "/dashboard/nodes": "node0",
    "/dashboard/network": "node1, node2",
    "/dashboard/tickets": "TICKET-050",
    "/dashboard/tickets/events": "Ticket ids are codes",
    "/dashboard/events": "Check a recording",
    "/dashboard/simulator": "Saved runs",
    "/dashboard/metrics": "Nodes that respond: 4 of 4",
}
"""What is to be read on each page once it has got everything."""
HOSTILE = '<img src=x onerror="window.hit = 1"><script>window.hit = 1</script>'
RUN_PATIENCE = 6 * PATIENCE
"""Milliseconds for a run of the simulator, which leaves the processor to everybody else (playing.NICE)."""
REFUSED = "the server responded with a status of"
"""A browser complains of every answer of 4xx and 5xx, though the page shows why."""


@pytest.fixture(scope="module")
def s(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    with supervised(tmp_path_factory.mktemp("six") / "data") as made:
        yield made


@pytest.fixture
def api(s: Supervised) -> Iterator[httpx.Client]:
    """A program that asks again for what was not decided in time, as a gate does."""
    url = f"{s.url}{V1}"
    with httpx.Client(base_url=url, timeout=SECONDS, trust_env=False, transport=Patient()) as client:
        yield client


@pytest.fixture
def page(s: Supervised, browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """A browser window in which no error may occur."""
    with opened(browser, s.url, complaints) as found:
        yield found
    assert [text for text in complaints if REFUSED not in text] == []


def go(page: Page, s: Supervised, path: str) -> None:
    """Open a page and mark it: a reload would lose the mark."""
    page.goto(f"{s.url}{path}")
    expect(shown(page, "connection")).to_have_text("Live")
    page.evaluate("window.mark = 1")


def expect_no_reload(page: Page) -> None:
    assert page.evaluate("window.mark") == 1


def row(page: Page, body: str, text: str) -> Any:
    return shown(page, body).locator("tr", has_text=text)


def start_four(s: Supervised, api: httpx.Client) -> None:
    """Start four nodes if the test runs alone; otherwise they run already."""
    if len(s.nodes()) != 4:
        api.post("/cluster/start", json={"node_count": 4}).raise_for_status()
        s.wait_until_running(4)
    api.post("/tickets/seed").raise_for_status()


@pytest.mark.parametrize("path", PAGES)
def test_each_page_has_a_message_while_it_is_empty(s: Supervised, page: Page, path: str) -> None:
    go(page, s, path)
    expect(page.locator("nav [aria-current]")).to_have_text(PAGES[path])
    expect(page.locator(".empty:visible, [data-at=answering]:visible").first).to_be_visible()
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        expect_to_fit(page)


def test_c32_a_cluster_started_on_the_page_is_shown_until_it_runs(s: Supervised, page: Page) -> None:
    go(page, s, "/dashboard/nodes")
    page.get_by_label("Nodes", exact=True).fill("4")
    page.get_by_role("button", name="Start cluster").click()
    expect(shown(page, "said")).to_contain_text("Starting a cluster of 4 nodes")
    for number in range(4):
        expect(row(page, "nodes", f"node{number}")).to_contain_text("running")
    expect(shown(page, "cluster-state")).to_have_text("4 of 4 agree, can lose 1 more")
    expect(shown(page, "nodes").locator("tr", has_text="primary")).to_have_count(1)  # a slow start moves it
    expect(page.get_by_label("Nodes", exact=True)).to_be_hidden()  # another number would found another one
    asked: list[Any] = []

    def take_down(route: Any) -> None:
        """Answer the page's request: a real start would first stop the running cluster."""
        asked.append(route.request.post_data_json)
        route.fulfill(json={"status": "starting", "node_count": 4})

    page.route("**/cluster/start", take_down)
    expect(shown(page, "cluster-start")).to_be_hidden()  # nothing is stopped
    page.get_by_role("button", name="Restart all").click()
    confirm(page, "Restart all", "one after the other, each while a quorum votes without it")
    expect(shown(page, "said")).to_contain_text("Restarting all nodes")
    assert asked == [{"one_by_one": True}]
    expect_no_reload(page)
    s.wait_until_running(4)


def test_a_node_is_stopped_and_started_with_its_output_on_the_page(
    s: Supervised, page: Page, api: httpx.Client
) -> None:
    start_four(s, api)
    go(page, s, "/dashboard/nodes")
    page.get_by_role("button", name="Details of node3").click()
    expect(shown(page, "output")).to_contain_text("started node_id=node3")
    page.get_by_role("button", name="Stop node3").click()
    confirm(page, "Stop", "Then: 3 of 4 agree, can lose none.")
    expect(row(page, "nodes", "node3")).to_contain_text("stopped")
    expect(shown(page, "output")).to_contain_text("stopped sequence=")
    page.get_by_role("button", name="Start node3").click()
    expect(row(page, "nodes", "node3")).to_contain_text("running")
    expect(shown(page, "output")).not_to_contain_text("stopped sequence=")  # what came before is over
    expect(shown(page, "output")).to_contain_text("started node_id=node3")
    process = row(page, "nodes", "node3").locator('[data-label="Process"]')
    killed = s.nodes()["node3"]["pid"]
    expect(process).to_have_text(str(killed))
    os.kill(killed, signal.SIGKILL)
    expect(process).not_to_have_text(str(killed))  # healed faster than a page may look
    expect(process).to_have_text(re.compile(r"^\d+$"))
    expect(row(page, "nodes", "node3")).to_contain_text("running")
    expect_no_reload(page)


@pytest.mark.exhaustive
def test_the_page_of_a_node_shows_its_identity_storage_and_log(
    s: Supervised, page: Page, api: httpx.Client
) -> None:
    start_four(s, api)
    peer = s.nodes()["node2"]["peer_id"]
    go(page, s, "/dashboard/nodes")
    shown(page, "which").select_option("node2")
    page.get_by_role("button", name="Identity").click()
    expect(shown(page, "facts")).to_contain_text(peer)
    page.get_by_role("button", name="Storage").click()
    expect(shown(page, "facts")).to_contain_text("total tickets")
    expect(shown(page, "facts")).to_contain_text("500")
    for verb in ("validate", "dispute"):
        api.post(f"/tickets/{verb}", json={"ticket_id": "TICKET-202"}).raise_for_status()
    expect(fact(page, "ticket states: DISPUTED")).to_have_text("1")
    api.post("/tickets/resolve", json={"ticket_id": "TICKET-202", "verdict": "uphold"}).raise_for_status()
    expect(fact(page, "ticket states: UPHELD")).to_have_text("1")
    expect(fact(page, "ticket states: DISPUTED")).to_have_text("0")
    page.get_by_role("button", name="Consensus log").click()
    api.post("/tickets/validate", json={"ticket_id": "TICKET-201"}).raise_for_status()
    expect(row(page, "records", "TICKET-201")).to_contain_text("validate")
    assert api.post("/tickets/validate", json={"ticket_id": "TICKET-201"}).status_code == 409
    expect(shown(page, "records")).to_contain_text("validate: already validated")
    expect_no_reload(page)


def test_a_node_and_a_part_of_it_have_addresses(s: Supervised, page: Page, api: httpx.Client) -> None:
    start_four(s, api)
    go(page, s, "/")
    page.get_by_role("link", name="node2", exact=True).click()
    expect(page).to_have_url(f"{s.url}/dashboard/nodes?node=node2")
    expect(shown(page, "which")).to_have_value("node2")
    page.get_by_role("button", name="Identity").click()
    page.get_by_role("button", name="Details of node1").click()
    expect(page).to_have_url(f"{s.url}/dashboard/nodes?node=node1&part=crypto")
    page.reload()
    expect(shown(page, "which")).to_have_value("node1")
    expect(shown(page, "facts")).to_contain_text(s.nodes()["node1"]["peer_id"])
    page.go_back()
    expect(shown(page, "which")).to_have_value("node2")
    expect(shown(page, "facts")).to_contain_text(s.nodes()["node2"]["peer_id"])
    page.go_back()
    expect(page.get_by_role("button", name="Output")).to_have_attribute("aria-pressed", "true")


def test_one_more_node_is_asked_about_with_what_it_gives(
    s: Supervised, page: Page, api: httpx.Client
) -> None:
    start_four(s, api)
    go(page, s, "/dashboard/nodes")
    page.get_by_label("New node").fill("node9")
    page.get_by_role("button", name="Add node").click()
    question = page.get_by_role("dialog")
    for told in (
        "Now 4 members: 3 decide; safe with 1 Byzantine, available with 1 down.",
        "Then 5 members: 4 decide; safe with 1 Byzantine, available with 1 down. Nothing is gained",
        "gates wait for 0.2 seconds at most",
    ):
        expect(question).to_contain_text(told)
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_be_hidden()
    assert "node9" not in s.nodes()


def fact(page: Page, name: str) -> Locator:
    """What the facts of a node say about this name."""
    return shown(page, "facts").locator(f"dt:text-is('{name}') + dd")


@pytest.mark.exhaustive
def test_the_network_page_draws_the_existing_links(s: Supervised, page: Page, api: httpx.Client) -> None:
    start_four(s, api)
    go(page, s, "/dashboard/network")
    expect(shown(page, "count")).to_have_text("6 of 6 links up")
    expect(page.locator("line.link:not(.half)")).to_have_count(6 + 1)  # one is the legend's
    expect(page.locator("text.label")).to_have_count(6)
    for link in (page.locator("text.label").first, row(page, "links", "node0 – node3")):
        expect(link).to_have_text(re.compile(r"\d ms.*\d KiB/s"))
    expect(shown(page, "cut-sentence")).to_have_text("All members that report hear each other.")
    expect(shown(page, "hears-rows").locator("td.heard")).to_have_count(12)
    api.delete("/nodes/node2").raise_for_status()
    expect(shown(page, "count")).to_have_text("3 of 6 links up")
    expect(page.locator("[data-node=node2]")).to_have_class("dot stopped")
    expect(shown(page, "cut-sentence")).to_contain_text("Stopped here: node2.")
    api.post("/nodes", json={"node_id": "node2"}).raise_for_status()
    expect(shown(page, "count")).to_have_text("6 of 6 links up")
    node1 = page.locator("[data-node=node1]")
    before = node1.get_attribute("transform")
    assert before is not None
    node1.scroll_into_view_if_needed()
    # in one step of the page: a drawing that is renewed between finding and measuring has no box
    box = page.evaluate("document.querySelector('[data-node=node1] circle').getBoundingClientRect().toJSON()")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 60, box["y"] - 40, steps=4)
    page.mouse.up()
    expect(node1).not_to_have_attribute("transform", before)
    for _ in range(12):
        page.get_by_role("button", name="Zoom in").click()
    expect(shown(page, "graph")).to_have_attribute("viewBox", "-125 -85 250 170")  # four times, no more
    page.get_by_role("button", name="Fit").click()
    expect(node1).to_have_attribute("transform", before)
    expect_no_reload(page)


def test_ticket_changes_are_shown_without_a_reload(s: Supervised, page: Page, api: httpx.Client) -> None:
    start_four(s, api)
    go(page, s, "/dashboard/tickets")
    expect(shown(page, "total")).to_have_text("500 in all")
    page.get_by_role("button", name="Import demo tickets").click()
    expect(shown(page, "said")).to_contain_text("0 tickets imported")
    page.get_by_label("Ticket or code", exact=True).fill("TICKET-010")
    page.get_by_label("via node").select_option("node2")
    page.get_by_role("button", name="Check only", exact=True).first.click()
    expect(shown(page, "said")).to_contain_text("TICKET-010 is checked via node2")
    expect(row(page, "tickets", "TICKET-010")).to_contain_text("node2")
    page.get_by_role("button", name="Admit TICKET-010").click()
    confirm(page, "Admit", "an entry of the ticket is used")
    expect(row(page, "tickets", "TICKET-010")).to_contain_text("used")
    page.get_by_role("button", name="Check only", exact=True).first.click()
    expect(shown(page, "said")).to_have_class("notice said bad")
    expect(shown(page, "said")).to_contain_text("consumed")
    for verb in ("validate", "dispute"):
        api.post(f"/tickets/{verb}", json={"ticket_id": "TICKET-011"}).raise_for_status()
    expect(row(page, "tickets", "TICKET-011")).to_contain_text("disputed")
    page.get_by_role("button", name="Next page").click()
    expect(row(page, "tickets", "TICKET-051")).to_be_visible()
    page.get_by_role("button", name="First page").click()
    shown(page, "state").select_option("disputed")
    expect(shown(page, "total")).to_have_text("1 in all")
    expect(shown(page, "tickets").locator("tr")).to_have_count(1)
    expect_no_reload(page)


def test_x37_a_simulator_run_is_shown_live_and_stored(s: Supervised, page: Page) -> None:
    go(page, s, "/dashboard/simulator")
    for name, value in (("Nodes", "4"), ("Byzantine nodes", "1"), ("Tickets", "60"), ("Latency, ms", "5")):
        page.get_by_label(name, exact=True).fill(value)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(shown(page, "status")).to_have_text("complete", timeout=RUN_PATIENCE)
    expect(shown(page, "percent")).to_have_text("60 of 60 tickets, 100 %")
    expect(shown(page, "output")).to_contain_text("Simulation completed")
    told = httpx.get(f"{s.url}/api/v1/simulator/output", trust_env=False, timeout=SECONDS).json()["output"]
    assert len(told) == len(set(told))
    # Frames may come behind a look that shows what they tell; the last of them has the page look once more.
    wait_until(
        lambda: shown(page, "output").text_content().splitlines() == told,
        what=lambda: f"no line lost or told twice: {shown(page, 'output').text_content()}",
    )
    expect(shown(page, "figures")).to_contain_text("100.00 %")
    expect(row(page, "runs", "Run 1")).to_contain_text("complete")
    expect_no_reload(page)


@pytest.mark.exhaustive
def test_a_simulator_run_is_stopped_and_an_earlier_one_opened(s: Supervised, page: Page) -> None:
    go(page, s, "/dashboard/simulator")
    for name, value in (("Nodes", "30"), ("Tickets", "1000"), ("Duration, s", "600")):
        page.get_by_label(name, exact=True).fill(value)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(shown(page, "status")).to_have_text("running")
    wait_until(
        lambda: (
            float(shown(page, "progress").get_attribute("value") or 0) > 0
            or page.evaluate("document.querySelector('[data-at=progress]').value") > 0
        ),
        timeout=RUN_PATIENCE / 1_000,
        what="progress on the bar",
    )
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(shown(page, "status")).to_have_text("idle")
    expect(shown(page, "output")).to_contain_text("Simulation cancelled")
    expect(row(page, "runs", "stopped").first).to_be_visible()
    page.get_by_role("button", name="Details of run 1", exact=True).click()
    expect(shown(page, "run-title")).to_have_text("Run 1")
    page.get_by_role("button", name="Show latest run").click()
    expect(shown(page, "output")).to_contain_text("Simulation cancelled")
    page.get_by_label("Byzantine nodes", exact=True).fill("9")
    page.get_by_label("Nodes", exact=True).fill("4")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(shown(page, "said")).to_have_class("notice said bad")
    expect_no_reload(page)


@pytest.mark.exhaustive
def test_the_charts_follow_the_counters_of_the_nodes(s: Supervised, page: Page, api: httpx.Client) -> None:
    start_four(s, api)
    go(page, s, "/dashboard/metrics")
    expect(shown(page, "answering")).to_have_text("Nodes that respond: 4 of 4.")
    expect(shown(page, "peers-now")).to_have_text("3")
    known = iter(range(301, 400))

    def decided() -> bool:
        api.post("/tickets/validate", json={"ticket_id": f"TICKET-{next(known)}"}).raise_for_status()
        return "ms" in shown(page, "latency-now").text_content()

    wait_until(decided, what="a latency", pause=0.5)
    wait_until(lambda: page.locator("svg[data-at=throughput] polyline").count() > 0, what="a line")
    expect(page.locator("svg[data-at=latency] .point, svg[data-at=latency] .line").first).to_be_visible()
    expect(page.locator("svg[data-at=latency] .tick", has_text=" ms").first).to_be_visible()
    expect(page.locator("svg[data-at=latency] .tick", has_text="5 min ago")).to_be_visible()
    expect(shown(page, "gossip-range")).not_to_contain_text("no data")
    expect(shown(page, "states-total")).to_have_text("500 in all")
    expect(shown(page, "health")).to_contain_text("running")
    within = (
        "(svg) => svg.lastElementChild.getBoundingClientRect().bottom <= svg.getBoundingClientRect().bottom"
    )
    assert [shown(page, name).evaluate(within) for name in ("states", "health")] == [True, True]
    expect_no_reload(page)


@pytest.mark.exhaustive
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [320, 781])
def test_with_a_cluster_each_page_fits_a_phone(
    s: Supervised, page: Page, api: httpx.Client, path: str, width: int
) -> None:
    start_four(s, api)
    page.set_viewport_size({"width": width, "height": 740})
    go(page, s, path)
    expect(page.locator("main")).to_contain_text(FILLED[path])
    expect_to_fit(page)


HOSTILE_NODE = {
    "id": HOSTILE,
    "status": HOSTILE,
    "error": HOSTILE,
    "peer_id": HOSTILE,
    "role": "validator",
    "port": 1,
    "api_port": 2,
    "pid": 3,
    "view": 0,
    "sequence": 9,
    "restarts": 0,
    "desired": "running",
    "is_primary": True,
    "is_bootstrap": False,
    "external": False,
    "voting": True,
    "host": HOSTILE,
}
HOSTILE_STATE = {
    "sentence": HOSTILE,
    "level": "tight",
    "agreeing_members": [HOSTILE],
    "stopped": [HOSTILE],
    "under_way": None,
    "error": HOSTILE,
    "if_stopped": {HOSTILE: HOSTILE},
    "if_restarted": {HOSTILE: HOSTILE},
    "tones": {HOSTILE: ["", HOSTILE]},
}
HOSTILE_EVENT = {
    "type": "operation_refused",
    "sequence": 9,
    "index": 0,
    "timestamp": 1,
    "operation": HOSTILE,
    "event": HOSTILE,
    "ticket_id": HOSTILE,
    "node_id": HOSTILE,
    "actor": HOSTILE,
    "code": HOSTILE,
}


HOSTILE_LOG = {
    "sequence": 9,
    "second": 1,
    "rates": [],
}


def lie(page: Page, address: str, answer: Any, status: int = 200) -> None:
    """Make the platform return names that it would otherwise refuse everywhere."""
    page.route(address, lambda route: route.fulfill(status=status, json=answer))


def expect_inert(page: Page) -> None:
    """The text is shown, and no part of it became an element or ran."""
    expect(page.locator("main")).to_contain_text(HOSTILE)
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("window.hit") is None


@pytest.mark.exhaustive
@pytest.mark.parametrize("path", ["/", "/dashboard/nodes", "/dashboard/network"])
def test_x42_names_and_errors_of_nodes_are_shown_as_text(s: Supervised, page: Page, path: str) -> None:
    counts = dict.fromkeys(("ISSUED", "VALIDATED", "CONSUMED", "DISPUTED", "UPHELD", "applied", "refused"), 1)
    log = HOSTILE_LOG | {"counts": counts, "latest": [HOSTILE_EVENT]}
    page.route_web_socket("**/ws", lambda _: None)  # nothing true comes after it
    snapshot = {"log": log, "nodes": [HOSTILE_NODE], "nodes_as_of": 1, "state": HOSTILE_STATE, "now": 1}
    lie(page, "**/dashboard/snapshot", snapshot)
    lie(
        page, "**/dashboard/links", {"at": 1, "peers": {HOSTILE: {HOSTILE: {"round_trip_ms": 1, "bytes": 1}}}}
    )
    lie(page, "**/dashboard/node/**", {"error": HOSTILE}, 503)
    lie(page, "**/api/v1/nodes/**", {"logs": [f"[stdout] {HOSTILE}"]})
    stuck = {"id": HOSTILE, "problem": HOSTILE}
    lie(page, "**/dashboard/stuck", {"level": "stuck", "verdict": HOSTILE, "nodes": [stuck], "quorum": 3})
    page.goto(f"{s.url}{path}")
    expect_inert(page)
    if path == "/":
        expect(shown(page, "verdict")).to_have_text(HOSTILE)
        expect(shown(page, "outcomes")).to_contain_text(HOSTILE)
    if path == "/dashboard/nodes":
        expect(shown(page, "output")).to_have_text(HOSTILE)
        page.get_by_role("button", name="Identity").click()
        expect(shown(page, "one-empty")).to_have_text(HOSTILE)
        expect_inert(page)


@pytest.mark.exhaustive
def test_c40_the_progress_of_a_newcomer_is_shown(s: Supervised, page: Page) -> None:
    counts = dict.fromkeys(("ISSUED", "VALIDATED", "CONSUMED", "DISPUTED", "UPHELD", "applied", "refused"), 0)
    log = HOSTILE_LOG | {"counts": counts, "latest": []}
    newcomer = HOSTILE_NODE | {"id": "node7", "status": "starting", "joining": "following"}
    newcomer.pop("error", None)
    page.route_web_socket("**/ws", lambda _: None)  # nothing true comes after it
    state = HOSTILE_STATE | {"tones": {"node7": ["", ""]}}
    snapshot = {"log": log, "nodes": [newcomer], "nodes_as_of": 1, "state": state, "now": 1}
    lie(page, "**/dashboard/snapshot", snapshot)
    lie(page, "**/api/v1/nodes/**", {"logs": []})
    page.goto(f"{s.url}/dashboard/nodes")
    expect(row(page, "nodes", "node7")).to_contain_text("joining: following")


def test_r11_the_question_before_a_restart_is_what_the_platform_says_follows(
    s: Supervised, page: Page
) -> None:
    counts = dict.fromkeys(("ISSUED", "VALIDATED", "CONSUMED", "DISPUTED", "UPHELD", "applied", "refused"), 0)
    running = [HOSTILE_NODE | {"id": name, "status": "running", "error": ""} for name in ("node0", "node1")]
    page.route_web_socket("**/ws", lambda _: None)  # nothing true comes after it
    state = HOSTILE_STATE | {
        "tones": {"node0": ["ok", ""], "node1": ["", ""]},
        "if_stopped": {"node0": "nothing is decided"},
        "if_restarted": {"node0": "Until it votes again: nothing is decided; not before node4 is back"},
    }
    log = HOSTILE_LOG | {"counts": counts, "latest": []}
    snapshot = {"log": log, "nodes": running, "nodes_as_of": 1, "state": state, "now": 1}
    lie(page, "**/dashboard/snapshot", snapshot)
    lie(page, "**/api/v1/nodes/**", {"logs": []})
    page.goto(f"{s.url}/dashboard/nodes")
    question = page.get_by_role("dialog")
    for asked, told in (
        ("Restart node0", "Until it votes again: nothing is decided; not before node4 is back."),
        ("Stop node0", "Then: nothing is decided."),
        ("Restart node1", "Until it runs again: it has no vote yet, the cluster decides as before."),
    ):
        page.get_by_role("button", name=asked).click()
        expect(question).to_contain_text(told)
        question.get_by_role("button", name="Cancel").click()
        expect(question).to_be_hidden()


def test_x42_ids_and_data_of_tickets_are_shown_as_text(s: Supervised, page: Page, api: httpx.Client) -> None:
    """Data may be anything in truth; an id of this kind is refused in the platform's own words."""
    start_four(s, api)
    data = base64.b64encode(HOSTILE.encode()).decode()
    sent = api.post("/tickets/validate", json={"ticket_id": "TICKET-012", "data": data})
    sent.raise_for_status()
    api.post("/tickets", json={"ticket_id": "A-HOSTILE", "data": data}).raise_for_status()
    go(page, s, "/dashboard/tickets")
    expect(row(page, "tickets", "A-HOSTILE")).to_contain_text(HOSTILE)
    expect_inert(page)
    page.get_by_label("Ticket or code", exact=True).fill(HOSTILE[:64])
    page.get_by_role("button", name="Check only", exact=True).first.click()
    expect(shown(page, "said")).to_have_class("notice said bad")
    assert page.evaluate("window.hit") is None
    texts = dict.fromkeys(("event", "id", "state", "meaning", "entry", "about", "holder"), HOSTILE)
    found = {"sequence": 9, "tickets": [texts | {"changed": 1, "acts": ["validate"]}], "after": None}
    lie(page, "**/dashboard/tickets/found", found | {"total": 1, "events": [HOSTILE]})
    shown(page, "state").select_option("issued")
    expect(shown(page, "tickets").locator("b")).to_have_count(1)
    expect(shown(page, "tickets").locator("b")).to_have_text(HOSTILE)
    expect_inert(page)
    lie(page, "**/api/v1/tickets/validate", {"success": False, "error": HOSTILE}, 409)
    page.get_by_role("button", name="Check only", exact=True).first.click()
    expect(shown(page, "said")).to_have_text(HOSTILE)
    expect_inert(page)


@pytest.mark.exhaustive
def test_x42_output_of_runs_and_processes_is_shown_as_text(
    s: Supervised, page: Page, api: httpx.Client
) -> None:
    start_four(s, api)
    with (s.data / "nodes" / "node1" / "log" / "node.log").open("a") as log:
        log.write(f"2026-11-20T00:00:00Z INFO {HOSTILE}\n")
    go(page, s, "/dashboard/nodes")
    page.get_by_role("button", name="Details of node1").click()
    expect(shown(page, "output")).to_contain_text(HOSTILE)
    expect_inert(page)
    config = {"nodes": HOSTILE, "byzantine_nodes": HOSTILE, "tickets": HOSTILE}
    run = {
        "id": 1,
        "status": HOSTILE,
        "config": config,
        "created_at": "2026-11-20T00:00:00Z",
        "error": HOSTILE,
    }
    lie(page, "**/api/v1/simulator", {"status": HOSTILE, "run_id": 1, "output": [HOSTILE], "error": HOSTILE})
    lie(page, "**/api/v1/simulator/runs?*", [run])
    page.goto(f"{s.url}/dashboard/simulator")
    expect(shown(page, "runs")).to_contain_text(HOSTILE)
    expect(shown(page, "output")).to_have_text(HOSTILE)
    expect_inert(page)
