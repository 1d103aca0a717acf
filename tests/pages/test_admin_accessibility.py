"""axe finds nothing on any page that the admin links to, with rows in every list, nor on the pages that
preview a change or ask before an act."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.urls import Resolver404, resolve
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dtvn.machine import Acquire, Command, LimitPrincipal, Lock, build
from dtvn.protocol import genesis as g
from tests.pages.browsing import launched
from tests.pages.learner import RealLearner
from tests.pages.test_accessibility import FIND, visitor
from tests.proof.test_evidence import pairs
from tests.proof.test_evidence_pages import Witnesses
from tests.team_keys import store_key
from tickets.models import ImportState, TicketHolder, TicketImport
from validators.models import ChangeState, ManagedNode, MembershipChange, NodeStatus
from validators.services import audit

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]

MEMBERS = "/admin/validators/membershipchange/"
ASKED = (
    ("/admin/validators/managednode/", "stop", 1),
    ("/admin/validators/managednode/", "restart", 2),
    ("/admin/tickets/ticketholder/", "erase", 1),
    ("/admin/auth/user/", "delete_selected", 1),
)
"""List, action that asks first, ticked rows."""
PREVIEWED = {
    "add": {"node_id": "r4"},
    "remove": {},
    "parameters": {"batch_operations_max": "500"},
    "replace": {"node_id": "r4", "peer_id": "x"},
}
"""Kind of change to what is typed in its form. The cluster would reject the second, the platform the last."""
MINUTE = 60_000_000


@pytest.fixture
def site(
    learner: RealLearner,
    operate: Callable[..., Any],
    live_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Its address; every list of the admin has rows."""
    operate("issue T-1", "validate T-1", "issue T-2", "validate T-2", "dispute T-2", "enlist")
    every = tuple(g.Grant(g.ANY_EVENT, capability) for capability in sorted(g.CAPABILITIES))
    locks = (Acquire("leader", b"a", MINUTE), Lock("leader", b"b", MINUTE, wait=MINUTE))
    for command in (LimitPrincipal("gateway", every), *locks):
        assert learner.gateway.submit([operation(command)]).result()[0].code in ("ok", "lock_waiting")
    witnesses = Witnesses()
    for code, messages in pairs().items():
        witnesses.tell(0, code, *messages)
    monkeypatch.setattr(learner.gateway, "query", witnesses.query)
    monkeypatch.setattr(learner.gateway, "_status", witnesses._status)
    ManagedNode.objects.update(status=NodeStatus.RUNNING)
    TicketHolder.objects.create(event="default", ticket="T-1", name="Ada")
    User.objects.create_superuser("ada", password="x")
    store_key("dtvn_key", label="north gate")
    with audit.recorded("ada", "stop node", "r3", "127.0.0.1"):
        pass
    for state in ChangeState:
        finished = None if state == ChangeState.WAITING else timezone.now()
        wish = {"change": "add", "node_id": "r4"}
        MembershipChange.objects.create(request=wish, nonce=state, state=state, finished_at=finished)
    return str(live_server.url)


def operation(command: Command) -> Any:
    until = time.time_ns() // 1_000 + MINUTE
    return build(command, event="default", actor="desk", entry="r0", valid_until=until)


class Walk:
    """What axe finds, by page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url
        self.found: dict[str, list[str]] = {}
        self.seen: set[str] = set()
        """Views, with the kind of change."""

    def look(self, name: str) -> None:
        self.found[name] = self.page.evaluate(FIND)

    def goes(self, path: str) -> None:
        response = self.page.goto(f"{self._url}{path}")
        assert response is not None
        assert response.ok, path

    def follows(self, path: str) -> None:
        """This page, and all that it and they link to, one of each view and kind of change."""
        try:
            view = resolve(path.partition("?")[0])
        except Resolver404:
            return
        name = f"{view.view_name} {view.kwargs.get('kind', '')}".strip()
        if name in self.seen or view.namespace != "admin" or name.startswith(OTHER):
            return
        self.seen.add(name)
        self.goes(path)
        self.look(path)
        links = "(all) => all.map((one) => one.pathname + one.search)"
        for link in self.page.locator("#content a[href]").evaluate_all(links):
            self.follows(link)


LINKED = {
    "admin:auth_user_delete",
    "admin:ledger_operationrecord_change",
    "admin:ledger_operationrecord_locks",
    "admin:validators_apikey_change",
    "admin:validators_managednode_change",
    "admin:validators_memberevidence_change",
    *(
        f"admin:validators_membershipchange_{page}"
        for page in ("ask add", "ask rotate", "change", "principals")
    ),
}
"""Some of the views that are linked to, below the lists."""
OTHER = ("admin:validators_memberevidence_file", "admin:logout")
"""Downloads, and the way out."""


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        ("desktop", "light"),
        pytest.param("phone", "dark", marks=pytest.mark.exhaustive),
        pytest.param("desktop", "dark", marks=pytest.mark.exhaustive),
        pytest.param("phone", "light", marks=pytest.mark.exhaustive),
    ],
)
def test_axe_finds_nothing_on_any_page_of_the_admin(site: str, size: str, theme: str) -> None:
    with launched() as browser, visitor(browser, size, theme) as page:
        walk = Walk(page, site)
        log_in(walk)
        walk.follows("/admin/")
        previews(walk)
        questions(walk)
    assert walk.seen >= LINKED
    assert {path: problems for path, problems in walk.found.items() if problems} == {}


def log_in(walk: Walk) -> None:
    walk.goes("/admin/login/?next=/admin/")
    walk.page.get_by_label("User name").fill("ada")
    walk.page.get_by_label("Password").fill("x")
    with walk.page.expect_navigation():
        walk.page.get_by_role("button", name="Log in").click()


def previews(walk: Walk) -> None:
    for kind, typed in PREVIEWED.items():
        walk.goes(f"{MEMBERS}ask/{kind}/")
        for name, value in typed.items():
            walk.page.locator(f"[name={name}]").fill(value)
        with walk.page.expect_navigation():
            walk.page.get_by_role("button", name="Preview the change").click()
        walk.look(f"preview of {kind}")


def questions(walk: Walk) -> None:
    for path, action, rows in ASKED:
        walk.goes(path)
        for row in range(rows):
            walk.page.locator("#result_list input.action-select").nth(row).check()
        walk.page.locator("select[name=action]").first.select_option(action)
        with walk.page.expect_navigation():
            walk.page.get_by_role("button", name="Run").or_(
                walk.page.get_by_role("button", name="Go")
            ).first.click()
        walk.look(f"{action} {rows}")


def test_a_page_that_waits_is_renewed_and_keeps_the_focus(site: str) -> None:
    """A page that reloads itself interrupts slow readers: axe calls that critical."""
    row = MembershipChange.objects.get(state=ChangeState.WAITING)

    def proceed() -> None:
        MembershipChange.objects.filter(pk=row.pk).update(sentence="It follows the log.")
        connections.close_all()

    with launched() as browser, visitor(browser, "desktop", "light") as page:
        walk = Walk(page, site)
        log_in(walk)
        walk.goes(f"{MEMBERS}{row.pk}/change/")
        walk.look("a change that waits")
        button = page.get_by_role("button", name="Cancel the change")
        button.focus()
        page.evaluate("window.same = true")
        with ThreadPoolExecutor(1) as desk:
            desk.submit(proceed).result()
        expect(page.locator(".field-sentence")).to_contain_text("It follows the log.")
        expect(button).to_be_focused()
        assert page.evaluate("window.same") is True
    assert walk.found == {"a change that waits": []}


BANNERED = """() => {
  const looks = (cell) => [getComputedStyle(cell).fontWeight, getComputedStyle(cell).paddingLeft];
  return [...document.querySelectorAll("tbody tr")].map((row) => row.querySelectorAll("td"))
    .filter(([first, ...others]) => others.some((cell) => `${looks(cell)}` !== `${looks(first)}`)).length;
}"""
"""How many rows have a cell that looks unlike the others."""
LOWERED = """() => {
  const top = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return range.getBoundingClientRect().top;
  };
  return [...document.querySelectorAll("#result_list tbody tr")]
    .map((row) => Math.abs(top(row.querySelector(".pill").lastChild) - top(row.querySelector(".field-role"))))
    .filter((pixels) => pixels > 1.5);
}"""
"""How far the words of a pill lie from those of another cell, where it is seen."""


UNLIKE_PAGES = """() => {
  const shown = [...document.querySelectorAll("#container *")].filter((one) => one.checkVisibility());
  const ink = getComputedStyle(document.body).color;
  const heading = getComputedStyle(document.querySelector("#content h1"));
  return [
    ...shown.filter((one) => getComputedStyle(one).textTransform !== "none").map((one) => one.outerHTML),
    ...(getComputedStyle(document.querySelector("#site-name a")).color === ink ? [] : ["colour of the name"]),
    ...(heading.fontWeight >= 600 ? [] : ["thin heading"]),
  ].map((one) => one.slice(0, 100));
}"""
CUT_OFF = """() => [...document.querySelectorAll("#content *")]
  .filter((one) => getComputedStyle(one).overflowX === "hidden" && one.clientWidth > 1)
  .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.className)"""


def test_the_admin_is_set_in_the_type_of_the_pages(site: str) -> None:
    with launched() as browser, visitor(browser, "desktop", "light") as page:
        walk = Walk(page, site)
        log_in(walk)
        for path in ("/admin/tickets/ticketholder/", "/admin/validators/apikey/", "/admin/auth/user/add/"):
            walk.goes(path)
            assert page.evaluate(UNLIKE_PAGES) == [], path


def test_nothing_of_a_holder_is_cut_off_on_a_phone(site: str) -> None:
    with launched() as browser, visitor(browser, "phone", "light") as page:
        walk = Walk(page, site)
        log_in(walk)
        walk.goes("/admin/tickets/ticketholder/")
        with page.expect_navigation():
            page.get_by_role("link", name="T-1").click()
        assert page.evaluate(CUT_OFF) == []
        walk.look("holder")
    assert walk.found == {"holder": []}


def test_the_page_of_a_refused_file_can_be_read(site: str) -> None:
    refused = TicketImport.objects.create(
        file_name="a.csv", state=ImportState.REFUSED, error="No column.", heartbeat_at=timezone.now()
    )
    with launched() as browser, visitor(browser, "desktop", "light") as page:
        walk = Walk(page, site)
        log_in(walk)
        walk.goes(f"/dashboard/tickets/files/{refused.pk}")
        expect(page.get_by_role("link", name="Upload again")).to_be_visible()
        walk.look("refused")
    assert walk.found == {"refused": []}


def test_cells_of_a_row_look_alike_and_stand_in_line(site: str) -> None:
    with launched() as browser, visitor(browser, "desktop", "light") as page:
        walk = Walk(page, site)
        log_in(walk)
        walk.goes(MEMBERS)
        assert page.evaluate(BANNERED) == 0
        walk.goes("/admin/validators/managednode/")
        assert page.evaluate(LOWERED) == []
        walk.goes("/admin/validators/apikey/")
        expect(page.locator(".field-created_at")).to_have_text(
            re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), timeout=5_000
        )


def test_on_a_phone_icons_and_words_of_a_button_do_not_overlap(site: str) -> None:
    with launched() as browser, visitor(browser, "phone", "dark") as page:
        walk = Walk(page, site)
        log_in(walk)
        walk.goes("/admin/validators/apikey/")
        add = page.locator(".object-tools a.addlink")
        assert add.evaluate("(one) => getComputedStyle(one).backgroundPositionX") != "0px"
        walk.goes("/admin/auth/user/add/")
        radio = page.locator("#content [type=radio]").first
        assert (radio.bounding_box() or {})["height"] < 30
        walk.goes(f"{MEMBERS}principals/")
        assert min(code.bounding_box()["width"] for code in page.locator("td code").all()) > 150  # type: ignore[index]
        walk.goes("/api/docs")
        ground = page.locator("html").evaluate("(one) => getComputedStyle(one).backgroundColor")
        assert ground != "rgba(0, 0, 0, 0)", "the description of the API is white at night"
