"""Logins that are refused: too many attempts, too many at once; and what they leave in the audit."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from validators.dashboard.login import REFUSED_AFTER
from validators.models import PlatformAction
from validators.rest import keys
from validators.services import hashing
from validators.services.hashing import HashingPool
from validators.services.login_throttle import TRIES_MAX
from validators.web.one_hop import HeldResponse

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

VENUE, HOME = "192.0.2.1", "198.51.100.7"
PASSWORD = "open sesame"
KEY = "dtvn_key_of_the_login_suite"


@pytest.fixture(autouse=True)
def people() -> None:
    keys.forget()
    for name in ("ada", "bob"):
        User.objects.create_superuser(name, password=PASSWORD)


def log_in(name: str, password: str = PASSWORD, address: str = VENUE, page: str = "/admin/login/") -> Any:
    sent = {"username": name, "password": password, "next": "/dashboard/nodes"}
    return Client(REMOTE_ADDR=address).post(page, sent)


def enter(key: str, address: str = VENUE) -> Any:
    return Client(REMOTE_ADDR=address).post("/dashboard/key", {"key": key, "next": "/"})


def test_an_unknown_user_is_throttled_like_a_known_one() -> None:
    statuses = [log_in("nobody").status_code for _ in range(TRIES_MAX + 1)]
    assert statuses == [200] * TRIES_MAX + [429]


def test_a_full_hashing_pool_is_503_with_retry_after(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PASSWORD_HASHERS = ["validators.services.hashing.PooledPasswordHasher"]
    monkeypatch.setattr(hashing, "pool", HashingPool(0, 0))
    refused = log_in("nobody")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert isinstance(refused, HeldResponse)
    assert refused.held_for == REFUSED_AFTER
    assert "Too many logins at once" in refused.content.decode()


def test_guesses_leave_two_rows_in_the_audit_and_no_password() -> None:
    for _ in range(2 * TRIES_MAX):
        log_in("ada", "hunter2")
    outcomes = list(PlatformAction.objects.order_by("pk").values_list("outcome", flat=True))
    assert outcomes == ["refused", f"locked out after {TRIES_MAX} attempts"]
    assert not any("hunter2" in str(row) for row in PlatformAction.objects.values())
