"""The live feed of an API key's session: on our own pages only, and while the key is valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client

from tests.pages.learner import RealLearner
from tests.pages.test_consumer import HOST, Socket
from tests.team_keys import store_key
from tests.waiting import PATIENCE
from validators.dashboard import consumers, live
from validators.dashboard.consumers import CLOSED_NO_ACCESS
from validators.models import ApiKey
from validators.rest import keys
from validators.services import api_keys
from validators.web.sockets import TRY_AGAIN_LATER

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]

KEY = "dtvn_key_of_the_socket_suite"


@sync_to_async
def enter() -> tuple[ApiKey, str]:
    keys.forget()
    return store_key(KEY, label="socket"), log_in()


def log_in() -> str:
    """The cookie of a new session of the key."""
    client = Client()
    client.post("/dashboard/key", {"key": KEY, "next": "/"})
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


async def test_a_key_s_session_counts_only_on_our_own_pages(learner: RealLearner) -> None:
    _, cookie = await enter()
    assert not await Socket(Cookie=cookie, Origin="http://localhost:3000").connect()
    socket = Socket(Cookie=cookie, Origin=f"http://{HOST}")
    assert await socket.connect()
    await socket.channel.disconnect(timeout=PATIENCE)
    await live.live_of_this_loop().close()


async def test_the_feed_is_closed_when_the_key_ends(
    learner: RealLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "ACCESS_INTERVAL", 0.05)
    key, cookie = await enter()
    socket = Socket(Cookie=cookie, Origin=f"http://{HOST}")
    assert await socket.connect()
    await sync_to_async(api_keys.revoke_api_key)(key)
    while (said := await socket.channel.receive_output(PATIENCE))["type"] == "websocket.send":
        continue
    assert said == {"type": "websocket.close", "code": CLOSED_NO_ACCESS}
    await live.live_of_this_loop().close()


async def test_all_sessions_of_a_key_count_as_one_caller(
    learner: RealLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "SOCKETS_EACH", 1)
    _, cookie = await enter()
    first = Socket(Cookie=cookie, Origin=f"http://{HOST}")
    assert await first.connect()
    second = Socket(Cookie=await sync_to_async(log_in)(), Origin=f"http://{HOST}")
    assert await second.connect()
    assert (await second.channel.receive_output(PATIENCE))["code"] == TRY_AGAIN_LATER
    await first.channel.disconnect(timeout=PATIENCE)
    await live.live_of_this_loop().close()


@pytest.mark.parametrize("batch", [False, True])
async def test_a_login_for_one_event_gets_what_is_of_that_event(
    learner: RealLearner, operate: Callable[..., Any], batch: bool
) -> None:
    await sync_to_async(keys.forget)()
    await sync_to_async(store_key)(KEY, label="box office", scopes=["operate"], event="default")
    socket = Socket(Cookie=await sync_to_async(log_in)(), Origin=f"http://{HOST}")
    assert await socket.connect()
    if batch:
        await socket.send({"type": "resume", "after": 0, "batch": True})
    await sync_to_async(operate)("issue W-1", event="winter")
    await sync_to_async(operate)("issue T-1")
    seen: list[dict[str, Any]] = []
    while not any(one.get("ticket_id") == "T-1" for one in seen):
        told = await socket.receive()
        seen += told["events"] if told["type"] == "events" else [told]
    assert not [one for one in seen if one.get("event") == "winter"]
    await socket.channel.disconnect(timeout=PATIENCE)
    await live.live_of_this_loop().close()
