"""A whole network as a person starts it, for tests: real processes, sockets and disks.

Everything is found by what the system itself says (process lists, the API, files), and everything
that was started is ended, whatever the test did to it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from tests.integration import servers
from tests.ports import block_of_ports, free_ports
from tests.waiting import PATIENCE, wait_until

REPOSITORY = Path(__file__).resolve().parent.parent.parent
START_PATIENCE = 2 * PATIENCE
"""A first start makes keys, databases and pages, then loads the same program some ten times."""

NOT_HANDED_ON = frozenset(
    {
        *("DTVN_HOST", "PORT", "NODES", "CONSENSUS", "DATA"),
        *("DJANGO_SETTINGS_MODULE", "MAKELEVEL", "MAKEFLAGS"),
        *("DTVN_API_KEY", "DTVN_SUPERVISOR", "DTVN_STATIC_DIR", "DTVN_AUTO_START", "DTVN_WS_ORIGINS"),
    }
)


class Patient(httpx.HTTPTransport):
    """Repeats a single ticket operation that was not decided, with the same nonce (R13, R14)."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST" or not is_one_operation(request.url.path):
            return super().handle_request(request)
        body = request.read()
        if b'"nonce"' not in body and "Idempotency-Key" not in request.headers:
            request.headers["Idempotency-Key"] = uuid4().hex
        since = time.monotonic()
        while True:
            response = super().handle_request(request)
            if not self.is_undecided(response) or time.monotonic() - since > PATIENCE:
                return response
            response.close()

    def is_undecided(self, response: httpx.Response) -> bool:
        """Whether to ask again."""
        return response.status_code in (503, 504)


def is_one_operation(path: str) -> bool:
    """Whether what is posted there is one ticket operation, which takes a nonce."""
    return f"{path}/".startswith("/api/v1/tickets/") and not path.endswith("/batch")


class Network:
    """One `up` over one data folder."""

    def __init__(self, data: Path, *, port: int | None = None, environment: Mapping[str, str] = {}) -> None:
        self.data = data
        self.port = port or free_ports(1)[0]
        self._environment = {"DTVN_NODE_PORTS": block_of_ports()} | dict(environment)
        self.program = REPOSITORY
        """The checkout whose programs it runs."""
        self.process: subprocess.Popen[str] | None = None
        self.log = data.parent / f"{data.name}.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, **variables: str) -> None:
        """Of its environment, for what is started later."""
        self._environment |= variables

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
        return kept | {"DTVN_DATA": str(self.data), "PORT": str(self.port)} | self._environment

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A `manage.py` command beside this network, ended."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=self.program,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE,
            check=False,
        )

    def command(self) -> list[str]:
        """What a person would type, but for make."""
        return [sys.executable, "manage.py", "up"]

    def _typed(self) -> list[str]:
        return ["make", "up", f"DATA={self.data}", f"PORT={self.port}"]

    def launch(self, *, through_make: bool = False) -> None:
        """Start without waiting."""
        if self.process is not None:
            self.process.wait(PATIENCE)
        with self.log.open("a") as log:
            self.launch_into(log.fileno(), through_make=through_make)

    def launch_into(self, writing: int, *, through_make: bool = False) -> None:
        """Start without waiting, with an output that is not the log."""
        self.process = subprocess.Popen(
            self._typed() if through_make else self.command(),
            cwd=self.program,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
            text=True,
        )

    def launch_unread(self) -> None:
        """Start with an output pipe that is closed at once without being read."""
        reading, writing = os.pipe()
        os.close(reading)
        self.launch_into(writing)
        os.close(writing)

    def start(self, *, through_make: bool = False) -> None:
        """Start, and return when the credentials appear."""
        self.launch(through_make=through_make)
        wait_until(self.is_ready, timeout=START_PATIENCE, what=lambda: f"ready\n{self.said()}")

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"up ended: {self.said()}"
        return self.credentials_file.exists()

    def said(self) -> str:
        """The end of what `up` printed, for a failure's message."""
        return self.log.read_text(errors="replace")[-4_000:] if self.log.exists() else ""

    @property
    def credentials_file(self) -> Path:
        return self.data / "credentials.json"

    @property
    def credentials(self) -> dict[str, str]:
        return json.loads(self.credentials_file.read_text())

    def client(self, *, patient: bool = True) -> httpx.Client:
        """A program with the first key; `patient`: it asks for undecided outcomes again, as a gate does."""
        return httpx.Client(
            base_url=self.url,
            headers={"X-API-Key": self.credentials["api_key"]},
            timeout=PATIENCE,
            trust_env=False,
            transport=Patient() if patient else httpx.HTTPTransport(),
        )

    def nodes(self) -> dict[str, dict[str, Any]]:
        with self.client() as client:
            return {node["id"]: node for node in client.get("/api/v1/nodes").json()}

    def processes(self) -> list[psutil.Process]:
        """`up` (or make) and everything below it."""
        assert self.process is not None
        try:
            top = psutil.Process(self.process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def titles(self) -> list[str]:
        """What `ps` shows of them."""
        found = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                found.append(" ".join(process.cmdline()))
        return found

    def titled(self, text: str) -> psutil.Process | None:
        """The one living process of this network whose title contains `text`."""
        for process in self.processes():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and text in " ".join(process.cmdline()):
                    return process
            except psutil.NoSuchProcess:
                continue
        return None

    def wait_for_title(self, text: str, *, besides: int = 0, timeout: float = PATIENCE) -> psutil.Process:
        def look() -> psutil.Process | None:
            found = self.titled(text)
            return found if found is not None and found.pid != besides else None

        found = wait_until(look, timeout=timeout, what=f"a process titled {text!r}")
        assert found is not None
        return found

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)

    def end_whatever_is_left(self) -> None:
        left = self.processes()
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=PATIENCE)
        if self.process is not None:
            self.process.wait(PATIENCE)


def contents(folder: Path) -> list[bytes]:
    """Of all files there; others may come and go meanwhile."""
    found = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            found.append(path.read_bytes())
    return found


def lives(process: psutil.Process) -> bool:
    """Whether the process still runs; zombies do not count."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run."""
    return [process for process in processes if lives(process)]


def wait_until_gone(processes: list[psutil.Process], *, timeout: float) -> None:
    wait_until(
        lambda: not living(processes),
        timeout=timeout,
        what=lambda: f"the end of {len(processes)} processes: {living(processes)}",
    )


@contextmanager
def network(data: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[Network]:
    """A network that is stopped after the test, killed if necessary."""
    with servers.place() as place:
        yield from _run(Network(data, environment=place | dict(environment or {})))


def _run(made: Network) -> Iterator[Network]:
    with end_in_order(made):
        yield made


@contextmanager
def end_in_order(made: Network) -> Iterator[None]:
    """Stop the network so that no process survives the test."""
    try:
        yield
    finally:
        try:
            made.stop()
        except subprocess.TimeoutExpired:
            made.end_whatever_is_left()
            raise
        finally:
            made.end_whatever_is_left()


def manage(place: Path, *words: str, **environment: str) -> str:
    """What a command printed that was typed in the folder above the data folders."""
    done = subprocess.run(
        [sys.executable, REPOSITORY / "manage.py", *words],
        cwd=place,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "dtvn_project.settings",
            "DTVN_DATA": str(place / "data"),
            "DTVN_NODE_PORTS": "",
        }
        | environment,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
