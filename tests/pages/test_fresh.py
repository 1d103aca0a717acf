"""Pages get current data: nodes that changed without a watcher, and access that has ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from django.utils import timezone

from tests.pages.test_consumer import Socket, open_socket, session_cookie
from tests.waiting import PATIENCE
from validators.dashboard import live
from validators.dashboard.consumers import CLOSED_NO_ACCESS
from validators.models import ApiKey, ManagedNode
from validators.services.nodes import stop_node

__all__ = ["open_socket"]

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]


def desired_states(frame: Any) -> list[str]:
    return [node["desired"] for node in frame["nodes"]]


# --- nodes -----------------------------------------------------------------------------------------


async def test_a_change_between_the_first_frame_and_resume_is_sent(open_socket: Any) -> None:
    socket = await open_socket()
    await socket.until("connected")
    await sync_to_async(stop_node)("r2")
    await live.live_of_this_loop().look_at_nodes()
    await socket.send({"type": "resume", "after": 1, "batch": True})
    assert desired_states(await socket.until("nodes"))[2] == "stopped"


async def test_a_page_that_took_a_new_snapshot_gets_the_nodes_again(open_socket: Any) -> None:
    """Snapshot and frames arrive independently, so either may be older: the nodes are read again."""
    socket = await open_socket()
    as_of = (await socket.until("connected"))["nodes_as_of"]
    await socket.send({"type": "resume", "after": 1, "batch": True})
    await socket.until("nodes")
    await socket.send({"type": "resume", "after": 1, "batch": True})
    assert (await socket.until("nodes"))["as_of"] > as_of


async def test_a_stopped_learner_is_sent_with_the_time_of_its_stop(open_socket: Any) -> None:
    heard = datetime(2026, 11, 20, 9, 17, tzinfo=UTC)
    await ManagedNode.objects.filter(node_id="learner").aupdate(status="stopped", heartbeat_at=heard)
    socket = await open_socket()
    await socket.send({"type": "resume", "after": 1, "batch": True})
    learner = (await socket.until("nodes"))["nodes"][-1]
    assert (learner["status"], learner["heard_at"]) == ("stopped", heard.timestamp())


# --- access ----------------------------------------------------------------------------------------


async def closed(socket: Socket) -> int:
    """The code with which the server closes."""
    while (output := await socket.channel.receive_output(timeout=PATIENCE))["type"] != "websocket.close":
        pass
    code: int = output["code"]
    return code


def revoke() -> None:
    ApiKey.objects.update(revoked_at=timezone.now())


def expire() -> None:
    ApiKey.objects.update(expires_at=timezone.now())


@pytest.mark.parametrize("end", [revoke, expire])
async def test_a_socket_closes_soon_after_its_key_ends(
    open_socket: Any, monkeypatch: pytest.MonkeyPatch, end: Callable[[], None]
) -> None:
    monkeypatch.setattr(live, "ACCESS_INTERVAL", 0.1)
    socket = await open_socket()
    await socket.until("connected")
    await sync_to_async(end)()
    assert await closed(socket) == CLOSED_NO_ACCESS


def log_out(cookie: str) -> None:
    client = Client()
    name, _, value = cookie.partition("=")
    client.cookies[name] = value
    client.logout()


async def test_a_socket_closes_soon_after_its_session_ends(
    open_socket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "ACCESS_INTERVAL", 0.1)
    cookie = await session_cookie()
    leaving, staying = await open_socket(Cookie=cookie), await open_socket()
    await leaving.until("connected")
    await sync_to_async(log_out)(cookie)
    assert await closed(leaving) == CLOSED_NO_ACCESS
    await staying.until("connected")
    await staying.send({"type": "ping"})
    assert await staying.receive() == {"type": "pong"}
