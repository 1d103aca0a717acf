"""A database that is locked, full or damaged is a 503 on pages and in the admin, and one line in the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection, connections
from django.test import Client, override_settings

from tests.disks import read_only
from tests.team_keys import store_key
from validators.rest import keys

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

BUSY = b"The platform's database is busy; try again.\n"


def refused(message: str, code: int) -> OperationalError:
    """The error as Django raises it, with the driver's as its cause."""
    error, cause = OperationalError(message), sqlite3.OperationalError(message)
    cause.sqlite_errorcode = code
    error.__cause__ = cause
    return error


LOCKED = refused("database is locked", sqlite3.SQLITE_BUSY)
FAILURES = {
    "locked": (LOCKED, BUSY),
    "full": (
        refused("database or disk is full", sqlite3.SQLITE_FULL),
        b"The platform's database has no room left on its disk.\n",
    ),
    "damaged": (
        refused("database disk image is malformed", sqlite3.SQLITE_CORRUPT_INDEX),
        b"The platform's database is damaged: stop the platform and restore a backup (manage.py restore).\n",
    ),
}


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


@pytest.mark.parametrize("what", FAILURES)
@pytest.mark.parametrize("asked", ["POST /admin/login/", "GET /admin/", "GET /"])
def test_a_page_says_how_the_database_failed(
    stranger: Client, caplog: pytest.LogCaptureFixture, asked: str, what: str
) -> None:
    failure, sentence = FAILURES[what]
    stranger.force_login(User.objects.create_superuser("operator", password="x"))
    with failing(failure):
        response = stranger.generic(*asked.split())
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.content == sentence
    lines = [record for record in caplog.records if record.name == "dtvn.web"]
    assert [record.getMessage() for record in lines] == [f"{asked} was answered with 503: {failure}"]
    assert lines[0].exc_info is None


@pytest.mark.django_db(transaction=True, databases=["default", "learner"])
def test_on_a_read_only_disk_pages_and_api_say_so(stranger: Client) -> None:
    keys.forget()
    store_key("key", label="suite", scopes=["admin"])
    connections.close_all()
    with read_only(settings.DATA):
        page = stranger.post("/admin/login/", {"username": "operator", "password": "x"})
        api = stranger.post("/api/v1/nodes/r0/start", headers={"X-API-Key": "key"})
        connections.close_all()
    sentence = "The platform's database is read-only: its file or folder takes no writes."
    assert (page.status_code, page.content.decode()) == (503, f"{sentence}\n")
    assert (api.status_code, api.json()) == (503, {"error": sentence, "code": "database_read_only"})


def test_a_session_that_cannot_be_written_is_not_called_deleted(stranger: Client) -> None:
    stranger.force_login(User.objects.create_superuser("operator", password="x"))
    with (
        override_settings(SESSION_SAVE_EVERY_REQUEST=True),
        failing(LOCKED, statements='UPDATE "kept_sessions_session"'),
    ):
        response = stranger.get("/admin/")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


def test_a_deleted_session_is_still_a_400(stranger: Client) -> None:
    stranger.force_login(User.objects.create_superuser("operator", password="x"))

    def first_delete(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith('UPDATE "kept_sessions_session"'):
            execute("DELETE FROM kept_sessions_session", (), *rest[1:])
        return execute(sql, *rest)

    with override_settings(SESSION_SAVE_EVERY_REQUEST=True), connection.execute_wrapper(first_delete):
        assert stranger.get("/admin/").status_code == 400


def test_an_internal_error_is_still_a_500(stranger: Client) -> None:
    with failing(IntegrityError("NOT NULL constraint failed")):
        response = stranger.post("/admin/login/", {"username": "operator", "password": "x"})
    assert response.status_code == 500
