"""Locks for programs: waited for, handed on, refused; over the real machine (contract A15 to A20)."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from msgspec import structs

from dtvn.gateway import AsyncLockClient, Fence, Lease, LockClient, LockError, Result
from dtvn.gateway import locks as gateway_locks
from dtvn.gateway.steps import Steps, awaited
from dtvn.machine import CommandError, Lock
from dtvn.machine.commands import read
from dtvn.machine.rows import LockRow
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import CAPABILITIES
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis
from tests.waiting import PATIENCE, wait_until

ACQUIRERS = 30


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")


@pytest.fixture
def locks(gateway: FakeGateway) -> LockClient:
    return LockClient(gateway, actor="program")


def test_a_holder_extends_its_lease_a15(locks: LockClient) -> None:
    first = locks.acquire("leader", 30.0, holder=b"a")
    assert locks.acquire("leader", 60.0, holder=b"a").token == first.token
    renewed = locks.renew(first, 90.0)
    assert (renewed.token, renewed.ends > first.ends) == (first.token, True)
    assert 80 < renewed.remaining < 100


def test_a_lease_is_counted_from_when_it_was_asked_for(
    gateway: FakeGateway, locks: LockClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's answer may take long, and the lease ends by the log's time."""
    answer_in_five_seconds(gateway, monkeypatch)
    lease = locks.acquire("leader", 30.0)
    assert (lease.over, lease.remaining) == (130.0, 25.0)
    assert locks.renew(lease, 60.0).over == 165.0


def test_r16_a_renewal_of_which_only_the_code_is_known_is_asked_again(
    gateway: FakeGateway, locks: LockClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = locks.acquire("leader", 30.0)
    know_only_the_first_code(gateway, monkeypatch)
    assert locks.renew(first, 90.0).ends > first.ends


def test_a_renewal_that_is_asked_again_counts_from_the_last_question(
    gateway: FakeGateway, locks: LockClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = locks.acquire("leader", 30.0)
    know_only_the_first_code(gateway, monkeypatch)
    answer_in_five_seconds(gateway, monkeypatch)
    assert locks.renew(first, 60.0).over == 165.0


def answer_in_five_seconds(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock of the locks, at which it is the second 100 now."""
    now, submit = 100.0, gateway.submit

    def slowly(operations: list[Operation]) -> Future[tuple[Result, ...]]:
        nonlocal now
        now += 5.0
        return submit(operations)

    monkeypatch.setattr(gateway, "submit", slowly)
    monkeypatch.setattr(gateway_locks, "time", SimpleNamespace(monotonic=lambda: now))


def know_only_the_first_code(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next answer tells its code, but not the row."""
    submit, codes_only = gateway.submit, itertools.chain([True], itertools.repeat(False))

    def answered(operations: list[Operation]) -> Future[tuple[Result, ...]]:
        future = submit(operations)
        if next(codes_only):
            (result,), future = future.result(0), Future()
            future.set_result((structs.replace(result, state=b""),))
        return future

    monkeypatch.setattr(gateway, "submit", answered)


def test_release_of_anothers_lock_is_refused_a17(locks: LockClient) -> None:
    first = locks.acquire("leader", 30.0)
    for wrong in (Lease("leader", b"b", first.token, 0), Lease("leader", first.holder, first.token - 1, 0)):
        with pytest.raises(LockError):
            locks.release(wrong)
    locks.release(first)
    locks.release(first)


def test_an_ended_lease_is_taken_over_a18(locks: LockClient) -> None:
    first = locks.acquire("leader", 0.01)
    second = locks.acquire("leader", 30.0, wait=10.0)
    assert second.token > first.token
    with pytest.raises(LockError) as caught:
        locks.renew(first, 1.0)
    assert caught.value.code == "stale_lock_token"


def test_a_contended_acquire_waits_no_longer_than_told_a19(locks: LockClient) -> None:
    held = locks.acquire("leader", 60.0)
    with pytest.raises(LockError) as caught:
        locks.acquire("leader", 1.0)
    assert caught.value.code == "lock_held"
    until = held.ends / 1_000_000
    assert str(caught.value) == f"The lock is held by gateway until {until:.3f} (Unix time)."
    begun = time.monotonic()
    with pytest.raises(LockError):
        locks.acquire("leader", 1.0, wait=0.3, holder=b"b")
    assert 0.3 <= time.monotonic() - begun < 5.0
    locks.release(held)
    assert locks.acquire("leader", 1.0, holder=b"c").holder == b"c", "who gave up waiting is not handed it"


def test_each_look_asks_only_for_what_is_left_of_the_wait_a19(
    gateway: FakeGateway, locks: LockClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the caller dies meanwhile, its place ends with its own wait."""
    locks.acquire("leader", 60.0)
    submit, waits = gateway.submit, []

    def noted(operations: list[Operation]) -> Future[tuple[Result, ...]]:
        commands = (read(each.kind, each.payload) for each in operations)
        waits.extend(command.wait for command in commands if isinstance(command, Lock))
        return submit(operations)

    monkeypatch.setattr(gateway, "submit", noted)
    with pytest.raises(LockError) as caught:
        locks.acquire("leader", 1.0, wait=0.3, holder=b"b")
    assert caught.value.code == "lock_held", "the last look waits no more"
    assert waits == sorted(set(waits), reverse=True)
    assert (300_000 >= waits[0] > waits[1], waits[-1]) == (True, 0)


def test_a_refused_caller_is_told_who_holds_the_lock(gateway: FakeGateway, locks: LockClient) -> None:
    held = locks.acquire("leader", 60.0, holder=b"first")
    for refused in (
        lambda: locks.acquire("leader", 1.0),
        lambda: locks.renew(Lease("leader", b"other", held.token, 0), 1.0),
        lambda: locks.release(Lease("leader", b"other", held.token - 1, 0)),
    ):
        with pytest.raises(LockError) as caught:
            refused()
        assert caught.value.holder == LockRow(gateway.principal, b"first", held.token, held.ends)
    locks.release(held)
    with pytest.raises(LockError) as caught:
        locks.renew(held, 1.0)
    assert caught.value.holder is None


def test_a_lock_is_looked_at_without_taking_it(
    gateway: FakeGateway, locks: LockClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert locks.get("leader") is None
    held = locks.acquire("leader", 60.0, holder=b"first")
    seen = LockRow(gateway.principal, b"first", held.token, held.ends)
    assert locks.get("leader") == seen
    know_only_the_first_code(gateway, monkeypatch)
    assert locks.get("leader") == seen
    assert locks.renew(held, 60.0).token == held.token
    locks.release(held)
    assert locks.get("leader") is None
    gateway.quorum = False
    with pytest.raises(LockError) as caught:
        locks.get("leader")
    assert caught.value.code == "unavailable"


def test_what_is_out_of_bounds_is_not_sent(locks: LockClient) -> None:
    with pytest.raises(CommandError, match="name"):
        locks.acquire("", 1.0)
    with pytest.raises(CommandError, match="lease"):
        locks.acquire("leader", 601.0)


def test_many_acquirers_hold_one_after_the_other_a20(gateway: FakeGateway) -> None:
    """Each holder counts itself in and out: none meets another, and tokens rise in the order of holding."""
    inside: list[int] = []
    tokens: list[int] = []
    failed: list[Exception] = []

    def work(number: int) -> None:
        try:
            with LockClient(gateway, actor=f"w{number}").held("leader", 60.0, wait=120.0) as lease:
                inside.append(number)
                assert inside == [number]
                tokens.append(lease.token)
                inside.remove(number)
        except (AssertionError, LockError) as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(ACQUIRERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120.0)
    assert not failed
    assert len(tokens) == ACQUIRERS
    assert tokens == sorted(set(tokens))


def test_a_write_with_an_older_token_is_refused_a20(locks: LockClient) -> None:
    """The first holder's lease ends before its second write; it has not noticed."""
    written: list[str] = []
    fence = Fence()

    def write(lease: Lease, text: str) -> None:
        with fence.admitted(lease.token):
            written.append(text)

    first = locks.acquire("door", 0.01)
    write(first, "first")
    second = locks.acquire("door", 30.0, wait=10.0)
    write(first, "nobody knows of the second yet")
    write(second, "second")
    with pytest.raises(LockError) as caught:
        write(first, "late")
    assert caught.value.code == "stale_lock_token"
    write(locks.renew(second, 60.0), "renewed")
    assert written == ["first", "nobody knows of the second yet", "second", "renewed"]
    with pytest.raises(LockError), Fence(fence.highest).admitted(first.token):
        written.append("after a restart")


def test_a_write_that_failed_bars_earlier_holders_and_not_its_own_a20() -> None:
    """Half of it may have been written; the holder tries again, in the same thread."""
    fence = Fence()
    with pytest.raises(OSError, match="disk"), fence.admitted(7):
        raise OSError("the disk is full")
    with pytest.raises(LockError) as caught, fence.admitted(6):
        pass
    assert caught.value.code == "stale_lock_token"
    with fence.admitted(7):
        assert fence.highest == 7


def running(thread: threading.Thread) -> str:
    """The function in which a thread is, or waits; "" before its first and after its last."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame.f_code.co_name if frame else ""


def test_writers_under_a_fence_never_meet_a20() -> None:
    fence, inside = Fence(), threading.Event()
    left, entered = threading.Event(), threading.Event()

    def slow() -> None:
        with fence.admitted(1):
            inside.set()
            left.wait(PATIENCE)

    def next_holder() -> None:
        with fence.admitted(2):
            entered.set()

    threads = [threading.Thread(target=slow), threading.Thread(target=next_holder)]
    threads[0].start()
    assert inside.wait(PATIENCE)
    threads[1].start()
    wait_until(lambda: running(threads[1]) == "admitted", what="the next holder waits for the first")
    assert not entered.is_set()
    left.set()
    assert entered.wait(PATIENCE)
    for thread in threads:
        thread.join()


@pytest.mark.asyncio
async def test_a_second_task_under_a_fence_is_refused() -> None:
    """It would stop the loop, and with it the first, for ever."""
    fence = Fence()

    async def second() -> None:
        with fence.admitted(2):
            pass

    with fence.admitted(1):
        with pytest.raises(RuntimeError, match="must not await"):
            await asyncio.create_task(second())
        assert fence.highest == 1
    await second()
    assert fence.highest == 2


def test_giving_up_to_extend_a_lease_leaves_it_held(gateway: FakeGateway, locks: LockClient) -> None:
    first = locks.acquire("leader", 60.0, holder=b"a")
    gateway.mute = True
    with pytest.raises(LockError, match="outcome is unknown"):
        locks.acquire("leader", 60.0, wait=1.0, holder=b"a")
    with pytest.raises(LockError, match="outcome is unknown"):
        locks.acquire("unheld", 60.0, wait=1.0)
    gateway.mute = False
    seen = locks.get("leader")
    assert seen is not None
    assert (seen.holder, seen.token) == (b"a", first.token)
    assert locks.get("unheld") is None, "a holder of this call alone wants it no longer"


@pytest.mark.asyncio
async def test_a_cancelled_extension_leaves_the_lease_held(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks, submit, asked = AsyncLockClient(gateway, actor="program"), gateway.submit, asyncio.Event()
    first = await locks.acquire("leader", 60.0, holder=b"a")

    def unanswered(operations: list[Operation]) -> Future[tuple[Result, ...]]:
        submit(operations)
        asked.set()
        return Future()

    with monkeypatch.context() as patched:
        patched.setattr(gateway, "submit", unanswered)
        extending = asyncio.create_task(locks.acquire("leader", 60.0, wait=60.0, holder=b"a"))
        await asked.wait()
        extending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await extending
    assert (await locks.renew(first, 60.0)).token == first.token


@pytest.mark.asyncio
async def test_a_block_that_raises_gives_its_lock_back(gateway: FakeGateway) -> None:
    locks = AsyncLockClient(gateway, actor="program")
    with pytest.raises(OSError, match="in the block"):
        async with locks.held("leader", 60.0):
            raise OSError("in the block")
    assert await locks.get("leader") is None
    blocking = LockClient(gateway, actor="program")
    with pytest.raises(OSError, match="in the block"), blocking.held("leader", 60.0):
        raise OSError("in the block")
    assert await locks.get("leader") is None


@pytest.mark.asyncio
async def test_a_cancelled_wait_under_a_given_holder_leaves_the_queue(gateway: FakeGateway) -> None:
    locks = AsyncLockClient(gateway, actor="program")
    async with locks.held("leader", 60.0):
        ordered = gateway.acknowledged
        waiting = asyncio.create_task(locks.acquire("leader", 60.0, wait=60.0, holder=b"b"))
        # The second look: the answer to the first has told that it waits.
        await asyncio.to_thread(wait_until, lambda: gateway.acknowledged >= ordered + 2, what="it waits")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await locks.get("leader") is None


def test_without_a_quorum_no_lock_is_granted_a21(gateway: FakeGateway, locks: LockClient) -> None:
    gateway.quorum = False
    with pytest.raises(LockError) as caught:
        locks.acquire("leader", 1.0, wait=1.0)
    assert caught.value.code == "unavailable"


@pytest.mark.asyncio
async def test_a_cancellation_is_not_lost_where_the_answer_is_there() -> None:
    answer: Future[int] = Future()
    asked = asyncio.Event()
    call = asyncio.create_task(awaited(answered_once(answer, asked), 60.0))
    await asked.wait()
    asyncio.get_running_loop().call_soon(call.cancel)
    answer.set_result(1)
    with pytest.raises(asyncio.CancelledError):
        await call


def answered_once(answer: Future[int], asked: asyncio.Event) -> Steps[int]:
    asked.set()
    return (yield answer)  # type: ignore[no-any-return]


@pytest.mark.asyncio
async def test_an_event_loop_waits_for_a_lock_and_leaves_its_queue(gateway: FakeGateway) -> None:
    locks = AsyncLockClient(gateway, actor="program")
    async with locks.held("leader", 60.0) as first:
        ordered = gateway.acknowledged
        waiting = asyncio.create_task(locks.acquire("leader", 60.0, wait=60.0))
        given_up = asyncio.create_task(locks.acquire("leader", 60.0, wait=60.0))
        await asyncio.to_thread(wait_until, lambda: gateway.acknowledged >= ordered + 2, what="both wait")
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert (await locks.renew(first, 90.0)).token == first.token
        seen = await locks.get("leader")
        assert seen is not None
        assert (seen.holder, seen.token) == (first.holder, first.token)
    second = await waiting
    assert second.token > first.token
    await locks.release(second)
    third = await locks.acquire("leader", 60.0)
    assert third.token > second.token, "who gave up is not its holder"
    with pytest.raises(LockError):
        await locks.acquire("leader", 60.0)
    await locks.cancel("leader", third.holder)
    await locks.release(await locks.acquire("leader", 60.0))
