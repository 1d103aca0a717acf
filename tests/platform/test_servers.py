"""A server that the environment names wrongly, or that is not there, is one clear line at the start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from dtvn.node.options import StartError
from tests.support.table import table
from tests.waiting import PATIENCE
from validators.data_folder.addresses import check_addresses
from validators.processes.servers import check_broker

ROOT = Path(__file__).parents[2]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A bound port on which no server listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@table(
    ("name", "value", "said"),
    [
        ("DATABASE_URL", "nonsense", "must start with postgresql://"),
        ("DATABASE_URL", "mysql://me:secret@db/tickets", "must start with postgresql://"),
        ("DATABASE_URL", "postgresql://me:secret@db:port/tickets", "DATABASE_URL is not a valid URL"),
        ("DATABASE_URL", "postgresql://[db/tickets", "DATABASE_URL is not a valid URL"),
        ("DATABASE_URL", "postgresql://me:secret@db:0/tickets", "DATABASE_URL is not a valid URL"),
        ("DATABASE_URL", "postgresql://me:secret@db", "names no database"),
        ("DATABASE_URL", "postgresql://me:secret@db/a?secret=1", "an option or a character"),
        ("DTVN_STORAGE_URL", "mysql://me:secret@db/tickets", "must start with postgresql://"),
        ("CELERY_BROKER_URL", "nonsense", "unknown broker 'nonsense'; amqp:// and redis:// are known"),
        ("CELERY_BROKER_URL", "memory://me:secret@x", "unknown broker 'memory'"),
        ("CELERY_BROKER_URL", "sentinel://me:secret@x", "unknown broker 'sentinel'"),
        ("CELERY_BROKER_URL", "redis://me:secret@cache:port/0", "CELERY_BROKER_URL is not a valid URL"),
        ("CELERY_BROKER_URL", "redis://me:secret@cache/one", "redis://host:port/0"),
        ("CELERY_BROKER_URL", "amqp://me:secret@one;bogus://two", "unknown broker 'bogus'"),
    ],
    count=14,
)
def test_an_invalid_address_is_refused_by_its_variable_name(name: str, value: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said) as refused:
        check_addresses({name: value})
    assert name in str(refused.value)
    assert "secret" not in str(refused.value)


def test_addresses_of_known_servers_are_accepted() -> None:
    for broker in ("amqps://a:b@h1:5671//;amqp://h2", "rediss://h:6379/3", "redis+socket:///run/r.sock", ""):
        check_addresses({"CELERY_BROKER_URL": broker})
    for database in ("postgresql://a:b@/tickets?host=/run/pg", "postgres://?service=dtvn"):
        check_addresses({"DATABASE_URL": database, "DTVN_STORAGE_URL": database})


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_an_unreachable_broker_is_reported(closed_port: int, scheme: str) -> None:
    with pytest.raises(
        StartError, match=rf"^CELERY_BROKER_URL={scheme}://127.0.0.1:{closed_port}/: .*refused"
    ):
        check_broker(f"{scheme}://me:secret@127.0.0.1:{closed_port}//", {})


def test_a_silent_broker_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(StartError, match=rf"^CELERY_BROKER_URL=amqp://127.0.0.1:{port}/: .*timed out"):
            check_broker(f"amqp://me:secret@127.0.0.1:{port}//", {})


@pytest.mark.parametrize("command", ["up", "web", "config", "members show", "backup"])
def test_every_command_refuses_an_invalid_address_in_one_line(tmp_path: Path, command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", *command.split()],
        cwd=ROOT,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "dtvn_project.settings", "DTVN_DATA": str(tmp_path)}
        | {"CELERY_BROKER_URL": "bogus://me:secret@x"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    name = command.split()[0]
    said = f"manage.py {name}: CELERY_BROKER_URL: unknown broker 'bogus'; amqp:// and redis:// are known\n"
    assert (ended.returncode, ended.stderr, ended.stdout) == (2, said, "")
