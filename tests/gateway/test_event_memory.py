"""Memory stays flat over the events of one run, and over runs: gateway, its records, four judges (issue 14).

All of it is the product's code in one process, with real signatures (tests.fake_events); the log answers ok.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import chain, count, islice

import pytest

from benchmarks.events import conversation
from dtvn.events.asking.known_states import KnownStates
from dtvn.events.config import Algorithm
from dtvn.events.judging import CHUNK_EVENTS_MAX, Verdict
from dtvn.events.rules import Limits
from dtvn.gateway import EventRun, Result
from dtvn.gateway.event_records import EVERY
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import cluster_id
from tests.fake_events import FakeEvents
from tests.host.support import make_genesis

pytestmark = pytest.mark.ci

CONVERSATION = conversation()
STATES = 4
"""Rule states that a judge remembers here, so that its cache is full from the beginning."""
WARM = 10
"""The first of so many parts of the work fills what is bounded."""
GROWTH_MAX = 64 * 1024
"""Bytes: 3 for each event of the shorter test, 131 for each of its runs."""
FULL = (pytest.mark.exhaustive, pytest.mark.timeout(1_800))


def recorded(operations: Sequence[Operation], *, wait: float) -> Future[tuple[Result, ...]]:
    """What the log says of records that it takes."""
    done: Future[tuple[Result, ...]] = Future()
    done.set_result(tuple(Result("ok", b"", 1, 0, 1) for _ in operations))
    return done


@pytest.fixture
def events() -> FakeEvents:
    genesis = make_genesis(4)
    made = FakeEvents(cluster_id(genesis), founding(genesis), recorded)
    for judge in made.judges:
        judge._states = KnownStates(Limits(), STATES)
    return made


def judge(events: FakeEvents, run: EventRun, texts: list[bytes]) -> None:
    """The log has got all earlier events by then, and no other time-out is left."""
    events.time += EVERY
    answer = run.judge(texts).result(0)
    assert (answer.verdict, answer.certified) == (Verdict.VALID, True)


def conversations() -> Iterator[list[bytes]]:
    """The same conversation over and over with ids of its own, so that no state comes twice."""
    for number in count():
        yield [
            text.replace(b'messageId":"', b'messageId":"%d-' % number).replace(
                b'toolCallId":"', b'toolCallId":"%d-' % number
            )
            for text in CONVERSATION
        ]


def one_run(events: FakeEvents) -> Iterator[int]:
    """Number of events with each chunk of one endless run."""
    run = events.begin("thread", "run", algorithm=Algorithm.PBFT)
    texts = chain.from_iterable(conversations())
    while True:
        judge(events, run, list(islice(texts, CHUNK_EVENTS_MAX)))
        yield CHUNK_EVENTS_MAX


def many_runs(events: FakeEvents) -> Iterator[int]:
    """1 with each run, of a thread of its own, that ends within a message."""
    for number, texts in enumerate(conversations()):
        run = events.begin(f"thread-{number}", f"run-{number}", algorithm=Algorithm.PBFT)
        judge(events, run, texts[:5])
        assert run.end().result(0).code == "ok"
        yield 1


def grown(parts: Iterator[int], total: int) -> int:
    """Bytes that the process holds more after `total` than after the first WARM-th of them."""
    with traced() as held:
        before, done = 0, 0
        while done < total:
            done += next(parts)
            if not before and done >= total // WARM:
                before = held()
        return held() - before


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """A function that returns the bytes of all objects made within the block that are still there."""

    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start(1)
    try:
        yield held
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("total", [20_000, pytest.param(200_000, marks=FULL)])
def test_memory_is_flat_over_the_events_of_one_run(events: FakeEvents, total: int) -> None:
    assert grown(one_run(events), total) < GROWTH_MAX


@pytest.mark.parametrize("total", [500, pytest.param(20_000, marks=FULL)])
def test_memory_is_flat_over_runs(events: FakeEvents, total: int) -> None:
    assert grown(many_runs(events), total) < GROWTH_MAX


def test_one_kept_object_for_each_run_is_found(events: FakeEvents) -> None:
    leak = []

    def leaking() -> Iterator[int]:
        for number in many_runs(events):
            leak.append(bytes(200))
            yield number

    assert grown(leaking(), 500) > GROWTH_MAX
