"""Settings follow the environment; the defaults are embedded and closed."""

import logging
from pathlib import Path

import pytest
from django.core.exceptions import DisallowedHost, ImproperlyConfigured, RequestAborted
from django.test import Client, RequestFactory, override_settings

from validators.data_folder import environment
from validators.data_folder.routers import LedgerRouter
from validators.ledger import models as ledger_models
from validators.models import ManagedNode

NAMES = ("DATABASE_URL", "CELERY_BROKER_URL", "DTVN_HOST", "PORT", "DTVN_ALLOWED_HOSTS")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_the_default_needs_no_server(tmp_path: Path) -> None:
    databases = environment.databases(tmp_path)
    url, options = environment.broker(tmp_path)
    assert {entry["ENGINE"] for entry in databases.values()} == {"django.db.backends.sqlite3"}
    assert url.startswith("filesystem:")
    assert options["data_folder_in"] == options["data_folder_out"]


def test_postgresql_keeps_platform_and_learner_in_schemas_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:p%40ss@db.example:5433/tickets?sslmode=require")
    databases = environment.databases(tmp_path)
    assert databases["default"]["PASSWORD"] == "p@ss"
    assert databases["default"]["PORT"] == "5433"
    assert databases["default"]["OPTIONS"]["sslmode"] == "require"
    assert "search_path=public" in databases["default"]["OPTIONS"]["options"]
    assert "search_path=learner" in databases["learner"]["OPTIONS"]["options"]


def test_another_broker_is_taken_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://r:6379/2")
    url, options = environment.broker(tmp_path)
    assert url == "redis://r:6379/2"
    assert options["socket_timeout"] == environment.BROKER_TIMEOUT


@pytest.mark.parametrize(
    ("host", "expected"),
    [("", "127.0.0.1"), ("192.0.2.7", "192.0.2.7"), ("::1", "[::1]"), ("tickets.example", "tickets.example")],
)
def test_the_bound_host_name_is_allowed(host: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTVN_HOST", host)
    monkeypatch.setenv("HOST", "desktop.example")
    assert expected in environment.allowed_hosts()
    assert "desktop.example" not in environment.allowed_hosts()
    assert "*" not in environment.allowed_hosts()


def test_a_foreign_host_name_is_never_answered() -> None:
    """DNS rebinding: a page on evil.example that resolves to this machine."""
    request = RequestFactory().get("/", headers={"host": "evil.example"})
    with override_settings(ALLOWED_HOSTS=environment.allowed_hosts()), pytest.raises(DisallowedHost):
        request.get_host()


def test_foreign_host_names_are_logged_in_one_line(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    with override_settings(ALLOWED_HOSTS=["127.0.0.1"]):
        page = client.get("/admin/", headers={"host": "evil.example"})
        api = client.get("/api/v1/tickets", headers={"host": "evil.example"})
    assert (page.status_code, api.status_code) == (400, 400)
    assert page.content.count(b"\n") == 1
    assert api.json()["code"] == "bad_host"
    assert "DTVN_ALLOWED_HOSTS" in api.json()["error"]
    assert "Traceback" not in capfd.readouterr().err


def test_health_is_answered_for_any_host_name(client: Client) -> None:
    with override_settings(ALLOWED_HOSTS=["127.0.0.1"]):
        answer = client.get("/health", headers={"host": "evil.example"})
    assert (answer.status_code, answer.json()["status"]) == (200, "healthy")


def test_web_processes_share_cookies_with_their_platform_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8080")
    first = environment.cookie_name("sessionid", "one platform's key")
    assert environment.cookie_name("sessionid", "another one's") != first
    monkeypatch.setenv("PORT", "8081")
    assert environment.cookie_name("sessionid", "one platform's key") == first


def test_the_ledgers_tables_are_never_in_the_platforms_database() -> None:
    router = LedgerRouter()
    assert router.allow_migrate("default", "ledger") is False
    assert router.allow_migrate("learner", "ledger") is True
    assert router.allow_migrate("learner", "auth") is False
    assert router.db_for_read(ledger_models.ConsensusEntry) == "learner"
    assert router.db_for_read(ManagedNode) is None


def test_a_lost_task_is_a_fault_unless_its_client_disconnected() -> None:
    told: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    logger, listener = logging.getLogger("asyncio"), Listener()
    logger.addHandler(listener)
    try:
        for error in (RequestAborted(), RuntimeError("a fault")):
            logger.error("lost: %r", error, exc_info=(type(error), error, None))
    finally:
        logger.removeHandler(listener)
    assert told == ["lost: RuntimeError('a fault')"]


@pytest.mark.parametrize(("text", "told"), [("", "text"), ("json", "json"), ("text", "text")])
def test_the_log_format_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.setenv("DTVN_LOG_FORMAT", text)
    assert environment.log_format() == told


def test_an_unknown_log_format_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTVN_LOG_FORMAT", "xml")
    with pytest.raises(ImproperlyConfigured, match="DTVN_LOG_FORMAT=xml"):
        environment.log_format()
