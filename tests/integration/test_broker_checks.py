"""The check before a start does with a real broker what senders and workers do, and reports in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from kombu.connection import Connection

from dtvn.node.options import StartError
from tests.integration.network import REPOSITORY
from tests.integration.own_brokers import OwnBroker, own_rabbitmq, own_redis
from tests.waiting import PATIENCE, allowed
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.processes.roll_call import ANSWERED_WITHIN, Answering, questions_queue
from validators.processes.servers import check_broker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def said_of(broker: OwnBroker, monkeypatch: pytest.MonkeyPatch, url: str = "") -> str:
    """The refusal, without the broker's address; empty if it can be used."""
    monkeypatch.setenv("CELERY_BROKER_URL", url or broker.url)
    said = ""
    try:
        check_broker(*environment.broker(Path("unused")))
    except StartError as error:
        said = str(error)
    assert "guest" not in said
    assert "\n" not in said
    return said.partition("/: ")[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), ""),
        (("--maxmemory", "1"), "command not allowed when used memory > 'maxmemory'"),
        (("--replicaof", "127.0.0.1 1"), "You can't write against a read only replica"),
        (("--requirepass", "other"), "Authentication required"),
    ],
)
def test_a_redis_that_takes_no_messages_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str
) -> None:
    with own_redis(tmp_path / "redis", *options) as broker:
        assert said in said_of(broker, monkeypatch)
        assert bool(said_of(broker, monkeypatch)) == bool(said)


@pytest.mark.exhaustive
def test_a_rabbitmq_is_used_and_a_foreign_vhost_or_login_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_rabbitmq(tmp_path / "rabbitmq") as broker:
        assert said_of(broker, monkeypatch) == ""
        refused = said_of(broker, monkeypatch, broker.url.replace("guest:guest", "who:else"))
        assert "Login was refused" in refused
        assert "vhost nowhere not found" in said_of(broker, monkeypatch, broker.url[:-1] + "nowhere")
        broker.pause()
        assert said_of(broker, monkeypatch) == "timed out"


@pytest.mark.exhaustive
def test_a_rabbitmq_that_is_short_of_memory_is_refused_by_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_rabbitmq(tmp_path / "rabbitmq", "vm_memory_high_watermark.absolute = 1\n") as broker:
        assert said_of(broker, monkeypatch) == "it takes no messages; is it short of memory or disk?"
        settings = {"DJANGO_SETTINGS_MODULE": "dtvn_project.settings", "DTVN_DATA": str(tmp_path / "data")}
        for command in (["up", "--port", "1"], ["check", "--deploy"]):
            ended = subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=REPOSITORY,
                env=os.environ | settings | {"CELERY_BROKER_URL": broker.url},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            assert ended.returncode == 1
            (line,) = (line for line in ended.stderr.splitlines() if "CELERY_BROKER_URL" in line)
            assert line.endswith("it takes no messages; is it short of memory or disk?")
            assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("own_broker", [own_redis, own_rabbitmq])
def test_workers_of_another_run_refuse_a_start_and_ended_ones_do_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own_broker: Callable[[Path], AbstractContextManager[OwnBroker]],
) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.create()
    folder.identity.write_text("0123456789abcdef\n")
    monkeypatch.setenv("DTVN_DATA", str(folder.root))

    def refused() -> str:
        """What a start says, which takes no longer than it may."""
        began = time.monotonic()
        try:
            check_broker(broker.url, options, folder)
        except StartError as error:
            return str(error)
        finally:
            assert time.monotonic() - began < allowed(2 * ANSWERED_WITHIN)
        return ""

    with own_broker(tmp_path / "broker") as broker:
        monkeypatch.setenv("CELERY_BROKER_URL", broker.url)
        options = environment.broker(folder.root)[1]
        assert refused() == ""
        assert refused() == "", "the question before is no answer"
        with Connection(broker.url, transport_options=options) as connection:
            step, ended = Answering(SimpleNamespace(steps=[])), threading.Event()
            step.start(SimpleNamespace(connection=connection))
            worker = threading.Thread(target=answer_until, args=(connection, ended))
            worker.start()
            try:
                said = refused()
            finally:
                ended.set()
                worker.join(PATIENCE)
            step.stop(SimpleNamespace(connection=connection))
        assert said.startswith(
            f"this platform runs on {os.uname().nodename} with the data folder {folder.root}"
        )
        assert refused() == ""
        with Connection(broker.url) as connection:
            assert questions_queue(folder)(connection.default_channel).purge() == 0


def answer_until(connection: Connection, ended: threading.Event) -> None:
    """What the main process of a worker does."""
    while not ended.is_set():
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.1)
