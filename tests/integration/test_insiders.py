"""An insider floods all nodes under a gateway key of its own: the clients of another hardly notice (P15)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Issue
from tests.integration.insider import KINDS
from tests.integration.node_cluster import ROOT, Cluster, environment, operation, running_cluster, submit
from tests.integration.test_node_flood import p99

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.bench]

ROUNDS = 5
RISE = 2.0


AS_MANY_AS_IT_CAN = "0"


@contextmanager
def attacked(cluster: Cluster, kind: str, *more: str) -> Iterator[None]:
    """Under the key of node3's own API, which is a principal as a gateway is. The attacker would have
    processors of its own: it takes only time that nobody else wants (SCHED_IDLE). A process that only
    computes raises p99 by a quarter at nice 19, and not at all so."""
    arguments = (cluster.folder.genesis, cluster.node(3).api_key, kind, *more)
    command = ["chrt", "--idle", "0", sys.executable, "-m", "tests.integration.insider", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE) as attacker:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == b"at work\n"
        try:
            yield
        finally:
            attacker.kill()


@pytest.mark.parametrize("kind", list(KINDS))
def test_others_hardly_notice_an_insider(tmp_path: Path, kind: str) -> None:
    """Rounds without and with the attacker in turn, each first in every other turn."""
    seen: dict[bool, list[float]] = {False: [], True: []}
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        p99(gateway, "warm")
        view = cluster.status_of(gateway, 0)["view"]
        for turn in range(ROUNDS):
            for under_attack in (False, True) if turn % 2 == 0 else (True, False):
                with attacked(cluster, kind) if under_attack else ExitStack():
                    seen[under_attack].append(p99(gateway, f"{under_attack}-{turn}"))
        status = cluster.status_of(gateway, 0)
    print(f"{kind}: calm {seen[False]}\nattacked {seen[True]}\nview {view} {status['view']}")  # noqa: T201
    assert median(seen[True]) <= RISE * median(seen[False])
    assert status["view"] == view


@pytest.mark.parametrize(
    ("kind", "node"),
    [*((kind, "") for kind in KINDS), ("openings", "1")],
    ids=[*KINDS, "openings_at_one_node"],
)
def test_row_15_others_hardly_notice_a_flood_at_full_speed(tmp_path: Path, kind: str, node: str) -> None:
    """A caller with one open call, under another key: p50 and p99 at most twice, and no view change."""
    seen: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    more = (AS_MANY_AS_IT_CAN, node) if node else (AS_MANY_AS_IT_CAN,)
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        quantiles(gateway, "warm")
        view = cluster.status_of(gateway, 0)["view"]
        for turn in range(ROUNDS):
            for flooded in (False, True) if turn % 2 == 0 else (True, False):
                with attacked(cluster, kind, *more) if flooded else ExitStack():
                    seen[flooded].append(quantiles(gateway, f"{flooded}-{turn}"))
        assert [process.poll() for process in cluster.processes.values()] == [None] * 4
        status = cluster.status_of(gateway, 0)
    print(f"{kind} {node}: calm {seen[False]}\nflooded {seen[True]}\n{view} {status['view']}")  # noqa: T201
    for calm, flooded_ in zip(zip(*seen[False], strict=True), zip(*seen[True], strict=True), strict=True):
        assert median(flooded_) <= RISE * median(calm)
    assert status["view"] == view


@pytest.mark.parametrize("rate", [500, 1_000, 2_000])
def test_row_15_a_flood_of_valid_requests_deposes_no_primary(tmp_path: Path, rate: int) -> None:
    """It takes the time of its execution, so others wait; that is not the primary's fault (0196)."""
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        calm = quantiles(gateway, "calm")
        view = cluster.status_of(gateway, 0)["view"]
        with attacked(cluster, "valid", str(rate)):
            flooded = quantiles(gateway, "flooded")
        status = cluster.status_of(gateway, 0)
    print(f"{rate}: calm {calm}, flooded {flooded}, view {view} {status['view']}")  # noqa: T201
    assert status["view"] == view


def quantiles(gateway: Gateway, label: str, seconds: float = 5.0) -> tuple[float, float]:
    """p50 and p99, in seconds, of calls one after the other."""
    times: list[float] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        begun = time.monotonic()
        [issued] = submit(gateway, [operation(Issue(), f"{label}-{len(times)}", entry="node2")])
        times.append(time.monotonic() - begun if issued.code == "ok" else float("inf"))
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)]
