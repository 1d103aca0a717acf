"""One trouble, one line: at most one a second of a kind."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from dtvn.log_limit import KINDS_MAX, OneLineASecond
from tests.support.clock import SetClock


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def outputs(clock: SetClock) -> Iterator[list[io.StringIO]]:
    """What two handlers of one logger wrote."""
    logger, limit = logging.getLogger("test.limit"), OneLineASecond(clock.seconds)
    logger.propagate = False
    streams = [io.StringIO(), io.StringIO()]
    handlers = [logging.StreamHandler(stream) for stream in streams]
    for handler in handlers:
        handler.addFilter(limit)
        logger.addHandler(handler)
    yield streams
    for handler in handlers:
        logger.removeHandler(handler)


def warn(text: str, *values: object) -> None:
    logging.getLogger("test.limit").warning(text, *values)


def test_an_outage_of_12_s_writes_12_lines_and_says_what_it_left_out(
    clock: SetClock, outputs: list[io.StringIO]
) -> None:
    for number in range(2_400):
        warn("GET %s was answered with 503", f"/page/{number}")
        clock.forward(0.005)
    first, second = (stream.getvalue().splitlines() for stream in outputs)
    assert first == second, "every handler writes the same lines"
    assert len(first) == 12
    assert first[0] == "GET /page/0 was answered with 503"
    assert first[1] == "GET /page/200 was answered with 503 (199 more like it were left out)"


def test_other_kinds_and_infos_are_not_held_back(clock: SetClock, outputs: list[io.StringIO]) -> None:
    logging.getLogger("test.limit").setLevel(logging.INFO)
    for _ in range(2):
        warn("%s", "muted peer=r1")
        warn("%s", "turn_lost reason=disk")
        logging.getLogger("test.limit").info("a line")
    assert outputs[0].getvalue().splitlines() == [
        "muted peer=r1",
        "turn_lost reason=disk",
        "a line",
        "a line",
    ]


def test_the_memory_of_kinds_is_bounded(clock: SetClock) -> None:
    limit = OneLineASecond(clock.seconds)
    for number in range(2 * KINDS_MAX):
        assert limit.filter(logging.LogRecord("a", logging.ERROR, "", 0, f"kind {number}", None, None))
    assert len(limit._logged) == KINDS_MAX
