"""Changes made by another process are seen at once where the processes share a channel layer."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.test import override_settings

from tests.pages.test_consumer import open_socket  # noqa: F401 - a fixture
from tests.waiting import PATIENCE
from validators.dashboard import live
from validators.feed import wake
from validators.services.announcing import announce

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]


class SharedLayer(InMemoryChannelLayer):
    """Stands for a channel layer shared by processes."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.joined = asyncio.Event()

    async def group_add(self, group: str, channel: str) -> None:
        await super().group_add(group, channel)
        self.joined.set()


SHARED = {"default": {"BACKEND": f"{__name__}.SharedLayer"}}


async def test_an_announcement_is_shown_before_the_next_poll(
    open_socket: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "NODES_INTERVAL", 10 * PATIENCE)
    with override_settings(CHANNEL_LAYERS=SHARED):
        socket = await open_socket()
        await socket.until("connected")
        await asyncio.wait_for(get_channel_layer().joined.wait(), PATIENCE)
        await sync_to_async(announce)(node_id="r1", status="stopped")
        assert (await socket.until("node_status"))["node_id"] == "r1"


async def test_a_hanging_channel_layer_delays_no_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def hang(group: str, message: Any) -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    monkeypatch.setattr(wake, "SEND_TIMEOUT", 0.05)
    monkeypatch.setattr(wake, "_away_until", 0.0)
    with override_settings(CHANNEL_LAYERS=SHARED):
        monkeypatch.setattr(get_channel_layer(), "group_send", hang)
        began = time.monotonic()
        for _ in range(3):
            await sync_to_async(announce)(node_id="r1", status="stopped")
    assert asked == 1, "it is not asked again at once"
    assert time.monotonic() - began < PATIENCE
