"""The gateway against real validators: many threads, two gateways, all nodes started again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from dtvn.gateway import Gateway, Lease, LockClient, LockError, Result
from dtvn.machine import Admit, Issue, Validate
from tests.integration.node_cluster import OUTCOME_WAIT, Cluster, operation, running_cluster, submit
from tests.waiting import PATIENCE

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Gateway]]:
    with running_cluster(tmp_path_factory.mktemp("gateway") / "data", 4) as made:
        yield made


def issue(gateway: Gateway, prefix: str, count: int) -> list[str]:
    names = [f"{prefix}-{number}" for number in range(count)]
    results = submit(gateway, [operation(Issue(), name) for name in names])
    assert {result.code for result in results} == {"ok"}
    return names


def test_calls_of_many_threads_get_outcomes_of_one_log(running: tuple[Cluster, Gateway]) -> None:
    """Every ticket admitted from eight threads at once: one `ok` each, at places of their own."""
    _cluster, gateway = running
    names = issue(gateway, "MANY", 50)

    def admit(name: str) -> Result:
        return submit(gateway, [operation(Admit(), name)])[0]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(admit, names * 8))
    assert [result.code for result in results].count("ok") == len(names)
    assert {result.code for result in results} == {"ok", "already_consumed"}
    assert len({(result.sequence, result.index) for result in results}) == len(results)


def test_a_gateway_reconnects_after_a_restart_of_the_whole_cluster(running: tuple[Cluster, Gateway]) -> None:
    """All nodes stopped and started: the same gateway, the same session, nothing lost."""
    cluster, gateway = running
    issue(gateway, "OUTLIVES", 2)
    assert submit(gateway, [operation(Validate(), "OUTLIVES-0")])[0].code == "ok"
    assert cluster.stop() == [0, 0, 0, 0]
    future: Future[tuple[Result, ...]] = gateway.submit([operation(Validate(), "OUTLIVES-1")])
    assert future.result(PATIENCE)[0].code in ("unavailable", "outcome_unknown")
    cluster.start()
    cluster.ready(gateway)
    again = submit(gateway, [operation(Validate(), "OUTLIVES-0"), operation(Validate(), "OUTLIVES-1")])
    assert again[0].code == "already_validated"
    assert again[1].code in ("ok", "already_validated")


@pytest.mark.exhaustive  # half a minute
def test_a_hundred_acquirers_hold_a_lock_one_after_the_other_a20(
    running: tuple[Cluster, Gateway],
) -> None:
    """Each holder counts itself in and out; an end with an older token is refused."""
    cluster, first = running
    gateways = [first, cluster.gateway(), cluster.gateway()]
    for gateway in gateways:
        cluster.ready(gateway)
    inside: list[int] = []
    leases: list[Lease] = []

    def hold(number: int) -> None:
        clients = LockClient(gateways[number % 3], actor="tester")
        with clients.held("door", 60.0, wait=PATIENCE) as lease:
            inside.append(number)
            assert inside == [number]
            if leases:
                with pytest.raises(LockError) as caught:
                    clients.renew(leases[-1], 1.0)
                assert caught.value.code == "stale_lock_token"
            leases.append(lease)
            inside.remove(number)

    with ThreadPoolExecutor(100) as pool:
        assert len([*pool.map(hold, range(100))]) == 100
    tokens = [lease.token for lease in leases]
    assert tokens == sorted(set(tokens))


def test_two_gateways_see_one_log(running: tuple[Cluster, Gateway]) -> None:
    cluster, first = running
    with cluster.gateway() as second:
        cluster.ready(second)
        issue(first, "TWO", 1)
        admit = operation(Admit(), "TWO-0")
        calls = [gateway.submit([admit], wait=OUTCOME_WAIT) for gateway in (first, second)]
        assert sorted(call.result(PATIENCE)[0].code for call in calls) == ["already_consumed", "ok"]
