"""A RabbitMQ or a Redis that a test starts, kills and starts again, with a folder and ports of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.needed import lacking
from tests.ports import LOOPBACK, free_ports
from tests.waiting import PATIENCE, wait_until


class OwnBroker:
    """One server process over one folder; `command` is run anew by each start."""

    def __init__(
        self, url: str, port: int, command: Sequence[str], folder: Path, settings: Mapping[str, str]
    ) -> None:
        self.url = url
        self._port = port
        self._command = list(command)
        self._environment = os.environ | {"HOME": str(folder)} | dict(settings)
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once a client can connect."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, what=lambda: f"{self.url} answers: {self._log.read_text()[-2_000:]}")

    def kill(self) -> None:
        """SIGKILL to the server and all that it started."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(PATIENCE)

    def pause(self) -> None:
        """Its connections stay open, and nothing is answered until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        server = psutil.Process(self._process.pid)
        for process in [*server.children(recursive=True), server]:
            with suppress(psutil.NoSuchProcess):  # it ended with its parent
                process.send_signal(number)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-2_000:]
        try:
            socket.create_connection((LOOPBACK, self._port), PATIENCE).close()
        except ConnectionRefusedError:
            return False
        return True


@contextmanager
def own_redis(folder: Path, *options: str) -> Iterator[OwnBroker]:
    """`options` as on the command line of redis-server. Keeps nothing on disk."""
    server = shutil.which("redis-server")
    if server is None:
        lacking("no redis-server on this machine: apt-get install redis-server")
    folder.mkdir()
    (port,) = free_ports(1)
    command = [server, "--bind", LOOPBACK, "--port", str(port), "--dir", str(folder), "--save", "", *options]
    yield from _run(OwnBroker(f"redis://{LOOPBACK}:{port}/0", port, command, folder, {}))


@contextmanager
def own_rabbitmq(folder: Path, settings: str = "") -> Iterator[OwnBroker]:
    """`settings` is the text of its rabbitmq.conf."""
    folder.mkdir()
    port, distribution, names = free_ports(3)
    (folder / "rabbitmq.conf").write_text(settings)
    (folder / "environment.conf").touch()
    environment = {
        "ERL_EPMD_PORT": str(names),
        "RABBITMQ_NODENAME": "dtvn-tests@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "environment.conf"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }
    url = f"amqp://guest:guest@{LOOPBACK}:{port}//"
    made = OwnBroker(url, port, [_rabbitmq_server()], folder, environment)
    with subprocess.Popen(["epmd", "-address", LOOPBACK, "-port", str(names)]) as port_mapper:
        try:
            yield from _run(made)
        finally:
            port_mapper.kill()


def _rabbitmq_server() -> str:
    """The script itself: the one on Debian's PATH runs as another user, without our environment."""
    if os.environ.get("TEST_RABBITMQ_SERVER"):
        return os.environ["TEST_RABBITMQ_SERVER"]
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server"))
    if not found or shutil.which("epmd") is None:
        lacking(
            "no rabbitmq-server on this machine: apt-get install rabbitmq-server (or TEST_RABBITMQ_SERVER)"
        )
    return str(found[-1])


def _run(made: OwnBroker) -> Iterator[OwnBroker]:
    try:
        made.start()
        yield made
    finally:
        made.kill()
