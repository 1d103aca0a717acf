"""Logins that are refused: too many attempts, too many at once; and what they leave in the audit."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from validators.dashboard.login import REFUSED_AFTER
from validators.models import LoginAttempts, PlatformAction
from validators.rest import keys
from validators.services import api_keys, hashing
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


@pytest.mark.parametrize("page", ["/admin/login/", "/admin/login/?next=/dashboard/nodes"])
def test_a_throttled_user_gets_429_and_others_at_the_venue_log_in(page: str) -> None:
    statuses = [log_in("ada", "wrong", page=page).status_code for _ in range(TRIES_MAX)]
    assert statuses == [200] * TRIES_MAX
    refused = log_in("ada", page=page)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert "Too many attempts from here" in refused.content.decode()
    assert 'name="next" value="/dashboard/nodes"' in refused.content.decode()
    assert log_in("bob").status_code == 302, "the venue is one address"
    assert log_in("ada", address=HOME).status_code == 302


def test_a_long_form_of_a_stranger_is_refused_before_it_is_parsed() -> None:
    """A percent-encoded field takes 80 times its size: 16 MiB of it took over a gigabyte."""
    stranger = Client(enforce_csrf_checks=True)
    stranger.get("/admin/login/")
    form = b"username=" + b"%41" * 100_000
    answer = stranger.post("/admin/login/", form, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400


def test_an_unknown_user_is_throttled_like_a_known_one() -> None:
    statuses = [log_in("nobody").status_code for _ in range(TRIES_MAX + 1)]
    assert statuses == [200] * TRIES_MAX + [429]


def test_guesses_at_many_names_lock_out_none_who_logs_in_from_there() -> None:
    statuses = {log_in(f"guess-{number}").status_code for number in range(3 * TRIES_MAX)}
    assert statuses == {200}
    assert log_in("ada").status_code == 302


def test_a_login_forgets_the_attempts_before_it() -> None:
    for _ in range(TRIES_MAX - 1):
        log_in("ada", "wrong")
    assert log_in("ada").status_code == 302
    assert not LoginAttempts.objects.exists()


def test_wrong_keys_are_never_throttled_and_leave_two_audit_rows() -> None:
    """Nobody guesses a key, and a venue is one address."""
    api_keys.store_api_key(KEY, label="login")
    answers = [enter(f"wrong-{number}") for number in range(2 * TRIES_MAX)]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert "This key is not valid" in answers[-1].content.decode()
    assert PlatformAction.objects.filter(action="login with key", outcome="refused").count() == 2
    assert enter(KEY).status_code == 302


def test_a_full_hashing_pool_is_503_with_retry_after(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PASSWORD_HASHERS = ["validators.services.hashing.PooledPasswordHasher"]
    monkeypatch.setattr(hashing, "pool", HashingPool(0, 0))
    refused = log_in("nobody")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert isinstance(refused, HeldResponse)
    assert refused.held_for == REFUSED_AFTER
    assert "Too many logins at once" in refused.content.decode()


def test_logins_and_the_end_of_sessions_are_audited() -> None:
    log_in("ada", "wrong")
    client = Client(REMOTE_ADDR=VENUE)
    client.post("/admin/login/", {"username": "ada", "password": PASSWORD})
    client.post("/dashboard/leave")
    api_keys.store_api_key(KEY, label="login")
    enter(KEY)
    found = PlatformAction.objects.order_by("pk").values_list(
        "actor", "action", "target", "outcome", "address"
    )
    key = f"key:{api_keys.find_api_key(KEY).pk}"  # type: ignore[union-attr]
    assert list(found) == [
        ("", "login", "user:ada", "refused", VENUE),
        ("user:ada", "login", "", "ok", VENUE),
        ("user:ada", "logout", "", "ok", VENUE),
        (key, "login with key", "", "ok", VENUE),
    ]


def test_guesses_leave_two_rows_in_the_audit_and_no_password() -> None:
    for _ in range(2 * TRIES_MAX):
        log_in("ada", "hunter2")
    outcomes = list(PlatformAction.objects.order_by("pk").values_list("outcome", flat=True))
    assert outcomes == ["refused", f"locked out after {TRIES_MAX} attempts"]
    assert not any("hunter2" in str(row) for row in PlatformAction.objects.values())
