"""X43: four `validator` processes, started as a user starts them; 10 clients send 200 validates over REST.

The Go DTVN claims about 150 ms and 100 a second at seven nodes, without a method. This is a method; the
report names the machine, and there is no pass mark.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import httpx

from benchmarks.cluster import free_ports
from dtvn.waiting import look_until

NODES = 4
TICKETS = 200
CLIENTS = 10
BOOTSTRAP = "12D3KooWLtBkKrip2jyaRzhUphqYyVXGUPMMbmpBWHZMYXaueb9C"
"""Peer id of node0 with the development keys."""
START_SECONDS = 120.0
STOP_SECONDS = 15.0
OUTCOME_SECONDS = 60.0
LOOK_INTERVAL = 0.2
PROGRAM = Path(__file__).resolve().parent.parent / "bin" / "validator"


def run() -> dict[str, Any]:
    """One measurement: latencies in milliseconds, tickets per second."""
    temporary = tempfile.TemporaryDirectory(prefix="dtvn-bench-", ignore_cleanup_errors=True)
    with temporary as folder, _validators(Path(folder)) as urls:
        with httpx.Client(base_url=urls[0], timeout=30, trust_env=False) as client:
            _ask(client, "seed", {"nonce": "seed"})
        begin = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            parts = [range(first, TICKETS, CLIENTS) for first in range(CLIENTS)]
            latencies = list(
                chain(*pool.map(_validate, (urls[number % NODES] for number in range(CLIENTS)), parts))
            )
        seconds = time.perf_counter() - begin
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "nodes": NODES,
        "clients": CLIENTS,
        "tickets": TICKETS,
        "p50_ms": round(cuts[49], 2),
        "p95_ms": round(cuts[94], 2),
        "max_ms": round(max(latencies), 2),
        "tickets_per_second": round(TICKETS / seconds, 1),
    }


def main() -> dict[str, Any]:
    """Measure and print."""
    report = run()
    print(
        f"{NODES} validators, {TICKETS} validates by {CLIENTS} clients over REST: "
        f"p50 {report['p50_ms']:.1f} ms, p95 {report['p95_ms']:.1f} ms, "
        f"{report['tickets_per_second']:.0f} tickets/s"
    )
    return {"contract": report}


def _validate(url: str, numbers: range) -> list[float]:
    """Validates one client's tickets, one after the other; returns the milliseconds of each."""
    latencies = []
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for number in numbers:
            since = time.perf_counter()
            ticket = f"TICKET-{number + 1:03}"
            _ask(client, "validate", {"ticket_id": ticket, "data": None, "nonce": ticket})
            latencies.append((time.perf_counter() - since) * 1_000)
    return latencies


def _ask(client: httpx.Client, kind: str, body: dict[str, Any]) -> None:
    """Sends a request until its outcome is known; if the view changes meanwhile, that takes a second try
    (R14)."""
    until = time.monotonic() + OUTCOME_SECONDS
    while True:
        answer = client.post(f"/api/v1/tickets/{kind}", json=body)
        if answer.status_code not in (503, 504) or time.monotonic() > until:
            answer.raise_for_status()
            return


@contextmanager
def _validators(folder: Path) -> Iterator[list[str]]:
    """URLs of four running validators, connected to each other; they are stopped when the block ends."""
    ports = free_ports(2 * NODES)  # in one call, so that all differ
    p2p, api = ports[:NODES], ports[NODES:]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(NODES):
            flags = (
                ["-primary"]
                if number == 0
                else ["-bootstrap", f"/ip4/127.0.0.1/tcp/{p2p[0]}/p2p/{BOOTSTRAP}"]
            )
            running.append(
                subprocess.Popen(
                    [
                        str(PROGRAM),
                        *("-id", f"node{number}", "-port", str(p2p[number]), "-api-port", str(api[number])),
                        *("-data-dir", str(folder), "-total-nodes", str(NODES), "-metrics-port", "0"),
                        *("-dev-keys", *flags),
                    ],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        urls = [f"http://127.0.0.1:{port}" for port in api]
        for url in urls:
            _wait_for_peers(url, running)
        yield urls
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_peers(url: str, running: list[subprocess.Popen[bytes]]) -> None:
    def have_found() -> bool:
        if any(process.poll() is not None for process in running):
            raise RuntimeError("a validator did not start")
        try:
            told = httpx.get(f"{url}/api/v1/stats", timeout=5, trust_env=False)
            # On a slow machine the API answers 503 until its node has reported its status.
            return told.is_success and told.json()["data"]["peer_count"] == NODES - 1
        except (httpx.TransportError, ValueError):
            return False

    if not look_until(have_found, START_SECONDS, pause=LOOK_INTERVAL):
        raise RuntimeError(f"{url} has not found its peers within {START_SECONDS:.0f} s")
