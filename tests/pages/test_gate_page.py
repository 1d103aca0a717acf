"""The gate's page: who may open it, what it offers, and who lands on it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.team_keys import join

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

PASSWORD = "open sesame"


def person(*groups: str) -> Client:
    user = User.objects.create_user("person", password=PASSWORD, is_staff=True)
    join(user, *groups)
    client = Client()
    client.force_login(user)
    return client


def events(response: Any) -> list[dict[str, Any]]:
    found = re.search(r'<script id="gate-events"[^>]*>(.*?)</script>', response.content.decode(), re.DOTALL)
    assert found is not None
    told: list[dict[str, Any]] = json.loads(found[1])
    return told


@pytest.mark.parametrize(
    ("groups", "wanted", "lands"),
    [
        (["gate"], "/", "/gate/"),
        (["gate"], "/admin/", "/gate/"),
        (["gate"], "/dashboard/tickets", "/dashboard/tickets"),
        (["gate", "auditor"], "/", "/gate/"),
        (["gate", "supervise"], "/", "/gate/"),
        (["organiser"], "/", "/"),
        (["gate", "organiser"], "/", "/"),
        ([], "/", "/"),
    ],
)
def test_whoever_may_only_scan_lands_at_the_gate(groups: list[str], wanted: str, lands: str) -> None:
    person(*groups)
    sent = {"username": "person", "password": PASSWORD, "next": wanted}
    answer = Client().post(f"/admin/login/?next={wanted}", sent)
    assert (answer.status_code, answer.headers["Location"]) == (302, lands)
