"""`/ws/events`: runs over one connection, who may open one, and clients that do not behave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import OperationalError
from django.utils import timezone

from dtvn_project.asgi import application
from events import socket
from events.models import JudgedRun
from events.services import clients
from events.services.run_table import run_table
from tests.fake_gateway import FakeGateway
from tests.runs.test_rest import BAD, GOOD, texts
from tests.team_keys import store_key
from tests.waiting import PATIENCE
from validators.dashboard.consumers import CLOSED_NO_ACCESS
from validators.models import ApiKey, Team
from validators.rest import keys
from validators.services.api_keys import generate_api_key
from validators.web.sockets import TRY_AGAIN_LATER

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]


class Socket:
    """One client: sends and receives JSON."""

    def __init__(self, key: str) -> None:
        headers = [(b"host", b"localhost:8080"), *([(b"x-api-key", key.encode())] if key else [])]
        self.channel = WebsocketCommunicator(application, "/ws/events", headers=headers)

    async def connect(self) -> bool:
        accepted, _ = await self.channel.connect(timeout=PATIENCE)
        return bool(accepted)

    async def ask(self, message: Any) -> Any:
        """The answer to a message."""
        content = message if isinstance(message, str) else msgspec.json.encode(message).decode()
        await self.channel.send_to(text_data=content)
        return msgspec.json.decode(await self.channel.receive_from(timeout=PATIENCE))

    async def closed(self) -> int:
        """The code with which the platform closes it."""
        return int((await self.channel.receive_output(timeout=PATIENCE))["code"])


@pytest_asyncio.fixture
async def opened(fake: FakeGateway) -> AsyncIterator[Callable[..., Any]]:
    """Open sockets with a fresh key of some scopes."""
    made: list[Socket] = []

    async def connect(*scopes: str) -> Socket:
        key = generate_api_key()
        await sync_to_async(store_key)(key, label="suite", scopes=list(scopes or ("record",)))
        made.append(Socket(key))
        assert await made[-1].connect()
        return made[-1]

    yield connect
    for each in made:
        if not each.channel.future.done():
            await each.channel.disconnect(timeout=PATIENCE)
    assert clients._present == {}


BEGIN = {"type": "begin", "thread": "t", "run": "r", "recorded": False}


async def test_a_run_is_judged_over_one_connection(opened: Callable[..., Any]) -> None:
    client = await opened()
    begun = await client.ask(BEGIN)
    assert (begun["type"], begun["algorithm"]) == ("begun", "pbft")
    first = await client.ask({"type": "events", **texts(BAD[:2])})
    assert [each["accepted"] for each in first["events"]] == [True, True]
    assert (len(first["salts"]), first["failure"]) == (2, None)
    second = await client.ask({"type": "events", **texts(BAD[2:])})
    assert [(each["index"], each["accepted"]) for each in second["events"]] == [
        (2, False),
        (3, True),
        (4, True),
    ]
    ended = await client.ask({"type": "end"})
    assert (ended["type"], ended["valid"], ended["code"]) == ("ended", False, "MESSAGE_NOT_OPEN")
    row = await JudgedRun.objects.aget(pk=begun["id"])
    assert (row.status, row.verdict, row.events) == ("ended", "invalid", 5)
    assert (await client.ask(BEGIN | {"run": "r2"}))["type"] == "begun"


async def test_no_key_and_no_scope_open_nothing(opened: Callable[..., Any]) -> None:
    assert not await Socket("").connect()
    assert not await Socket("wrong").connect()
    reader = await opened("operate")
    assert await reader.closed() == socket.CLOSED_NO_SCOPE


@pytest.mark.parametrize(
    "changed",
    [{"rights": ["operate"]}, {"events": ["fest"]}, {"revoked_at": timezone.now()}],
)
async def test_who_may_no_longer_have_events_judged_is_closed(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    client = await opened()
    monkeypatch.setattr(clients, "ACCESS_INTERVAL", 0.0)
    await client.ask(BEGIN)
    assert "events" in await client.ask({"type": "events", **texts(GOOD[:1])}), "nothing has changed yet"
    if "revoked_at" in changed:
        await ApiKey.objects.aupdate(**changed)
    else:
        await Team.objects.aupdate(all_events="events" not in changed, **changed)
    keys.forget()  # a process learns of a change by itself within seconds
    message = {"type": "events", **texts(GOOD[1:2])}
    await client.channel.send_to(text_data=msgspec.json.encode(message).decode())
    assert await client.closed() == CLOSED_NO_ACCESS


@pytest.mark.parametrize(
    "message",
    ["{", "[]", "null", '{"type":5}', '{"type":"end"}', '{"type":"events","texts":["a"]}', "{" * 9_000],
)
async def test_a_wrong_message_gets_an_error_and_no_end(opened: Callable[..., Any], message: str) -> None:
    client = await opened()
    assert (await client.ask(message))["code"] == "bad_request"
    assert (await client.ask(BEGIN))["type"] == "begun"
    wrong = await client.ask({"type": "events", "events": 1})
    assert (wrong["type"], wrong["code"]) == ("error", "bad_request")
    assert (await client.ask({"type": "events", **texts(GOOD)}))["type"] == "verdict"


async def test_an_algorithm_that_is_not_offered_is_an_error(opened: Callable[..., Any]) -> None:
    client = await opened()
    assert (await client.ask(BEGIN | {"algorithm": "raft"}))["code"] == "algorithm_not_offered"


async def test_the_run_of_a_client_that_leaves_is_ended(opened: Callable[..., Any]) -> None:
    client = await opened()
    begun = await client.ask(BEGIN)
    await client.ask({"type": "events", **texts(GOOD[:2])})
    await client.channel.disconnect(timeout=PATIENCE)
    await sync_to_async(run_table.sweep)()
    row = await JudgedRun.objects.aget(pk=begun["id"])
    assert (row.status, row.events, len(run_table)) == ("ended", 2, 0)


async def test_a_socket_ended_by_an_outage_of_the_database_is_not_counted(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("away")

    client = await opened()
    monkeypatch.setattr(run_table, "open", away)
    await client.channel.send_to(text_data=msgspec.json.encode(BEGIN).decode())
    assert await client.closed() == TRY_AGAIN_LATER
    assert clients._present == {}


async def test_callers_of_an_open_platform_count_as_one_whatever_their_keys(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SUPERVISOR = settings.API_IS_OPEN = True
    monkeypatch.setattr(clients, "CLIENTS_EACH", 1)
    await opened()
    assert await (await opened()).closed() == TRY_AGAIN_LATER


async def test_sockets_of_one_caller_are_bounded(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "CLIENTS_MAX", 1)
    await opened()
    assert await (await opened()).closed() == 4503
