"""A PostgreSQL server of one test: made with initdb, on a port of its own, killed and started as the test
wants."""

from __future__ import annotations

import getpass
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

from tests.needed import lacking
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

SYSTEM_USER = "postgres"
"""PostgreSQL refuses to run as root: root starts it as this user."""


class PostgreSQL:
    """One server over one folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_ports(1)[0]
        self.url = f"postgresql://{SYSTEM_USER}@127.0.0.1:{self.port}"
        self._folder = folder
        self._log = folder / "server.log"
        self._user = SYSTEM_USER if getpass.getuser() == "root" else None
        if self._user:
            shutil.chown(folder, self._user)
        self._data = folder / "data"
        initialised = self._run(
            "initdb", "--auth=trust", f"--username={SYSTEM_USER}", "--no-sync", "-D", str(self._data)
        )
        assert initialised.wait(PATIENCE) == 0, self.said()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it takes connections."""
        wait_until(self._tries, what=lambda: f"PostgreSQL answers\n{self.said()}")

    def kill(self) -> None:
        """kill -9 of the server and its backends."""
        assert self._process is not None
        self._send(signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP of the server and its backends: it keeps its connections and takes new ones, and answers
        nothing. Goes on afterwards."""
        self._send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        """The server first: a paused one makes no further backends."""
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        server.send_signal(number)
        for backend in server.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                backend.send_signal(number)

    def database(self, name: str = "dtvn") -> str:
        """The URL of a new database."""
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
        return f"{self.url}/{name}"

    def said(self) -> str:
        """The end of the server's log, for a failure's message."""
        return self._log.read_text(errors="replace")[-2_000:] if self._log.exists() else ""

    def _tries(self) -> bool:
        """Whether it answers; a killed server's memory may be in use for a moment, so it is started again."""
        if self._process is None or self._process.poll() is not None:
            self._process = self._run(
                *("postgres", "-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1"),
                *("-k", str(self._folder), "-c", "max_connections=200"),
            )
        with suppress(psycopg.OperationalError):
            psycopg.connect(f"{self.url}/postgres", connect_timeout=2).close()
            return True
        return False

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [programs() / program, *arguments],
                cwd=self._folder,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def close(self) -> None:
        if self._process is not None:
            self.kill()


def programs() -> Path:
    """Folder of the newest server installed here; Debian keeps it out of PATH."""
    if in_path := shutil.which("initdb"):
        return Path(in_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        lacking("no PostgreSQL server on this machine: apt-get install postgresql")
    return found[-1].parent


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A running server, gone afterwards. Its folder is short-lived and readable by its own user only, so not
    below pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="dtvn-postgresql-"))
    try:
        server = PostgreSQL(folder)
        try:
            server.start()
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder)
