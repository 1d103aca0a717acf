"""The gateway against real validators: killed, paused, too few, all of them started again."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.node_cluster import OUTCOME_WAIT, Cluster, operation, running_cluster, submit
from tests.waiting import PATIENCE, wait_until
from tickets.machine import Admit, Issue, Validate
from validators.gateway.client import Gateway
from validators.gateway.collector import Result
from validators.gateway.face import DEFAULT_WAIT

pytestmark = pytest.mark.integration

TICKETS = 300


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Cluster, Gateway]]:
    with running_cluster(tmp_path / "data", 4) as made:
        yield made


def issue(gateway: Gateway, count: int = TICKETS) -> list[str]:
    names = [f"T-{number:04d}" for number in range(count)]
    results = submit(gateway, [operation(Issue(), name) for name in names])
    assert {result.code for result in results} == {"ok"}
    return names


def primary(gateway: Gateway) -> int:
    """Where it believes the primary to be, once it believes anything."""
    found = wait_until(lambda: [one.index for one in gateway.members() if one.primary], what="a primary")
    return found[0]


def test_calls_of_many_threads_get_the_outcomes_of_the_one_log(running: tuple[Cluster, Gateway]) -> None:
    """Every ticket admitted from eight threads at once: one `ok` each, at places of their own."""
    _cluster, gateway = running
    names = issue(gateway, 50)

    def admit(name: str) -> Result:
        return submit(gateway, [operation(Admit(), name)])[0]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(admit, names * 8))
    assert [result.code for result in results].count("ok") == len(names)
    assert {result.code for result in results} == {"ok", "already_consumed"}
    assert len({(result.sequence, result.index) for result in results}) == len(results)


def test_r14_r16_a_primary_killed_amid_the_scans_admits_nobody_twice(
    running: tuple[Cluster, Gateway],
) -> None:
    """Unknown outcomes are asked for again with their nonce; each ticket has exactly one first `ok`."""
    cluster, gateway = running
    names = issue(gateway)
    half = threading.Event()
    scanned = 0

    def scan(number: int) -> tuple[str, str, float]:
        nonlocal scanned
        name = names[number % TICKETS]
        nonce = f"scan-{number}".encode()
        started = time.monotonic()
        code = "outcome_unknown"
        while code in ("outcome_unknown", "unavailable", "expired"):
            code = submit(gateway, [operation(Admit(), name, nonce=nonce)])[0].code
        scanned += 1
        if scanned >= TICKETS // 2:  # two threads that count at once may both see what comes after it
            half.set()
        return name, code, time.monotonic() - started

    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(scan, number) for number in range(TICKETS * 2)]
        assert half.wait(PATIENCE)
        cluster.kill(primary(gateway))
        done = [future.result(2 * PATIENCE) for future in futures]
    admitted = [name for name, code, _took in done if code == "ok"]
    assert sorted(admitted) == sorted(names), "each once, nobody twice"
    assert {code for _name, code, _took in done} == {"ok", "already_consumed"}
    cluster.settled()
    for index in cluster.processes:
        assert cluster.ticket(gateway, index, names[0])["ticket"]["State"] == "CONSUMED"


def test_a_paused_primary_is_replaced_and_calls_end(running: tuple[Cluster, Gateway]) -> None:
    cluster, gateway = running
    issue(gateway, 1)
    paused = primary(gateway)
    cluster.processes[paused].send_signal(signal.SIGSTOP)
    try:
        assert submit(gateway, [operation(Validate(), "T-0000")])[0].code == "ok"
        wait_until(lambda: primary(gateway) != paused, what="another primary is believed")
    finally:
        cluster.processes[paused].send_signal(signal.SIGCONT)


def test_x13_without_a_quorum_nothing_is_sent_and_later_all_goes_on(running: tuple[Cluster, Gateway]) -> None:
    cluster, gateway = running
    issue(gateway, 1)
    cluster.kill(2, 3)
    wait_until(lambda: sum(member.connected for member in gateway.members()) == 2, what="two are gone")
    started = time.monotonic()
    [refused] = submit(gateway, [operation(Validate(), "T-0000")], wait=DEFAULT_WAIT)
    assert refused.code == "unavailable"
    assert time.monotonic() - started < DEFAULT_WAIT, "at once, not after the whole wait"
    cluster.start(2, 3)

    cluster.ready(gateway)
    assert submit(gateway, [operation(Validate(), "T-0000")])[0].code == "ok"


def test_a_gateway_outlives_the_whole_cluster(running: tuple[Cluster, Gateway]) -> None:
    """All nodes stopped and started: the same gateway, the same session, nothing lost."""
    cluster, gateway = running
    issue(gateway, 2)
    assert submit(gateway, [operation(Validate(), "T-0000")])[0].code == "ok"
    assert cluster.stop() == [0, 0, 0, 0]
    future: Future[tuple[Result, ...]] = gateway.submit([operation(Validate(), "T-0001")])
    assert future.result(PATIENCE)[0].code in ("unavailable", "outcome_unknown")
    cluster.start()
    cluster.ready(gateway)
    again = submit(gateway, [operation(Validate(), "T-0000"), operation(Validate(), "T-0001")])
    assert again[0].code == "already_validated"
    assert again[1].code in ("ok", "already_validated")


def test_two_gateways_see_one_log(running: tuple[Cluster, Gateway]) -> None:
    cluster, first = running
    second = cluster.gateway()
    cluster.ready(second)
    issue(first, 1)
    admit = operation(Admit(), "T-0000")
    calls = [gateway.submit([admit], wait=OUTCOME_WAIT) for gateway in (first, second)]
    assert sorted(call.result(PATIENCE)[0].code for call in calls) == ["already_consumed", "ok"]


@pytest.mark.parametrize("count", [1, 7])
def test_clusters_of_other_sizes_answer_too(tmp_path: Path, count: int) -> None:
    with running_cluster(tmp_path / "data", count) as (_cluster, gateway):
        names = issue(gateway, 20)
        results = submit(gateway, [operation(Admit(), name) for name in names * 2])
        assert [result.code for result in results] == ["ok"] * 20 + ["already_consumed"] * 20
