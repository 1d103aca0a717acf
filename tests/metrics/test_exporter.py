"""A node that runs, scraped over HTTP: every name of the contract, with true values."""

from __future__ import annotations

import logging
import socket

import pytest

from dtvn.gateway import Gateway
from dtvn.machine import CancelLock, Command, Consume, Dispute, Issue, Lock, Seed, Validate, build
from dtvn.node.metrics import ApiFigures, Exporter
from dtvn.node.metrics.names import ALL, CONTRACT, SECONDS
from dtvn.node.options import MetricsOptions, StartError
from tests.gateway.test_validator import GOOD
from tests.metrics.scraping import Page, scrape
from tests.node.running import Running, until_commits
from tests.node.test_loop import raise_in_steps
from tests.waiting import PATIENCE, wait_until

CONTRACT_TABLE = {
    "consensus_rounds_total": ("counter", ()),
    "consensus_success_total": ("counter", ()),
    "consensus_failure_total": ("counter", ()),
    "consensus_latency_seconds": ("histogram", ()),
    "gossip_messages_sent_total": ("counter", ()),
    "gossip_messages_received_total": ("counter", ()),
    "gossip_cache_size": ("gauge", ()),
    "gossip_cache_hits_total": ("counter", ()),
    "gossip_cache_misses_total": ("counter", ()),
    "peer_count": ("gauge", ()),
    "network_messages_sent_total": ("counter", ()),
    "network_messages_received_total": ("counter", ()),
    "network_bytes_transmitted_total": ("counter", ()),
    "tickets_validated_total": ("counter", ()),
    "tickets_consumed_total": ("counter", ()),
    "tickets_disputed_total": ("counter", ()),
    "ticket_state_count": ("gauge", ("state",)),
    "storage_operations_total": ("counter", ("operation",)),
    "storage_latency_seconds": ("histogram", ("operation",)),
    "api_requests_total": ("counter", ("method", "endpoint", "status")),
    "api_latency_seconds": ("histogram", ("method", "endpoint")),
    "websocket_connections": ("gauge", ()),
}
"""Section 6 of the contract, copied by hand."""


def test_the_names_types_labels_and_buckets_are_those_of_the_contract() -> None:
    assert {metric.name: (metric.kind, metric.labels) for metric in CONTRACT} == CONTRACT_TABLE
    assert {metric.bounds for metric in CONTRACT if metric.kind == "histogram"} == {SECONDS}
    assert SECONDS == (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
    assert len({metric.name for metric in ALL}) == len(ALL)


def submit(gateway: Gateway, ticket: str, *commands: Command) -> list[str]:
    operations = [build(command, ticket=ticket, actor="tester", entry="node0") for command in commands]
    return [gateway.submit([one], wait=10.0).result(20)[0].code for one in operations]


def page(running: Running) -> Page:
    address = running.node.exporter.address
    assert address is not None
    return scrape(address)


def until(running: Running, name: str, value: float, **labels: str) -> Page:
    """The page once it shows this value."""
    found: list[Page] = []

    def shows() -> bool:
        found[:] = [page(running)]
        return found[0].value(name, **labels) == value

    wait_until(shows, what=lambda: f"{name} is {value}, not {found[0].value(name, **labels)}", pause=0.1)
    return found[0]


def test_x17_a_node_serves_every_name_with_its_type_and_true_values(measured: Running) -> None:
    gateway = measured.gateway()
    try:
        until_commits(gateway)
        assert submit(gateway, "T1", Issue(), Validate(), Validate(), Consume()) == [
            "ok",
            "ok",
            "already_validated",
            "ok",
        ]
        assert submit(gateway, "T2", Issue(), Validate(), Dispute()) == ["ok"] * 3
        assert submit(gateway, "T3", Issue(), Consume()) == ["ok", "not_validated"]
        assert submit(gateway, "", Seed()) == ["ok"]
        at_once = page(measured)
        assert at_once.value("ticket_state_count", state="ISSUED") == 501, "as of the request, not a sample"
        assert at_once.value("consensus_rounds_total") == 6
    finally:
        gateway.close()
    until(measured, "dtvn_sequence", measured.node.executed)
    seen = until(measured, "gossip_cache_misses_total", measured.node.host.door.verifications)
    assert {name: seen.types.get(name) for name in CONTRACT_TABLE} == {
        name: kind for name, (kind, _labels) in CONTRACT_TABLE.items()
    }
    assert {metric.name for metric in ALL} <= set(seen.types)
    counted = ("consensus_success_total", "consensus_failure_total", "tickets_validated_total")
    assert [seen.value(name) for name in counted] == [4, 2, 2]
    assert [seen.value(f"tickets_{name}_total") for name in ("consumed", "disputed")] == [1, 1]
    assert [seen.value("ticket_state_count", state=name) for name in ("CONSUMED", "DISPUTED")] == [1, 1]
    assert seen.value("dtvn_operations_total", kind="validate", outcome="already_validated") == 1
    assert seen.value("peer_count") == 0
    assert seen.value("websocket_connections") == 0
    assert seen.number("consensus_latency_seconds_count") == seen.number("dtvn_batch_operations_count")
    assert seen.number("consensus_latency_seconds_sum") > 0
    assert seen.number("storage_operations_total", operation="append") >= measured.node.executed
    assert seen.number("network_bytes_transmitted_total") > 0
    assert seen.number("dtvn_figures_age_seconds") < PATIENCE
    assert seen.number("dtvn_ledger_bytes") > 0
    assert seen.value("dtvn_voting") == 1


def test_votes_on_events_runs_and_locks_are_measured(measured: Running) -> None:
    """Also after the core was rebuilt: votes count on, what is kept is loaded, and a question on a run whose
    rule state the node has lost gets no vote at first."""
    gateway = measured.gateway()
    held, waits = (Lock("door", holder, 60_000_000, 60_000_000) for holder in (b"first", b"second"))
    kept = ("dtvn_locks_held", "dtvn_lock_waiters", "dtvn_runs_kept")
    try:
        until_commits(gateway)
        live = gateway.events.begin("t", "r", recorded=True)
        assert live.judge(GOOD[:2], wait=PATIENCE).result(2 * PATIENCE).certified
        assert submit(gateway, "", held, waits) == ["ok", "lock_waiting"]
        until(measured, "dtvn_runs_kept", 1)
        seen = until(measured, "dtvn_lock_waiters", 1)
        assert seen.value("dtvn_locks_held") == 1
        assert seen.value("dtvn_operations_total", kind="lock", outcome="lock_waiting") == 1
        counted = ("dtvn_event_votes_total", "dtvn_event_abstentions_total")
        assert [seen.value(name) for name in counted] == [1, 0]
        raise_in_steps(measured.node, RuntimeError("a bug"), times=1)
        until_commits(gateway)
        seen = until(measured, "dtvn_rebuilds_total", 1)
        assert [seen.value(name) for name in (*kept, *counted)] == [1, 1, 1, 1, 0]
        assert live.judge(GOOD[2:], wait=PATIENCE).result(2 * PATIENCE).certified
        seen = until(measured, "dtvn_event_votes_total", 2)
        assert seen.value("dtvn_event_abstentions_total") == 1
        assert live.end(wait=PATIENCE).result(2 * PATIENCE).code == "ok"
        assert submit(gateway, "", CancelLock("door", b"second"), CancelLock("door", b"first")) == [
            "ok",
            "ok",
        ]
        seen = until(measured, "dtvn_locks_held", 0)
        assert [seen.value(name) for name in kept] == [0, 0, 1], "an ended run is kept for an hour"
    finally:
        gateway.close()


def test_a_core_that_is_rebuilt_keeps_its_counters(measured: Running) -> None:
    gateway = measured.gateway()
    try:
        until_commits(gateway)
        assert submit(gateway, "T1", Issue(), Validate()) == ["ok", "ok"]
        until(measured, "tickets_validated_total", 1)
        raised = raise_in_steps(measured.node, RuntimeError("a bug"), times=1)
        until_commits(gateway)
        assert raised() == 1
        assert submit(gateway, "T2", Issue(), Validate()) == ["ok", "ok"]
        seen = until(measured, "tickets_validated_total", 2)
        assert seen.value("dtvn_rebuilds_total") == 1
        assert seen.value("ticket_state_count", state="VALIDATED") == 2
    finally:
        gateway.close()


def test_a_requested_port_in_use_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=rf"127\.0\.0\.1:{port}: Address already in use.*-metrics-port"):
            Exporter(MetricsOptions(port=port, needed=True), logging.getLogger("test"))


def test_a_taken_default_port_is_logged_as_an_error_and_the_node_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        exporter = Exporter(MetricsOptions(port=other.getsockname()[1]), logging.getLogger("test"))
    assert exporter.address is None
    [record] = caplog.records
    assert (record.levelname, record.getMessage().split()[0]) == ("ERROR", "metrics_off")


def test_without_options_nothing_listens_and_nothing_is_gathered(measured: Running) -> None:
    exporter = Exporter(None, logging.getLogger("test"))
    exporter.publish(measured.node)
    assert exporter.address is None
    assert exporter._snapshot is None


def test_requests_of_the_api_are_counted_by_route_and_odd_methods_together() -> None:
    figures = ApiFigures()
    route = "/api/v1/tickets/{id}"
    figures.answered("GET", route, 404, 0.003)
    figures.answered("BREW", route, 405, 0.003)
    for method, status in (("GET", "404"), ("other", "405")):
        labels = {"method": method, "endpoint": route, "status": status}
        assert figures.registry.get_sample_value("api_requests_total", labels) == 1
    labels = {"method": "GET", "endpoint": route, "le": "0.005"}
    assert figures.registry.get_sample_value("api_latency_seconds_bucket", labels) == 1
