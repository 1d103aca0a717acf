"""The second factor of a login: an app's one-time codes, recovery codes, and where it is required."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

PASSWORD = "a long enough phrase"
PAGE = "/dashboard/second-factor"


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", password=PASSWORD)


def code_of(user: User, ahead: int = 0) -> str:
    """What the user's app shows now, or `ahead` steps later."""
    device = TOTPDevice.objects.get(user=user)
    clock = TOTP(device.bin_key, device.step, device.t0, device.digits)
    clock.time = time.time() + ahead * device.step
    return f"{clock.token():06d}"


def log_in(token: str = "", client: Client | None = None) -> Client | None:
    """A client that is logged in; None if it was not let in."""
    client = client or Client()
    fields = {"username": "ada", "password": PASSWORD, "otp_token": token, "next": "/"}
    return client if client.post("/admin/login/", fields).status_code == 302 else None


def forgive() -> None:
    """Pass the seconds for which codes are refused after a wrong one."""
    for devices in (TOTPDevice, StaticDevice):
        devices.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)


def set_up(user: User) -> list[str]:
    """Set the second factor up; returns its recovery codes."""
    client = log_in()
    assert client is not None
    client.get(PAGE)
    shown = client.post(PAGE, {"code": code_of(user)}).content.decode()
    return re.findall(r"<li><code>(\w+)</code>", shown)


def test_a_login_without_its_code_is_refused_once_it_is_set_up(ada: User) -> None:
    assert len(set_up(ada)) == 10
    assert log_in() is None
    assert log_in("000000") is None
    forgive()
    assert log_in(code_of(ada, ahead=1)) is not None


def test_a_code_is_good_once(ada: User) -> None:
    set_up(ada)
    code = code_of(ada, ahead=1)
    assert log_in(code) is not None
    assert log_in(code) is None


def test_a_recovery_code_replaces_a_lost_phone_once(ada: User) -> None:
    code, *_others = set_up(ada)
    assert log_in(code) is not None
    assert log_in(code) is None


def test_a_wrong_code_sets_nothing_up(ada: User) -> None:
    client = log_in()
    assert client is not None
    client.get(PAGE)
    assert "This code is wrong" in client.post(PAGE, {"code": "12345"}).content.decode()
    assert log_in() is not None


def test_taking_it_away_needs_a_code(ada: User) -> None:
    recovery = set_up(ada)
    client = log_in(code_of(ada, ahead=1))
    assert client is not None
    client.post(PAGE, {"code": "wrong"})
    assert log_in() is None
    forgive()
    client.post(PAGE, {"code": recovery[0]})
    assert log_in() is not None


def test_where_it_is_required_a_login_without_it_opens_its_page_alone(ada: User, settings: Any) -> None:
    settings.SECOND_FACTOR = True
    client = log_in()
    assert client is not None
    for path in ("/", "/admin/", "/dashboard/tickets", "/dashboard/sessions"):
        assert client.get(path).headers.get("Location") == PAGE
    refused = client.get("/api/v1/tickets")
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_needed")
    client.get(PAGE)
    client.post(PAGE, {"code": code_of(ada)})
    assert client.get("/dashboard/sessions").status_code == 200


def test_nobody_reads_anothers_secret_in_the_admin(ada: User) -> None:
    set_up(ada)
    chief = Client()
    chief.force_login(User.objects.create_superuser("chief"))
    assert chief.get("/admin/otp_totp/totpdevice/").status_code == 404
