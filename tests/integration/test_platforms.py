"""Several platforms on the servers of one operator: refused on one database, apart on one broker."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest

from tests.integration import servers
from tests.integration.network import REPOSITORY, Network, network
from tests.integration.test_process_life import consume
from tests.needed import lacking
from tests.waiting import PATIENCE, allowed, wait_until
from validators.services.platform import NODES, queue_name

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_500)]

REFUSED_WITHIN = 2.0
"""Seconds of processor time: it waits for nothing, and a busy machine counts the same."""


@pytest.fixture
def database() -> Iterator[str]:
    if why := servers.missing():
        lacking(why)
    with servers.database() as url:
        yield url


def refusal(second: Network) -> str:
    """The one line with which `up` refuses to start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        second.command(),
        cwd=REPOSITORY,
        env=second.environment(),
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < allowed(REFUSED_WITHIN)
    assert (ended.returncode, ended.stdout) == (1, ""), ended.stderr
    (line,) = ended.stderr.splitlines()
    return line


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


def test_two_platforms_share_a_broker_and_not_its_queues(tmp_path: Path, database: str) -> None:
    folders = tmp_path / "first", tmp_path / "second"
    with servers.rabbitmq(*folders) as broker:
        on_it = {"CELERY_BROKER_URL": broker, "NODES": "1"}
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
            with kombu.Connection(broker) as connection:
                for folder in folders:
                    identity = (folder / "platform" / "identity").read_text()
                    kombu.Queue(queue_name(identity, NODES))(connection.default_channel).queue_declare(
                        passive=True
                    )
