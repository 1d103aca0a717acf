"""The contract's validator over real members' votes: life, verdicts, nodes, health (A22 to A42)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dtvn.events.asking import EVENT_BYTES_MAX
from dtvn.events.balancing import BreakerState
from dtvn.events.config import (
    CircuitBreakerConfig,
    ConfigError,
    ConsensusConfig,
    DistributedValidatorConfig,
    PartitionHandlerConfig,
    from_profile,
)
from dtvn.events.config import testing_config as make_testing_config
from dtvn.events.judging import AlgorithmNotOffered
from dtvn.gateway import (
    AsyncDistributedValidator,
    ComponentHealth,
    ComponentState,
    DistributedValidator,
    NodeState,
    ValidationResult,
    ValidatorError,
)
from dtvn.gateway.questions import MemberStatus
from dtvn.gateway.validator import STOP_WAIT
from dtvn.gateway.validator_parts import CircuitState
from dtvn.protocol.genesis import CAPABILITIES, cluster_id
from simulator.clock import SECOND
from tests.events.rules.samples import event
from tests.fake_events import FakeEvents
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis
from tests.pages.simulated import Simulated
from tests.waiting import PATIENCE, wait_until

GOOD = [event("RS:r", threadId="t"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF:r", threadId="t")]
BAD = [*GOOD[:2], event("TC:other"), *GOOD[3:]]


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")


@pytest.fixture
def validator(gateway: FakeGateway) -> Iterator[DistributedValidator]:
    at_once = PartitionHandlerConfig(min_nodes_for_operation=3)
    made = DistributedValidator(gateway, partitions=at_once)
    made.start()
    yield made
    if made.get_running():
        made.stop()


def codes(result: ValidationResult) -> list[str]:
    return [error.code for error in result.errors]


def test_a_second_start_is_an_error_and_a_second_stop_is_allowed_a23(validator: DistributedValidator) -> None:
    with pytest.raises(ValidatorError, match="the validator is running already"):
        validator.start()
    assert validator.get_state() is ComponentState.STARTED
    validator.stop()
    validator.stop()
    assert validator.get_state() is ComponentState.STOPPED
    assert codes(validator.validate_event(GOOD[0])) == ["VALIDATOR_NOT_RUNNING"]
    validator.start()
    assert validator.validate_sequence(GOOD).is_valid


def test_all_cleanups_run_in_their_order_a24(validator: DistributedValidator) -> None:
    ran: list[int] = []

    def fails() -> None:
        ran.append(1)
        raise ValueError("so")

    validator.register_cleanup_func(fails)
    validator.register_cleanup_func(lambda: ran.append(2))
    with pytest.raises(ExceptionGroup):
        validator.stop()
    assert ran == [1, 2]
    assert validator.get_state() is ComponentState.ERROR


def test_stop_does_not_wait_for_members_that_hang_a24(
    validator: DistributedValidator, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert STOP_WAIT < 3
    monkeypatch.setattr("dtvn.gateway.validator.STOP_WAIT", 0.05)
    ran: list[int] = []
    validator.register_cleanup_func(lambda: ran.append(1))
    assert validator.validate_event(GOOD[0]).is_valid
    gateway.events.rests = True
    validator.stop()
    assert ran == [1]
    assert not validator.get_running()


def test_a_sequence_has_the_members_verdict_a33(validator: DistributedValidator) -> None:
    good, bad = validator.validate_sequence(GOOD), validator.validate_sequence(BAD)
    assert (good.is_valid, good.certified, good.event_count, codes(good)) == (True, True, 5, [])
    assert (bad.is_valid, bad.event_count, bad.errors[0].index) == (False, 5, 2)
    assert codes(bad) == ["MESSAGE_NOT_OPEN"]
    assert len(bad.salts) == 5
    empty = validator.validate_sequence([])
    assert (empty.is_valid, empty.event_count) == (True, 0)


def test_events_of_a_run_are_judged_one_by_one_a78(validator: DistributedValidator) -> None:
    found = [validator.validate_event(each, thread="t", run="r") for each in BAD]
    assert [each.is_valid for each in found] == [True, True, False, True, True]
    assert codes(validator.validate_event(None)) == ["NULL_EVENT"]
    validator.stop()
    assert validator.get_metrics().total_validations == 5


def test_without_a_quorum_there_is_an_error_a29(gateway: FakeGateway) -> None:
    """Where nothing is to be judged in this process alone."""
    gateway.events.down = frozenset({2, 3})
    with DistributedValidator(gateway, allow_local_validation=False) as validator:
        result = validator.validate_sequence(GOOD)
        assert (result.is_valid, result.certified, codes(result)) == (False, False, ["PBFT_NO_CONSENSUS"])
        assert result.errors[0].message == "Only 2 of 3 members have voted."
        metrics = validator.get_metrics()
    assert (metrics.timeout_count, metrics.error_rate) == (1, 0.0)


def test_calls_without_verdicts_open_the_breaker_and_trials_close_it_a72(gateway: FakeGateway) -> None:
    """Links to all members are up, and two members do not vote."""
    breaker = CircuitBreakerConfig(name="consensus", max_failures=2, reset_timeout=0.2)
    config = DistributedValidatorConfig(
        node_id="n0",
        consensus_circuit_breaker_config=breaker,
        partition_handler=PartitionHandlerConfig(allow_local_validation=False),
    )
    with DistributedValidator.from_config(gateway, config) as validator:
        gateway.events.down = frozenset({2, 3})
        assert [codes(validator.validate_sequence(GOOD)) for _ in range(2)] == [["NO_QUORUM"]] * 2
        assert validator.get_circuit_breakers()[0].state is BreakerState.OPEN
        asked = validator.get_load_balancer().get_metrics()
        assert validator.get_circuit_breaker("consensus").get_state() == CircuitState(BreakerState.OPEN, 2)
        assert codes(validator.validate_sequence(GOOD)) == ["CIRCUIT_BREAKER_OPEN"]
        assert validator.get_load_balancer().get_metrics() == asked, "nobody was asked"
        assert validator.get_health().issues == ("the circuit breaker consensus is open",)
        assert not validator.get_health().network_healthy
        gateway.events.down = frozenset()
        wait_until(lambda: validator.validate_sequence(GOOD).certified, what="a trial")
        assert validator.validate_sequence(BAD).certified, "an invalid verdict is one"
        assert validator.get_circuit_breakers()[0].state is BreakerState.CLOSED
        assert validator.get_health().network_healthy


def test_a_breaker_is_tripped_and_reset_by_hand_a72(validator: DistributedValidator) -> None:
    breaker = validator.get_circuit_breaker("consensus")
    assert breaker.get_state() == CircuitState(BreakerState.CLOSED, 0)
    breaker.trip()
    assert codes(validator.validate_sequence(GOOD)) == ["CIRCUIT_BREAKER_OPEN"]
    breaker.reset()
    assert validator.validate_sequence(GOOD).certified
    assert (breaker.get_stats().state, breaker.get_stats().counts.requests) == (BreakerState.CLOSED, 1)
    with pytest.raises(ValidatorError, match="gossip"):
        validator.get_circuit_breaker("gossip")


def test_what_is_refused_before_a_question_opens_no_breaker(gateway: FakeGateway) -> None:
    with DistributedValidator(gateway) as first, DistributedValidator(gateway) as second:
        assert first.validate_event(GOOD[0], thread="t", run="r").is_valid
        for _ in range(6):
            assert codes(second.validate_sequence(GOOD, thread="t", run="r")) == ["DISTRIBUTED_LOCK_FAILED"]
        assert second.get_circuit_breakers()[0].state is BreakerState.CLOSED


def test_a_member_that_leaves_questions_unanswered_is_in_health(
    validator: DistributedValidator, gateway: FakeGateway
) -> None:
    statuses = [MemberStatus(answered=10) for _ in range(4)]
    gateway.entries.observe(statuses, 0.0)
    statuses[3].missed = 20
    gateway.entries.observe(statuses, 1.0)
    assert validator.get_health().issues == ("the circuit breaker of r3 is not closed",)
    breaker = validator.get_load_balancer().get_circuit_breaker("r3")
    assert breaker.get_state() == CircuitState(BreakerState.OPEN, 20)


@pytest.mark.parametrize(
    ("wrong", "code"), [(None, "NULL_EVENT"), ({"type": "RUN_FINISHED"}, "NOT_JSON"), (7, "NOT_JSON")]
)
def test_an_event_that_is_not_text_is_an_error_at_its_index_a32(
    validator: DistributedValidator, wrong: object, code: str
) -> None:
    found = validator.validate_sequence([*GOOD[:3], wrong, GOOD[3], wrong])  # type: ignore[list-item]
    assert (found.is_valid, found.certified, found.event_count) == (False, False, 6)
    assert [(each.index, each.code) for each in found.errors] == [(3, code), (5, code)]
    assert codes(validator.validate_event(wrong)) == [code]  # type: ignore[arg-type]


def test_an_event_may_be_a_str_a32(validator: DistributedValidator) -> None:
    assert validator.validate_sequence([each.decode() for each in GOOD]).certified
    assert validator.validate_event(GOOD[0].decode()).is_valid
    lone = GOOD[2].decode().replace('"m"', '"\udc80"')
    assert codes(validator.validate_sequence([*GOOD[:2], lone])) == ["NOT_JSON"]


def test_a_closed_gateway_is_a_result_a32(validator: DistributedValidator, gateway: FakeGateway) -> None:
    gateway.close()
    assert codes(validator.validate_sequence(GOOD)) == ["NO_DECISIONS"]


@pytest.mark.parametrize("validator", [DistributedValidator, AsyncDistributedValidator])
def test_a22_a_validator_without_gateway_or_configuration_is_refused(
    validator: Any, gateway: FakeGateway
) -> None:
    config = from_profile("small", "n0")
    for make in (lambda: validator(None), lambda: validator.from_config(None, config)):
        with pytest.raises(ValidatorError, match=r"^gateway: None is not a gateway: open one"):
            make()
    with pytest.raises(ValidatorError, match=r"^config: None is not a configuration"):
        validator.from_config(gateway, None)


def test_a_validator_takes_a_configuration_a22(gateway: FakeGateway) -> None:
    with DistributedValidator.from_config(gateway, from_profile("high_security", "n0")) as validator:
        assert validator.validate_sequence(GOOD).certified
        assert validator.get_config() == from_profile("high_security", "n0")
    large = DistributedValidator.from_config(gateway, from_profile("large", "n0"))
    assert large.get_state() is ComponentState.INITIALIZED
    with pytest.raises(AlgorithmNotOffered) as refused:
        large.start()
    assert refused.value.code == "algorithm_not_offered"
    assert large.get_state() is ComponentState.ERROR
    strict = ConsensusConfig(quorum_size=4)
    config = DistributedValidatorConfig(node_id="n0", consensus_config=strict)
    with pytest.raises(ConfigError, match="3 votes, not by 4"):
        DistributedValidator.from_config(gateway, config).start()
    gateway.events = FakeEvents(cluster_id(gateway.genesis), gateway.present, gateway.submit, config=strict)
    with DistributedValidator.from_config(gateway, config) as validator:
        assert validator.validate_sequence(GOOD).certified
        gateway.events.down = frozenset({3})
        assert codes(validator.validate_sequence(GOOD)) == ["NO_QUORUM"]


def test_without_a_quorum_the_rules_judge_here_alone_a31(
    validator: DistributedValidator, gateway: FakeGateway
) -> None:
    assert validator.validate_event(GOOD[0], thread="t", run="r").certified
    gateway.down = gateway.events.down = frozenset({2, 3})
    for text, wanted in ((GOOD[1], True), (BAD[2], False), (GOOD[2], True)):
        found = validator.validate_event(text)
        assert (found.is_valid, found.certified, found.warnings[0].code) == (wanted, False, "LOCAL_ONLY")
    assert codes(found) == []
    assert codes(validator.validate_sequence(BAD)) == ["MESSAGE_NOT_OPEN"]
    assert (validator.get_metrics().local_fallbacks, validator.get_metrics().total_validations) == (4, 1)
    gateway.down = gateway.events.down = frozenset()
    for text in GOOD[3:]:
        found = validator.validate_event(text)
        assert (found.is_valid, found.certified, found.warnings) == (True, True, ())


def test_local_validation_may_be_forbidden_a31(gateway: FakeGateway) -> None:
    with DistributedValidator(gateway, allow_local_validation=False, wait=0.05) as validator:
        gateway.down = gateway.events.down = frozenset({2, 3})
        found = validator.validate_event(GOOD[0])
        assert (found.is_valid, codes(found), found.event_count) == (False, ["DISTRIBUTED_PARTITION"], 1)


def test_events_that_wait_for_a_quorum_are_bounded(
    validator: DistributedValidator, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that finds no place has no verdict: those after it in the run would not follow the others."""
    monkeypatch.setattr("dtvn.gateway.owed_queue.RESULTS_MAX", 3)
    validator.validate_sequence(GOOD)
    gateway.down = gateway.events.down = frozenset({2, 3})
    for text in GOOD[:3]:
        assert validator.validate_event(text).is_valid
    found = validator.validate_event(GOOD[3])
    assert codes(found) == ["NO_DECISIONS"]
    assert found.errors[0].message == "3 results wait for the members' judgement already"
    gateway.down = gateway.events.down = frozenset()
    for text in GOOD[3:]:
        assert validator.validate_event(text).certified


def test_no_event_over_the_limit_waits_for_a_quorum(
    validator: DistributedValidator, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dtvn.gateway.owed_queue.BYTES_MAX", 200)
    assert validator.validate_event(GOOD[0], thread="t", run="r").certified
    gateway.down = gateway.events.down = frozenset({2, 3})
    large = b'{"type":"CUSTOM","name":"n","value":"%s"}' % (b"x" * EVENT_BYTES_MAX)
    assert codes(validator.validate_event(large)) == ["EVENT_TOO_LARGE"]
    custom = b'{"type":"CUSTOM","name":"n","value":"%s"}' % (b"x" * 100)
    assert validator.validate_event(custom).is_valid
    assert codes(validator.validate_event(custom)) == ["NO_DECISIONS"], "their bytes are bounded too"
    gateway.down = gateway.events.down = frozenset()
    assert validator.validate_event(custom).certified, "nothing that cannot be judged stands before it"


def test_a_run_that_another_validator_writes_is_locked_a34(gateway: FakeGateway) -> None:
    with DistributedValidator(gateway) as first, DistributedValidator(gateway) as second:
        assert first.validate_event(GOOD[0], thread="t", run="r").is_valid
        found = second.validate_sequence(GOOD, thread="t", run="r")
        assert (codes(found), found.event_count) == (["DISTRIBUTED_LOCK_FAILED"], 5)


def test_metrics_count_and_divide_a41(validator: DistributedValidator) -> None:
    assert validator.get_metrics().error_rate == 0
    begun = datetime.now(UTC)
    found = [validator.validate_sequence(events) for events in (GOOD, GOOD, BAD, GOOD)]
    times = [begun, *(each.timestamp for each in found), datetime.now(UTC)]
    assert times == sorted(times)
    metrics = validator.get_metrics()
    assert (metrics.total_validations, metrics.error_rate, metrics.success_rate) == (4, 0.25, 0.75)
    assert metrics.avg_latency_ms > 0
    assert metrics.total_duration == pytest.approx(sum(each.duration for each in found))
    assert (metrics.consensus_operations, metrics.consensus_failures) == (4, 0)
    assert 0 < metrics.avg_consensus_time_ms <= metrics.avg_latency_ms


def test_nodes_are_the_members_a25(validator: DistributedValidator, gateway: FakeGateway) -> None:
    assert [*validator.get_all_nodes()] == validator.get_active_nodes() == ["r0", "r1", "r2", "r3"]
    for stranger in ("r9", None):
        with pytest.raises(ValidatorError, match="no member"):
            validator.register_node(stranger, "127.0.0.1", 1)  # type: ignore[arg-type]
    validator.get_all_nodes().clear()
    assert len(validator.get_all_nodes()) == 4, "a copy"
    validator.register_node("r0", "10.0.0.1", 7_000)
    info = validator.get_node_info("r0")
    assert info is not None
    assert info.address == "10.0.0.1:7000"
    assert gateway.dialled == {"r0": ("10.0.0.1", 7_000)}
    validator.unregister_node("r0")
    assert gateway.dialled == {}
    validator.unregister_node("r9")
    assert validator.get_node_info("r9") is None
    assert validator.ping("r0") is not None
    assert validator.get_node_health("r0").healthy


def test_lost_members_are_seen_in_nodes_and_health_a37_a42(
    validator: DistributedValidator, gateway: FakeGateway
) -> None:
    assert validator.get_health().status is ComponentHealth.HEALTHY
    gateway.down = frozenset({3})
    health = validator.get_health()
    assert (health.healthy, health.network_healthy, health.active_nodes) == (True, False, 3)
    assert health.status is ComponentHealth.DEGRADED
    assert validator.get_all_nodes()["r3"].state is NodeState.FAILED
    assert "r3" not in validator.get_active_nodes()
    gateway.down = frozenset({2, 3})
    health = validator.get_health()
    assert (health.healthy, health.consensus_healthy, health.total_nodes) == (False, False, 4)
    assert health.status is ComponentHealth.UNHEALTHY
    found = validator.get_current_partition()
    assert found is not None
    assert (found.type, found.unreachable_nodes) == ("split", ("r2", "r3"))
    assert validator.get_all_nodes()["r3"].state is NodeState.PARTITIONED
    sick = validator.get_node_health("r3")
    assert (sick.healthy, sick.score) == (False, 0.0)
    gateway.down = frozenset()
    assert validator.get_all_nodes()["r3"].state is NodeState.ACTIVE


@pytest.mark.ci
def test_healthy_members_stay_active_and_chosen_a38() -> None:
    config, cluster = make_testing_config("n0"), Simulated()
    validator = DistributedValidator.from_config(cluster, config)  # type: ignore[arg-type]
    cluster.pass_seconds(10 * config.node_cleanup_interval)
    assert all(0 < node.response_time_ms < 1_000 for node in validator.get_nodes()), "nobody called ping"
    assert {node.state for node in validator.get_nodes()} == {NodeState.ACTIVE}
    assert {node.circuit_state for node in validator.get_load_balancer().nodes.values()} == {0}
    now = cluster.world.time / SECOND
    chosen = [cluster.entries.choose(cluster.members(), now) for _ in validator.get_nodes()]
    assert sorted(chosen) == sorted(validator.get_active_nodes()) == cluster.world.member_names


@pytest.mark.asyncio
async def test_a_cancelled_call_has_no_event_judged_twice(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncDistributedValidator(gateway, wait=0.1) as validator:
        gateway.down = gateway.events.down = frozenset({1, 2})
        assert (await validator.validate_event(GOOD[0], thread="t", run="r")).is_valid  # here alone
        gateway.down = gateway.events.down = frozenset()
        with monkeypatch.context() as unanswered:
            unanswered.setattr(gateway.events, "attend", lambda: None)
            call = asyncio.create_task(validator.validate_event(GOOD[1]))
            await asyncio.wait({call}, timeout=0.05)  # it waits for the members
            call.cancel()
            await asyncio.wait({call})
        gateway.events.attend()
        gateway.down = gateway.events.down = frozenset({1, 2})
        assert (await validator.validate_event(GOOD[1])).is_valid
        gateway.down = gateway.events.down = frozenset()
        assert codes(await validator.validate_event(BAD[2])) == ["MESSAGE_NOT_OPEN"]
        assert gateway.events.figures().events == {"valid": 2, "invalid": 1}


@pytest.mark.asyncio
async def test_an_event_loop_validates_too_a35(gateway: FakeGateway) -> None:
    async with AsyncDistributedValidator(gateway) as validator:
        begun = [
            validator.validate_sequence([event(f"RS:r{n}", threadId=f"t{n}")], thread=f"t{n}", run=f"r{n}")
            for n in range(50)
        ]
        async with asyncio.timeout(PATIENCE):
            found = await asyncio.gather(*begun)
        assert all(each.is_valid for each in found)
        assert not (await validator.validate_event(BAD[2], thread="t", run="one")).is_valid
        assert await validator.ping("r1") is not None
        assert (await validator.get_node_health("r1")).healthy
    assert not validator.get_running()
