"""`manage.py bench --only curves`: single operations against clients, members and tickets in the state.

Each row names what bounds it: the processor with the share of it that signature checks take, which no design
can do without, or the wait for the round trips and syncs of an operation. What is counted: see `network`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import load
from benchmarks.cluster import Processes, gateway, running_cluster
from benchmarks.cost import Meter, Rest, processor_seconds
from benchmarks.network import BUNDLE, GATEWAY_IDLE, SETTLE, pids
from benchmarks.rejoin import fill

CLIENTS = (1, 8, 32, 128, 512)
IN_FLIGHT = 128
"""For the curves of members and tickets."""
NODES = 4
TICKETS = (1_000, 10_000, 100_000, 1_000_000)
SINGLES, LONE = 4_000, 300
BUSY = 0.8
"""Share of all cores from which on they are what bounds a row."""


@dataclass(frozen=True)
class Point:
    """One row: a curve's variable and its value, and the cost of an operation there."""

    against: str
    at: int
    checks: float
    per_second: float
    p50_ms: float
    p99_ms: float
    bound: str


def run(members: Sequence[int], tickets: int, scale: float) -> list[Point]:
    """All curves. `tickets`: the largest state."""
    points = []
    with running_cluster(NODES) as (processes, _first):
        rest = _rest(processes)
        for clients in CLIENTS:
            points.append(_point("clients", clients, processes, rest, clients, NODES, scale))
    for nodes in members:
        with running_cluster(nodes) as (processes, _first):
            points.append(_point("members", nodes, processes, _rest(processes), IN_FLIGHT, nodes, scale))
    with running_cluster(NODES) as (processes, first):
        rest = _rest(processes)
        present = 0
        for size in (each for each in TICKETS if each <= tickets):
            fill(first, size - present, first=present)
            present = size
            points.append(_point("tickets", size, processes, rest, IN_FLIGHT, NODES, scale))
    return points


def _rest(processes: Processes) -> Rest:
    time.sleep(SETTLE)
    return Rest.measured(lambda: processor_seconds(pids(processes)), GATEWAY_IDLE)


def _point(
    against: str, at: int, processes: Processes, rest: Rest, clients: int, nodes: int, scale: float
) -> Point:
    print(f"{at:,} {against} ...", file=sys.stderr)
    size = LONE if clients == 1 else SINGLES
    names = load.names(f"{against}-{at}", max(clients, 50, int(size * scale)))
    with gateway(processes.folder) as issuing:
        load.drive(issuing, load.chunks(load.issues(names), BUNDLE), outstanding=8)
    rest.wait()
    meter = Meter(pids(processes))
    with (
        gateway(processes.folder, bundle_operations_max=1, in_flight_max=clients) as single,
        meter.running(rest if clients > 1 else None),
    ):
        rates = load.drive(single, load.chunks(load.admits(names), 1), outstanding=clients)
    checks = meter.checks(rates.operations)
    if meter.busy > BUSY:
        bound = f"the cores: {(nodes + 1) / checks:.0%} is the floor of {nodes + 1} checks"
    else:
        bound = f"waiting for turns and syncs: cores {meter.busy:.0%} used by the network"
    return Point(against, at, checks, rates.operations_per_second, rates.p50_ms, rates.p99_ms, bound)


def main(members: Sequence[int], tickets: int, scale: float) -> dict[str, Any]:
    """Measure and print one table for each curve."""
    points = run(members, tickets, scale)
    for against in dict.fromkeys(point.against for point in points):
        print(f"\n| {against} | checks | a second | p50 ms | p99 ms | bound by |\n|---|---|---|---|---|---|")
        for each in points:
            if each.against == against:
                print(
                    f"| {each.at:,} | {each.checks:.1f} | {each.per_second:,.0f} | {each.p50_ms:.1f} "
                    f"| {each.p99_ms:.1f} | {each.bound} |"
                )
    return {"curves": [asdict(point) for point in points]}
