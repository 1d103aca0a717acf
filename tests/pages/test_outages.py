"""A database that is locked, or a full disk, is a 503 on pages and in the admin, and one line in the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection
from django.test import Client, override_settings

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

LOCKED, FULL = "database is locked", "database or disk is full"


@pytest.fixture
def stranger() -> Client:
    return Client(raise_request_exception=False)


@contextmanager
def failing(error: Exception, *, statements: str = "") -> Iterator[None]:
    """Every statement with this prefix fails as it would in the database driver."""

    def fail(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith(statements):
            raise error
        return execute(sql, *rest)

    with connection.execute_wrapper(fail):
        yield


@pytest.mark.parametrize("reason", [LOCKED, FULL])
@pytest.mark.parametrize("asked", ["POST /admin/login/", "GET /admin/", "GET /"])
def test_a_page_says_that_the_database_is_busy(
    stranger: Client, caplog: pytest.LogCaptureFixture, asked: str, reason: str
) -> None:
    stranger.force_login(User.objects.create_superuser("operator", password="x"))
    with failing(OperationalError(reason)):
        response = stranger.generic(*asked.split())
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.content == b"The platform's database is busy; try again.\n"
    lines = [record for record in caplog.records if record.name == "dtvn.web"]
    assert [record.getMessage() for record in lines] == [f"{asked} was answered with 503: {reason}"]
    assert lines[0].exc_info is None


def test_a_session_that_cannot_be_written_is_not_called_deleted(stranger: Client) -> None:
    stranger.force_login(User.objects.create_superuser("operator", password="x"))
    with (
        override_settings(SESSION_SAVE_EVERY_REQUEST=True),
        failing(OperationalError(LOCKED), statements='UPDATE "django_session"'),
    ):
        response = stranger.get("/admin/")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


def test_a_deleted_session_is_still_a_400(stranger: Client) -> None:
    stranger.force_login(User.objects.create_superuser("operator", password="x"))

    def first_delete(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith('UPDATE "django_session"'):
            execute("DELETE FROM django_session", (), *rest[1:])
        return execute(sql, *rest)

    with override_settings(SESSION_SAVE_EVERY_REQUEST=True), connection.execute_wrapper(first_delete):
        assert stranger.get("/admin/").status_code == 400


def test_an_internal_error_is_still_a_500(stranger: Client) -> None:
    with failing(IntegrityError("NOT NULL constraint failed")):
        response = stranger.post("/admin/login/", {"username": "operator", "password": "x"})
    assert response.status_code == 500
