"""The relay: few frames for many events, none lost, no work without watchers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.waiting import PATIENCE
from validators.feed import Frame, Relay, relay
from validators.feed.relay import BEHIND_MAX, FRAME_EVENTS, FRAME_INTERVAL

pytestmark = pytest.mark.asyncio


class Log:
    """A log of `per_sequence` events a sequence, and what the relay did with it."""

    def __init__(self, per_sequence: int = 1) -> None:
        self.applied = 0
        self.per_sequence = per_sequence
        self.reads = 0
        self.broken = False
        self.frames: list[Frame] = []
        self.published = asyncio.Condition()
        self.relay = Relay(read=self.read, publish=self.publish, applied=self.tell)

    async def tell(self) -> int:
        return self.applied

    async def read(self, after: int) -> Frame:
        self.reads += 1
        if self.broken:
            self.broken = False
            raise OSError("database is locked")
        to = min(self.applied, after + max(1, FRAME_EVENTS // self.per_sequence))
        events = tuple(
            {"sequence": sequence, "index": index}
            for sequence in range(after + 1, to + 1)
            for index in range(self.per_sequence)
        )
        return Frame(after=after, to=to, second=0, counts={}, rates=(), events=events)

    async def publish(self, frame: Frame) -> None:
        async with self.published:
            self.frames.append(frame)
            self.published.notify_all()

    async def until(self, to: int) -> None:
        async with self.published:
            await asyncio.wait_for(
                self.published.wait_for(lambda: bool(self.frames) and self.frames[-1].to >= to), PATIENCE
            )


@asynccontextmanager
async def running(log: Log) -> AsyncIterator[None]:
    task = asyncio.create_task(log.relay.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_first_client_does_not_take_the_relay_back() -> None:
    """What it asked of the rows may be older than what was published meanwhile."""
    log = Log()
    log.relay.position, log.applied = 7, 5
    assert await log.relay.join() == 7
    log.relay.leave()
    log.applied = 9
    assert await log.relay.join() == 9, "what nobody watched is skipped"


async def test_frames_follow_each_other_without_a_gap() -> None:
    log = Log(per_sequence=7)
    async with running(log):
        await log.relay.join()
        for _ in range(40):
            log.applied += 5
            log.relay.wake()
            await log.until(1)
        await log.until(200)
    assert [frame.after for frame in log.frames] == [0, *(frame.to for frame in log.frames[:-1])]
    assert sum(len(frame.events) for frame in log.frames) == 200 * 7


async def test_events_of_one_interval_share_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """One frame per event to 50 browsers lost 69 % at 1,000 events a second."""
    monkeypatch.setattr(relay, "FRAME_INTERVAL", 5 * FRAME_INTERVAL)
    log = Log()
    loop = asyncio.get_running_loop()
    async with running(log):
        await log.relay.join()
        began = loop.time()
        # At least 100 events, and as many as fit into ten intervals; none is skipped yet.
        while log.applied < 100 or (log.applied < BEHIND_MAX and loop.time() < began + 10 * FRAME_INTERVAL):
            log.applied += 1
            log.relay.wake()
            await loop.run_in_executor(None, lambda: None)
        await log.until(log.applied)
        took = loop.time() - began
    not_full = [frame for frame in log.frames if len(frame.events) < FRAME_EVENTS]
    assert len(not_full) <= took / relay.FRAME_INTERVAL + 2
    assert sum(len(frame.events) for frame in log.frames) == log.applied


async def test_clients_that_join_together_begin_at_the_same_place() -> None:
    log = Log()
    release, applied = asyncio.Event(), iter([100_000, 100_005, 100_009])

    async def tell() -> int:
        await release.wait()
        return next(applied)

    log.relay._applied = tell
    joining = [asyncio.create_task(log.relay.join()) for _ in range(3)]
    await asyncio.wait(joining, timeout=0.05)  # all of them look
    release.set()
    assert await asyncio.gather(*joining) == [100_000] * 3, "nothing is skipped for the first"


async def test_without_watchers_nothing_is_read() -> None:
    log = Log()
    async with running(log):
        log.applied = 50
        log.relay.wake()
        await log.relay.join()
        assert log.relay.position == 50
        assert log.reads == 0
        log.applied = 51
        log.relay.wake()
        await log.until(51)
    assert [(frame.after, frame.to) for frame in log.frames] == [(50, 51)]


async def test_a_failing_read_delays_frames_and_loses_none(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    async with running(log):
        await log.relay.join()
        log.broken = True
        log.applied = 3
        log.relay.wake()
        await log.until(3)
    assert [event["sequence"] for frame in log.frames for event in frame.events] == [1, 2, 3]
    assert "trying again" in caplog.text


async def test_a_lost_announcement_is_repaired_within_a_second() -> None:
    """The first one too: it is lost without a subscriber, and none arrives from another host."""
    log = Log()
    async with running(log):
        await asyncio.create_task(log.relay.join())  # behind the relay's own task, which waits by then
        log.applied = 2
        await log.until(2)


async def test_a_relay_far_behind_jumps_to_the_newest() -> None:
    """Clients catch up by themselves or reload: frames of an hour ago are useless."""
    log = Log(per_sequence=FRAME_EVENTS)
    async with running(log):
        await log.relay.join()
        log.applied = 10_000
        log.relay.wake()
        await log.until(10_000)
    assert len(log.frames) < 5


async def test_a_read_of_an_earlier_log_does_not_hide_the_next_one() -> None:
    """Another cluster is founded while rows are read: without `begin_anew` the relay waited above its log."""
    log = Log()
    reading, founded = asyncio.Event(), asyncio.Event()

    async def slow(after: int) -> Frame:
        if not founded.is_set():
            reading.set()
            await founded.wait()
            return Frame(after=after, to=3, second=0, counts={}, rates=(), events=())
        return await log.read(after)

    log.relay = Relay(read=slow, publish=log.publish, applied=log.tell)
    async with running(log):
        await log.relay.join()
        log.applied = 3
        log.relay.wake()
        await asyncio.wait_for(reading.wait(), PATIENCE)
        log.applied = 1
        log.relay.begin_anew()
        founded.set()
        await log.until(1)
    assert [(frame.after, frame.to) for frame in log.frames] == [(0, 1)]
