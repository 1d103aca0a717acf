"""Sessions: kept by hash, listed for their owner, ended one by one, and by idleness."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from validators.services.login_throttle import TRIES_MAX
from validators.sessions import store
from validators.sessions.models import Session

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

PASSWORD = "a long enough phrase"
PHONE, DESK = "Phone/1", "Desk/2"


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", password=PASSWORD)


def log_in(agent: str, name: str = "ada") -> Client:
    client = Client(headers={"User-Agent": agent})
    answer = client.post("/admin/login/", {"username": name, "password": PASSWORD, "next": "/"})
    assert answer.status_code == 302, answer.content
    return client


def cookie(client: Client) -> str:
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def is_in(client: Client) -> bool:
    return client.get("/dashboard/sessions").status_code == 200


def test_the_table_holds_no_key_that_continues_a_session(ada: User) -> None:
    client = log_in(DESK)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM kept_sessions_session")
        [row] = cursor.fetchall()
    assert cookie(client) not in " ".join(map(str, row))
    thief = Client()
    for stolen in (row[0], *map(str, row)):
        thief.cookies[settings.SESSION_COOKIE_NAME] = stolen
        assert not is_in(thief)
    assert is_in(client)


def test_a_user_sees_own_devices_and_no_others(ada: User) -> None:
    User.objects.create_superuser("bob", password=PASSWORD)
    phone, _desk, _bob = log_in(PHONE), log_in(DESK), log_in("Bob's browser", "bob")
    shown = phone.get("/dashboard/sessions").content.decode()
    assert PHONE in shown
    assert DESK in shown
    assert "Bob" not in shown
    assert shown.count("this device") == 1


def test_a_lost_device_is_logged_out_from_another_one(ada: User) -> None:
    phone, desk = log_in(PHONE), log_in(DESK)
    lost = Session.objects.get(device=PHONE)
    assert desk.post("/dashboard/sessions", {"session": lost.session_key}).status_code == 302
    assert (is_in(phone), is_in(desk)) == (False, True)


def test_nobody_ends_another_users_session(ada: User) -> None:
    User.objects.create_superuser("bob", password=PASSWORD)
    adas, bobs = log_in(DESK), log_in(PHONE, "bob")
    theirs = Session.objects.get(device=DESK)
    bobs.post("/dashboard/sessions", {"session": theirs.session_key})
    assert is_in(adas)


def test_all_sessions_end_at_once(ada: User) -> None:
    phone, desk = log_in(PHONE), log_in(DESK)
    assert desk.post("/dashboard/sessions", {"session": "all"}).headers["Location"] == "/admin/login/"
    assert (is_in(phone), is_in(desk)) == (False, False)


def test_an_idle_session_ends_and_one_in_use_goes_on(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = log_in(DESK)
    nearly = timezone.now() + timedelta(minutes=1)
    Session.objects.update(expire_date=nearly)
    monkeypatch.setattr(store, "NOTED_EVERY", -1)
    assert is_in(client)
    row = Session.objects.get()
    assert row.expire_date > timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE - 60)
    assert row.used_at > nearly - timedelta(minutes=2)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert not is_in(client)


def test_use_is_written_once_a_minute(ada: User) -> None:
    client = log_in(DESK)
    assert is_in(client)
    before = Session.objects.get().used_at
    assert is_in(client)
    assert Session.objects.get().used_at == before


def test_expired_sessions_are_deleted_at_the_next_login(ada: User) -> None:
    log_in(PHONE)
    Session.objects.update(expire_date=timezone.now() - timedelta(days=1))
    log_in(DESK)
    assert [row.device for row in Session.objects.all()] == [DESK]


@pytest.mark.parametrize("short", ["elevenchars", "123456789012", "password1234"])
def test_new_passwords_have_twelve_characters_that_are_not_common(ada: User, short: str) -> None:
    client = log_in(DESK)
    fields = {"old_password": PASSWORD, "new_password1": short, "new_password2": short}
    assert client.post("/admin/password_change/", fields).status_code == 200
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)


def test_others_guesses_do_not_lock_out_a_known_device(ada: User) -> None:
    known = log_in(DESK)
    known.post("/dashboard/leave")
    stranger = Client()
    wrong = {"username": "ada", "password": "a wrong one", "next": "/"}
    assert [stranger.post("/admin/login/", wrong).status_code for _ in range(TRIES_MAX + 1)][-1] == 429
    right = {"username": "ada", "password": PASSWORD, "next": "/"}
    assert stranger.post("/admin/login/", right).status_code == 429
    assert known.post("/admin/login/", right).status_code == 302


def test_a_known_device_has_ten_guesses_too_and_only_for_its_user(ada: User) -> None:
    User.objects.create_superuser("bob", password=PASSWORD)
    known = log_in(DESK)
    known.post("/dashboard/leave")
    wrong = {"username": "ada", "password": "a wrong one", "next": "/"}
    assert [known.post("/admin/login/", wrong).status_code for _ in range(TRIES_MAX + 1)][-1] == 429
    stranger = Client()
    theirs = {"username": "bob", "password": "a wrong one", "next": "/"}
    for _ in range(TRIES_MAX):
        stranger.post("/admin/login/", theirs)
    assert known.post("/admin/login/", theirs | {"password": PASSWORD}).status_code == 429
