"""Agent events judged and recorded by five real nodes that were founded with Raft (A11 to A13, R44)."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.events.config import from_profile
from dtvn.events.judging import Electorate, check_certificate, decode_certificate
from dtvn.events.runs import started_run
from dtvn.gateway import DistributedValidator, Gateway
from dtvn.machine import Barrier
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.quorum import Mode
from tests.integration.network import network
from tests.integration.node_cluster import OUTCOME_WAIT, Cluster, operation, running_cluster, submit
from tests.ports import free_ports
from tests.waiting import allowed, wait_until

pytestmark = pytest.mark.integration
MEMBERS = 5


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Gateway]]:
    data = tmp_path_factory.mktemp("raft") / "data"
    with running_cluster(data, MEMBERS, consensus=Mode.RAFT) as made:
        yield made


def a_run(name: str) -> list[bytes]:
    """The events of a valid run."""
    named = f'"threadId":"raft","runId":"{name}"'.encode()
    return [b'{"type":"RUN_STARTED",%b}' % named, b'{"type":"RUN_FINISHED",%b}' % named]


def check_recorded(gateway: Gateway, name: str) -> None:
    """A run gets a verdict by raft, whose certificate a majority signed, and the log holds it."""
    texts = a_run(name)
    started = started_run(texts[0])
    assert started is not None
    run = gateway.events.begin(started.thread_id, name)
    assert run.algorithm == "raft"
    judged = run.judge(texts, wait=OUTCOME_WAIT).result(OUTCOME_WAIT + 10)
    assert (judged.verdict, judged.certified) == ("valid", True)
    voters = Electorate(cluster_id(gateway.genesis), 0, gateway.present.members, Mode.RAFT)
    found = check_certificate(decode_certificate(judged.certificates[0]), voters)
    assert len(found.signers) == MEMBERS // 2 + 1
    assert run.end(wait=OUTCOME_WAIT).result(2 * OUTCOME_WAIT + 10).code == "ok"


def led_by(cluster: Cluster, gateway: Gateway, above: int = -1) -> tuple[int, int, float] | None:
    """(leader, term, T in seconds) of the newest term above `above` that has a leader, as the leader says."""
    found = [(index, cluster.status(gateway, index)) for index in list(cluster.processes)]
    leads = [
        (each["view"], index, each["timeout_ms"] / 1_000)
        for index, each in found
        if each and each["is_primary"] and not each["changing"] and each["view"] > above
    ]
    terms = [term for term, _index, _timeout in leads]
    assert len(set(terms)) == len(terms), f"one leader a term: {leads}"
    if not leads:
        return None
    term, index, timeout = max(leads)
    return index, term, timeout


def leader_of(cluster: Cluster, gateway: Gateway, above: int = -1) -> tuple[int, int, float]:
    found = wait_until(lambda: led_by(cluster, gateway, above), what=lambda: f"a leader\n{cluster.outputs()}")
    assert found is not None
    return found


def roots(cluster: Cluster, gateway: Gateway) -> list[tuple[int, str]]:
    """(last sequence, root of the log) of every running node."""
    told = []
    for index in cluster.processes:
        answer = gateway.query(index, "consensus", wait=OUTCOME_WAIT).result(OUTCOME_WAIT + 10)
        found: dict[str, Any] = msgspec.json.decode(answer.text)
        told.append((found["executed"], found["log_root"]))
    return told


def check_equal(cluster: Cluster, gateway: Gateway) -> None:
    cluster.settled()
    wait_until(
        lambda: len(set(roots(cluster, gateway))) == 1,
        what=lambda: f"equal logs: {roots(cluster, gateway)}",
    )


def test_profile_large_starts_and_judges(running: tuple[Cluster, Gateway]) -> None:
    _cluster, gateway = running
    with DistributedValidator.from_config(gateway, from_profile("large", "n0")) as validator:
        found = validator.validate_sequence(a_run("large"))
        assert (found.is_valid, found.certified) == (True, True)
        manager = validator.get_consensus_manager()
        assert manager.get_metrics().current_leader in {f"node{index}" for index in range(MEMBERS)}


def test_a11_after_its_leaders_death_a_higher_term_judges_on(running: tuple[Cluster, Gateway]) -> None:
    cluster, gateway = running
    check_recorded(gateway, "before")
    leader, term, timeout = leader_of(cluster, gateway)
    cluster.kill(leader)
    since = time.monotonic()
    _next, later, _timeout = leader_of(cluster, gateway, above=term)
    assert time.monotonic() - since <= allowed(5 * timeout)
    assert later > term
    check_recorded(gateway, "after")
    cluster.start(leader)
    check_equal(cluster, gateway)


def test_a12_a_gateway_that_reaches_followers_alone_is_served(running: tuple[Cluster, Gateway]) -> None:
    cluster, gateway = running
    leader, term, _timeout = leader_of(cluster, gateway)
    (nobody,) = free_ports(1)
    with cluster.gateway() as other:
        other.dial({f"node{leader}": ("127.0.0.1", nobody)})

        def linked() -> bool:
            reached = [view.connected for view in other.members()]
            return reached == [index != leader for index in range(MEMBERS)]

        wait_until(linked, what="all but the leader are reached")
        check_recorded(other, "through followers")
        assert linked()
    assert leader_of(cluster, gateway)[:2] == (leader, term), "the leader did it, and stays"


def stopped(cluster: Cluster, indexes: Sequence[int], number: signal.Signals) -> None:
    for index in indexes:
        cluster.processes[index].send_signal(number)


def test_a13_two_of_five_never_commit_and_all_logs_are_equal_in_the_end(
    running: tuple[Cluster, Gateway],
) -> None:
    """A real cut needs a network namespace; here the halves are paused in turn."""
    cluster, gateway = running
    leader, _term, timeout = leader_of(cluster, gateway)
    others = [index for index in range(MEMBERS) if index != leader]
    two, three = [leader, others[0]], others[1:]
    check_equal(cluster, gateway)
    before = roots(cluster, gateway)[0][0]
    stopped(cluster, three, signal.SIGSTOP)
    try:
        run = gateway.events.begin("raft", "of-two", recorded=True)
        assert run.judge(a_run("of-two"), wait=2 * timeout).result(OUTCOME_WAIT).verdict == "none"
        assert run.end(wait=1.0).result(OUTCOME_WAIT).code != "ok"
        assert submit(gateway, [operation(Barrier())], wait=2 * timeout)[0].code != "ok"
        for index in two:
            assert cluster.status_of(gateway, index)["sequence"] <= before, "two never commit"
        stopped(cluster, two, signal.SIGSTOP)
    finally:
        stopped(cluster, three, signal.SIGCONT)
    try:
        check_recorded(gateway, "of-three")
    finally:
        stopped(cluster, two, signal.SIGCONT)
    check_recorded(gateway, "of-five")
    check_equal(cluster, gateway)


def test_up_with_profile_large_judges_by_raft(tmp_path: Path) -> None:
    """What a person types: DTVN_EVENTS_CONFIG=large make up CONSENSUS=raft NODES=5."""
    wanted = {"DTVN_EVENTS_CONFIG": "large", "CONSENSUS": "raft", "NODES": str(MEMBERS)}
    with network(tmp_path / "data", environment=wanted) as started:
        started.start()
        with started.client() as client:
            told = client.get("/api/v1/events").json()["data"]
            assert (told["algorithm"], told["promises"]["raft"]["needed"]) == ("raft", 3)
            texts = [text.decode() for text in a_run("large")]
            answer = client.post("/api/v1/events/validate-sequence", json={"texts": texts})
            report = answer.json()["data"]
            found = [report[name] for name in ("algorithm", "verdict", "recorded")]
            assert found == ["raft", "valid", "ok"], answer.text
            refused = client.post("/api/v1/events/runs", json={"algorithm": "pbft"})
            assert (refused.status_code, refused.json()["code"]) == (422, "algorithm_not_offered")
