"""Partitions as a program sees them: the contract's face over a gateway (A31, A52 to A61)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from dtvn.events.config import (
    DetectionMethod,
    DistributedValidatorConfig,
    PartitionHandlerConfig,
    RecoveryStrategy,
)
from dtvn.events.config import testing_config as make_testing_config
from dtvn.gateway import (
    AsyncDistributedValidator,
    DistributedValidator,
    NodeState,
    PartitionInfo,
    ValidatorError,
)
from dtvn.gateway.validator_partitions import Partitions
from dtvn.protocol.genesis import CAPABILITIES, agreeing_by
from dtvn.protocol.quorum import Mode, quorum
from tests.events.rules.samples import event
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis
from tests.support.clock import SetClock
from tests.waiting import wait_until

GOOD = [event("RS:r", threadId="t"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF:r", threadId="t")]
BAD = [*GOOD[:2], event("TC:other"), *GOOD[3:]]


@pytest.fixture
def gateway() -> FakeGateway:
    return make(4)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(wall=time.time_ns(), monotonic=time.monotonic_ns())


def make(members: int, mode: Mode = Mode.PBFT) -> FakeGateway:
    genesis = agreeing_by(make_genesis(members, capabilities=CAPABILITIES), mode)
    return FakeGateway(genesis, principal="gateway")


def cut(gateway: FakeGateway, *members: int) -> None:
    """The links to these break, and all others are whole."""
    gateway.down = gateway.events.down = frozenset(members)


Opened = Callable[..., DistributedValidator]


@pytest.fixture
def opened(clock: SetClock) -> Iterator[Opened]:
    """Makes validators over a gateway whose watch has the test's clock, started."""
    running: list[DistributedValidator] = []

    def open_one(gateway: FakeGateway, **settings: object) -> DistributedValidator:
        needed = quorum(len(gateway.present.members), gateway.present.mode)
        settings = {"min_nodes_for_operation": needed} | settings  # a lost quorum is seen at once
        config = PartitionHandlerConfig(**settings)  # type: ignore[arg-type]
        made = DistributedValidator(gateway, partitions=config)
        made.get_partition_handler()._now = clock.now
        made.start()
        running.append(made)
        return made

    yield open_one
    for each in running:
        each.stop()


def test_a53_links_that_break_are_a_partition_at_once(gateway: FakeGateway, opened: Opened) -> None:
    validator = opened(gateway)
    assert validator.get_current_partition() is None
    begun = datetime.now(UTC)
    cut(gateway, 3)
    assert not validator.is_partitioned(), "three of four decide"
    cut(gateway, 1, 2, 3)
    found = validator.get_current_partition()
    assert found is not None
    assert (found.type, found.severity, found.is_active) == ("isolated", "critical", True)
    assert (found.reachable_nodes, found.unreachable_nodes) == (("r0",), ("r1", "r2", "r3"))
    assert found.affected_nodes == ("r0", "r1", "r2", "r3")
    assert found.messages == ("lost contact with 3 nodes", "operating in minority partition")
    assert abs((found.detected_at - begun).total_seconds()) < 60
    assert validator.get_partition_history() == [found]
    issues = validator.get_health().issues
    assert issues[-2:] == found.messages
    assert "1 of 4 members are no quorum" in issues


@pytest.mark.parametrize(
    ("reached", "total", "kind", "severity"),
    [
        (1, 4, "isolated", "critical"),
        (2, 4, "split", "high"),
        (2, 5, "minority", "high"),
        (3, 5, "majority", "low"),
    ],
)
def test_a54_a_partition_has_a_type_and_a_severity(
    reached: int, total: int, kind: str, severity: str, opened: Opened
) -> None:
    gateway = make(total)
    validator = opened(gateway)
    cut(gateway, *range(reached, total))
    found = validator.get_current_partition()
    assert found is not None
    assert (found.type, found.severity) == (kind, severity)


def test_a31_a_majority_side_that_is_a_quorum_keeps_deciding(opened: Opened, clock: SetClock) -> None:
    """Of seven members five are a quorum. A partition that was detected may last longer than they are
    missed."""
    gateway = make(7)
    validator = opened(gateway, quorum_size=6, detection_method=DetectionMethod.QUORUM)
    cut(gateway, 5, 6)
    clock.forward(6)
    found = validator.get_current_partition()
    assert found is not None
    assert (found.type, found.severity) == ("majority", "low")
    assert found.messages == ("lost contact with 2 nodes",)
    assert validator.validate_sequence(GOOD).certified
    cut(gateway, 4, 5, 6)
    result = validator.validate_sequence(GOOD)
    assert [each.code for each in result.warnings] == ["LOCAL_ONLY"], (
        "four of seven are a majority, and no quorum"
    )
    assert not validator.get_health().consensus_healthy


@pytest.mark.parametrize("mode", [*Mode])
def test_a31_how_many_decide_depends_on_the_mode_of_the_cluster(mode: Mode, opened: Opened) -> None:
    """Of five members three are a quorum with Raft, and none with PBFT."""
    gateway = make(5, mode)
    validator = opened(gateway)
    cut(gateway, 3, 4)
    assert validator.is_partitioned() is (mode is Mode.PBFT)
    codes = [each.code for each in validator.validate_sequence(GOOD).warnings]
    assert ("LOCAL_ONLY" in codes) is (mode is Mode.PBFT)
    cut(gateway, 2, 3, 4)
    found = validator.get_current_partition()
    assert found is not None
    assert found.unreachable_nodes == ("r2", "r3", "r4")
    assert [each.code for each in validator.validate_sequence(GOOD).warnings] == ["LOCAL_ONLY"]


def test_a52_a_program_may_report_failures_of_members(gateway: FakeGateway, opened: Opened) -> None:
    gateway.heard_at = dict.fromkeys(range(4), 1)  # and never again
    validator = opened(gateway)
    for node_id in ("r2", "r3"):
        for _ in range(2):
            validator.handle_node_failure(node_id)
    assert validator.get_active_nodes() == ["r0", "r1", "r2", "r3"]
    validator.handle_node_failure("r3")
    assert validator.get_active_nodes() == ["r0", "r1", "r2"]
    assert validator.get_all_nodes()["r3"].state is NodeState.FAILED
    validator.handle_node_failure("r2")
    assert validator.get_all_nodes()["r3"].state is NodeState.PARTITIONED
    assert [each.code for each in validator.validate_sequence(GOOD).warnings] == ["LOCAL_ONLY"]
    validator.update_node_health("r2", True, 4.0)
    assert validator.get_active_nodes() == ["r0", "r1", "r2"]
    health = validator.get_partition_handler().get_node_health("r2")
    assert health is not None
    assert (health.failure_count, health.consecutive_fails, health.response_time_ms) == (3, 0, 4.0)
    with pytest.raises(ValidatorError, match="'r9' is no member"):
        validator.update_node_health("r9", False)


@pytest.mark.parametrize("method", [*DetectionMethod])
def test_a55_members_that_are_linked_and_silent_are_unreachable(
    method: DetectionMethod, gateway: FakeGateway, clock: SetClock
) -> None:
    """As one that a debugger has stopped: its link stays up."""
    handler = Partitions(gateway, PartitionHandlerConfig(detection_method=method), lambda: 3, clock.now)
    assert not handler.is_partitioned()
    begun = clock.monotonic
    gateway.heard_at = {1: begun, 2: begun, 3: begun}
    for second in range(1, 31):
        clock.forward(1)
        gateway.missed = {1: second, 2: second, 3: second}
        handler.look()
        if second < 10:
            assert not handler.is_partitioned()
    assert handler.unreachable() == {"r1", "r2", "r3"}
    found = handler.get_current_partition()
    assert found is not None
    assert found.unreachable_nodes == ("r1", "r2", "r3")


def test_members_that_are_not_asked_are_not_silent(gateway: FakeGateway, clock: SetClock) -> None:
    """A gateway at rest may ask once in half a minute."""
    handler = Partitions(gateway, PartitionHandlerConfig(), lambda: 3, clock.now)
    handler.look()
    gateway.heard_at = dict.fromkeys(range(4), clock.monotonic)
    for _ in range(60):
        clock.forward(1)
        assert not handler.is_partitioned()


def test_the_presets_short_times_do_not_make_members_silent(gateway: FakeGateway, clock: SetClock) -> None:
    """Members are asked once a second, whatever `heartbeat_timeout` says."""
    config = make_testing_config("n0").partition_handler
    assert config.heartbeat_timeout == 0.1
    handler = Partitions(gateway, config, lambda: 3, clock.now)
    for second in range(60):
        if second % 2 == 0:
            gateway.heard_at = dict.fromkeys(range(4), clock.monotonic)
        clock.forward(0.5)
        handler.look()
        assert not handler.is_partitioned()


def test_a56_a_lone_member_is_never_partitioned(clock: SetClock) -> None:
    gateway = make(1)
    handler = Partitions(gateway, PartitionHandlerConfig(quorum_size=1), lambda: 1, clock.now)
    for _ in range(30):
        clock.forward(10)
        assert not handler.is_partitioned()


def test_a57_one_partition_is_active_at_a_time(gateway: FakeGateway, opened: Opened) -> None:
    validator = opened(gateway)
    for lost in ((2, 3), (1, 2, 3), (0, 1, 2, 3)):
        cut(gateway, *lost)
        assert validator.is_partitioned()
    assert len(validator.get_partition_history()) == 1
    assert validator.get_partition_handler().get_metrics().partition_count == 1


def test_a58_callbacks_get_the_partition_and_what_they_raise_is_logged(
    gateway: FakeGateway, opened: Opened, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    validator = opened(gateway, recovery_strategy=RecoveryStrategy.WAIT)
    told: list[tuple[str, PartitionInfo, str]] = []

    def detected(info: PartitionInfo) -> None:
        told.append(("detected", info, threading.current_thread().name))
        raise RuntimeError("of the callback")

    validator.set_partition_callbacks(
        detected, lambda info: told.append(("recovered", info, threading.current_thread().name))
    )
    cut(gateway, 2, 3)
    wait_until(lambda: len(told) == 1, what="the callback")
    assert (told[0][0], told[0][1], told[0][2]) == (
        "detected",
        validator.get_current_partition(),
        "partitions",
    )
    wait_until(lambda: "a callback about partitions raised" in caplog.messages, what="the line")
    cut(gateway)
    validator.get_nodes()
    clock.forward(11)
    wait_until(lambda: len(told) == 2, what="the second callback")
    assert (told[1][0], told[1][1].id, told[1][1].is_active) == ("recovered", told[0][1].id, False)


def test_a59_wait_is_over_when_all_members_answer(
    gateway: FakeGateway, opened: Opened, clock: SetClock
) -> None:
    validator = opened(gateway, recovery_strategy=RecoveryStrategy.WAIT)
    cut(gateway, 2, 3)
    assert validator.is_partitioned()
    cut(gateway, 3)
    clock.forward(11)
    assert validator.is_partitioned(), "r3 is still away"
    assert validator.get_partition_handler().get_recovery_status().progress == 50
    cut(gateway)
    clock.forward(11)
    assert not validator.is_partitioned()
    (known,) = validator.get_partition_history()
    assert known.recovered_at is not None
    assert (known.recovered_at - known.detected_at).total_seconds() == pytest.approx(22, abs=1)
    assert validator.get_partition_handler().get_metrics().recovery_count == 1


def test_a59_merge_has_what_was_judged_alone_judged_before_it_is_over(
    gateway: FakeGateway, opened: Opened, clock: SetClock
) -> None:
    """Nobody calls the validator meanwhile."""
    validator = opened(gateway)
    over: list[PartitionInfo] = []
    validator.set_partition_callbacks(on_recovered=over.append)
    owed: list[bool] = [False]
    validator.get_partition_handler().owing.append(lambda: owed[0])
    assert validator.validate_event(GOOD[0], thread="t", run="r").certified
    cut(gateway, 2, 3)
    for text in GOOD[1:4]:
        assert [each.code for each in validator.validate_event(text).warnings] == ["LOCAL_ONLY"]
    assert validator.is_partitioned()
    cut(gateway, 3)
    validator.get_nodes()
    clock.forward(11)
    wait_until(lambda: validator.get_owed() == [], what="the judgement of what is owed")
    assert validator.is_partitioned(), "another part still has something to be judged"
    assert validator.get_partition_handler().get_recovery_status().in_progress
    assert validator.get_partition_handler().get_status() == 3
    owed[0] = True
    wait_until(lambda: not validator.is_partitioned(), what="the end of the partition")
    wait_until(lambda: len(over) == 1, what="the callback")
    found = validator.validate_event(GOOD[4])
    assert (found.is_valid, found.certified, found.warnings) == (True, True, ())


def test_a59_reset_drops_what_was_judged_alone(gateway: FakeGateway, opened: Opened, clock: SetClock) -> None:
    validator = opened(gateway, recovery_strategy=RecoveryStrategy.RESET)
    assert validator.validate_event(GOOD[0], thread="t", run="r").certified
    cut(gateway, 2, 3)
    assert validator.validate_event(GOOD[1]).is_valid
    cut(gateway)
    validator.get_nodes()
    clock.forward(11)
    wait_until(lambda: not validator.is_partitioned(), what="the end of the partition")
    assert validator.get_owed() == []
    assert validator.validate_event(GOOD[0], thread="t", run="r").certified, "a run from its beginning"
    cut(gateway, 2, 3)
    assert validator.validate_event(GOOD[1]).is_valid
    cut(gateway)
    clock.forward(1)
    found = validator.validate_event(GOOD[0], thread="t", run="r")
    assert (found.certified, found.is_valid) == (True, True), "dropped also by the next call"


def test_a59_manual_stays_until_it_is_resolved(gateway: FakeGateway, opened: Opened, clock: SetClock) -> None:
    validator = opened(gateway, recovery_strategy=RecoveryStrategy.MANUAL)
    cut(gateway, 2, 3)
    found = validator.get_current_partition()
    assert found is not None
    assert found.requires_operator
    cut(gateway)
    clock.forward(3_600)
    assert validator.is_partitioned()
    assert validator.validate_sequence(GOOD).certified, "the members decide all the same"
    with pytest.raises(ValidatorError, match="'partition-1' is not active"):
        validator.resolve_partition("partition-1", "ann")
    with pytest.raises(ValidatorError, match="operator"):
        validator.resolve_partition(found.id, "")
    validator.resolve_partition(found.id, "ann")
    assert not validator.is_partitioned()
    assert validator.get_partition_history()[-1].resolved_by == "ann"


def test_a60_a_partition_that_lasts_is_escalated_once(
    gateway: FakeGateway, opened: Opened, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    validator = opened(gateway, max_partition_duration=60.0)
    told: list[PartitionInfo] = []
    validator.set_partition_callbacks(on_escalated=told.append)
    cut(gateway, 2, 3)
    assert validator.is_partitioned()
    clock.forward(61)
    wait_until(lambda: len(told) == 1, what="the escalation")
    assert told[0].severity == "critical"
    clock.forward(600)
    validator.get_nodes()
    validator.stop()
    assert len(told) == 1
    assert sum("lasts longer than max_partition_duration" in text for text in caplog.messages) == 1


def test_a61_the_history_has_the_newest_hundred(
    gateway: FakeGateway, opened: Opened, clock: SetClock
) -> None:
    validator = opened(gateway, recovery_strategy=RecoveryStrategy.MANUAL)
    for number in range(120):
        cut(gateway, 2, 3)
        found = validator.get_current_partition()
        assert found is not None
        cut(gateway)
        validator.get_nodes()
        clock.forward(1)
        validator.resolve_partition(found.id, f"ann{number}")
    clock.forward(26 * 3_600)
    known = validator.get_partition_history()
    assert [each.resolved_by for each in known] == [f"ann{number}" for number in range(20, 120)]


def test_every_setting_of_partitions_is_followed(
    gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    config = PartitionHandlerConfig(
        detection_method=DetectionMethod.QUORUM,
        recovery_strategy=RecoveryStrategy.MANUAL,
        heartbeat_timeout=4.0,
        quorum_size=4,
        max_partition_duration=60.0,
        allow_local_validation=False,
        auto_recovery=False,
        recovery_timeout=5.0,
        min_nodes_for_operation=4,
    )
    wanted = DistributedValidatorConfig(node_id="n0", partition_handler=config)
    with DistributedValidator.from_config(gateway, wanted) as validator:
        assert caplog.messages == []
        assert validator.get_partition_handler().get_config() == config
        cut(gateway, 3)
        found = validator.get_current_partition()
        assert found is not None, "three are fewer than min_nodes_for_operation"
        assert found.requires_operator
        assert validator.validate_sequence(GOOD).certified, "they decide all the same"
        cut(gateway, 2, 3)
        assert [each.code for each in validator.validate_sequence(GOOD).errors] == ["DISTRIBUTED_PARTITION"]


def test_a24_a_stopped_validator_leaves_no_thread(gateway: FakeGateway) -> None:
    def watching() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "partitions"}

    before = watching()
    validator = DistributedValidator(gateway)
    for _ in range(2):
        validator.start()
        assert len(watching() - before) == 1
        validator.stop()
        assert watching() <= before
    validator.start()
    validator.set_partition_callbacks(lambda _info: validator.stop())
    cut(gateway, 2, 3)
    wait_until(lambda: watching() <= before, what="the end of a thread whose callback stops it")


@pytest.mark.asyncio
async def test_a58_in_an_event_loop_callbacks_come_from_a_thread(gateway: FakeGateway) -> None:
    found = threading.Event()
    async with AsyncDistributedValidator(gateway) as validator:
        validator.set_partition_callbacks(lambda _info: found.set())
        assert (await validator.validate_sequence(GOOD)).certified
        cut(gateway, 2, 3)
        result = await validator.validate_sequence(BAD)
        assert [each.code for each in result.warnings] == ["LOCAL_ONLY"]
        assert found.wait(30)
        assert validator.is_partitioned()
