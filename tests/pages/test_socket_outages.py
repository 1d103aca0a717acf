"""`/ws` while Redis or the database is away, and for a client that is ahead of the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.test import override_settings

from tests.pages.learner import RealLearner
from tests.pages.test_consumer import Socket, open_socket  # noqa: F401 - a fixture
from tests.waiting import PATIENCE
from validators.dashboard import consumers, live
from validators.services.api_keys import generate_api_key, store_api_key

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]

Operate = Callable[..., object]
NOWHERE = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]},
    }
}
TRY_AGAIN_LATER = {"type": "websocket.close", "code": 4503}


def lines(caplog: pytest.LogCaptureFixture, name: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == name]


def without_reason(closed: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in closed.items() if name != "reason"}


async def test_a_client_is_served_while_redis_is_away(
    learner: RealLearner, operate: Operate, caplog: pytest.LogCaptureFixture
) -> None:
    key = generate_api_key()
    await sync_to_async(store_api_key)(key, label="suite")
    with override_settings(CHANNEL_LAYERS=NOWHERE):
        socket = Socket(X_API_Key=key)
        assert await socket.connect()
        await sync_to_async(operate)("issue T-1")
        assert (await socket.until("ticket_issued"))["ticket_id"] == "T-1"
        await socket.channel.disconnect(timeout=PATIENCE)
        await live.live_of_this_loop().close()
    (line,) = lines(caplog, "dtvn.feed")
    assert line.getMessage().startswith("the channel layer does not answer: ")
    assert line.exc_info is None


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
