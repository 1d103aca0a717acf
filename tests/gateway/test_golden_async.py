"""The clients for event loops, told whole: they do as those for threads."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dtvn.gateway import AsyncDistributedValidator, AsyncLockClient, LockError, locks, steps
from dtvn.protocol.genesis import CAPABILITIES
from tests.fake_gateway import FakeGateway
from tests.gateway.test_golden_validator import Story, run_of
from tests.gateway.wording import Wording, fixed_clock
from tests.golden import Compare
from tests.host.support import make_genesis

GOLDEN = Path(__file__).parent / "golden"


def test_lock_client_of_a_loop(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken, renewed, seen, given back, cancelled."""
    fixed_clock(monkeypatch, locks, steps)
    gateway = FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")
    words, lines = Wording(), []

    async def told() -> None:
        client = AsyncLockClient(gateway, actor="worker", event="agents", entry="r2")
        lease = await client.acquire("one", 30.0, holder=b"a")
        lines.append(words(lease))
        lines.append(words(await client.renew(lease, 45.0)))
        lines.append(words(await client.get("one")))
        with pytest.raises(LockError) as refused:
            await client.acquire("one", 5.0, holder=b"b")
        lines.append(words(refused.value))
        await client.release(lease)
        lines.append(words(await client.get("one")))
        async with client.held("two", 9.0) as held:
            lines.append(f"held {held.name} {held.remaining:g}")
        lines.append(words(await client.get("two")))
        await client.acquire("three", 5.0, holder=b"c")
        await client.cancel("three", b"c")
        lines.append(words(await client.get("three")))

    asyncio.run(told())
    golden(GOLDEN / "lock-client-of-a-loop.txt", "\n".join(lines) + "\n")


def test_validator_of_a_loop(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started, asked, pinged, stopped."""
    story = Story(monkeypatch)

    async def told() -> None:
        made = AsyncDistributedValidator(story.gateway, wait=0.2, allow_local_validation=False)
        made.get_partition_handler()._now = story.now
        async with made:
            story.result("event", await made.validate_event(run_of("one")[0]))
            story.result("bad", await made.validate_sequence(run_of("bad", "TC:other"), thread="t", run="x"))
            story.tell("ping", await made.ping("r1"))
            story.tell("ping", await made.get_transport().ping("r2"))
            story.tell("health", await made.get_node_health("r3"))
        story.tell("state", made.get_state().name)

    asyncio.run(told())
    golden(GOLDEN / "validator-of-a-loop.txt", story.text)
