"""The commands against the real API over a real ticket machine, and a network that loses things."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from pytest_django.live_server_helper import LiveServer

from dtvn_project.asgi import http
from tests.importing.exports import ANSWERS
from tests.pages.conftest import _own_listener, empty_ledger, learner, operate
from tests.pages.learner import RealLearner
from tests.team_keys import store_key
from tickets import tasks
from tickets.importing import until_final
from tickets.pages import imports
from validators.rest import keys
from validators.services.api_keys import generate_api_key

__all__ = [
    "Trouble",
    "_own_listener",
    "api_key",
    "at",
    "client",
    "empty_ledger",
    "learner",
    "operate",
    "quick",
    "trouble",
]


class Trouble(httpx.AsyncBaseTransport):
    """The platform behind a network that loses requests and answers; `share` of each kind, by seed."""

    def __init__(self) -> None:
        self.platform = httpx.ASGITransport(app=http)
        self.share = 0.0
        self.chance = random.Random(7)
        self.requests = 0
        self.lost = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        luck = self.chance.random()
        if luck < self.share:
            self.lost += 1
            raise httpx.ConnectError("nobody there", request=request)
        response = await self.platform.handle_async_request(request)
        if luck < 2 * self.share:
            self.lost += 1
            raise httpx.ReadError("cut off before the answer came", request=request)
        if luck < 3 * self.share:
            self.lost += 1
            return httpx.Response(504, json={"success": False, "error": "?", "code": "outcome_unknown"})
        return response


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts of a millisecond: the order of events stays the same."""
    monkeypatch.setattr(until_final, "PAUSE_FIRST", 0.001)
    monkeypatch.setattr(until_final, "PAUSE_MAX", 0.002)


@pytest.fixture
def api_key(db: None) -> Iterator[str]:
    plain = generate_api_key()
    store_key(plain, label="suite")
    keys.forget()
    yield plain
    keys.forget()


@pytest.fixture
def at(
    learner: RealLearner, live_server: LiveServer, api_key: str, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Options that lead the commands to the platform under test, which does workers' work at once."""
    monkeypatch.setattr(imports, "send", tasks.run_import)
    return ["--url", live_server.url, "--api-key", api_key, *ANSWERS]


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()


@pytest_asyncio.fixture
async def client(learner: RealLearner, api_key: str, trouble: Trouble) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"X-API-Key": api_key}
    async with httpx.AsyncClient(transport=trouble, base_url="http://localhost", headers=headers) as found:
        yield found
