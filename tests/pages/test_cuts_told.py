"""Four parties on hosts of their own are cut from each other: the page Network tells it live, who can decide
is true, and the history tells it after healing and after a restart of the web process. The hosts are network
namespaces (see hosts.py), whose routes to each other are taken away; where none can be made, this is skipped.
The tests go on from one another."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.hosts import hosts, join, run_on
from tests.integration.network import START_PATIENCE, end_in_order
from tests.integration.node_cluster import validator
from tests.integration.test_four_parties import PARTIES, Desk, found
from tests.needed import lacking
from tests.pages.browsing import Complaints, opened, shown
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(1_800)]

WHOLE = "All members that report hear each other."
TOLD_MS = 60_000
"""A cut is told within some ten seconds, on a machine of its own."""
PAIR = [("venue", "promoter")]
HALVES = [("venue", "auditor"), ("seller", "promoter"), ("seller", "auditor")]


class Parties:
    """Seller's platform with its node, and the nodes of the others."""

    def __init__(self, desks: dict[str, Desk]) -> None:
        self.desks = desks
        self.platform = desks["seller"]
        self.nodes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"http://{self.platform.host.address}:{self.platform.port}"

    def start(self) -> None:
        for name in ("venue", "promoter", "auditor"):
            desk = self.desks[name]
            with desk.log.open("ab") as log:
                flags = ("-id", name, "-data-dir", str(desk.data))
                self.nodes.append(validator(*flags, log=log, enter=desk.host.enter))
        self.platform.launch()
        wait_until(self.platform.is_ready, timeout=2 * START_PATIENCE, what=self.platform.said)

    def end(self) -> None:
        for node in self.nodes:
            node.terminate()
        for node in self.nodes:
            node.wait(PATIENCE)

    def route(self, verb: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Take away the routes between the hosts of each pair (`add` a black hole), or give them back."""
        for one, other in pairs:
            for here, there in ((one, other), (other, one)):
                address = self.desks[there].host.address
                words = ("ip", "route", verb, "blackhole", f"{address}/32")
                done = run_on(self.desks[here].host, words, capture_output=True)
                assert done.returncode == 0, done.stderr

    def admit(self, client: httpx.Client, ticket: str) -> int:
        """Issue a ticket; the status."""
        return client.post("/api/v1/tickets", json={"ticket_id": ticket, "nonce": ticket}).status_code


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    root = tmp_path_factory.mktemp("cut")
    with ExitStack() as ended:
        made = ended.enter_context(hosts(len(PARTIES)))
        if not made[0].separate:
            lacking("no network namespaces on this machine: apt-get install iproute2, and be root")
        join(made[0])
        desks = {name: Desk(root / name, host) for name, host in zip(PARTIES, made, strict=True)}
        address = desks["seller"].host.address
        desks["seller"].set(DTVN_HOST=address, DTVN_ALLOWED_HOSTS=address)
        found(desks)
        running = Parties(desks)
        ended.enter_context(end_in_order(running.platform))
        ended.callback(running.end)
        running.start()
        yield running


@pytest.fixture(scope="module")
def page(parties: Parties, browser: Browser) -> Iterator[Page]:
    with opened(browser, parties.url, Complaints(), credentials=parties.platform.credentials) as found:
        found.goto(f"{parties.url}/dashboard/network")
        yield found


@pytest.fixture
def client(parties: Parties) -> Iterator[httpx.Client]:
    key = {"X-API-Key": parties.platform.credentials["api_key"]}
    with httpx.Client(base_url=parties.url, headers=key, timeout=PATIENCE, trust_env=False) as made:
        yield made


def said(page: Page, sentence: str) -> None:
    expect(shown(page, "cut-sentence")).to_have_text(re.compile(sentence), timeout=TOLD_MS)


def test_all_hear_each_other(parties: Parties, page: Page, client: httpx.Client) -> None:
    said(page, re.escape(WHOLE))
    expect(shown(page, "hears-rows").locator("td.heard")).to_have_count(12, timeout=TOLD_MS)
    wait_until(lambda: parties.admit(client, "A-0") == 200, what="an admission before")


def test_one_link_is_cut_and_all_still_decide(parties: Parties, page: Page, client: httpx.Client) -> None:
    parties.route("add", PAIR)
    said(page, r"^promoter cut from venue since \d\d:\d\d\.$")
    expect(shown(page, "cut-consequence")).to_contain_text("All still reach each other through others")
    expect(shown(page, "cluster-state")).to_contain_text("; promoter cut from venue", timeout=TOLD_MS)
    page.get_by_role("link", name="Nodes", exact=True).click()
    expect(shown(page, "cluster-state")).to_contain_text("; promoter cut from venue")
    page.get_by_role("link", name="See who hears whom").click()
    expect(page).to_have_url(f"{parties.url}/dashboard/network")
    assert parties.admit(client, "A-1") == 200


def test_two_halves_decide_nothing(parties: Parties, page: Page, client: httpx.Client) -> None:
    parties.route("add", HALVES)
    said(
        page,
        r"^auditor and promoter \| seller and venue since \d\d:\d\d; auditor and promoter report nothing",
    )
    expect(shown(page, "cut-consequence")).to_contain_text("No side has a quorum (3 of 4 members)")
    assert parties.admit(client, "A-2") in (503, 504)
    told = client.get("/api/v1/network").json()["data"]
    assert (told["cut"]["decides"], told["cut"]["certain"]) == ([], False)


def test_after_healing_the_history_tells_it(parties: Parties, page: Page, client: httpx.Client) -> None:
    parties.route("del", [*PAIR, *HALVES])
    said(page, re.escape(WHOLE))
    wait_until(lambda: parties.admit(client, "A-2") == 200, what="decided after healing")
    rows = shown(page, "cuts").locator("tr")
    expect(rows).to_have_count(1, timeout=TOLD_MS)  # a cut that grew, in its largest form
    expect(rows.nth(0)).to_contain_text("auditor and promoter | seller and venue")
    expect(rows.nth(0)).to_contain_text("nobody")
    expect(shown(page, "cuts").get_by_text("lasts")).to_have_count(0, timeout=TOLD_MS)
    expect(shown(page, "cluster-state")).not_to_contain_text("cut from", timeout=TOLD_MS)


def test_the_history_outlives_the_web_process(parties: Parties, page: Page, client: httpx.Client) -> None:
    before = client.get("/api/v1/network").json()["data"]["history"]
    assert len(before) == 1
    assert all(cut["ended_at"] for cut in before)
    web = parties.platform.titled("dtvn web")
    assert web is not None
    web.kill()
    web.wait(PATIENCE)
    parties.platform.wait_for_title("dtvn web")

    def answers() -> bool:
        try:
            return client.get("/live").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers, what="the next web process")
    assert client.get("/api/v1/network").json()["data"]["history"] == before
    page.reload()
    expect(shown(page, "cuts").locator("tr")).to_have_count(1, timeout=TOLD_MS)
