"""Invalid query strings and forms of the admin get a message instead of a 500."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.pages.learner import RealLearner
from tickets.models import TicketHolder

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

HOLDERS = "/admin/tickets/ticketholder/"
LOG = "/admin/ledger/operationrecord/"
USERS = "/admin/auth/user/"
NODES = "/admin/validators/managednode/"
HUGE = "9" * 23


def told(response: Any) -> str:
    assert response.status_code == 200
    return html.unescape(response.content.decode())


@pytest.mark.parametrize(
    "address",
    [
        f"{HOLDERS}?ticket__regex=(",
        f"{HOLDERS}?ticket__iregex=[",
        f"{HOLDERS}?id__in={HUGE}",
        f"{LOG}?sequence__range={HUGE},{HUGE}",
        f"{LOG}?ticket_id__regex=(",
        f"{USERS}?username__regex=(",
        f"{USERS}?teams__name__regex=(",
        f"{USERS}?password__startswith=p",
        f"{HOLDERS}?{'x' * 5000}=1",
        f"{HOLDERS}?erased=a%00b",
        f"{LOG}?operation=%00",
        f"{NODES}?role__exact=%00",
        "/admin/simulator/simulatorrun/?status__exact=%00",
        f"{NODES}?_to_field=%00",
        f"{NODES}r0/change/?_to_field=%00",
        f"{USERS}?{'&'.join(f'a{number}=' for number in range(2000))}",
    ],
)
def test_a_filter_that_a_list_does_not_offer_is_refused(
    learner: RealLearner,
    operate: Callable[..., Any],
    admin: Client,
    caplog: pytest.LogCaptureFixture,
    address: str,
) -> None:
    """Quietly: each wrote a traceback into the log."""
    operate("issue T-1")
    caplog.clear()
    assert admin.get(address, follow=True).status_code == 400
    assert not [line for line in caplog.records if line.exc_info]


@pytest.mark.parametrize(
    "address",
    [
        f"{HOLDERS}?p=1&o=1&all=",
        f"{LOG}?outcome=applied&operation=issue",
        f"{USERS}?is_active__exact=1&is_superuser__exact=0",
        f"{USERS}?teams__id__exact=1",
        f"{USERS}?teams__isnull=True",
        f"{HOLDERS}?erased=yes&q=Ada&after=default/A",
        "/admin/validators/managednode/?role__exact=validator&status__exact=stopped",
    ],
)
def test_filters_that_the_lists_offer_are_accepted(learner: RealLearner, admin: Client, address: str) -> None:
    assert told(admin.get(address, follow=True))


@pytest.mark.parametrize("parameter", ["q", "after"])
def test_a_search_for_a_nul_character_finds_nothing(
    learner: RealLearner, admin: Client, parameter: str
) -> None:
    """PostgreSQL has no character 0 in texts: asked for one, it fails."""
    assert admin.get(f"{HOLDERS}?{parameter}=a/%00", follow=True).status_code == 200


@pytest.mark.parametrize("key", ["abc", HUGE, "-" + HUGE, "", "1.5", "\x00"])
@pytest.mark.parametrize(("address", "action"), [(HOLDERS, "erase"), (USERS, "delete_selected")])
def test_an_action_on_an_invalid_row_key_is_reported_and_does_nothing(
    learner: RealLearner, admin: Client, address: str, action: str, key: str
) -> None:
    holder = TicketHolder.objects.create(event="default", ticket="T-1", name="Ada")
    keys = [str(holder.pk), key]
    sent = {"action": action, "_selected_action": keys}
    assert "Nothing changed: a selected row has an invalid key." in told(
        admin.post(address, sent, follow=True)
    )
    assert TicketHolder.objects.get().erased_at is None


@pytest.mark.parametrize("address", [LOG, USERS, NODES, HOLDERS])
@pytest.mark.parametrize("words", ["word " * 1_000, "one two three four five six", "x" * 201])
def test_a_search_of_too_many_words_is_refused_with_a_message(
    learner: RealLearner, admin: Client, address: str, words: str
) -> None:
    page = told(admin.get(address, {"q": words}, follow=True))
    assert "Not searched: q must be at most 5 words and 200 characters." in page
