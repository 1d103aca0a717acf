"""An idle helper waits: its server for the stop alone, its reports for news."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dtvn.api.helper import process
from dtvn.api.helper.service import Service
from tests.waiting import PATIENCE


class Ticking(process._Server):
    """Counts its looks."""

    looks = 0

    async def on_tick(self, counter: int) -> bool:
        self.looks += 1
        return self.should_exit


def test_an_idle_server_looks_for_nothing_and_ends_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "DATE_INTERVAL", 2 * PATIENCE)

    async def life() -> Ticking:
        server = Ticking(process._configuration(process.build_app))  # type: ignore[arg-type]
        running = asyncio.create_task(server.main_loop())
        threading.Thread(target=server.stop).start()
        await asyncio.wait_for(running, PATIENCE)
        return server

    server = asyncio.run(life())
    assert server.looks <= 2


def test_an_opened_socket_is_news_for_the_node() -> None:
    service = Service.__new__(Service)
    service.news = asyncio.Event()
    service.sockets = 1
    assert service.news.is_set()
    assert service.sockets == 1
