"""Login attempts are limited by user and address, in bounded rows; hashing has a bounded pool of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.utils import timezone

from tests.waiting import PATIENCE, wait_until
from validators.models import LoginAttempts
from validators.services import hashing, login_throttle
from validators.services.hashing import HashingBusy, HashingPool, PooledPasswordHasher, counted_for
from validators.services.login_throttle import TRIES_MAX, WINDOW, LoginThrottled, client_address, subject_of

pytestmark = pytest.mark.django_db

HERE = subject_of("user:ada", "192.0.2.1")


def test_attempts_beyond_the_maximum_are_refused_for_the_window() -> None:
    assert [login_throttle.begin(HERE) for _ in range(TRIES_MAX)] == list(range(1, TRIES_MAX + 1))
    with pytest.raises(LoginThrottled) as refused:
        login_throttle.begin(HERE)
    assert refused.value.status == 429
    assert 0 < int(refused.value.headers["Retry-After"]) <= WINDOW.total_seconds()
    LoginAttempts.objects.update(since=timezone.now() - WINDOW)
    assert [login_throttle.begin(HERE) for _ in range(TRIES_MAX)] == list(range(1, TRIES_MAX + 1))
    with pytest.raises(LoginThrottled):  # the window that the first of these began
        login_throttle.begin(HERE)


@pytest.mark.parametrize(
    ("behind_proxy", "meta", "address"),
    [
        (False, {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "198.51.100.9"}, "192.0.2.1"),
        (True, {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "1.1.1.1, 192.0.2.7"}, "192.0.2.7"),
        (True, {"REMOTE_ADDR": "127.0.0.1"}, "127.0.0.1"),
        (True, {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "junk"}, ""),
        (False, {"REMOTE_ADDR": "2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2::/64"),
        (False, {"REMOTE_ADDR": "::ffff:192.0.2.1"}, "192.0.2.1"),
        (False, {"REMOTE_ADDR": ""}, ""),
    ],
)
def test_the_address_is_the_clients_own(
    behind_proxy: bool, meta: dict[str, str], address: str, settings: Any, rf: RequestFactory
) -> None:
    settings.BEHIND_PROXY = behind_proxy
    assert client_address(rf.get("/", **meta)) == address  # type: ignore[arg-type]


def test_in_a_full_pool_the_address_with_most_places_gives_one_up() -> None:
    pool, go = HashingPool(1, 3), threading.Event()

    def log_in(address: str) -> str:
        with counted_for(address):
            return pool.run(lambda: address if go.wait(PATIENCE) else "late")

    with ThreadPoolExecutor(5) as people:
        crowd = [people.submit(log_in, "192.0.2.1") for _ in range(4)]
        wait_until(lambda: len(pool._places) == 4, what="the crowd has all places")
        venue = people.submit(log_in, "198.51.100.7")
        wait_until(lambda: any(each.done() for each in crowd) or venue.done(), what="one gave way")
        with pytest.raises(HashingBusy):
            log_in("192.0.2.1")
        go.set()
        assert venue.result(PATIENCE) == "198.51.100.7"
        ends = [type(each.exception(PATIENCE)) for each in crowd]
        assert sorted(ends, key=str) == [type(None)] * 3 + [HashingBusy]


def test_an_ending_process_waits_for_one_hash_not_for_all() -> None:
    """A web process under a flood of logins took 90 s to end."""
    pool, go = HashingPool(1, 3), threading.Event()
    with ThreadPoolExecutor(4) as people:
        crowd = [people.submit(pool.run, go.wait, PATIENCE) for _ in range(4)]
        wait_until(lambda: len(pool._places) == 4, what="all have places")
        wait_until(lambda: any(each.running() for each in list(pool._places)), what="one is computed")
        pool.end()
        wait_until(lambda: sum(each.done() for each in crowd) == 3, what="those that waited gave up")
        with pytest.raises(HashingBusy):
            pool.run(go.wait, PATIENCE)
        go.set()
        ends = [type(each.exception(PATIENCE)) for each in crowd]
    assert sorted(ends, key=str) == [type(None)] + [HashingBusy] * 3


def test_the_stored_form_of_passwords_is_djangos_own() -> None:
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    stored = PooledPasswordHasher().encode("open sesame", "salt", 1_000)
    assert stored == PBKDF2PasswordHasher().encode("open sesame", "salt", 1_000)
    assert PooledPasswordHasher().verify("open sesame", stored)


def test_an_attempt_that_finds_the_pool_full_is_not_counted(
    settings: Any, monkeypatch: pytest.MonkeyPatch, rf: RequestFactory
) -> None:
    User.objects.create_user("ada", password="open sesame")
    settings.PASSWORD_HASHERS = ["validators.services.hashing.PooledPasswordHasher"]
    monkeypatch.setattr(hashing, "pool", HashingPool(0, 0))
    with pytest.raises(HashingBusy):
        authenticate(rf.post("/"), username="nobody", password="x")
    assert not LoginAttempts.objects.exists()


def test_a_request_without_an_address_has_none() -> None:
    assert login_throttle.client_address(None) == ""
