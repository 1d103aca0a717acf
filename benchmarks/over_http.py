"""Clients over HTTP/1.1 with connections that stay open, and the network that `make up` starts."""

from __future__ import annotations

import http.client
import json
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cluster import POLL_SECONDS, free_ports
from benchmarks.cost import REPOSITORY
from benchmarks.load import Rates
from dtvn.waiting import look_until

START_SECONDS = 420.0
STOP_SECONDS = 60.0
TIMEOUT = 60.0
ALREADY_DONE = 409
SERVERS = ("DATABASE_URL", "CELERY_BROKER_URL", "REDIS_URL", "DTVN_API_KEY")
"""Variables that would move the network away from its embedded default."""

Request = tuple[str, str, str | None]
"""(method, path, body)."""
Make = Callable[[int, int], Request]
"""(client, its count of requests so far) -> its next request."""


def drive(
    port: int, clients: int, requests: int, make: Make, headers: dict[str, str], *, at_once: int = 1
) -> Rates:
    """`requests` in all, by clients of which each waits for its answer. `at_once`: operations in a request.

    Raises RuntimeError unless every answer is 200, or 409 for a ticket that was validated before.
    """
    left, latencies, failures = iter(range(requests)), [], []  # type: ignore[var-annotated]
    lock = threading.Lock()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        count = 0
        while True:
            with lock:
                if next(left, None) is None:
                    break
            method, path, body = make(number, count)
            begin = time.perf_counter()
            try:
                connection.request(method, path, body=body, headers=headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status not in (200, ALREADY_DONE):
                    failures.append(f"{answer.status} {text[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))
                connection.close()
            latencies.append((time.perf_counter() - begin) * 1_000)
            count += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - begin
    if failures:
        raise RuntimeError(f"{len(failures)} of {requests} requests failed, first: {failures[0]}")
    return Rates(
        operations_per_second=requests * at_once / spent,
        p50_ms=statistics.median(latencies),
        p99_ms=statistics.quantiles(latencies, n=100)[98] if len(latencies) > 1 else latencies[0],
        operations=requests * at_once,
    )


def descendants(pid: int) -> list[int]:
    """Children of a process, and theirs."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
        children.setdefault(parent, []).append(int(status.parent.name))
    found = children.get(pid, [])
    for each in found:
        found += children.get(each, [])  # the loop goes on over these
    return found


class Network:
    """`make up` with four validators over a data folder of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_ports(1)[0]
        kept = {name: value for name, value in os.environ.items() if name not in SERVERS}
        begin = time.monotonic()
        with data.with_suffix(".log").open("wb") as log:
            self._process = subprocess.Popen(
                ["make", "up", f"DATA={data}", f"PORT={self.port}", "NODES=4"],
                cwd=REPOSITORY,
                env=kept | {"DTVN_DATA": str(data)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not look_until(self._ready, START_SECONDS, pause=POLL_SECONDS):
            self.stop()
            raise RuntimeError(f"`make up` is not ready: {data.with_suffix('.log').read_text()[-2_000:]}")
        self.seconds_to_ready = time.monotonic() - begin
        key = json.loads((data / "credentials.json").read_text())["api_key"]
        self.headers = {"X-API-Key": key, "Content-Type": "application/json"}

    def pids(self) -> list[int]:
        """All processes of this network: `make up` and its descendants."""
        return [self._process.pid, *descendants(self._process.pid)]

    def drive(self, clients: int, requests: int, make: Make, *, at_once: int = 1) -> Rates:
        """See `drive`."""
        return drive(self.port, clients, requests, make, self.headers, at_once=at_once)

    def stop(self) -> None:
        """Ctrl-C; who does not end by that is killed."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"`make up` ended: {self.data.with_suffix('.log').read_text()[-2_000:]}")
        if not (self.data / "credentials.json").exists():
            return False
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def running_network() -> Iterator[Network]:
    """A network in a temporary folder; it has ended when the block ends."""
    with tempfile.TemporaryDirectory(prefix="dtvn-bench-", ignore_cleanup_errors=True) as folder:
        network = Network(Path(folder) / "data")
        try:
            yield network
        finally:
            network.stop()
