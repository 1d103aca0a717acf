"""Three members of etcd on loopback, with fsync, as Debian packages it: a single-key put, for comparison.

A put goes over etcd's HTTP gateway, since Debian has no client library that keeps its connection.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import over_http
from benchmarks.cluster import POLL_SECONDS, free_ports
from benchmarks.cost import Line, Meter
from dtvn.waiting import look_until

MEMBERS = 3
CLIENTS = (1, 64)
PUTS = {1: 400, 64: 4_000}
START_SECONDS = 60.0
STOP_SECONDS = 10.0
GUARANTEES = (
    "etcd (Raft, three members): a put survives the crash of one member in one trust domain; a member that "
    "lies, or is taken over, may change it unseen.\n"
    "ours (PBFT, four validators): a ticket's history survives one Byzantine member; every request is "
    "signed, and every outcome has a certificate that anybody can check offline."
)


def lines(scale: float) -> list[Line]:
    """A put by one client and by 64; nothing where etcd is not installed."""
    if shutil.which("etcd") is None:
        return []
    found = []
    with tempfile.TemporaryDirectory(prefix="dtvn-etcd-") as folder, _members(Path(folder)) as (port, pids):
        for clients in CLIENTS:
            meter = Meter(pids)
            with meter.running():
                rates = over_http.drive(port, clients, max(clients, int(PUTS[clients] * scale)), _put, {})
            found.append(
                Line(
                    f"etcd put, {clients} client{'s' * (clients > 1)}",
                    meter.checks(rates.operations),
                    per_second=rates.operations_per_second,
                    p50_ms=rates.p50_ms,
                    p99_ms=rates.p99_ms,
                )
            )
    return found


def _put(client: int, count: int) -> over_http.Request:
    key, value = (base64.b64encode(text.encode()).decode() for text in (f"T-{client}-{count}", "admitted"))
    return "POST", "/v3/kv/put", json.dumps({"key": key, "value": value})


@contextmanager
def _members(folder: Path) -> Iterator[tuple[int, list[int]]]:
    """(client port of the first member, process ids) once a put is committed."""
    ports = free_ports(2 * MEMBERS)
    peers = [f"http://127.0.0.1:{port}" for port in ports[:MEMBERS]]
    running = [
        subprocess.Popen(
            [
                *("etcd", "--name", f"m{i}", "--data-dir", str(folder / f"m{i}")),
                *("--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i]),
                *("--listen-client-urls", f"http://127.0.0.1:{ports[MEMBERS + i]}"),
                *("--advertise-client-urls", f"http://127.0.0.1:{ports[MEMBERS + i]}"),
                *("--initial-cluster", ",".join(f"m{n}={url}" for n, url in enumerate(peers))),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for i in range(MEMBERS)
    ]
    try:
        if not look_until(lambda: _commits(ports[MEMBERS]), START_SECONDS, pause=POLL_SECONDS):
            raise RuntimeError(f"etcd does not commit within {START_SECONDS:g} s")
        yield ports[MEMBERS], [process.pid for process in running]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _commits(port: int) -> bool:
    try:
        over_http.drive(port, 1, 1, _put, {})
    except RuntimeError:
        return False
    return True
