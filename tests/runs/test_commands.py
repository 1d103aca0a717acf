"""The commands that print what a platform says of its cluster (A87), over what it answers."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from dtvn.cli import circuit_breaker_status, cluster_status, consensus_metrics
from dtvn.cli.platform import text_of
from dtvn.gateway.questions import MemberStatus
from events.models import JudgedRun
from tests.api.conftest import KEY, Api
from tests.fake_gateway import FakeGateway
from tests.runs.test_rest import BAD, GOOD, sequence
from validators.models import ManagedCluster
from validators.rest import metrics

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


@contextmanager
def platform(api: Api, **cluster: Any) -> Iterator[str]:
    """An address that answers as the API does now: its database is of the test's own thread. `cluster`:
    fields of the cluster's state in place of the API's."""
    paths = (
        "/api/v1/cluster",
        "/api/v1/nodes",
        "/api/v1/events/runs?limit=1000",
        "/api/v1/events",
        "/metrics",
    )
    metrics.page.forget()
    answers = {path: api.get(path).content for path in paths}
    state = json.loads(answers["/api/v1/cluster"])
    answers["/api/v1/cluster"] = json.dumps(state | {"data": state["data"] | cluster}).encode()

    def answer(path: str, key: str | None) -> tuple[int, bytes]:
        if key != KEY:
            return 401, b'{"error":"Invalid or missing API key"}'
        return 200, answers[path]

    with answering(answer) as url:
        yield url


@contextmanager
def answering(answer: Callable[[str, str | None], tuple[int, bytes]]) -> Iterator[str]:
    """An address at which a GET is answered as `answer` says: (path, API key) -> (status, body)."""

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path, self.headers.get("X-API-Key"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def told(command: Any, url: str, **options: Any) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    out, err = io.StringIO(), io.StringIO()
    given = {"cluster": url, "json": True, "node_id": None, "algorithm": None} | options
    return command.run(given, out, err), out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTVN_API_KEY", KEY)


def test_a87_cluster_status_tells_health_and_nodes(api: Api, fake: FakeGateway) -> None:
    with platform(api) as url:
        code, out, _ = told(cluster_status, url)
        assert code == 0
        assert json.loads(out) == {
            "healthy": True,
            "active_nodes": 4,
            "total_nodes": 4,
            "consensus_healthy": True,
            "network_healthy": True,
            "issues": [],
        }
        assert "active_nodes           4\n" in told(cluster_status, url, json=False)[1]
        assert json.loads(told(cluster_status, url, node_id="r1")[1])["id"] == "r1"
        missing = told(cluster_status, url, node_id="r9")
    assert missing == (2, "", "dtvn cluster-status: no node r9; there are r0, r1, r2, r3\n")


def test_a87_each_stopped_node_is_an_issue_beside_others(api: Api) -> None:
    state = {"level": "amber", "sentence": "3 of 4 agree", "reachable": 3, "stopped": ["r1", "r2"]}
    with platform(api, **state) as url:
        code, out, _ = told(cluster_status, url)
    found = json.loads(out)
    assert (code, found["healthy"], found["network_healthy"]) == (0, True, False)
    assert found["issues"] == ["3 of 4 agree", "r1 is stopped", "r2 is stopped"]


def test_a87_a_cluster_whose_requests_wait_is_not_healthy(api: Api) -> None:
    """All its members answer, and none of what is asked for is decided."""
    waits = {"level": "stuck", "sentence": "A request has waited for more than 10 s", "decides": False}
    with platform(api, **waits) as url:
        code, out, _ = told(cluster_status, url)
    found = json.loads(out)
    assert (code, found["healthy"], found["network_healthy"]) == (1, False, True)
    assert found["issues"] == [waits["sentence"]]


def test_a87_what_went_wrong_with_a_cluster_that_agrees_is_an_issue(api: Api, fake: FakeGateway) -> None:
    """As when a restart of all nodes stopped at one that did not come back."""
    ManagedCluster.objects.update_or_create(pk=1, defaults={"error": "r2 did not come back."})
    with platform(api) as url:
        code, out, _ = told(cluster_status, url)
    found = json.loads(out)
    assert (code, found["healthy"], found["network_healthy"]) == (1, False, True)
    assert found["issues"] == ["r2 did not come back."]


def test_a87_consensus_metrics_count_verdicts(api: Api, fake: FakeGateway) -> None:
    for events in (GOOD, GOOD, BAD):
        sequence(api, events, algorithm="majority")
    sequence(api, GOOD, algorithm="unanimous")
    fake.events.down = frozenset({1, 2, 3})
    sequence(api, GOOD, algorithm="majority")
    with platform(api) as url:
        found = json.loads(told(consensus_metrics, url, algorithm="majority")[1])
        every = json.loads(told(consensus_metrics, url)[1])
    counts = found["total_operations"], found["valid"], found["invalid"], found["success_rate"]
    assert counts == (4, 2, 1, 0.75)
    assert (found["failures"], found["events"]) == ({"NO_QUORUM": 1}, 15)
    assert found["current_leader"] == "r0"
    assert every["total_operations"] == 5
    assert sum(given["valid"] for given in every["answers"].values()) >= 3 + 3 + 4


def test_consensus_metrics_of_an_algorithm_that_is_not_offered_name_those_that_are(
    api: Api, fake: FakeGateway
) -> None:
    sequence(api, GOOD, algorithm="majority")
    with platform(api) as url:
        for name in ("raft", "paxos"):
            code, out, err = told(consensus_metrics, url, algorithm=name)
            assert (code, out) == (2, "")
            said = f"--algorithm: {name} is not offered here; offered: majority, unanimous, pbft"
            assert err == f"dtvn consensus-metrics: {said}\n"
        code, out, _ = told(consensus_metrics, url, algorithm="pbft")
        assert (code, json.loads(out)["total_operations"]) == (0, 0), "offered, and not asked for yet"
        JudgedRun.objects.update(algorithm="raft")
    with platform(api) as url:
        code, out, _ = told(consensus_metrics, url, algorithm="raft")
        assert (code, json.loads(out)["total_operations"]) == (0, 1), "kept from when it was offered"


def test_a87_circuit_breaker_status_tells_each_member(api: Api, fake: FakeGateway) -> None:
    with platform(api) as url:
        assert json.loads(told(circuit_breaker_status, url)[1]) == dict.fromkeys(
            ("r0", "r1", "r2", "r3"), "closed"
        )
    statuses = [MemberStatus(answered=10) for _ in range(4)]
    fake.entries.observe(statuses, 0.0)
    statuses[3].missed = 11
    fake.entries.observe(statuses, 1.0)
    with platform(api) as url:
        code, out, _ = told(circuit_breaker_status, url, json=False)
    assert code == 1
    assert out.endswith("r3                     open\n")


def test_a87_each_state_of_a_breaker_has_its_word_and_none_is_no_answer() -> None:
    lines = "\n".join(f'dtvn_platform_breaker_state{{node_id="r{state}"}} {state}.0' for state in range(3))
    with answering(lambda *_: (200, lines.encode())) as url:
        code, out, _ = told(circuit_breaker_status, url)
    assert (code, json.loads(out)) == (1, {"r0": "closed", "r1": "open", "r2": "half-open"})
    with answering(lambda *_: (200, b"# nothing yet\n")) as url:
        found = told(circuit_breaker_status, url)
    said = f"dtvn circuit-breaker-status: {url} has not reached its cluster yet\n"
    assert found == (2, "", said)


@pytest.mark.parametrize(("status", "content"), [(200, b"<html>"), (200, b"[]"), (502, b"<html>")])
def test_what_is_no_platform_is_said_to_be_none(status: int, content: bytes) -> None:
    with answering(lambda *_: (status, content)) as url:
        found = told(cluster_status, url)
    assert found == (2, "", f"dtvn cluster-status: {url} answers {status}: not what a platform answers\n")


def test_fields_for_people_are_one_line_each() -> None:
    fields = {"rate": 2 / 3, "counts": {"r0": {"valid": 2}, "r1": {}}, "issues": ["a", "b"], "none": []}
    assert text_of(fields | {"name": "x"}, json=False) == (
        "rate                   0.667\n"
        "counts                 r0: valid: 2, r1: -\n"
        "issues                 a; b\n"
        "none                   -\n"
        "name                   x\n"
    )


def test_a_platform_that_is_away_or_refuses_is_said_in_one_line(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = told(consensus_metrics, "http://127.0.0.1:1")
    assert away[:2] == (2, "")
    assert away[2].startswith("dtvn consensus-metrics: cannot reach http://127.0.0.1:1: ")
    monkeypatch.setenv("DTVN_API_KEY", "wrong")
    with platform(api) as url:
        refused = told(cluster_status, url)
    said = f"dtvn cluster-status: {url} answers 401: Invalid or missing API key\n"
    assert refused == (2, "", said)
