"""A server that the environment names wrongly, or that is not there, is one clear line at the start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from dtvn.node.options import StartError
from dtvn_project import environment
from tests.ports import free_ports
from tests.waiting import PATIENCE
from validators.processes.servers import check_broker, check_redis

ROOT = Path(__file__).parents[2]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A bound port on which no server listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE_URL", "nonsense", "must start with postgresql://"),
        ("DATABASE_URL", "mysql://me:secret@db/tickets", "must start with postgresql://"),
        ("DATABASE_URL", "postgresql://me:secret@db:port/tickets", "DATABASE_URL is not a valid URL"),
        ("DATABASE_URL", "postgresql://[db/tickets", "DATABASE_URL is not a valid URL"),
        ("DATABASE_URL", "postgresql://me:secret@db", "names no database"),
        ("REDIS_URL", "nonsense", "must start with redis://"),
        ("REDIS_URL", "redis://:secret@cache:port/1", "REDIS_URL is not a valid URL"),
    ],
)
def test_an_invalid_address_is_refused_by_its_variable_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    read = environment.channel_layers if name == "REDIS_URL" else partial(environment.databases, tmp_path)
    with pytest.raises(ImproperlyConfigured, match=said) as refused:
        read()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_an_unreachable_broker_is_reported(closed_port: int, scheme: str) -> None:
    with pytest.raises(
        StartError, match=rf"^CELERY_BROKER_URL={scheme}://127.0.0.1:{closed_port}/: .*refused"
    ):
        check_broker(f"{scheme}://me:secret@127.0.0.1:{closed_port}//")


def test_a_silent_broker_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(StartError, match=rf"^CELERY_BROKER_URL=amqp://127.0.0.1:{port}/: .*timed out"):
            check_broker(f"amqp://me:secret@127.0.0.1:{port}//")


def test_an_unknown_broker_is_reported() -> None:
    with pytest.raises(StartError, match=r"^CELERY_BROKER_URL: unknown broker 'bogus'$"):
        check_broker("bogus://me:secret@x")


def test_an_unreachable_redis_is_reported(closed_port: int) -> None:
    with pytest.raises(StartError, match=rf"^REDIS_URL=redis://127.0.0.1:{closed_port}/: .*refused"):
        check_redis(f"redis://me:secret@127.0.0.1:{closed_port}/1")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("DATABASE_URL", "mysql://me:secret@x/y", 2),
        ("REDIS_URL", "nonsense", 2),
        ("CELERY_BROKER_URL", "bogus://x", 1),
    ],
)
def test_the_network_does_not_start_with_an_unusable_server(
    tmp_path: Path, name: str, value: str, code: int
) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "up", "--port", "0" if code == 2 else str(free_ports(1)[0])],
        cwd=ROOT,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "dtvn_project.settings", "DTVN_DATA": str(tmp_path), name: value},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert name in line
    assert "secret" not in line
    assert ended.stdout == ""
