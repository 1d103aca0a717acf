"""`manage.py bench --only costs`: what one operation costs all processes, in Ed25519 checks, beside floors.

Everything is real: processes, sockets, CURVE, signatures, fsync, ticket rows. Four validators and a learner;
lines over the gateway have its process beside them, lines over REST the whole of `make up`.

A line begins when its processes use no more than they do with nothing to do: an outcome comes from the
fastest members, and others, the learner, its rows and the copying of write-ahead logs lag behind. A line of
one client or of reads ends with its last answer. The others end when all processes are at rest again, so that
what lags counts; rates and latencies are those until the last answer. What the processes use idle is
subtracted, over the gateway only for the time after the last outcome.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from benchmarks import etcd, floor, load
from benchmarks.cluster import Processes, gateway, running_cluster
from benchmarks.cost import (
    REPOSITORY,
    Line,
    Meter,
    Rest,
    as_json,
    check_seconds,
    memory_mb,
    processor_seconds,
    table,
)
from benchmarks.over_http import Make, Request, running_network

NODES = 4
REPLICAS = NODES + 1
"""Validators and the learner."""
LONE, SINGLES, BUNDLED, BUNDLE = 1_000, 6_000, 60_000, 100
CLIENTS = 512
"""Single operations in flight at once: each is signed, and verified by every replica, by itself."""
BESIDE_ETCD = etcd.CLIENTS[-1]
"""Clients of the lines that stand beside those of etcd."""
REST_LONE, REST_MANY, REST_READS, REST_BATCHES, BATCH = 1_000, 3_000, 8_000, 60, 500
SETTLE, IDLE, GATEWAY_IDLE = 5.0, 20.0, 5.0
"""Seconds after a start that are not counted, and seconds in which nothing is asked of `make up`, or of a
gateway."""
TARGETS = {"lone": 240, "singles": 13.6, "bundles": 2.2}
"""Checks (issue 15). Singles and bundles: 0.8 of 17 and 0.75 of 2.9, the lower ends of 2026-11-22."""
CHECK_EACH = "a check in each of 5 replicas"
APPLY_EACH = "an apply in each of 5 replicas"
Work = Callable[[], load.Rates]


@dataclass(frozen=True)
class Costs:
    """What one run found. `base`: floor.measure(); `etcd`: its lines, none where it is not installed."""

    base: dict[str, float]
    check_us: float
    """Processor time of an Ed25519 check, microseconds."""
    lines: list[Line]
    etcd: list[Line]

    def told(self, more: Sequence[Line] = ()) -> dict[str, Any]:
        """Print the table, with lines of other benchmarks before those of etcd; returns it for JSON."""
        base, lines = self.base, [*self.lines, *more, *self.etcd]
        print(
            f"a check: {self.check_us:.0f} us; floor, {base['cores']:.0f} cores busy: "
            f"{base['verifications_per_second']:,.0f} checks/s, {base['applies_per_second']:,.0f} applies/s, "
            f"fsync p50 {base['fsync_p50_ms']:.2f} ms"
        )
        print(table(lines))
        print(etcd.GUARANTEES if self.etcd else "etcd: not installed")
        return {
            "floor": base,
            "check_us": self.check_us,
            "lines": as_json(lines),
            "etcd": "measured" if self.etcd else "not installed",
        }


def run(scale: float) -> Costs:
    """Measure all lines; `scale` shortens every run."""
    _tell("the machine's floor")
    base = floor.measure()
    applies = REPLICAS * base["verifications_per_second"] / base["applies_per_second"]
    _tell("the gateway")
    lines = _over_gateway(scale, applies)
    _tell("REST and the idle network")
    lines += _over_rest(scale, applies)
    _tell("etcd")
    return Costs(base, check_seconds() * 1e6, lines, etcd.lines(scale))


def _tell(what: str) -> None:
    print(f"measuring {what} ...", file=sys.stderr)


def pids(processes: Processes, learners: int = 1) -> list[int]:
    """Nodes, learner, and this process: the gateway."""
    names = [*processes.names, *([""] * learners)]
    return [*map(processes.pid, names), os.getpid()]


def _over_gateway(scale: float, applies: float) -> list[Line]:
    lines = []
    with running_cluster(NODES) as (processes, first):
        time.sleep(SETTLE)
        rest = Rest.measured(lambda: processor_seconds(pids(processes)), GATEWAY_IDLE)

        def measured(
            name: str, target: float | None, least: float, why: str, work: Work, *, bulk: bool = True
        ) -> None:
            rest.wait()
            meter = Meter(pids(processes))
            with meter.running(rest if bulk else None):
                rates = work()
            lines.append(_line(name, meter.checks(rates.operations), target, least, why, rates))

        lone, beside, singles, bundled = (
            load.names(prefix, max(100, int(size * scale)))
            for prefix, size in (("L", LONE), ("E", SINGLES), ("S", SINGLES), ("B", BUNDLED))
        )
        issued = load.chunks(load.issues([*lone, *beside, *singles, *bundled]), BUNDLE)
        load.drive(first, issued, outstanding=32)
        alone = partial(load.lone, first, load.admits(lone))
        measured("gateway, one client", TARGETS["lone"], REPLICAS, CHECK_EACH, alone, bulk=False)
        for name, clients, target, names in (
            (f"gateway, {BESIDE_ETCD} clients", BESIDE_ETCD, None, beside),
            (f"singles, {CLIENTS} in flight", CLIENTS, TARGETS["singles"], singles),
        ):
            with gateway(processes.folder, bundle_operations_max=1, in_flight_max=clients) as single:
                work = partial(load.drive, single, load.chunks(load.admits(names), 1), outstanding=clients)
                measured(name, target, REPLICAS, CHECK_EACH, work)
        calls = load.chunks(load.admits(bundled), BUNDLE)
        measured(
            f"bundles of {BUNDLE}, an operation",
            TARGETS["bundles"],
            applies,
            APPLY_EACH,
            lambda: load.drive(first, calls, outstanding=32),
        )
    return lines


def _line(
    name: str, value: float, target: float | None, least: float | None, why: str, rates: load.Rates
) -> Line:
    return Line(
        name,
        value,
        target=target,
        floor=least,
        floor_name=why,
        per_second=rates.operations_per_second,
        p50_ms=rates.p50_ms,
        p99_ms=rates.p99_ms,
    )


def _over_rest(scale: float, applies: float) -> list[Line]:
    """Lines of `make up`: start, idle, memory, and operations over REST less what it uses idle."""
    lines = [Line("`manage.py --help`, processor", _help_seconds(), "s", 0.4)]
    with running_network() as network:
        lines.append(Line("ready with a made venv, `make up`", network.seconds_to_ready, "s", 5))
        time.sleep(SETTLE)
        rest = Rest.measured(lambda: processor_seconds(network.pids()), IDLE)
        lines.append(Line("`make up` idle, of a core", rest.rate * 100, "%", 10))
        lines.append(Line("memory after start, PSS", memory_mb(network.pids()), "MB", 600))
        operations = 0
        for load_ in _rest_loads(scale, applies):
            rest.wait()
            meter = Meter(network.pids(), idle=rest.rate)
            with meter.running(rest if load_.bulk else None):
                rates = network.drive(load_.clients, load_.requests, load_.make, at_once=load_.at_once)
            operations += rates.operations
            value = meter.checks(rates.operations)
            lines.append(_line(load_.name, value, load_.target, load_.floor, load_.floor_name, rates))
        after = f"memory after {operations:,} more operations, PSS"
        lines.append(Line(after, memory_mb(network.pids()), "MB"))
    return lines


@dataclass(frozen=True)
class RestLoad:
    """One line over REST."""

    name: str
    target: float | None
    floor: float | None
    floor_name: str
    clients: int
    requests: int
    make: Make
    at_once: int = 1
    bulk: bool = False
    """Whether what the processes still do after the last answer counts."""


def _rest_loads(scale: float, applies: float) -> list[RestLoad]:
    """In this order: batches issue the tickets that the others validate and read."""
    lone, many, reads, batches = (
        max(least, int(size * scale))
        for least, size in ((20, REST_LONE), (64, REST_MANY), (64, REST_READS), (8, REST_BATCHES))
    )
    batches = max(batches, (lone + 2 * many) // BATCH + 1)
    issued, next_ticket, reading = count(), count(), count()

    def batch(_client: int, _count: int) -> Request:
        first = next(issued) * BATCH
        operations = [{"op": "issue", "ticket_id": f"R-{first + i}"} for i in range(BATCH)]
        return "POST", "/api/v1/tickets/batch", json.dumps({"operations": operations})

    def validate(_client: int, _count: int) -> Request:
        return "POST", "/api/v1/tickets/validate", json.dumps({"ticket_id": f"R-{next(next_ticket)}"})

    def read(_client: int, _count: int) -> Request:
        return "GET", f"/api/v1/tickets/R-{next(reading) % BATCH}", None

    per_ticket = f"REST batch of {BATCH}, a ticket"
    return [
        RestLoad(per_ticket, 3.0, applies, APPLY_EACH, 4, batches, batch, BATCH, bulk=True),
        RestLoad("REST validate, one client", 300, REPLICAS, CHECK_EACH, 1, lone, validate),
        RestLoad("REST validate, 32 clients", 80, REPLICAS, CHECK_EACH, 32, many, validate, bulk=True),
        RestLoad(
            f"REST validate, {BESIDE_ETCD} clients",
            None,
            REPLICAS,
            CHECK_EACH,
            BESIDE_ETCD,
            many,
            validate,
            bulk=True,
        ),
        RestLoad("REST read, 8 clients", 14, None, "", 8, reads, read),
    ]


def _help_seconds() -> float:
    """Processor seconds of `manage.py --help`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "manage.py", "--help"]
    subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(scale: float) -> dict[str, Any]:
    """Measure and print the table."""
    return run(scale).told()
