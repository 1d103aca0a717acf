"""A line for each request to a node's API: what it shows, what it never shows, and how many there are."""

from __future__ import annotations

import logging

import pytest

from dtvn.node.api_channel import Answered
from dtvn.node.request_log import LINES_MAX, RequestLog
from tests.support.clock import SetClock

LOGGER = logging.getLogger("test.requests")


@pytest.fixture
def clock(caplog: pytest.LogCaptureFixture) -> SetClock:
    caplog.set_level(logging.INFO, LOGGER.name)
    return SetClock()


def asked(path: str = "/api/v1/stats", *, endpoint: str = "/api/v1/stats", status: int = 200) -> Answered:
    return Answered("GET", endpoint, status, 0.01234, path)


def test_a_line_names_method_path_status_and_duration(
    clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    RequestLog(LOGGER, clock.seconds).answered([asked()])
    assert caplog.messages == ["request method=GET path=/api/v1/stats status=200 ms=12.3"]


def test_a_path_can_neither_start_a_new_line_nor_fill_the_log(
    clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    log = RequestLog(LOGGER, clock.seconds)
    log.answered([asked("/a\nERROR b"), asked("/" + "x" * 100_000)])
    assert caplog.messages[0].split(" ", 3)[2] == 'path="/a\\nERROR'
    assert len(caplog.messages[1]) < 300


@pytest.mark.parametrize("status", [200, 503])
def test_requests_of_monitors_are_not_logged(
    status: int, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    RequestLog(LOGGER, clock.seconds).answered([asked("/health", endpoint="/health"), asked(status=status)])
    RequestLog(LOGGER, clock.seconds).answered([asked("/ready", endpoint="/ready", status=status)])
    assert len(caplog.messages) == 1


def test_requests_above_the_rate_limit_are_counted_in_one_line(
    clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    log = RequestLog(LOGGER, clock.seconds)
    for _ in range(10):
        log.answered([asked()] * LINES_MAX)
    assert len(caplog.messages) == LINES_MAX
    clock.forward(1.0)
    log.answered([asked()])
    assert caplog.messages[LINES_MAX] == f"requests_left_out count={9 * LINES_MAX}"
    assert caplog.messages[LINES_MAX + 1].startswith("request method=GET")
    log.flush()
    assert len(caplog.messages) == LINES_MAX + 2, "nothing was left out since"
    caplog.clear()
    clock.forward(60.0)
    for _ in range(10):
        log.answered([asked()] * LINES_MAX)
    assert len(caplog.messages) == LINES_MAX, "quiet seconds leave no room for later ones"
