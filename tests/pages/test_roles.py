"""Who may do what: standard team x route x admin action, the whole table. What is not listed is denied."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

import dtvn_project.urls  # noqa: F401 - fills the admin
from tests.api.test_permissions import ROUTES
from tests.pages.learner import RealLearner
from tests.team_keys import join
from validators.services import teams

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

TOKEN = "a" * 32
SCOPES: dict[str, set[str | None]] = {
    "organiser": {None, "issue", "operate", "gate"},
    "gate": {None, "gate"},
    "auditor": {None},
    "": set(),
    "stranger": set(),
}
"""By team of the user: the scopes whose routes it may use, None for reading. "" is a user without a team,
"stranger" one of a team's name that there is not."""

LISTS: dict[str, dict[str, set[str]]] = {
    "organiser": {
        "ledger.operationrecord": {"view"},
        "ledger.consensusentry": {"view"},
        "tickets.ticketholder": {"view", "erase"},
        "validators.managednode": {"view"},
        "validators.memberevidence": {"view"},
    },
    "gate": {},
    "auditor": {
        "ledger.operationrecord": {"view"},
        "ledger.consensusentry": {"view"},
        "validators.managednode": {"view"},
        "validators.memberevidence": {"view"},
        "validators.membershipchange": {"view"},
        "validators.platformaction": {"view"},
        "simulator.simulatorrun": {"view"},
    },
    "": {},
    "stranger": {},
}
"""By team: the lists of the admin, and what may be done with their rows."""

WORDS = {
    "ledger.operationrecord": "log",
    "ledger.consensusentry": "log",
    "tickets.ticketholder": "(?<!without )(?<!of )holders",
    "validators.managednode": "nodes",
    "validators.memberevidence": "evidence",
    "validators.membershipchange": "members",
    "validators.platformaction": "platform actions",
    "simulator.simulatorrun": "simulations",
}
"""By list of the admin: its word in the documentation's table of teams."""

FIELDS = {"name": "Lovelace", "order": "R-42", "email": "ada@example.org"}
GUESTS: dict[str, set[str]] = {
    "organiser": {"name", "order", "email"},
    "gate": {"name", "order"},
    "auditor": set(),
    "operate": {"name", "order"},
    "issue": set(),
}
"""By team, the last two with the right of this name: what it sees of a guest on pages and in exports."""


def person(group: str) -> User:
    made = User.objects.create_user(group or "nobody", is_staff=True)
    return join(made, group) if group else made


def allowed_in_admin(user: User, rf: RequestFactory) -> dict[str, set[str]]:
    request = rf.get("/")
    request.user = user
    found = {}
    for model, shown in admin.site._registry.items():
        may = {name for name, given in shown.get_model_perms(request).items() if given}
        may |= set(shown.get_actions(request)) if may else set()
        if may:
            found[model._meta.label_lower] = may
    return found


@pytest.mark.parametrize("group", list(SCOPES))
def test_each_role_may_do_what_the_table_says_and_nothing_else(
    learner: RealLearner, rf: RequestFactory, group: str
) -> None:
    user = person(group)
    assert allowed_in_admin(user, rf) == LISTS[group]
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    client.cookies[settings.CSRF_COOKIE_NAME] = TOKEN
    for method, path, scope in ROUTES:
        if scope == "admin" and scope in SCOPES[group]:
            continue
        status = client.generic(
            method, path, b"{}", content_type="application/json", headers={"X-CSRFToken": TOKEN}
        ).status_code
        expected = scope in SCOPES[group]
        assert (status not in (401, 403)) == expected, f"{group}: {method} {path} gave {status}"
        assert status != 500


def test_the_table_of_the_documentation_is_the_table_of_teams() -> None:
    table = (Path(__file__).parents[2] / "docs/operate/running.md").read_text(encoding="utf-8")
    rows = {
        name: (scopes, words) for name, scopes, words in re.findall(r"\| `(\w+)` \| (.+) \| (.+) \|", table)
    }
    assert rows.keys() == teams.STANDARD.keys()
    for name, (scopes, words) in rows.items():
        assert set(re.findall(r"`(\w+)`", scopes)) == teams.STANDARD[name]
        lists = {model for model, word in WORDS.items() if re.search(rf"\b{word}\b", words)}
        assert lists == LISTS[name].keys(), name


def links(page: str) -> set[str]:
    return {html.unescape(found).partition("#")[0] for found in re.findall(r'<a [^>]*href="(/[^"]*)"', page)}


@pytest.mark.parametrize("group", list(LISTS))
def test_pages_link_only_to_what_the_role_may_open(
    learner: RealLearner, operate: Any, client: Client, group: str
) -> None:
    operate("issue T-1", "validate T-1")
    client.force_login(person(group))
    found = {"/admin/"} | (links(client.get("/").content.decode()) if SCOPES[group] else set())
    seen = set(found)
    while found:
        address = found.pop()
        if address.startswith("/static/"):
            continue
        answer = client.get(address)
        assert answer.status_code not in (401, 403), address
        if not answer.streaming:
            new = links(answer.content.decode()) - seen
            seen |= new
            found |= new
    assert {f"/admin/{name.replace('.', '/')}/" for name in LISTS[group]} <= seen
    assert ("/dashboard/tickets" in seen) == bool(SCOPES[group])


@pytest.mark.parametrize("group", list(GUESTS))
def test_each_role_sees_as_much_of_a_guest_everywhere(
    learner: RealLearner, operate: Any, client: Client, group: str
) -> None:
    from tickets.models import TicketHolder

    operate("issue T-1")
    TicketHolder.objects.create(
        event="default", ticket="T-1", name="Lovelace", order="R-42", email="ada@example.org", salt=b"s"
    )
    pages = {
        "found": ("/dashboard/tickets/found", {}),
        "one": ("/dashboard/tickets/one", {"event": "default", "ticket": "T-1"}),
    }
    client.force_login(person(group))
    for page, (path, query) in pages.items():
        ask = client.post if page == "found" else client.get
        text = ask(path, query).content.decode()
        seen = {field for field, value in FIELDS.items() if value in text}
        allowed = GUESTS[group] - (set() if page == "one" else {"email"})
        assert seen == allowed, f"{group}: {page}"
    found = client.post("/dashboard/tickets/found", {"q": "lovelace r-42"}).json()["tickets"]
    assert len(found) == ("name" in GUESTS[group])
    admission = client.get("/dashboard/tickets/export/admission.csv")
    assert admission.status_code == (200 if "name" in GUESTS[group] else 403)
