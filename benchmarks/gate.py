"""`manage.py bench --only gate`: what a gate notices of troubles: 25 admissions a second, ten minutes.

One trouble after the other: the primary is killed (SIGKILL) and started again; a backup stands still
(SIGSTOP) for half a minute; a backup sends everything 150 ms late for a minute; the primary holds its
proposals back for a minute, nearly as long as others accept (a quarter of the view timeout, decision 0045).
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from benchmarks import load
from benchmarks.cluster import Processes, running_cluster
from benchmarks.cost import Line, as_json, table
from benchmarks.rejoin import status
from dtvn.files.genesis import read_genesis
from dtvn.gateway import Gateway
from dtvn.machine import Admit, reasons
from dtvn.node.layout import ClusterFolder

NODES = 4
RATE = 25
SECONDS = 600.0
WINDOW = 300.0
"""Seconds over which a p99 is taken, beginning with each twentieth of the run."""
LATE = 0.15
SHARE_OF_ACCEPTED = 0.95
P99_MS, LONGEST_MS = 500.0, 3_000.0
REFUSED = (reasons.ALREADY_VALIDATED, reasons.ALREADY_CONSUMED)


class Gate:
    """Admits one ticket after the other at a fixed rate, answered or not."""

    def __init__(self, gateway: Gateway, tickets: list[str]) -> None:
        self._gateway = gateway
        self._tickets = tickets
        self._begin = time.monotonic()
        self.answers: list[tuple[float, float, str]] = []
        """(second of the run in which it was sent, milliseconds until its answer, its code)."""

    def run(self) -> None:
        """Send everything; returns when all is answered."""
        calls = []
        for number, ticket in enumerate(self._tickets):
            time.sleep(max(0.0, self._begin + number / RATE - time.monotonic()))
            sent = time.monotonic()
            call = self._gateway.submit(load.admits([ticket]), wait=load.WAIT)  # now: it expires
            call.add_done_callback(self._noting(sent))
            calls.append(call)
        for call in calls:
            call.exception()

    def _noting(self, sent: float) -> Callable[[Future[Any]], None]:
        def note(call: Future[Any]) -> None:
            error = call.exception()
            code = repr(error) if error is not None else str(call.result()[0].code)
            self.answers.append((sent - self._begin, (time.monotonic() - sent) * 1_000, code))

        return note

    def wait_until(self, second: float) -> None:
        """Returns in this second of the run."""
        time.sleep(max(0.0, self._begin + second - time.monotonic()))

    def p99(self, begin: float, end: float) -> float:
        """Of what was sent in these seconds, in milliseconds."""
        spent = [each for at, each, _ in self.answers if begin <= at < end]
        return statistics.quantiles(spent, n=100)[98] if len(spent) > 1 else 0.0


def run(scale: float) -> list[Line]:
    """Play the troubles beside the gate; `scale` shortens everything."""
    seconds = SECONDS * scale
    with running_cluster(NODES, delayable=True) as (processes, gateway):
        tickets = load.names("G", int(RATE * seconds))
        load.drive(gateway, load.chunks(load.issues(tickets), 100), outstanding=8)
        gate = Gate(gateway, tickets)
        thread = threading.Thread(target=gate.run)
        thread.start()
        _trouble(processes, gateway, gate, seconds)
        thread.join()
        again = [_second(gateway, part) for part in load.chunks(tickets, 100)]
    codes = Counter(code for _, _, code in gate.answers)
    print(f"answers: {dict(codes)}", file=sys.stderr)
    starts = [seconds * part / 20 for part in range(21) if seconds * part / 20 + WINDOW * scale <= seconds]
    return [
        Line(
            "gate, worst p99 of five minutes",
            max(gate.p99(start, start + WINDOW * scale) for start in starts),
            "ms",
            P99_MS,
            p50_ms=statistics.median(spent for _, spent, _ in gate.answers),
        ),
        Line("  longest answer", max(spent for _, spent, _ in gate.answers), "ms", LONGEST_MS),
        Line(f"  of {len(tickets):,} admissions not admitted", len(tickets) - codes["ok"], "", 0),
        Line("  admitted a second time", sum(again), "", 0),
    ]


def _trouble(processes: Processes, gateway: Gateway, gate: Gate, seconds: float) -> None:
    """The troubles, in twentieths of the run: each begins when the one before is over."""
    genesis = read_genesis(ClusterFolder(processes.folder).genesis)
    accepted = genesis.parameters.view_timeout / 1e6 / 4

    def at(twentieth: float, what: str) -> None:
        gate.wait_until(seconds * twentieth / 20)
        print(f"{seconds * twentieth / 20:6.0f} s: {what}", file=sys.stderr)

    at(2, "the primary is killed")
    first = _primary(gateway)
    processes.kill(first)
    at(3, "it is started")
    processes.start(first)
    at(5, "a backup stands still")
    paused = (_primary(gateway) + 1) % NODES
    os.kill(processes.pid(processes.name(paused)), signal.SIGSTOP)
    at(6, "it goes on")
    os.kill(processes.pid(processes.name(paused)), signal.SIGCONT)
    at(8, f"a backup sends everything {LATE * 1_000:.0f} ms late")
    late = (_primary(gateway) + 2) % NODES
    processes.delay(late, frames=LATE)
    at(10, "it is in time again")
    processes.delay(late)
    held = accepted * SHARE_OF_ACCEPTED
    at(12, f"the primary holds each proposal back for {held * 1_000:.0f} ms")
    slow = _primary(gateway)
    processes.delay(slow, proposals=held)
    at(14, f"it is in time again, and node{_primary(gateway)} is the primary (node{slow} was)")
    processes.delay(slow)


def _primary(gateway: Gateway) -> int:
    """Index of the primary of the highest view of which a node tells."""
    views = [int(status(gateway, index).get("view", 0)) for index in range(NODES)]
    return max(views) % NODES


def _second(gateway: Gateway, tickets: Sequence[str]) -> int:
    """How many of these tickets are admitted once more, which none may be."""
    second = Admit(gate="G2", device="d2")
    later = [load.operation(second, name, nonce=f"again {name}".encode()) for name in tickets]
    results = gateway.submit(later, wait=load.WAIT).result()
    return sum(result.code not in REFUSED for result in results)


def main(scale: float) -> dict[str, Any]:
    """Measure and print the table."""
    lines = run(scale)
    print(table(lines))
    return {"lines": as_json(lines)}
