"""Addresses and forms of the admin that nobody's links lead to: a sentence, never a 500."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.pages.learner import RealLearner
from validators.ledger.models import Ticket

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

TICKETS = "/admin/ledger/ticket/"
LOG = "/admin/ledger/operationrecord/"
USERS = "/admin/auth/user/"
HUGE = "9" * 23


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator", password="x"))
    return client


def told(response: Any) -> str:
    assert response.status_code == 200
    return html.unescape(response.content.decode())


@pytest.mark.parametrize(
    ("address", "named"),
    [
        (f"{TICKETS}?ticket_id__regex=(", "ticket_id__regex"),
        (f"{TICKETS}?ticket_id__iregex=[", "ticket_id__iregex"),
        (f"{TICKETS}?id__in={HUGE}", "id__in"),
        (f"{LOG}?sequence__range={HUGE},{HUGE}", "sequence__range"),
        (f"{LOG}?ticket_id__regex=(", "ticket_id__regex"),
        (f"{USERS}?username__regex=(", "username__regex"),
        (f"{USERS}?groups__name__regex=(", "groups__name__regex"),
        (f"{TICKETS}?{'x' * 5000}=1", "x" * 39),
    ],
)
def test_a_filter_that_a_list_does_not_have_is_told(
    learner: RealLearner, operate: Callable[..., Any], admin: Client, address: str, named: str
) -> None:
    operate("issue T-1")
    assert f"This list has no such filter: {named}" in told(admin.get(address, follow=True))


@pytest.mark.parametrize(
    "address",
    [
        f"{TICKETS}?state=ISSUED&event=default&q=T&after=default/A",
        f"{TICKETS}?p=1&o=1&all=",
        f"{LOG}?outcome=applied&operation=issue",
        f"{USERS}?is_active__exact=1&is_superuser__exact=0",
        f"{USERS}?groups__id__exact=1",
        f"{USERS}?groups__isnull=True",
        "/admin/tickets/ticketholder/?erased=yes&q=Ada&after=default/A",
        "/admin/validators/managednode/?role__exact=validator&status__exact=stopped",
    ],
)
def test_what_the_lists_offer_goes_through(learner: RealLearner, admin: Client, address: str) -> None:
    assert "no such filter" not in told(admin.get(address, follow=True))


@pytest.mark.parametrize("key", ["abc", HUGE, "-" + HUGE, "", "1.5", "\x00"])
@pytest.mark.parametrize(("address", "action"), [(TICKETS, "validate"), (USERS, "delete_selected")])
def test_an_action_on_a_key_that_no_row_can_have_does_nothing_and_says_so(
    learner: RealLearner, operate: Callable[..., Any], admin: Client, address: str, action: str, key: str
) -> None:
    operate("issue T-1")
    keys = [str(Ticket.objects.get().pk), key]
    sent = {"action": action, "_selected_action": keys}
    assert "Nothing was done: there is no row with the key" in told(admin.post(address, sent, follow=True))
    assert Ticket.objects.get().state == "ISSUED"


def test_strangers_are_asked_to_log_in_whatever_they_send(client: Client) -> None:
    response = client.get(f"{TICKETS}?ticket_id__regex=(")
    assert response.headers["Location"].startswith("/admin/login/")
