"""Sequences sent at once: of one thread one after the other, of different threads in parallel (A33)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from dtvn.gateway import AsyncDistributedValidator, Judged, Overloaded, thread_queues
from dtvn.gateway.events import OpenRun
from dtvn.gateway.thread_queues import ThreadQueues
from dtvn.protocol.genesis import CAPABILITIES
from tests.events.rules.samples import event
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis
from tests.waiting import PATIENCE


class Held:
    """Holds every call of `judge` back until `release`, and knows which run is being judged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open: list[str] = []
        self.judged: list[str] = []
        self.come: asyncio.Event = asyncio.Event()
        self.held: dict[str, Future[Judged]] = {}
        judge = OpenRun.judge

        def hold(run: OpenRun, texts: Sequence[bytes], **options: float) -> Future[Judged]:
            self.open.append(run.run)
            self.judged.append(run.run)
            answer = judge(run, texts, **options)  # type: ignore[arg-type]
            self.held[run.run] = Future()
            self.held[run.run].add_done_callback(lambda _done: self.open.remove(run.run))
            self.answers[run.run] = answer
            self.come.set()
            return self.held[run.run]

        self.answers: dict[str, Future[Judged]] = {}
        monkeypatch.setattr(OpenRun, "judge", hold)

    async def until(self, *runs: str) -> None:
        """Until these and no others are being judged."""
        async with asyncio.timeout(PATIENCE):
            while sorted(self.open) != sorted(runs):
                self.come.clear()
                await self.come.wait()

    def release(self, run: str) -> None:
        self.held[run].set_result(self.answers[run].result())


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")


def sequence(thread: str) -> list[bytes]:
    return [event("RS:r", threadId=thread), event("RF:r", threadId=thread)]


@pytest.mark.asyncio
async def test_a_sequence_that_is_cancelled_in_its_queue_holds_nobody_up_a33(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    async with AsyncDistributedValidator(gateway) as validator:
        calls = [
            asyncio.create_task(validator.validate_sequence(sequence("t"), run=run))
            for run in ("one", "two", "three")
        ]
        await held.until("one")
        calls[1].cancel()
        held.release("one")
        await held.until("three")
        held.release("three")
        assert (await calls[0]).is_valid
        assert (await calls[2]).is_valid
        with pytest.raises(asyncio.CancelledError):
            await calls[1]


def test_a_queue_is_bounded_and_ends_with_its_last_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_queues, "WAITING_MAX", 1)
    queues = ThreadQueues()
    with queues.place("t") as first, queues.place("t") as second, queues.place("") as other:
        assert (first.done(), second.done(), other.done()) == (True, False, True)
        with pytest.raises(Overloaded), queues.place("t"):
            pass
    assert queues._queues == {}
