"""Several platforms on the servers of one operator: refused on one database, apart on one broker.
Each test starts the servers that it needs."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import kombu
import pytest

from tests.integration.network import REPOSITORY, Network, network
from tests.integration.own_brokers import own_rabbitmq, own_redis
from tests.integration.postgresql import postgresql
from tests.integration.test_process_life import consume
from tests.waiting import PATIENCE, allowed, wait_until
from validators.services.platform import NODES, fingerprint, queue_name

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_500)]

REFUSED_WITHIN = 2.0
"""Seconds from the start of the process to its exit, less those in which an interpreter starts and imports
the same, which is nearly all: the best of ATTEMPTS."""
WORK = 0.5
"""Seconds of these in which it may use the processor. By the clock other programs count as well."""
ATTEMPTS = 3
IMPORTED = "import django; django.setup(); import validators.processes.supervisor"
OLD = (("validators", "0007"), ("tickets", "0003"))
"""Migrations before the platform had an identity."""
HOLDER = """INSERT INTO tickets_ticketholder
    (event, ticket, name, email, phone, company, address, salt, secret_digest, imported_at)
    VALUES ('default', 'TICKET-001', 'Ada Lovelace', '', '', '', '', x'00', '', '2026-01-01')"""
IDENTITY_TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'validators_platform'"
KEPT = ("validators_managednode", "validators_apikey", "auth_user", "auth_group")


@pytest.fixture
def database() -> Iterator[str]:
    with postgresql() as server:
        yield server.database()


def refusal(second: Network) -> str:
    """The one line with which `up` refuses to start, in time."""
    imports = [timed(second, [sys.executable, "-c", IMPORTED]) for _ in range(ATTEMPTS)]
    runs = [timed(second, second.command()) for _ in range(ATTEMPTS)]
    said = set()
    for run in runs:
        assert (run.ended.returncode, run.ended.stdout) == (1, ""), run.ended.stderr
        said.update(run.ended.stderr.splitlines())
    assert min(run.processor for run in runs) - min(run.processor for run in imports) < WORK
    assert min(run.clock for run in runs) - min(run.clock for run in imports) < allowed(REFUSED_WITHIN)
    (line,) = said
    return line


class Timed(NamedTuple):
    """A process that ended, and its seconds from start to exit."""

    clock: float
    processor: float
    ended: subprocess.CompletedProcess[str]


def timed(platform: Network, command: list[str]) -> Timed:
    """Run a command with the platform's environment."""
    began, used = time.monotonic(), processor_of_children()
    ended = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=platform.environment() | {"DJANGO_SETTINGS_MODULE": "dtvn_project.settings"},
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    return Timed(time.monotonic() - began, processor_of_children() - used, ended)


def processor_of_children() -> float:
    """Seconds of all processes that this one waited for: no other ends while a command runs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.exhaustive
def test_a_second_platform_on_one_database_is_refused(tmp_path: Path, database: str) -> None:
    on_it = {"DATABASE_URL": database, "NODES": "1"}
    with network(tmp_path / "first", environment=on_it) as first:
        first.start()
        identity = (first.data / "platform" / "identity").read_text().strip()
        other = Network(tmp_path / "other", environment=on_it)
        said = refusal(other)
        assert "the platform's database belongs to another platform (cluster " in said
        assert f"data folder {first.data}" in said
        assert "secret" not in said
        assert not (other.data / "platform" / "identity").exists()
        copy = Network(tmp_path / "copy", environment=on_it)
        (copy.data / "platform").mkdir(parents=True)
        shutil.copy(first.data / "platform" / "identity", copy.data / "platform")
        assert f"this platform runs on {os.uname().nodename}" in refusal(copy)
        with first.client() as client:
            assert client.post("/api/v1/tickets/seed").status_code == 200
            consume(client, "TICKET-001")
        first.stop()
        assert "belongs to another platform" in refusal(other)
        first.start()
        assert first.process is not None
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(PATIENCE)
        first.start()
        assert (first.data / "platform" / "identity").read_text().strip() == identity


def rows(platform: sqlite3.Connection) -> dict[str, int]:
    """Number of rows by table of KEPT."""
    return {table: platform.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in KEPT}  # noqa: S608


TAKE = """import sys, django; django.setup()
from pathlib import Path
from validators.data_folder.folder import DataFolder
from validators.processes.platform_lease import PlatformLease
folder = DataFolder(Path(sys.argv[1]))
folder.create()
PlatformLease(folder).take()
"""


def test_of_platforms_that_meet_on_a_new_database_one_starts(tmp_path: Path, database: str) -> None:
    """The others are told why, and not of a table that was made meanwhile."""
    environment = os.environ | {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "dtvn_project.settings"}
    ended = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE, str(tmp_path / str(number))],
            cwd=REPOSITORY,
            env=environment | {"DTVN_DATA": str(tmp_path / str(number))},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    said = [process.communicate(timeout=4 * PATIENCE)[1].strip().rpartition("\n")[2] for process in ended]
    assert sorted(process.returncode for process in ended) == [0, 1, 1]
    assert all("belongs to another platform" in line for line in said if line), said


@pytest.mark.exhaustive
@pytest.mark.embedded_only
def test_a_platform_from_before_the_identity_starts_with_all_its_rows(tmp_path: Path) -> None:
    with network(tmp_path / "data", environment={"NODES": "1"}) as old:
        old.start()
        with old.client() as client:
            assert client.post("/api/v1/tickets/seed").status_code == 200
        old.stop()
        database, identity = old.data / "platform" / "platform.sqlite3", old.data / "platform" / "identity"
        for app, name in OLD:
            step = [sys.executable, "manage.py", "migrate", app, name]
            assert timed(old, step).ended.returncode == 0
        identity.unlink()
        with sqlite3.connect(database) as platform:
            platform.execute(HOLDER)
            assert not platform.execute(IDENTITY_TABLE).fetchall()
            before = rows(platform)
            assert all(before.values())
        old.start()
        with old.client() as client:
            assert client.get("/api/v1/tickets?limit=1").headers["X-Total-Count"] == "500"
            consume(client, "TICKET-001")
        with sqlite3.connect(database) as platform:
            (row,) = platform.execute("SELECT platform_id, secret_fingerprint FROM validators_platform")
            assert platform.execute('SELECT name, "order" FROM tickets_ticketholder').fetchall() == [
                ("Ada Lovelace", "")
            ]
            assert rows(platform) == before
        assert identity.read_text().strip() == row[0]
        assert row[1] == fingerprint(row[0], (old.data / "secret.key").read_text())


@pytest.mark.exhaustive
def test_two_platforms_share_a_broker_and_not_its_queues(tmp_path: Path, database: str) -> None:
    folders = tmp_path / "first", tmp_path / "second"
    with own_rabbitmq(tmp_path / "broker") as broker:
        on_it = {"CELERY_BROKER_URL": broker.url, "NODES": "1"}
        with (
            network(folders[0], environment=on_it) as first,
            network(folders[1], environment=on_it | {"DATABASE_URL": database}) as second,
        ):
            first.launch()
            second.start()
            wait_until(first.is_ready, what=first.said)
            for each in (first, second):
                with each.client() as client:
                    assert client.post("/api/v1/tickets/seed").status_code == 200
                    consume(client, "TICKET-001")
            with kombu.Connection(broker.url) as connection:
                for folder in folders:
                    identity = (folder / "platform" / "identity").read_text()
                    kombu.Queue(queue_name(identity, NODES))(connection.default_channel).queue_declare(
                        passive=True
                    )


def test_a_copy_on_its_originals_broker_is_refused(tmp_path: Path) -> None:
    """It has a database of its own, so no lease tells of the original."""
    with own_redis(tmp_path / "broker") as broker:
        on_it = {"CELERY_BROKER_URL": broker.url, "NODES": "1", "DATABASE_URL": ""}
        with network(tmp_path / "first", environment=on_it) as first:
            first.start()
            copy = Network(tmp_path / "copy", environment=on_it)
            (copy.data / "platform").mkdir(parents=True)
            shutil.copy(first.data / "platform" / "identity", copy.data / "platform")
            said = refusal(copy)
            assert f"this platform runs on {os.uname().nodename} with the data folder {first.data}: " in said
            assert "CELERY_BROKER_URL" in said
            assert first.process is not None
            first.process.send_signal(signal.SIGKILL)
            first.process.wait(PATIENCE)
            first.start()
