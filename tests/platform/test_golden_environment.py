"""Tells what each variable of the environment makes of the settings, and which values are refused."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured, RequestAborted

from dtvn.ledger import Location
from tests.api.telling import Story, beside
from tests.golden import Compare
from validators.data_folder import environment, judging
from validators.data_folder.addresses import check_addresses
from validators.ledger.location import database_of, read_only_database_of

URL = "postgresql://me:p%40ss@db.example:5433/tickets"
CASES: dict[str, tuple[str, ...]] = {
    "DTVN_KILL_SILENT_AFTER": ("", "5", "4.9", "3600", "3600.1", "ten", "nan"),
    "CONSENSUS": ("", "pbft", "raft", "Raft"),
    "DTVN_TIME_ZONE": ("", "Europe/Berlin", "Mars/Olympus", "../etc/passwd", "UTC"),
    "DTVN_LOG_FORMAT": ("", "text", "json", "xml"),
    "DATABASE_URL": ("", URL),
    "DTVN_STORAGE_URL": ("", URL),
    "DTVN_STORAGE_PATH": ("", "/srv/ledger"),
    "DTVN_API_KEY": ("", "a key"),
    "DTVN_NODE_PORTS": ("", "20000-20999", "1-65535", "7-7", "0-9", "8-7", "20000-65536", "1", "a-b", "-5-9"),
    "DTVN_ALLOWED_HOSTS": ("", "tickets.example", " a , ,b,localhost"),
}
READ = {
    "DTVN_KILL_SILENT_AFTER": environment.kill_silent_after,
    "CONSENSUS": environment.consensus,
    "DTVN_TIME_ZONE": environment.event_time_zone,
    "DTVN_LOG_FORMAT": environment.log_format,
    "DATABASE_URL": environment.database_url,
    "DTVN_STORAGE_URL": environment.storage_url,
    "DTVN_STORAGE_PATH": environment.storage_path,
    "DTVN_API_KEY": environment.api_key,
    "DTVN_NODE_PORTS": environment.node_ports,
    "DTVN_ALLOWED_HOSTS": environment.allowed_hosts,
}


class Settings:
    """What functions that read the environment answer or refuse."""

    def __init__(self, root: Path) -> None:
        self.story, self.root = Story(exact=True), root
        self.story.hidden[str(root)] = "DATA"
        self.story.hidden[str(environment.REPOSITORY)] = "REPOSITORY"

    def tell(self, what: str, call: Any, *arguments: Any) -> Any:
        try:
            found = call(*arguments)
        except ImproperlyConfigured as error:
            self.story.say(f"{what}: refused, {error}")
            return None
        self.story.say(f"{what}: {found!r}")
        return found


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in (*(each.name for each in environment.VARIABLES), *CASES):
        monkeypatch.delenv(name, raising=False)
    return Settings(tmp_path)


def test_what_variables_make_of_settings(
    golden: Compare, found: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, values in CASES.items():
        found.tell(f"{name} unset", READ[name])
        for value in values:
            monkeypatch.setenv(name, value)
            found.tell(f"{name}={value}", READ[name])
        monkeypatch.delenv(name)
    found.tell("an argument", environment.consensus, "raft")
    found.tell("an empty argument", environment.consensus, "")
    found.story.heading("the data folder")
    found.tell("unset", environment.data_folder)
    monkeypatch.setenv("HOME", str(found.root))
    for value in ("~/here", "/srv/data"):
        monkeypatch.setenv("DTVN_DATA", value)
        found.tell(value, environment.data_folder)
    found.story.heading("the secret key")
    found.tell("without a file", lambda: len(environment.read_secret_key(found.root)))
    found.tell("in a file", lambda: len(environment.read_secret_key(found.root / "secret.key")))
    (found.root / "secret.key").write_text(" \n")
    found.tell("an empty file", lambda: len(environment.read_secret_key(found.root)))
    environment.ensure_secret_key(found.root)
    found.tell("kept", (found.root / "secret.key").read_text)
    (found.root / "secret.key").unlink()
    environment.ensure_secret_key(found.root)
    found.tell("made", lambda: len(environment.read_secret_key(found.root)))
    found.tell("with the mode", lambda: oct((found.root / "secret.key").stat().st_mode & 0o777))
    monkeypatch.setenv("DTVN_SECRET_KEY", "of the environment")
    found.tell("named", environment.read_secret_key, found.root)
    found.tell("a cookie's name", environment.cookie_name, "session", "one key")
    found.tell("of another platform", environment.cookie_name, "session", "other key")
    found.story.heading("a follower's folder")
    path = found.root / "cluster" / "follow.json"
    found.tell("none", environment.following, found.root)
    path.parent.mkdir()
    for text in ('{"start": "a"}', "[]", "{"):
        path.write_text(text)
        found.tell(text, environment.following, found.root)
    golden(beside(__file__, "environment"), str(found.story))


def test_which_servers_are_used(golden: Compare, found: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def databases(title: str) -> None:
        found.story.say(title)
        for alias, entry in environment.databases(found.root).items():
            found.story.say(f"  {alias}")
            for name, value in entry.items():
                found.story.say(f"    {name}: {value!r}")

    databases("files")
    for url in (URL, f"{URL}?sslmode=require&connect_timeout=2&options=-c%20x%3Dy"):
        monkeypatch.setenv("DATABASE_URL", url)
        databases(url)
    for place in (
        Location(found.root / "ledger"),
        Location(found.root / "ledger", url=f"{URL}?connect_timeout=2", schema="ledger_0"),
        Location(found.root / "ledger", url=URL, schema="ledger_0"),
    ):
        found.story.say(f"a ledger at {place.url or 'a file'}")
        for reading, entry in (("written", database_of(place)), ("read", read_only_database_of(place))):
            found.story.say(f"  {reading}")
            for name, value in entry.items():
                found.story.say(f"    {name}: {value!r}")
    found.story.heading("brokers")
    for url in ("", "amqp://me:x@broker//", "pyamqp://b//", "redis://r/2", "filesystem://localhost//"):
        monkeypatch.setenv("CELERY_BROKER_URL", url)
        found.tell(url, environment.broker, found.root)
    for url in ("amqp://me:secret@broker:5672//", "redis://:secret@[::1]:6379/0", "http://[", "redis://h:x/"):
        found.tell(url, environment.without_password, url)
    found.story.heading("addresses")
    for name, urls in {
        "DATABASE_URL": ("", URL, "mysql://h/d", "postgresql://h/", "postgresql:///?service=s", f"{URL}?x=1"),
        "DTVN_STORAGE_URL": (URL, "postgres://h/d", "sqlite:///x", "postgresql:h"),
        "CELERY_BROKER_URL": (
            "amqp://a;redis://r/1",
            "amqp://a;ftp://r",
            "kafka://h",
            "redis://r/x",
            "redis+socket:///run/r.sock",
            "redis://r:0/1",
            "redis://r:99999/1",
            "words",
        ),
    }.items():
        for url in urls:
            found.tell(f"{name}={url}", check_addresses, {name: url})
    golden(beside(__file__, "environment_servers"), str(found.story))


@contextmanager
def asking(*_: object) -> Iterator[Any]:
    yield SimpleNamespace(fileno=lambda: 7)


def test_which_host_names_are_answered(
    golden: Compare, found: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On all addresses: those of the machine's interfaces and of its name."""

    def address(_file: int, number: int, request: bytes) -> bytes:
        name = request.rstrip(b"\0").decode()
        found.story.say(f"  interface {name}, {len(request)} bytes, {number:#x}")
        if name == "tunnel":
            raise OSError
        return struct.pack("20s4B", b"", 192, 0, 2, len(name))

    monkeypatch.setattr(environment, "fcntl", SimpleNamespace(ioctl=address))
    names = [(1, "lo"), (2, "tunnel"), (3, "an-interface-with-a-long-name")]
    resolved: list[Any] = [(2, 1, 6, "", ("198.51.100.7", 0)), (10, 1, 6, "", ("2001:db8::1", 0, 0, 0))]

    def lookup(name: str, port: object) -> list[Any]:
        if not resolved:
            raise OSError
        return [*resolved]

    machine = {
        "if_nameindex": lambda: names,
        "gethostname": lambda: "here",
        "getaddrinfo": lookup,
        "socket": asking,
        "AF_INET": socket.AF_INET,
        "SOCK_DGRAM": socket.SOCK_DGRAM,
        "inet_ntoa": socket.inet_ntoa,
    }
    monkeypatch.setattr(environment, "socket", SimpleNamespace(**machine))
    for host in (
        "",
        "127.0.0.1",
        "192.0.2.7",
        "2001:db8::7",
        "tickets.example",
        *sorted(environment.WILDCARD_HOSTS),
    ):
        monkeypatch.setenv("DTVN_HOST", host)
        found.tell(f"DTVN_HOST={host}", environment.allowed_hosts)
    resolved.clear()
    monkeypatch.setenv("DTVN_ALLOWED_HOSTS", "more.example")
    found.tell("a name that is not found", environment.allowed_hosts)
    golden(beside(__file__, "environment_hosts"), str(found.story))


def test_how_events_are_to_be_judged(
    golden: Compare, found: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(what: str, named: str) -> None:
        monkeypatch.setenv(judging.VARIABLE, named)
        found.tell(what, lambda: (made := judging.events_config()) and (made.node_id, made.consensus_config))

    told("nothing", "")
    for named in ("small", "high-security", "none_such"):
        told(named, named)
    texts = {
        "a.toml": 'node_id = "n"\n[consensus_config]\nalgorithm = "majority"\n',
        "b.json": '{"consensus_config": {"algorithm": "unanimous"}}',
        "c.json": "[]",
        "d.toml": "a = ",
        "e.toml": 'other = "x"\n',
    }
    for name, text in texts.items():
        (found.root / name).write_text(text)
        told(text, str(found.root / name))
    told("a folder", str(found.root))
    monkeypatch.setenv("HOME", str(found.root))
    told("below the home", "~/b.json")
    golden(beside(__file__, "environment_judging"), str(found.story))


def test_expected_answers_are_no_errors_in_the_log() -> None:
    def passes(status: int | None) -> bool:
        line = logging.LogRecord("django.request", logging.ERROR, "x", 1, "m", (), None)
        if status is not None:
            line.status_code = status
        return environment.ExpectedAnswers().filter(line)

    assert [status for status in (None, 400, 404, 499, 500, 502, 503, 504, 505) if passes(status)] == [
        None,
        500,
        502,
        505,
    ]


def test_clients_that_left_are_no_errors_in_the_log() -> None:
    def passes(error: Exception | None) -> bool:
        info = None if error is None else (type(error), error, None)
        line = logging.LogRecord("asyncio", logging.ERROR, "x", 1, "m", (), info)
        return environment.ClientsThatLeft().filter(line)

    assert [passes(None), passes(RequestAborted()), passes(ValueError())] == [True, False, True]
