"""The admin asks before an act with a consequence, names the consequence, and needs no script for it."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from tests.pages.learner import RealLearner
from tickets.models import TicketHolder
from validators.models import DesiredState, ManagedNode, NodeStatus, PlatformAction

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

LOG = "/admin/ledger/operationrecord/"
HOLDERS = "/admin/tickets/ticketholder/"
NODES = "/admin/validators/managednode/"
LIMIT = 20
"""Rows that are named one by one."""


@pytest.fixture
def wide(learner: RealLearner) -> None:
    TicketHolder.objects.create(event="default", ticket="T-1", name="Ada")
    ManagedNode.objects.update(status=NodeStatus.RUNNING)


def ask(admin: Client, address: str, action: str, *keys: Any, **fields: str) -> str:
    """The page that asks."""
    sent = {"action": action, "_selected_action": [str(key) for key in keys], **fields}
    response = admin.post(address, sent)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def confirm(admin: Client, address: str, page: str) -> list[str]:
    """Send the form of the question, and return the messages of the next page."""
    response = resend(admin, address, page)
    return [re.sub(r"<[^>]+>", " ", str(message)) for message in response.context["messages"]]


def resend(admin: Client, address: str, page: str) -> Any:
    """Send the form of the question as a browser does; the page that follows."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    sent: dict[str, list[str]] = {"confirmed": ["yes"]}
    for name, value in found:
        sent.setdefault(name, []).append(value)
    return admin.post(address, sent, follow=True)


def test_a_consequence_that_changed_since_is_asked_about_again(wide: None, admin: Client) -> None:
    first, other = ask(admin, NODES, "stop", "r3"), ask(admin, NODES, "stop", "r2")
    confirm(admin, NODES, other)  # another operator; the members have not noticed yet
    before = PlatformAction.objects.count()
    again = resend(admin, NODES, first)
    page = html.unescape(again.content.decode())
    assert "Afterwards: No quorum: 2 of 4 reachable, 3 needed; nothing can be decided." in page
    assert "Nothing changed yet" in page
    assert ManagedNode.objects.get(pk="r3").desired == DesiredState.RUNNING
    assert PlatformAction.objects.count() == before
    assert confirm(admin, NODES, page) == ["Requested: stop r3. Its state follows within seconds."]


def test_a_restart_asks_too_and_names_what_the_learner_is_for(wide: None, admin: Client) -> None:
    page = ask(admin, NODES, "restart", "r0", "learner")
    assert "Until they run again: 3 of 4 agree, can lose none." in page
    assert "Until they run again, pages and lists are not updated" in page
    assert ManagedNode.objects.get(pk="r0").generation == 1


def test_an_act_that_can_be_taken_back_does_not_ask(wide: None, admin: Client) -> None:
    ManagedNode.objects.filter(pk="r3").update(status=NodeStatus.STOPPED, desired=DesiredState.STOPPED)
    sent = {"action": "start", "_selected_action": ["r3"]}
    assert admin.post(NODES, sent).status_code == 302
    assert ManagedNode.objects.get(pk="r3").desired == DesiredState.RUNNING


def test_a_list_that_changed_after_the_question_is_left(wide: None, admin: Client) -> None:
    first = TicketHolder.objects.get()
    page = ask(admin, HOLDERS, "erase", first.pk, select_across="1")
    second = TicketHolder.objects.create(event="default", ticket="T-2", name="Bo")
    said = ["The list has other rows now than those that the question was about. Nothing changed."]
    assert confirm(admin, HOLDERS, page) == said
    second.delete()
    assert confirm(admin, HOLDERS, page)[0].startswith("Holders erased: 1.")


def test_the_state_stands_on_pages_of_the_admin_and_of_the_platform(
    wide: None, admin: Client, learner: RealLearner
) -> None:
    learner.gateway.down = frozenset({1})
    for address in ("/admin/", LOG, NODES, "/admin/password_change/", "/", "/dashboard/metrics"):
        page = admin.get(address).content.decode()
        assert re.search(r'class="state tight"[^>]*>3 of 4 agree, can lose none<', page), address
    learner.gateway.down = frozenset({1, 2})
    assert 'class="state stuck"' in admin.get("/admin/").content.decode()
