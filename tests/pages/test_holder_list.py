"""Holders in the admin: found by ticket, or by how a name or an address begins, each through an index."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tickets.admin import TicketHolderAdmin
from tickets.models import TicketHolder

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

HOLDERS = "/admin/tickets/ticketholder/"
PEOPLE = {
    "T-1": ("Ada Lovelace", "ada@example.org"),
    "T-2": ("Grace Hopper", "Grace@example.org"),
    "T-3": ("adam smith", "smith@example.org"),
    "ADA-4": ("Nobody", "no@example.org"),
}


@pytest.fixture
def people(db: None) -> None:
    TicketHolder.objects.bulk_create(
        TicketHolder(
            event="default", ticket=ticket, name=name, email=email, order=f"R{ticket}", salt=b"s" * 32
        )
        for ticket, (name, email) in PEOPLE.items()
    )


@pytest.fixture
def desk() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("desk", password="x"))
    return client


def shown(desk: Client, **query: str) -> list[str]:
    """Tickets of the list, in its order."""
    response: Any = desk.get(HOLDERS, query)
    assert response.status_code == 200
    return [holder.ticket for holder in response.context["cl"].result_list]


@pytest.mark.usefixtures("people")
def test_erased_holders_are_listed_by_a_filter(desk: Client) -> None:
    TicketHolder.objects.filter(ticket="T-2").update(erased_at=timezone.now(), name="", email="")
    assert shown(desk, erased="yes") == ["T-2"]
    assert shown(desk, q="grace") == []


def test_pages_of_holders_follow_each_other_over_events(
    db: None, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has as many rows as the one before, until the last."""
    keys = [(event, ticket) for event in "ab" for ticket in "1234"]
    TicketHolder.objects.bulk_create(
        TicketHolder(event=event, ticket=ticket, salt=b"s" * 32) for event, ticket in keys
    )
    monkeypatch.setattr(TicketHolderAdmin, "list_per_page", 3)
    pages, after = [], {}
    while True:
        response: Any = desk.get(HOLDERS, after)
        shown = response.context["cl"]
        pages.append([(holder.event, holder.ticket) for holder in shown.result_list])
        if not shown.next_key:
            break
        after = {"after": shown.next_key}
    assert pages == [keys[:3], keys[3:6], keys[6:]]
