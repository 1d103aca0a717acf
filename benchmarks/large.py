"""`manage.py bench --only large`: a network with many tickets: their import, its restart, a wiped node.

A stand-still is the processor time of a node's main thread between a status query and its answer: what it did
in one piece instead of serving. So it says the same on a busy machine.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.cluster import PATIENCE, POLL_SECONDS, Processes, running_cluster
from benchmarks.cost import Line, as_json, memory_mb, table
from benchmarks.network import NODES, pids
from benchmarks.rejoin import AWAY, executed, fill, status
from dtvn.gateway import Gateway
from dtvn.node.layout import ClusterFolder
from dtvn.waiting import look_until

LOOK_SECONDS = 0.02


class StandStill:
    """Longest stand-still of each node while a block runs, in milliseconds of processor time."""

    def __init__(self, processes: Processes, gateway: Gateway) -> None:
        self._processes, self._gateway = processes, gateway
        self._ending = threading.Event()
        self.longest = [0.0] * NODES

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Ask every node all the time."""
        threads = [threading.Thread(target=self._watch, args=(index,)) for index in range(NODES)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()

    def _watch(self, index: int) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            before = self._used(index)
            self._gateway.query(index, "status", wait=10.0).result(20.0)
            self.longest[index] = max(self.longest[index], self._used(index) - before)

    def _used(self, index: int) -> float:
        pid = self._processes.pid(self._processes.name(index))
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e6


def run(tickets: int) -> list[Line]:
    """Import, restart and wipe, in one cluster."""
    with running_cluster(NODES) as (processes, gateway):
        before = memory_mb(pids(processes))
        views = _view(gateway)
        still = StandStill(processes, gateway)
        with still.watching():
            fill(gateway, tickets)
        lines = [
            Line(f"import of {tickets:,}, longest stand-still", max(still.longest), "ms", 100),
            Line("  view changes meanwhile", _view(gateway) - views, "", 0),
            Line("  memory of the cluster before, PSS", before, "MB"),
            Line("  and after", memory_mb(pids(processes)), "MB"),
        ]
        lines.append(Line(f"restart with {tickets:,}", _restart(processes, gateway), "s", 5.3))
        seconds, longest = _wipe(processes, gateway)
        lines.append(Line(f"wiped node with {tickets:,}, until it has all", seconds, "s", 31.5))
        lines.append(Line("  its longest stand-still", longest, "ms", 1_000))
    return lines


def _view(gateway: Gateway) -> int:
    return int(status(gateway, 0).get("view", 0))


def _restart(processes: Processes, gateway: Gateway) -> float:
    """Seconds from the start of all nodes, killed before, to the next outcome."""
    for index in range(NODES):
        processes.kill(index)
    begin = time.monotonic()
    for index in range(NODES):
        processes.start(index)
    if not look_until(lambda: _decides(gateway), PATIENCE, pause=POLL_SECONDS):
        raise RuntimeError(f"the cluster does not commit within {PATIENCE:g} s")
    return time.monotonic() - begin


def _decides(gateway: Gateway) -> bool:
    try:
        load.drive(gateway, [load.issues([f"again-{time.monotonic_ns()}"])], outstanding=1)
    except RuntimeError:
        return False
    return True


def _wipe(processes: Processes, gateway: Gateway) -> tuple[float, float]:
    """(seconds until a node without its ledger has everything, its longest stand-still in ms)."""
    processes.kill(AWAY)
    shutil.rmtree(ClusterFolder(processes.folder).node(processes.name(AWAY)).ledger)
    begin = time.monotonic()
    processes.start(AWAY)
    still = StandStill(processes, gateway)
    with still.watching():
        if not look_until(lambda: executed(gateway) >= gateway.acknowledged, PATIENCE, pause=POLL_SECONDS):
            raise RuntimeError(f"the member has not caught up within {PATIENCE:g} s")
    return time.monotonic() - begin, still.longest[AWAY]


def main(tickets: int) -> dict[str, Any]:
    """Measure and print the table."""
    print(f"{tickets:,} tickets ...", file=sys.stderr)
    lines = run(tickets)
    print(table(lines))
    return {"lines": as_json(lines)}
