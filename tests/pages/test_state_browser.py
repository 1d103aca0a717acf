"""The sentence of state on page and API while processes are killed, and starting what is stopped; in a real
browser over a real supervisor. The tests go on from one another."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.supervised import Supervised, supervised
from tests.pages.browsing import Complaints, confirm, opened, shown
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

WHOLE = "4 of 4 agree, can lose 1 more"
TIGHT = "3 of 4 agree, can lose none"
STUCK = "No quorum: 2 of 4 reachable, 3 needed; nothing can be decided"
NODES = "/dashboard/nodes"


@pytest.fixture(scope="module")
def s(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    with supervised(tmp_path_factory.mktemp("state") / "data", "-auto-start=4") as made:
        made.wait_until_running(4)
        yield made


@pytest.fixture
def api(s: Supervised) -> Iterator[httpx.Client]:
    with s.client(patient=False) as client:
        yield client


@contextmanager
def at_nodes(s: Supervised, browser: Browser) -> Iterator[Page]:
    """The page of the nodes in a window of its own: one operator."""
    with opened(browser, s.url, Complaints()) as found:
        found.goto(f"{s.url}{NODES}")
        expect(shown(found, "connection")).to_have_text("Live")
        yield found


TWO_QUESTIONS = """async () => {
  const dialog = document.querySelector("[data-at=confirm]");
  const first = dtvn.ui.ask("One", () => "one?", "Yes");
  const told = new Promise((resume) => dialog.addEventListener("close", resume, { once: true }));
  dialog.close();
  const second = dtvn.ui.ask("Two", () => "two?", "Yes");
  await told;
  dialog.querySelector("[value=yes]").click();
  return Promise.all([first, second]);
}"""


@contextmanager
def nothing_is_healed(s: Supervised) -> Iterator[None]:
    """What dies stays dead, and what was asked for is under way: the process that starts nodes is paused."""
    assert s.process is not None
    s.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        s.process.send_signal(signal.SIGCONT)


def state(api: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = api.get("/cluster").json()["data"]
    return told


def wait_for(api: httpx.Client, sentence: str) -> None:
    wait_until(lambda: state(api)["sentence"] == sentence, what=lambda: f"{sentence}: {state(api)}")


def test_killed_nodes_change_the_sentence_on_page_and_api(
    s: Supervised, browser: Browser, api: httpx.Client
) -> None:
    with at_nodes(s, browser) as page:
        expect(shown(page, "cluster-state")).to_have_text(WHOLE)
        wait_for(api, WHOLE)
        pids = {name: node["pid"] for name, node in s.nodes().items()}
        with nothing_is_healed(s):
            os.kill(pids["node3"], signal.SIGKILL)
            expect(shown(page, "cluster-state")).to_have_text(TIGHT)
            wait_for(api, TIGHT)
            api.post("/tickets", json={"ticket_id": "STILL-DECIDED"}).raise_for_status()
            os.kill(pids["node2"], signal.SIGKILL)
            expect(shown(page, "cluster-state")).to_have_text(STUCK)
            expect(page.locator(".state.stuck")).to_be_visible()
            expect(shown(page, "nodes").locator(".pill.ok")).to_have_count(0)
            expect(shown(page, "nodes").get_by_text("running, no quorum")).to_have_count(4)
            expect(page.locator("main")).not_to_contain_text(re.compile(r"\d of \d"))  # a second count
            wait_for(api, STUCK)
            refused = api.post("/tickets", json={"ticket_id": "REFUSED"})
            assert refused.status_code == 503
            assert refused.json()["error"] == f"Nothing was sent. {STUCK}."
            page.goto(f"{s.url}/dashboard/network")
            expect(page.locator(".dot.waiting")).to_have_count(4)
            expect(page.locator(".dot.running, .dot.primary")).to_have_count(0)
        expect(shown(page, "cluster-state")).to_have_text(WHOLE)


def test_a_question_right_after_another_has_an_answer_of_its_own(s: Supervised, browser: Browser) -> None:
    """The close event fires after the dialog is closed: it answered the question that was asked meanwhile."""
    with at_nodes(s, browser) as page:
        answers = page.evaluate(TWO_QUESTIONS)
    assert answers == [False, True]


def test_stopped_nodes_are_started_and_a_second_operator_sees_it(
    s: Supervised, browser: Browser, api: httpx.Client
) -> None:
    s.wait_until_running(4)
    before = {name: node["pid"] for name, node in s.nodes().items()}
    with at_nodes(s, browser) as one, at_nodes(s, browser) as other:
        _stop_by_keyboard(one, "node3", f"Then: {TIGHT}.")
        expect(shown(one, "cluster-start")).to_have_text("Start 1 stopped node")
        expect(shown(other, "cluster-state")).to_have_text(TIGHT)
        other.get_by_role("button", name="Stop node2").click()
        confirm(other, "Stop", f"Then: {STUCK}.")
        for page in (one, other):
            expect(shown(page, "cluster-state")).to_have_text(STUCK)
            expect(shown(page, "cluster-start")).to_have_text("Start 2 stopped nodes")
        one.bring_to_front()
        with nothing_is_healed(s):
            shown(one, "cluster-start").click()
            expect(shown(other, "cluster-progress")).to_be_visible()
            expect(shown(one, "said")).to_contain_text("Starting node2, node3")
            expect(shown(other, "cluster-start")).to_be_hidden()
        for page in (one, other):
            expect(shown(page, "cluster-state")).to_have_text(WHOLE)
            expect(shown(page, "cluster-text")).to_have_text("")
    after = {name: node["pid"] for name, node in s.nodes().items()}
    assert [name for name in after if after[name] == before[name]] == ["node0", "node1"]
    assert api.post("/cluster/start", json={"only_stopped": True}).json()["started"] == []


def _stop_by_keyboard(page: Page, name: str, consequence: str) -> None:
    """Refused once, then confirmed, without a mouse; the keyboard is back where it was."""
    button = page.get_by_role("button", name=f"Stop {name}", exact=True)
    question = page.get_by_role("dialog")
    button.focus()
    page.keyboard.press("Enter")
    expect(question).to_contain_text(consequence)
    expect(question.get_by_role("heading")).to_be_focused()  # a barcode reader's Enter decides nothing
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(question.get_by_role("heading")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(question.get_by_role("button", name="Stop")).to_be_focused()
    page.keyboard.press("Enter")
    expect(question).to_be_hidden()


def test_a_second_restart_of_all_sees_the_progress_of_the_first(s: Supervised, browser: Browser) -> None:
    s.wait_until_running(4)
    with at_nodes(s, browser) as one, at_nodes(s, browser) as other:
        for page in (one, other):
            page.get_by_role("button", name="Restart all").click()
        with nothing_is_healed(s):
            confirm(one, "Restart all", "so that decisions go on")
            expect(shown(one, "said")).to_have_text("Restarting all nodes")
            confirm(other, "Restart all", "so that decisions go on")
            expect(shown(other, "cluster-progress")).to_be_visible()
            said = shown(other, "said")
            expect(said).to_have_text("A start is already under way: its progress is shown with the cluster")
            expect(said).not_to_have_class(re.compile("bad"))
        for page in (one, other):
            expect(shown(page, "cluster-state")).to_have_text(WHOLE)


def test_a_restart_of_all_is_refused_by_cancel(s: Supervised, browser: Browser, api: httpx.Client) -> None:
    wait_until(lambda: state(api)["under_way"] is None, what="the restart before this one is over")
    s.wait_until_running(4)
    before = {name: node["pid"] for name, node in s.nodes().items()}
    with at_nodes(s, browser) as page:
        page.get_by_role("button", name="Restart all").click()
        question = page.get_by_role("dialog")
        expect(question).to_contain_text("one after the other, each while a quorum votes without it")
        question.get_by_role("button", name="Cancel").click()
        expect(question).to_be_hidden()
        expect(shown(page, "said")).to_be_hidden()
    assert {name: node["pid"] for name, node in s.nodes().items()} == before
    assert state(api)["under_way"] is None
