"""Login with an API key: the rights of its session, and that it ends with the key."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from tests.team_keys import store_key
from validators.rest import keys
from validators.services import api_keys

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])

KEY = "dtvn_key_of_the_login_suite"
PAGES = ("/", *(f"/dashboard/{name}" for name in ("nodes", "network", "tickets", "simulator", "metrics")))


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    keys.forget()


def enter(client: Client, key: str = KEY, following: str = "/dashboard/nodes") -> Any:
    return client.post("/dashboard/key", {"key": key, "next": following})


@pytest.mark.parametrize("path", PAGES)
def test_each_page_leads_to_the_form_and_the_key_back_to_the_page(client: Client, path: str) -> None:
    store_key(KEY, label="entry")
    asked = client.get(path)
    assert asked.status_code == 302
    form = client.get(asked.headers["Location"]).content.decode()
    assert f'name="next" value="{path}"' in form.split('action="/dashboard/key"')[1]
    assert enter(client, following=path).headers["Location"] == path
    assert client.get(path).status_code == 200
    assert client.get("/dashboard/snapshot").status_code == 200


def test_a_session_has_the_rights_of_its_key_and_needs_the_csrf_token() -> None:
    store_key(KEY, label="entry", scopes=["operate"])
    client = Client(enforce_csrf_checks=True)
    client.get("/admin/login/")
    token = client.cookies[settings.CSRF_COOKIE_NAME].value
    client.post("/dashboard/key", {"key": KEY, "next": "/", "csrfmiddlewaretoken": token})
    page = client.get("/dashboard/nodes").content.decode()
    token = page.split('data-csrf="')[1].split('"')[0]
    stop = {"path": "/api/v1/cluster/stop", "content_type": "application/json"}
    assert client.get("/api/v1/nodes").status_code == 200
    assert client.post(**stop).status_code == 403, "a page of another site has no token"
    refused = client.post(**stop, headers={"X-CSRFToken": token})
    assert "scope 'admin'" in refused.json()["error"]
    assert "Start cluster" not in page, "what this key may not do is not offered"
    store_key(f"{KEY}2", label="admin")
    other = Client()
    enter(other, f"{KEY}2")
    assert "Start cluster" in other.get("/dashboard/nodes").content.decode()
    assert other.post(**stop).status_code == 200


def test_a_key_session_ends_with_the_key_or_at_logout(client: Client) -> None:
    key = store_key(KEY, label="entry")
    enter(client)
    client.post("/dashboard/leave")
    assert client.get("/dashboard/nodes").status_code == 302
    enter(client)
    assert client.get("/api/v1/nodes").status_code == 200
    api_keys.revoke_api_key(key)
    assert client.get("/dashboard/nodes").status_code == 302
    assert client.get("/api/v1/nodes").status_code == 401


def test_a_key_session_replaces_the_session_of_a_person(client: Client) -> None:
    client.force_login(User.objects.create_superuser("operator", password="x"))
    store_key(KEY, label="entry", scopes=["gate"])
    enter(client)
    assert client.post("/api/v1/cluster/stop").status_code == 403
    assert client.get("/admin/").status_code == 302
