"""`manage.py bench --only rejoin`: members come back while the others work (R11, R23).

1. a member that was stopped while a given number of sequences was decided
2. a member whose ledger was deleted, with a given number of tickets in the state

It uses real processes, sockets and disks, like `benchmarks.network`; the other members serve the same clients
all the time. If all nodes share a machine, the newcomer slows the others mostly by its own processor time,
which a member on a host of its own would not take from them; so it is shown beside the rates.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from benchmarks import load
from benchmarks.cluster import PATIENCE, POLL_SECONDS, Processes, gateway, running_cluster
from benchmarks.cost import processor_seconds
from dtvn.gateway import Gateway
from dtvn.machine import Validate
from dtvn.node.layout import ClusterFolder
from dtvn.waiting import look_until

NODES = 4
AWAY = 3
"""Index of the member that comes back."""
BUNDLE = 200
PART = 4_000
"""Number of tickets requested at once."""
ISSUED = ("ok", "ticket_exists")
LOAD_CLIENTS = 8
LONE_BUNDLES = 16
"""Bundles of one operation in flight at once while sequences are made."""
CALM_SECONDS = 10.0


@dataclass(frozen=True)
class Rejoin:
    """The cost of one return. Rates in operations per second, times in seconds."""

    tickets: int
    sequences_behind: int
    seconds_until_caught_up: float
    rate_before: float
    rate_during: float
    share: float
    p99_ms_before: float
    p99_ms_during: float
    longest_wait_ms: float
    newcomer_processor_seconds: float
    others_processor_seconds: float
    by_state: bool
    """True if the member fetched a state, else the log."""


class Clients:
    """Clients that send the next operation as soon as they get an outcome; records every answer."""

    def __init__(self, gateway: Gateway, prefix: str) -> None:
        self._gateway = gateway
        self._prefix = prefix
        self._ending = threading.Event()
        self.answers: list[tuple[float, float]] = []
        """(time of the answer, its latency in milliseconds)."""
        self.failures: list[str] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Run the clients while the block runs."""
        threads = [threading.Thread(target=self._serve, args=(place,)) for place in range(LOAD_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()

    def _serve(self, place: int) -> None:
        number = 0
        while not self._ending.is_set():
            begun = time.perf_counter()
            names = [f"{self._prefix}-{place}-{number}"]
            [result] = self._gateway.submit(load.issues(names), wait=30.0).result()
            self.answers.append((time.monotonic(), (time.perf_counter() - begun) * 1000))
            if result.code != "ok":
                self.failures.append(result.code)
            number += 1

    def between(self, begun: float, ended: float) -> tuple[float, float, float]:
        """(answers per second, p99 and longest latency in milliseconds)."""
        times = sorted(spent for at, spent in self.answers if begun <= at < ended)
        if not times:
            return 0.0, 0.0, 0.0
        return len(times) / (ended - begun), times[int(len(times) * 0.99)], times[-1]


def run(*, behind: int, tickets: int) -> dict[str, Any]:
    """Measure both cases, each with a cluster of its own."""
    report: dict[str, Any] = {}
    if behind:
        with running_cluster(NODES, learners=0) as (nodes, first):
            load.drive(first, [load.issues(["S-0"])], outstanding=1)
            nodes.kill(AWAY)
            with gateway(nodes.folder, bundle_operations_max=1, in_flight_max=LONE_BUNDLES) as many:
                _sequences(many, behind)
            report["behind"] = asdict(_return(nodes, first, behind=behind, tickets=1))
    if tickets:
        with running_cluster(NODES, learners=0) as (nodes, first):
            fill(first, tickets)
            nodes.kill(AWAY)
            shutil.rmtree(ClusterFolder(nodes.folder).node(nodes.name(AWAY)).ledger)
            report["wiped"] = asdict(_return(nodes, first, behind=first.acknowledged, tickets=tickets))
    return report


def _return(nodes: Processes, gateway: Gateway, *, behind: int, tickets: int) -> Rejoin:
    """Restart the member under load, and measure until it has all that was acknowledged."""
    clients = Clients(gateway, f"load-{time.monotonic_ns()}")
    others = [nodes.name(index) for index in range(NODES) if index != AWAY]
    with clients.at_work():
        calm = time.monotonic()
        time.sleep(CALM_SECONDS)
        begun = time.monotonic()
        used = {name: processor_seconds([nodes.pid(name)]) for name in others}
        nodes.start(AWAY)
        if not look_until(
            lambda: executed(gateway) >= gateway.acknowledged - 50, PATIENCE, pause=POLL_SECONDS
        ):
            raise RuntimeError(f"the member has not caught up within {PATIENCE:g} s")
        ended = time.monotonic()
        spent = sum(processor_seconds([nodes.pid(name)]) - used[name] for name in others)
        newcomer = processor_seconds([nodes.pid(nodes.name(AWAY))])
    if clients.failures:
        raise RuntimeError(f"{len(clients.failures)} operations failed, first: {clients.failures[0]}")
    before, p99_before, _ = clients.between(calm, begun)
    during, p99_during, longest = clients.between(begun, ended)
    found = status(gateway, AWAY)
    return Rejoin(
        tickets=tickets,
        sequences_behind=behind,
        seconds_until_caught_up=ended - begun,
        rate_before=before,
        rate_during=during,
        share=during / before,
        p99_ms_before=p99_before,
        p99_ms_during=p99_during,
        longest_wait_ms=longest,
        newcomer_processor_seconds=newcomer,
        others_processor_seconds=spent / len(others),
        by_state="transfer_complete" in found["events"] or "installed" in nodes.said(AWAY),
    )


def _sequences(gateway: Gateway, count: int) -> None:
    """Order operations for `count` sequences, with one or a few in each."""
    gateway.submit([load.operation(Validate(), "S-0")], wait=30.0).result()
    target = gateway.acknowledged + count
    waiting: list[Future[Any]] = []
    shown = 0
    while gateway.acknowledged < target:
        waiting.append(gateway.submit([load.operation(Validate(), "S-0")], wait=30.0))
        if len(waiting) >= LONE_BUNDLES:
            waiting.pop(0).result()
        if gateway.acknowledged >= shown:
            print(f"sequence {gateway.acknowledged:,} of {target:,}", file=sys.stderr)
            shown = gateway.acknowledged + count // 10
    for future in waiting:
        future.result()


def fill(gateway: Gateway, tickets: int, *, first: int = 0) -> None:
    """Issue `tickets` tickets, numbered from `first` on; operations whose outcome is unknown, on a busy
    machine, are sent again."""
    left = [f"T-{number:07}" for number in range(first, first + tickets)]
    done = 0
    while left:
        part, left = left[:PART], left[PART:]
        bundles = load.chunks(part, BUNDLE)
        asked = [(names, gateway.submit(load.issues(names), wait=60.0)) for names in bundles]
        again: list[str] = []
        for names, future in asked:
            codes = [result.code for result in future.result()]
            again += [name for name, code in zip(names, codes, strict=True) if code not in ISSUED]
        left = again + left
        done += len(part) - len(again)
        if done * 10 // tickets != (done - len(part) + len(again)) * 10 // tickets:
            print(f"{done:,} tickets", file=sys.stderr)


def status(gateway: Gateway, index: int) -> dict[str, Any]:
    """A node's status; empty if it does not answer."""
    answer = gateway.query(index, "status", wait=2.0).result(10.0)
    return {} if answer.code else msgspec.json.decode(answer.text)


def executed(gateway: Gateway) -> int:
    """Last sequence that the member that comes back has executed, -1 if it does not answer."""
    return int(status(gateway, AWAY).get("sequence", -1))


def main(behind: int, tickets: int) -> dict[str, Any]:
    """Measure and print the table."""
    report = run(behind=behind, tickets=tickets)
    for name, row in report.items():
        print(
            f"{name}: {row['sequences_behind']:,} sequences, {row['tickets']:,} tickets, "
            f"{'by state' if row['by_state'] else 'by log'}: {row['seconds_until_caught_up']:.1f} s\n"
            f"  others {row['rate_during']:,.0f} of {row['rate_before']:,.0f} operations/s "
            f"({row['share']:.0%}), p99 {row['p99_ms_during']:.0f} of {row['p99_ms_before']:.0f} ms, "
            f"longest wait {row['longest_wait_ms']:.0f} ms\n"
            f"  processor seconds: newcomer {row['newcomer_processor_seconds']:.1f}, "
            f"each other {row['others_processor_seconds']:.1f}"
        )
    return report
