"""Variables of the environment: what they mean, and values that are refused by the name of the variable."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured, RequestAborted

from validators.data_folder import environment
from validators.data_folder.judging import events_config

REFUSED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "DTVN_KILL_SILENT_AFTER": (environment.kill_silent_after, ("4.9", "3600.1", "ten", "nan")),
    "CONSENSUS": (environment.consensus, ("Raft",)),
    "DTVN_TIME_ZONE": (environment.event_time_zone, ("Mars/Olympus", "../etc/passwd")),
    "DTVN_LOG_FORMAT": (environment.log_format, ("xml",)),
    "DTVN_NODE_PORTS": (environment.node_ports, ("0-9", "8-7", "20000-65536", "1", "a-b", "-5-9")),
    "DTVN_EVENTS_CONFIG": (events_config, ("none_such", "/")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_that_cannot_be_meant_is_refused_by_its_variable(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, values = REFUSED[name]
    for value in values:
        monkeypatch.setenv(name, value)
        with pytest.raises(ImproperlyConfigured, match=f"^{name}={value} "):
            read()
    monkeypatch.setenv(name, "")
    read()


@pytest.mark.parametrize(
    ("text", "said"), [("[]", "an object"), ("a = ", "Invalid value"), ('other = "x"', "`other`")]
)
def test_a_judging_file_that_cannot_be_meant_is_refused(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ("c.json" if text == "[]" else "c.toml")
    file.write_text(text)
    monkeypatch.setenv("DTVN_EVENTS_CONFIG", str(file))
    with pytest.raises(ImproperlyConfigured, match=f"^DTVN_EVENTS_CONFIG={file}: ") as refused:
        events_config()
    assert said.removeprefix("an ") in str(refused.value)


def test_ports_and_times_are_read_up_to_their_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, ports in (("1-65535", range(1, 65_536)), ("7-7", range(7, 8))):
        monkeypatch.setenv("DTVN_NODE_PORTS", value)
        assert environment.node_ports() == ports
    for value in ("5", "3600"):
        monkeypatch.setenv("DTVN_KILL_SILENT_AFTER", value)
        assert environment.kill_silent_after() == float(value)


def test_a_secret_key_is_made_once_and_only_its_owner_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DTVN_SECRET_KEY", raising=False)
    environment.ensure_secret_key(tmp_path)
    first = environment.read_secret_key(tmp_path)
    environment.ensure_secret_key(tmp_path)
    assert environment.read_secret_key(tmp_path) == first
    assert len(first) >= 64
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["[]", "{"])
def test_a_damaged_record_of_a_follower_is_refused(text: str, tmp_path: Path) -> None:
    assert environment.following(tmp_path) is None
    path = tmp_path / "cluster" / "follow.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ImproperlyConfigured, match=r"follow\.json is damaged"):
        environment.following(tmp_path)


@pytest.mark.parametrize("url", ["postgresql://me:p%40ss@h:5433/d", "postgresql://h/d?options=-c%20x%3Dy"])
def test_the_learner_is_only_read_whatever_the_address_says(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    options = environment.databases(tmp_path)["learner"]["OPTIONS"]["options"]
    assert "-c search_path=learner" in options
    assert "default_transaction_read_only=on" in options


def test_a_broker_is_shown_without_its_password() -> None:
    assert environment.without_password("amqp://me:secret@broker:5672//") == "amqp://broker:5672/"
    assert environment.without_password("redis://:secret@[::1]:6379/0") == "redis://[::1]:6379/"
    assert environment.without_password("http://[") == "(no URL)"


def test_expected_answers_are_no_errors_in_the_log() -> None:
    def passes(status: int | None) -> bool:
        line = logging.LogRecord("django.request", logging.ERROR, "x", 1, "m", (), None)
        if status is not None:
            line.status_code = status
        return environment.ExpectedAnswers().filter(line)

    told = [status for status in (None, 400, 404, 499, 500, 502, 503, 504, 505) if passes(status)]
    assert told == [None, 500, 502, 505]


def test_clients_that_left_are_no_errors_in_the_log() -> None:
    def passes(error: Exception | None) -> bool:
        info = None if error is None else (type(error), error, None)
        line = logging.LogRecord("asyncio", logging.ERROR, "x", 1, "m", (), info)
        return environment.ClientsThatLeft().filter(line)

    assert [passes(None), passes(RequestAborted()), passes(ValueError())] == [True, False, True]
