"""Parts of the contract's validator by its names (2.2): configuration, decisions, transport, balancing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.events.asking.asker import LATE
from dtvn.events.config import (
    Algorithm,
    CircuitBreakerConfig,
    ConsensusConfig,
    PartitionHandlerConfig,
    from_profile,
)
from dtvn.gateway import AsyncDistributedValidator, DistributedValidator
from dtvn.gateway.validator_answers import Wanted
from dtvn.protocol.genesis import CAPABILITIES, cluster_id
from tests.fake_events import FakeEvents
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.gateway.test_validator import BAD, GOOD
from tests.host.support import make_genesis

AT_ONCE = PartitionHandlerConfig(min_nodes_for_operation=3)
"""A quorum that is lost is a partition at once."""


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")


def test_unanimous_decides_nothing_without_one_member_a42(gateway: FakeGateway) -> None:
    with DistributedValidator(gateway, algorithm=Algorithm.UNANIMOUS) as validator:
        assert validator.get_health().consensus_healthy
        gateway.down = frozenset({3})
        health = validator.get_health()
        assert (health.healthy, health.consensus_healthy, health.active_nodes) == (False, False, 3)
        assert health.issues == ("r3 is not reached", "unanimous needs 4 of 4 members, and 3 are reached")
        assert validator.get_consensus_manager().get_health().issues == health.issues
        assert not validator.is_partitioned(), "an invalid event is still refused by a quorum"
    gateway.down, strict = frozenset(), ConsensusConfig(quorum_size=4)
    gateway.events = FakeEvents(cluster_id(gateway.genesis), gateway.present, gateway.submit, config=strict)
    with DistributedValidator(gateway) as validator:
        found = validator.get_config().consensus_config
        assert (found.algorithm, found.quorum_size) == ("majority", 4)
        gateway.down = frozenset({3})
        assert validator.get_health().issues[1] == "majority needs 4 of 4 members, and 3 are reached"
    with DistributedValidator(gateway, algorithm=Algorithm.RAFT) as validator:
        assert not validator.get_health().consensus_healthy
        assert "algorithm: raft is not offered here" in validator.get_health().issues[1]


@pytest.mark.parametrize(("algorithm", "nodes"), [("pbft", 4), ("unanimous", 4), ("majority", 3)])
def test_the_consensus_manager_names_its_required_nodes_a8(
    gateway: FakeGateway, algorithm: str, nodes: int
) -> None:
    manager = DistributedValidator(gateway, algorithm=Algorithm(algorithm)).get_consensus_manager()
    assert manager.get_required_nodes() == nodes


def test_the_consensus_manager_tells_figures_and_health(gateway: FakeGateway) -> None:
    with DistributedValidator(gateway, allow_local_validation=False, partitions=AT_ONCE) as validator:
        for events in (GOOD, BAD, BAD):
            validator.validate_sequence(events)
        gateway.events.down = frozenset({2, 3})
        validator.validate_sequence(GOOD)
        manager = validator.get_consensus_manager()
        assert manager.get_metrics().total_operations == 4
        assert manager.get_metrics().success_rate == 0.75, "an invalid run was decided too"
        assert manager.get_metrics().current_leader == "r0"
        assert manager.get_health().issues == ()
        gateway.down = frozenset({2, 3})
        issues = validator.get_consensus_manager().get_health().issues
        lost = ("r2 is not reached", "r3 is not reached", "2 of 4 members are no quorum")
        assert issues == (*lost, "lost contact with 2 nodes", "operating in minority partition")


def test_the_transport_diagnoses_the_network(gateway: FakeGateway) -> None:
    validator = DistributedValidator(gateway)
    transport = validator.get_transport()
    assert (transport.get_stats().active_connections, transport.get_health().issues) == (4, ())
    assert transport.ping("r1") is not None
    gateway.down = frozenset({1})
    assert (transport.get_stats().active_connections, transport.ping("r1")) == (3, None)
    assert transport.get_health().issues == ("r1 is not reached",)


class Recorder:
    """A tracer and the spans that it began."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, dict[str, Any]]] = []

    def start_span(self, name: str, *, attributes: Mapping[str, Any]) -> Any:
        told = dict(attributes)
        return SimpleNamespace(set_attributes=told.update, end=lambda: self.ended.append((name, told)))


def test_each_call_is_a_span_with_the_contracts_attributes(gateway: FakeGateway) -> None:
    tracer = Recorder()
    with DistributedValidator(gateway, tracer=tracer, actor="desk", partitions=AT_ONCE) as validator:
        assert validator.validate_sequence(BAD).errors
        assert validator.validate_event(GOOD[0]).is_valid
        gateway.down = frozenset({1, 2, 3})
        assert validator.validate_event(GOOD[1]).is_valid
    durations = [told.pop("validation.duration_ms") for _, told in tracer.ended]
    assert all(0 < duration < 60_000 for duration in durations)
    usual = {"node.id": "desk", "node.partitioned": False, "validation.nodes": 4, "validation.timeout": False}
    said = {"validation.valid": True, "validation.errors": 0, "validation.warnings": 0}
    alone = {"node.partitioned": True, "validation.nodes": 1, "validation.warnings": 1}
    assert tracer.ended == [
        (
            "distributed_sequence_validation",
            usual
            | {"sequence.length": 5, "validation.valid": False, "validation.errors": 1}
            | {"validation.warnings": 0},
        ),
        ("distributed_validation", usual | said | {"event.type": "RUN_STARTED"}),
        ("distributed_validation", usual | said | alone | {"event.type": "TEXT_MESSAGE_START"}),
    ]


def test_a_span_says_timeout_where_the_count_does(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of calls that the members decided late, and never answered, not of one that the breaker refused."""
    tracer, breaker = Recorder(), CircuitBreakerConfig(name="consensus", max_failures=1)
    late = DistributedValidator(gateway, tracer=tracer, algorithm=Algorithm.MAJORITY, breaker=breaker)
    falsely(gateway, 1, 2)
    false = gateway.events.changed
    with late as validator:
        gateway.events.changed = lambda member, body: [] if member == 3 else false(member, body)
        assert validator.validate_sequence(GOOD).warnings
        monkeypatch.setattr("dtvn.gateway.validator.ANSWER_SLACK", -validator._wait)
        monkeypatch.setattr(gateway.events, "attend", lambda: None)
        for _ in range(2):
            assert not validator.validate_sequence(GOOD).certified
        assert validator.get_metrics().timeout_count == 2
    assert [told["validation.timeout"] for _, told in tracer.ended] == [True, True, False]


def test_an_event_of_too_many_levels_has_a_span_too(gateway: FakeGateway) -> None:
    tracer = Recorder()
    with DistributedValidator(gateway, tracer=tracer) as validator:
        found = validator.validate_event(b'{"a":' + b"[" * 100_000)
    assert not found.is_valid
    assert [told["event.type"] for _, told in tracer.ended] == [""]


def test_a_cancelled_call_ends_its_span(gateway: FakeGateway) -> None:
    tracer = Recorder()
    with DistributedValidator.from_config(gateway, from_profile("small", "n0"), tracer) as validator:
        steps = validator._validate_sequence(GOOD, Wanted("t", "r", None))
        next(steps)
        steps.close()
    assert [(name, told["node.id"]) for name, told in tracer.ended] == [
        ("distributed_sequence_validation", "n0")
    ]


def test_an_event_loop_awaits_its_ping(gateway: FakeGateway) -> None:
    transport = AsyncDistributedValidator(gateway).get_transport()
    assert asyncio.run(transport.ping("r1", 1.0)) is not None


def test_the_load_balancer_counts_by_node(gateway: FakeGateway) -> None:
    gateway.events.changed = lambda member, body: [] if member == 3 else [body]
    with DistributedValidator(gateway, algorithm=Algorithm.PBFT) as validator:
        validator.validate_sequence(GOOD)
        balancer = validator.get_load_balancer()
        assert balancer.get_metrics().failed_requests == 0, "its answer may come late"
        under_way = {name: node.active_connections for name, node in balancer.nodes.items()}
        assert under_way == {"r0": 0, "r1": 0, "r2": 0, "r3": 1}
        gateway.events.time += LATE
        balancer = validator.get_load_balancer()
        assert {node.active_connections for node in balancer.nodes.values()} == {0}
        found = balancer.get_metrics()
        assert [node.id for node in validator.get_nodes()] == ["r0", "r1", "r2", "r3"]
    assert found.algorithm == "consistent_hash"
    assert found.requests_per_node == {"r0": 1, "r1": 1, "r2": 1, "r3": 1}
    assert (found.total_requests, found.failed_requests, found.error_rate) == (4, 1, 0.25)
    assert found.errors_per_node == {"r3": 1}
