"""The breaker around calls: acceptance case A72 of the contract."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.events.balancing import (
    BreakerCode,
    BreakerError,
    BreakerState,
    CallBreaker,
    CallBreakers,
    Counts,
)
from dtvn.events.config import CircuitBreakerConfig


def breaker(**settings: Any) -> CallBreaker:
    return CallBreaker(CircuitBreakerConfig(name="consensus", **settings))


def call(found: CallBreaker, *, success: bool, now: float = 0.0) -> None:
    permit = found.begin(now)
    (found.succeed if success else found.fail)(permit, now)


def fail(found: CallBreaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        call(found, success=False, now=now)


def refused(found: CallBreaker, now: float) -> BreakerError:
    with pytest.raises(BreakerError) as told:
        found.begin(now)
    assert told.value.code is BreakerCode.OPEN
    return told.value


def test_five_failures_in_a_row_open_it_for_a_minute_a72() -> None:
    found = breaker()
    fail(found, 4)
    assert found.state is BreakerState.CLOSED
    fail(found, 1)
    assert refused(found, 59.9).details == {
        "circuit_breaker": "consensus",
        "state": "OPEN",
        "consecutive_failures": 5,
        "max_failures": 5,
        "retry_after": pytest.approx(0.1),
    }
    call(found, success=True, now=60.0)
    assert found.state is BreakerState.HALF_OPEN
    call(found, success=True, now=60.0)
    assert (found.state, found.counts.requests) == (BreakerState.CLOSED, 0)


def test_failures_that_are_not_in_a_row_leave_it_closed_a72() -> None:
    found = breaker()
    fail(found, 4)
    call(found, success=True)
    fail(found, 4)
    assert found.state is BreakerState.CLOSED


def test_half_open_passes_three_calls_at_most_a72() -> None:
    found = breaker()
    fail(found, 5)
    permits = [found.begin(60.0) for _ in range(3)]
    assert refused(found, 60.0).details["state"] == "HALF_OPEN"
    found.succeed(permits[0], 60.0)
    found.succeed(permits[1], 60.0)
    assert found.state is BreakerState.CLOSED
    found.fail(permits[2], 60.0)
    assert found.counts.total_failures == 0


def test_with_one_trial_its_success_closes_it_a72() -> None:
    found = breaker(half_open_max_calls=1)
    fail(found, 5)
    call(found, success=True, now=60.0)
    assert found.state is BreakerState.CLOSED


def test_any_failure_in_half_open_opens_it_again_a72() -> None:
    found = breaker()
    fail(found, 5)
    call(found, success=True, now=60.0)
    call(found, success=False, now=60.0)
    assert found.state is BreakerState.OPEN
    refused(found, 119.9)
    found.begin(120.0)


def test_an_operation_that_is_too_slow_is_a_failure_a72() -> None:
    found = breaker(max_failures=1)
    permit = found.begin(0.0)
    with pytest.raises(BreakerError) as told:
        found.succeed(permit, 10.1)
    assert told.value.code is BreakerCode.TIMEOUT
    assert found.state is BreakerState.OPEN
    unlimited = breaker(timeout=0.0)
    unlimited.succeed(unlimited.begin(0.0), 1e6)
    assert unlimited.state is BreakerState.CLOSED


def test_an_exception_of_the_operation_is_named() -> None:
    found = breaker()
    error = found.panic(found.begin(0.0), 0.0, KeyError("secret"))
    assert error.code is BreakerCode.PANIC
    assert "KeyError" in str(error)
    assert "secret" not in str(error)
    assert found.counts.consecutive_failures == 1


def test_reset_and_trip_by_hand_a72() -> None:
    found = breaker()
    found.trip(5.0)
    refused(found, 64.9)
    found.reset()
    assert (found.state, found.counts.total_failures) == (BreakerState.CLOSED, 0)
    fail(found, 3)
    found.reset()
    fail(found, 4)
    assert found.state is BreakerState.CLOSED


def test_a_condition_of_ones_own_may_open_it() -> None:
    found = breaker(max_failures=100, should_trip=lambda counts: counts.total_failures >= 3)
    for success in (False, True, False, True):
        call(found, success=success)
    assert found.state is BreakerState.CLOSED
    call(found, success=False)
    assert found.state is BreakerState.OPEN


def test_a_condition_that_raises_opens_it_and_is_asked_last() -> None:
    asked: list[int] = []

    def fails(counts: Counts) -> bool:
        asked.append(counts.consecutive_failures)
        raise ValueError("of the condition")

    found = breaker(should_trip=fails)
    call(found, success=False)
    assert (found.state, asked) == (BreakerState.OPEN, [1])
    strict = breaker(max_failures=1, should_trip=fails)
    call(strict, success=False)
    assert (strict.state, asked) == (BreakerState.OPEN, [1]), "it was open without the condition"


def test_a_call_that_began_before_a_change_does_not_count_after_it() -> None:
    found = breaker()
    old = found.begin(0.0)
    fail(found, 5)
    found.begin(60.0)
    found.fail(old, 60.0)
    assert found.state is BreakerState.HALF_OPEN


def test_statistics_are_copies_with_rates() -> None:
    found = breaker()
    assert (found.stats().success_rate, found.stats().failure_rate) == (0.0, 0.0)
    for success in (True, True, True, False):
        call(found, success=success)
    told = found.stats()
    assert (told.name, told.state, told.success_rate, told.failure_rate) == ("consensus", 0, 0.75, 0.25)
    told.counts.requests = 99
    assert found.counts.requests == 4


def test_one_breaker_a_name_and_the_first_configuration_stays() -> None:
    registry, other = CallBreakers(), CallBreakers()
    first = registry.get(CircuitBreakerConfig(name="a", max_failures=1))
    assert registry.get(CircuitBreakerConfig(name="a", max_failures=9)) is first
    assert first.config.max_failures == 1
    assert other.get(CircuitBreakerConfig(name="a")) is not first
    registry.get(CircuitBreakerConfig(name="0"))
    assert [each.name for each in registry.stats()] == ["0", "a"]
