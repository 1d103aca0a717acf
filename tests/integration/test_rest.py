"""The API of a whole running network, as a stranger with curl and a key meets it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from statistics import median
from typing import Any

import httpx
import pytest

from dtvn.watch import HEARD_WITHIN
from tests.integration.network import Network
from tests.integration.supervised import Ears
from tests.integration.test_process_life import wait_until_everyone_runs
from tests.metrics.scraping import Page
from tests.waiting import MARGIN, PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

WITHOUT_QUORUM = 10.0
"""Seconds within which 503 or 504 is answered (R14)."""
SEQUENCE = "X-DTVN-Sequence"
NODES = ("node0", "node1", "node2", "node3")
HEALTH = 0.1
"""Seconds within which /health is answered, beyond what it takes here while nothing waits."""
ADMIT = "/api/v1/tickets/admit"
SCANS = [{"ticket_id": f"TICKET-{number // 4}", "nonce": f"scan-{number}"} for number in range(800, 864)]
"""Of 64 gates: four scan each ticket."""


@pytest.fixture
def running(shared: Network) -> Network:
    return shared


@pytest.fixture
def client(running: Network) -> Iterator[httpx.Client]:
    with running.client() as made:
        yield made


def post(client: httpx.Client, verb: str, ticket: str, **fields: Any) -> httpx.Response:
    return client.post(f"/api/v1/tickets/{verb}", json={"ticket_id": ticket} | fields)


def own_states(client: httpx.Client, ticket: str) -> dict[str, str]:
    """What each node itself says of a ticket."""
    return {
        node: client.get(f"/api/v1/nodes/{node}/tickets/{ticket}").json().get("data", {}).get("State", "")
        for node in NODES
    }


@pytest.mark.backend
def test_the_tour_of_the_rest_api_works(client: httpx.Client) -> None:
    assert client.get("/health").json()["status"] == "healthy"
    wait_until(lambda: client.get("/ready").status_code == 200, what="the cluster commits")
    answers = [post(client, verb, "TICKET-001") for verb in ("validate", "consume", "consume")]
    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert answers[2].json()["code"] == "already_consumed"
    copied(client, int(answers[2].headers[SEQUENCE]))
    assert len(client.get("/api/v1/tickets", params={"after": "TICKET-"}).json()["data"]) == 500
    wait_until(
        lambda: set(own_states(client, "TICKET-001").values()) == {"CONSUMED"},
        what="the same on every node",
    )
    wait_until(lambda: told(client, "stats").get("peer_count") == 3, what="a node that has three peers")
    assert told(client, "stats")["mode"] == "supervisor"
    records = client.get("/api/v1/consensus/logs").json()["data"]
    assert [r["operation"] for r in records if r["ticket_id"] == "TICKET-001"] == ["VALIDATE", "CONSUME"]
    wait_until(
        lambda: [node["status"] for node in client.get("/api/v1/nodes").json()] == ["running"] * 4,
        what="the last node has begun too: three are enough to decide",
    )
    wait_until(lambda: told(client, "config").get("total_nodes") == 4, what="a node that knows its four")
    wait_until(lambda: len(told(client, "peers")["peers"]) == 3, what="three peers of a node")


def told(client: httpx.Client, what: str) -> dict[str, Any]:
    """What a node says of itself, or the platform where none answers at once."""
    answer = client.get(f"/api/v1/{what}").json()
    return answer.get("data", answer)


def copied(client: httpx.Client, sequence: int) -> None:
    """Wait until the platform's copy is so far: it says so with each answer, and waits a second by itself."""
    wait_until(
        lambda: int(client.get("/api/v1/tickets", params={"limit": 1}).headers[SEQUENCE]) >= sequence,
        what=f"a copy of sequence {sequence}",
    )


@pytest.mark.backend
def test_x2_of_parallel_validations_exactly_one_succeeds(running: Network) -> None:
    def validate(_number: int) -> int:
        with running.client() as own:
            return post(own, "validate", "TICKET-020").status_code

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(validate, range(20))) == [200] + [409] * 19


@pytest.mark.backend
def test_r13_a_repeated_scan_gets_its_first_answer(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "scan-77"}
    body = {"ticket_id": "TICKET-030"}
    statuses = [client.post("/api/v1/tickets/admit", json=body, headers=headers).status_code for _ in "abc"]
    assert statuses == [200, 200, 200]
    assert post(client, "admit", "TICKET-030").status_code == 409
    other = client.post("/api/v1/tickets/admit", json={"ticket_id": "TICKET-031"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "nonce_reused")


@pytest.mark.backend
def test_r17_an_acknowledged_change_can_be_read_at_once(client: httpx.Client) -> None:
    at_once = 0
    for number in range(100, 120):
        ticket = f"TICKET-{number}"
        written = int(post(client, "validate", ticket).headers[SEQUENCE])
        answer = client.get(f"/api/v1/tickets/{ticket}")
        # A learner that stands still for a second makes an older answer, which says that it is one.
        if int(answer.headers[SEQUENCE]) >= written:
            assert answer.json()["data"]["State"] == "VALIDATED"
            at_once += 1
    assert at_once > 10


@pytest.mark.backend
def test_a_large_batch_is_in_order_and_can_be_read_at_once(client: httpx.Client) -> None:
    operations = [
        {"op": kind, "ticket_id": f"B-{number:04d}", "nonce": f"{place}-{number}"}
        for number in range(1_000)
        for place, kind in enumerate(("issue", "validate", "validate", "consume"))
    ]

    def decided() -> httpx.Response | None:
        """Asked again with the same nonces while an outcome is unknown, as a gate does."""
        answer = client.post("/api/v1/tickets/batch", json={"operations": operations})
        known = answer.status_code == 200 and not answer.json()["data"]["counts"].keys() & {"503", "504"}
        return answer if known else None

    answer = wait_until(decided, what="every outcome")
    assert answer is not None
    assert answer.json()["data"]["counts"] == {"200": 3_000, "409": 1_000}
    copied(client, int(answer.headers[SEQUENCE]))
    listed = client.get("/api/v1/tickets", params={"after": "B", "limit": 1_000, "state": "CONSUMED"})
    assert [ticket["ID"] for ticket in listed.json()["data"]][:1_000] == [
        f"B-{number:04d}" for number in range(1_000)
    ]


@pytest.mark.backend
def test_c28_x13_no_quorum_is_503_or_504_and_service_resumes_later(
    running: Network, client: httpx.Client
) -> None:
    for node in ("node2", "node3"):
        assert client.delete(f"/api/v1/nodes/{node}").json()["status"] == "stopping"

    def stopped() -> int:
        nodes = client.get("/api/v1/nodes").json()
        return sum(node["status"] == "stopped" and node["pid"] is None for node in nodes)

    wait_until(lambda: stopped() == 2, what="two nodes are stopped")
    with running.client(patient=False) as impatient:
        started = time.monotonic()
        refused = post(impatient, "validate", "TICKET-040")
    assert refused.status_code in (503, 504)
    assert time.monotonic() - started < WITHOUT_QUORUM * MARGIN
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json()["code"] in ("unavailable", "outcome_unknown")
    told_after = (HEARD_WITHIN + 1) * MARGIN
    wait_until(lambda: client.get("/ready").status_code == 503, timeout=told_after, what="/ready says so")
    assert client.get("/api/v1/tickets/TICKET-041").status_code == 200, "reading goes on"
    assert client.get("/api/v1/nodes/node3/stats").status_code == 503
    for node in ("node2", "node3"):
        assert client.post("/api/v1/nodes", json={"node_id": node}).status_code == 200
    wait_until(lambda: client.get("/ready").status_code == 200, what="the cluster commits again")
    assert post(client, "validate", "TICKET-042").status_code == 200


@contextmanager
def paused(running: Network, *nodes: str) -> Iterator[None]:
    """These nodes do nothing, and are not replaced: they would be after 30 s."""
    shown = running.nodes()
    pids = [shown[node]["pid"] for node in nodes]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def median_health(running: Network) -> float:
    """Seconds, of twenty answers, each on a connection of its own."""
    apart = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=running.url, limits=apart, timeout=PATIENCE, trust_env=False) as probe:
        answers = [probe.get("/health").raise_for_status() for _ in range(20)]
    return median(answer.elapsed.total_seconds() for answer in answers)


def posts(running: Network) -> float:
    """Those that have reached their views, ever."""
    key = {"X-API-Key": running.credentials["api_key"]}
    answer = httpx.get(f"{running.url}/metrics", headers=key, timeout=PATIENCE, trust_env=False)
    page = Page(answer.raise_for_status().text)
    return page.number("django_http_requests_total_by_method_total", method="POST")


def delivers(ears: Ears, client: httpx.Client) -> None:
    """The open feed tells of a run that begins, which needs no quorum."""
    run = client.post("/api/v1/events/runs", json={"recorded": False}).json()["data"]["id"]
    wait_until(lambda: any(run in told["runs"] for told in ears.of("event_runs")), what="told of the run")
    client.post(f"/api/v1/events/runs/{run}/end").raise_for_status()


def asked_while_all_wait(
    running: Network, client: httpx.Client, ears: Ears
) -> tuple[float, list[int]] | None:
    """Median seconds of /health while all SCANS wait in their views, and then their statuses. None if one was
    answered meanwhile: without links to a quorum they wait 3 s, in which a busy machine may stand still."""
    before = posts(running)
    with running.client(patient=False) as impatient, ThreadPoolExecutor(len(SCANS)) as gates:
        with paused(running, "node2", "node3"):
            scans = [gates.submit(impatient.post, ADMIT, json=scan) for scan in SCANS]
            wait_until(lambda: posts(running) - before >= len(SCANS), what="all scans wait in their views")
            seconds = median_health(running)
            delivers(ears, client)
            all_waited = not any(scan.done() for scan in scans)
        statuses = [scan.result().status_code for scan in scans]
    return (seconds, statuses) if all_waited else None


def test_health_and_feed_answer_while_64_admissions_wait_for_a_quorum(
    running: Network, client: httpx.Client
) -> None:
    wait_until_everyone_runs(running)
    calm = median_health(running)
    with closing(Ears(running.url, X_API_Key=running.credentials["api_key"])) as ears:
        found = wait_until(
            lambda: asked_while_all_wait(running, client, ears),
            timeout=WITHOUT_QUORUM,
            what="twenty answers while all scans wait",
        )
    assert found is not None
    seconds, first = found
    assert seconds < calm + HEALTH
    with ThreadPoolExecutor(len(SCANS)) as gates:
        final = list(gates.map(lambda scan: client.post(ADMIT, json=scan).status_code, SCANS))
    assert all(status in (known, 503, 504) for status, known in zip(first, final, strict=True))
    for place in range(0, len(SCANS), 4):
        assert sorted(final[place : place + 4]) == [200, 409, 409, 409]


def test_oversize_bodies_are_answered_over_a_real_connection(client: httpx.Client) -> None:
    big = b'{"ticket_id":"T","x":"' + b"x" * 1_100_000 + b'"}'
    assert client.post("/api/v1/tickets/validate", content=big).status_code == 413
    chunks = (big[start : start + 65_536] for start in range(0, len(big), 65_536))
    assert client.post("/api/v1/tickets/validate", content=chunks).status_code == 413, "no Content-Length"
    assert client.get("//api/v1/tickets").status_code in (301, 404)
    assert client.request("BREW", "/api/v1/tickets").status_code == 405
