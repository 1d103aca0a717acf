"""`/ws` while the database is away, for a client ahead of the log, and for one WebSocket too many."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from tests.pages.learner import RealLearner
from tests.pages.test_consumer import Socket, open_socket  # noqa: F401 - a fixture
from tests.waiting import PATIENCE
from validators.dashboard import consumers, live
from validators.feed import outage

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]

Operate = Callable[..., object]
TRY_AGAIN_LATER = {"type": "websocket.close", "code": 4503}


def without_reason(closed: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in closed.items() if name != "reason"}


async def test_a_client_whose_rows_are_unreadable_is_closed_and_not_counted(
    open_socket: Any,  # noqa: F811
    operate: Operate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: Any) -> int:
        raise OperationalError("database is locked")

    await sync_to_async(operate)("issue T-1")
    socket = await open_socket()
    await socket.until("connected")
    monkeypatch.setattr(consumers, "read_applied", away)
    await socket.send({"type": "resume", "after": 999_999_999})
    assert without_reason(await socket.channel.receive_output(timeout=PATIENCE)) == TRY_AGAIN_LATER
    assert not live.live_of_this_loop()._watched.is_set()


async def test_an_open_page_is_closed_while_the_nodes_states_are_unreadable(
    open_socket: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would go on to call them running. A short outage closes nothing, and programs stay."""
    reads: list[int] = []

    def away() -> None:
        reads.append(1)
        raise OperationalError("the server does not answer")

    socket, program = await open_socket(), await open_socket()
    await socket.until("connected")
    await socket.send({"type": "resume", "after": 0, "batch": True})
    await program.until("connected")
    monkeypatch.setattr(outage, "monotonic", itertools.count().__next__)
    monkeypatch.setattr(live, "NODES_INTERVAL", 0.0)
    monkeypatch.setattr(live, "describe_nodes", away)
    while (told := await socket.channel.receive_output(timeout=PATIENCE))["type"] != "websocket.close":
        pass
    assert without_reason(told) == TRY_AGAIN_LATER
    assert len(reads) > 3
    assert live.live_of_this_loop()._watchers == 1, "the program stays"


async def test_an_outage_is_counted_anew_when_everybody_had_left(
    learner: RealLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes long after it is not closed for the first poll that fails."""
    reads: list[int] = []

    def away() -> None:
        reads.append(1)
        raise OperationalError("the server does not answer")

    monkeypatch.setattr(outage, "monotonic", itertools.count().__next__)
    monkeypatch.setattr(live, "NODES_INTERVAL", 0.0)
    feed = live.Live()
    try:
        for _ in range(2):
            reads.clear()
            monkeypatch.setattr(live, "describe_nodes", list)
            await feed.join(inbox := live.Inbox())
            monkeypatch.setattr(live, "describe_nodes", away)
            while (await asyncio.wait_for(inbox.get(), PATIENCE))["type"] != "feed.away":
                pass
            assert len(reads) > 3
            feed.leave(inbox)
            with pytest.raises(OperationalError):
                await feed.look_at_nodes()  # after the feed's own last poll
    finally:
        await feed.close()


async def test_messages_beyond_a_clients_inbox_are_dropped_and_read_again(
    open_socket: Any,  # noqa: F811
    operate: Operate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumers, "INBOX_MAX", 1)
    socket = await open_socket()
    at = (await socket.until("connected"))["sequence"]
    feed = live.live_of_this_loop()
    for _ in range(3):
        feed.tell({"type": "feed.frames", "texts": []})
    await sync_to_async(operate)("issue T-1")
    await sync_to_async(operate)("issue T-2")
    first, second = await socket.until("ticket_issued"), await socket.until("ticket_issued")
    assert (first["ticket_id"], second["ticket_id"]) == ("T-1", "T-2")
    assert at < first["sequence"] < second["sequence"]


async def test_a_client_that_resumes_beyond_the_log_starts_anew(
    open_socket: Any,  # noqa: F811
    operate: Operate,
) -> None:
    await sync_to_async(operate)("issue T-1")
    socket = await open_socket()
    at = (await socket.until("connected"))["sequence"]
    await socket.send({"type": "resume", "after": 999_999_999})
    assert await socket.until("reset") == {"type": "reset", "sequence": at}
    await sync_to_async(operate)("issue T-2")
    assert (await socket.until("ticket_issued"))["ticket_id"] == "T-2"


async def test_a_key_beyond_its_number_of_websockets_is_asked_to_come_back(
    open_socket: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumers, "SOCKETS_EACH", 1)
    first = await open_socket()
    await first.until("connected")
    second = await open_socket()
    assert without_reason(await second.channel.receive_output(timeout=PATIENCE)) == TRY_AGAIN_LATER
    await first.channel.disconnect(timeout=PATIENCE)
    third = await open_socket()
    await third.until("connected")
