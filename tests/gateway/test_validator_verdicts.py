"""What a validator answers and counts where members differ, are late, or are not asked at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.events.asking import EVENT_BYTES_MAX
from dtvn.events.asking.asker import LATE
from dtvn.events.balancing import BreakerState, TooManyStreams
from dtvn.events.config import (
    Algorithm,
    ConsensusConfig,
    DistributedValidatorConfig,
    caution,
    from_profile,
)
from dtvn.events.judging import CHUNK_EVENTS_MAX
from dtvn.gateway import CALL_EVENTS_MAX, DistributedValidator, Given
from dtvn.gateway import validator as validator_module
from dtvn.gateway.questions import MemberStatus
from dtvn.protocol.genesis import CAPABILITIES, cluster_id
from tests.fake_events import FakeEvents
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.gateway.test_validator import BAD, GOOD, codes
from tests.host.support import make_genesis

CUSTOM = b'{"type":"CUSTOM","name":"n","value":1}'


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")


def without(member: int, body: bytes, silent: int = 3) -> list[bytes]:
    """What arrives if one member does not answer."""
    return [] if member == silent else [body]


def test_a_result_names_each_members_vote_a26(gateway: FakeGateway) -> None:
    falsely(gateway, 1)
    gateway.events.down = frozenset({3})
    with DistributedValidator(gateway, algorithm=Algorithm.MAJORITY) as validator:
        found = validator.validate_sequence(GOOD)
    votes = {vote.member: (vote.given, vote.errors) for vote in found.pieces[0].members}
    assert votes["r1"] == (Given.INVALID, ((0, "A_LIE"),))
    assert {votes[name] for name in ("r0", "r2")} == {(Given.VALID, ())}
    assert votes["r3"][0] in (Given.SILENT, Given.NOT_ASKED)
    assert sum(piece.count for piece in found.pieces) == found.event_count


def test_events_behind_what_is_not_certified_are_not_found_valid(gateway: FakeGateway) -> None:
    """They were not asked about: the last chunk of the call before lacks its certificate."""
    falsely(gateway, 1, since=CALL_EVENTS_MAX - CHUNK_EVENTS_MAX)
    gateway.events.down = frozenset({3})
    with DistributedValidator(gateway, algorithm=Algorithm.MAJORITY) as validator:
        found = validator.validate_sequence([GOOD[0], *[CUSTOM] * CALL_EVENTS_MAX])
    assert (found.is_valid, found.certified, codes(found)) == (False, False, ["NO_CERTIFICATE"])


def test_a_run_waits_for_the_end_of_an_earlier_one_of_its_names(gateway: FakeGateway) -> None:
    earlier = gateway.events.begin("t", "r")
    earlier.judge(GOOD[:1]).result(0)
    ending = gateway.events.ending(earlier)
    assert not ending.done()
    with DistributedValidator(gateway) as validator:
        found = validator.validate_sequence(GOOD, thread="t", run="r")
    assert ending.done()
    assert (found.is_valid, [each.code for each in found.warnings]) == (True, ["not_next"])


def test_a_run_that_the_log_does_not_take_from_its_signer_says_so() -> None:
    genesis = make_genesis(4, capabilities=["gate"])
    with DistributedValidator(FakeGateway(genesis, principal="gateway")) as validator:
        found = validator.validate_sequence(GOOD)
    assert (found.is_valid, found.certified, codes(found)) == (True, True, [])
    assert [each.code for each in found.warnings] == ["not_permitted"]


def test_a_decision_without_all_that_were_asked_is_a_noted_time_out(gateway: FakeGateway) -> None:
    falsely(gateway, 1, 2)
    false = gateway.events.changed
    gateway.events.changed = lambda member, body: [] if member == 3 else false(member, body)
    with DistributedValidator(gateway, algorithm=Algorithm.MAJORITY) as validator:
        found = validator.validate_sequence(GOOD)
        metrics = validator.get_metrics()
    assert "A_LIE" in codes(found)
    assert [each.code for each in found.warnings] == ["PARTIAL_DECISIONS"]
    assert (metrics.timeout_count, metrics.consensus_failures) == (1, 0)


def test_only_late_members_are_time_outs(gateway: FakeGateway) -> None:
    """Neither a run that another writes, nor a wrong argument, nor a call that the breaker refuses."""
    alone = DistributedValidator(gateway, allow_local_validation=False)
    with DistributedValidator(gateway) as first, alone as second:
        first.validate_event(GOOD[0], thread="t", run="r")
        second.validate_sequence(GOOD, thread="t", run="r")
        second.validate_sequence(GOOD, thread="t" * 2_000)
        assert second.get_metrics().timeout_count == second.get_metrics().consensus_operations == 0
        gateway.events.down = frozenset({2, 3})
        for _ in range(6):
            found = second.validate_sequence(GOOD)
        metrics = second.get_metrics()
    assert codes(found) == ["CIRCUIT_BREAKER_OPEN"]
    assert (metrics.total_validations, metrics.timeout_count) == (8, 5)
    assert (metrics.consensus_operations, metrics.consensus_failures) == (5, 5)


def test_a_sequence_longer_than_one_call_is_judged_whole(gateway: FakeGateway) -> None:
    events = [GOOD[0], *[CUSTOM] * CALL_EVENTS_MAX, BAD[2]]
    with DistributedValidator(gateway, allow_local_validation=False) as validator:
        found = validator.validate_sequence(events)
        assert (found.certified, found.event_count, len(found.salts)) == (True, len(events), len(events))
        assert [(each.index, each.code) for each in found.errors] == [(len(events) - 1, "MESSAGE_NOT_OPEN")]
        gateway.events.down = frozenset({2, 3})
        found = validator.validate_sequence(events)
    assert (found.certified, found.event_count, codes(found)) == (False, len(events), ["PBFT_NO_CONSENSUS"])


def test_each_reason_without_a_verdict_has_its_own_code(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = b'{"type":"CUSTOM","name":"n","value":"%s"}' % (b"x" * EVENT_BYTES_MAX)
    with DistributedValidator(gateway) as validator:
        found = validator.validate_sequence([GOOD[0], large])
        assert [(each.index, each.code) for each in found.errors] == [(1, "EVENT_TOO_LARGE")]
        assert codes(validator.validate_sequence(GOOD, algorithm=Algorithm.RAFT)) == ["algorithm_not_offered"]
        assert codes(validator.validate_event(GOOD[0], algorithm=Algorithm.RAFT)) == ["algorithm_not_offered"]

        def full(*_: object, **__: object) -> None:
            raise TooManyStreams("there are 65536 streams")

        monkeypatch.setattr(gateway.events, "begin", full)
        assert codes(validator.validate_sequence(GOOD)) == ["TOO_MANY_RUNS"]
        assert codes(validator.validate_event(GOOD[0])) == ["TOO_MANY_RUNS"]


def test_a_call_may_name_its_algorithm(gateway: FakeGateway) -> None:
    gateway.events.down = frozenset({3})
    with DistributedValidator(gateway, wait=0.1) as validator:
        found = validator.validate_sequence(GOOD, algorithm=Algorithm.UNANIMOUS)
        assert codes(found) == ["INSUFFICIENT_NODES"]
        assert validator.validate_event(GOOD[0], algorithm=Algorithm.MAJORITY).certified
        assert validator.validate_event(GOOD[1]).certified, "the run keeps its algorithm"
        assert codes(validator.validate_event(GOOD[2], algorithm=Algorithm.PBFT)) == [
            "DISTRIBUTED_LOCK_FAILED"
        ]


def configured(gateway: FakeGateway, **consensus: Any) -> DistributedValidator:
    config = DistributedValidatorConfig(node_id="n0", consensus_config=ConsensusConfig(**consensus))
    return DistributedValidator.from_config(gateway, config)


def test_the_algorithm_of_a_call_is_bound_to_the_configuration(
    gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    falsely(gateway, 1)
    with configured(gateway, require_unanimous=True) as validator:
        told, *_ = [each.getMessage() for each in caplog.records]  # the log's limit may add a count
        assert told.startswith(f"validator n0: {caution('unanimous')}")
        assert codes(validator.validate_sequence(GOOD)) == ["NO_CERTIFICATE"]
        found = validator.validate_sequence(GOOD, algorithm=Algorithm.MAJORITY)
        assert codes(found) == ["NO_CERTIFICATE"]
    with configured(gateway, algorithm=Algorithm.UNANIMOUS, quorum_size=4) as validator:
        for found in (
            validator.validate_event(GOOD[0], algorithm=Algorithm.MAJORITY),
            validator.validate_sequence(GOOD, algorithm=Algorithm.MAJORITY),
        ):
            assert codes(found) == ["algorithm_not_offered"]
            said = "the gateway decides by 3 votes, not by 4: open it with these as `judging`"
            assert found.errors[0].message == said


@pytest.mark.parametrize("strict", ["validator", "gateway"])
def test_a_run_goes_on_under_the_algorithm_that_its_calls_name(gateway: FakeGateway, strict: str) -> None:
    """Whether validator or gateway has majority decide as unanimous."""
    if strict == "gateway":
        config = ConsensusConfig(require_unanimous=True)
        cluster = cluster_id(gateway.genesis)
        gateway.events = FakeEvents(cluster, gateway.present, gateway.submit, config=config)
    with configured(gateway, require_unanimous=strict == "validator") as validator:
        found = [validator.validate_event(text, algorithm=Algorithm.MAJORITY) for text in GOOD]
    assert all(each.certified for each in found)


def test_a_member_is_judged_by_its_last_questions(gateway: FakeGateway) -> None:
    """Not by the one question about events that it left unanswered long ago."""
    gateway.events.changed = without
    with DistributedValidator(gateway) as validator:
        validator.validate_sequence(GOOD)
        gateway.events.time += LATE
        assert validator.get_all_nodes()["r3"].error_rate == 1
        assert validator.get_node_health("r3").healthy
        statuses = [MemberStatus(answered=16) for _ in range(4)]
        gateway.entries.observe(statuses, 0.0)
        statuses[3].missed = 4
        gateway.entries.observe(statuses, 0.0)
        assert validator.get_node_health("r3").healthy
        statuses[3].missed = 5
        gateway.entries.observe(statuses, 0.0)
        sick = validator.get_node_health("r3")
    assert (sick.healthy, sick.issues) == (False, ("r3 left 25% of its last questions",))


def test_a_member_that_answers_pings_and_does_not_vote_is_not_healthy(gateway: FakeGateway) -> None:
    gateway.events.changed = without
    with DistributedValidator(gateway) as validator:
        for _ in range(4):
            validator.validate_sequence(GOOD)
        gateway.events.time += LATE
        assert validator.get_node_health("r3").healthy, "too few questions to tell"
        validator.validate_sequence(GOOD)
        gateway.events.time += LATE
        sick = validator.get_node_health("r3")
        assert validator.get_node_health("r0").healthy, "the silence of another one is not its own"
        gateway.events.changed = lambda _member, body: [body]
        for _ in range(16):
            validator.validate_sequence(GOOD)
        well = validator.get_node_health("r3")
    assert (sick.healthy, sick.issues) == (False, ("r3 left 100% of its last questions",))
    assert sick.score == pytest.approx(0.5, abs=0.01)
    assert (well.healthy, well.score) == (True, pytest.approx(0.9, abs=0.01)), "4 of the last 20"


def test_load_lowers_the_score_of_a_member(gateway: FakeGateway) -> None:
    with DistributedValidator(gateway) as validator:
        gateway.entries._balancer.update_node_metrics("r0", 0.5, 0, 0.0)
        assert validator.get_node_health("r0").score == pytest.approx(0.9, abs=0.01)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The validator's, which stands unless `now` is set, in seconds."""
    made = SimpleNamespace(now=0.0, monotonic=lambda: made.now)
    monkeypatch.setattr(validator_module, "time", made)
    return made


def test_a_verdict_in_the_members_time_is_no_failure_of_the_breaker(
    gateway: FakeGateway, clock: SimpleNamespace
) -> None:
    """The members may take 15 s for each chunk, here 12 s; the breaker's own time-out is 10 s."""

    def slowly(member: int, body: bytes) -> list[bytes]:
        clock.now += 3
        return [body]

    gateway.events.changed = slowly
    with DistributedValidator.from_config(gateway, from_profile("high_security", "n0")) as validator:
        assert validator.validate_sequence([GOOD[0], *[CUSTOM] * 300]).certified
        (breaker,) = validator.get_circuit_breakers()
    assert (breaker.state, breaker.counts.total_failures) == (BreakerState.CLOSED, 0)
