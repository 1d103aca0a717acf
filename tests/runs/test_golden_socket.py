"""What `/ws/events` answers to each message of a client, in order and out of it, and whom it lets in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from tests.fake_gateway import FakeGateway
from tests.golden import Compare
from tests.runs.test_golden_rest import Story
from tests.runs.test_rest import BAD, GOOD, texts
from tests.runs.test_socket import Socket, opened  # noqa: F401 - a fixture
from validators.services.api_keys import generate_api_key, store_api_key

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]

GOLDEN = Path(__file__).parent / "golden"
BEGIN = {"type": "begin", "thread": "t", "run": "r", "algorithm": "majority"}
MESSAGES: list[Any] = [
    {"type": "events", **texts(GOOD[:1])},
    {"type": "end"},
    {"type": "begin", "thread": "", "run": "r"},
    {"type": "begin", "thread": "t", "run": "r", "algorithm": "other"},
    BEGIN,
    BEGIN,
    {"type": "events", **texts(GOOD[:2])},
    {"type": "events", **texts(BAD[2:4])},
    {"type": "events", "texts": []},
    {"type": "events", "texts": [1]},
    {"type": "events"},
    {"type": "other"},
    {"no": "type"},
    [1],
    "no JSON",
    {"type": "events", **texts(GOOD[4:])},
    {"type": "end"},
    {"type": "end"},
    BEGIN | {"algorithm": "unanimous", "run": "r2", "recorded": False},
    {"type": "events", **texts(GOOD[:3])},
    {"type": "end"},
]


async def test_messages_over_one_connection(
    opened: Callable[..., Any],  # noqa: F811
    golden: Compare,
) -> None:
    client = await opened()
    story = Story(None)  # type: ignore[arg-type]
    for message in MESSAGES:
        told = await client.ask(message)
        story._name(told)
        story.lines.append(f"\n> {message if isinstance(message, str) else json.dumps(message)}")
        story.lines += [f"  {line}" for line in json.dumps(told, indent=1).splitlines()]
    golden(GOLDEN / "socket.txt", story.text())


async def test_a_quorum_that_is_down(
    opened: Callable[..., Any],  # noqa: F811
    fake: FakeGateway,
    golden: Compare,
) -> None:
    client = await opened()
    story = Story(None)  # type: ignore[arg-type]
    for message, down in (
        (BEGIN, ()),
        ({"type": "events", **texts(GOOD[:2])}, (2, 3)),
        ({"type": "events", **texts(GOOD[2:3])}, ()),
        ({"type": "end"}, ()),
    ):
        fake.events.down = frozenset(down)
        told = await client.ask(message)
        story._name(told)
        story.lines.append(f"\n> {json.dumps(message)} with {down} down")
        story.lines += [f"  {line}" for line in json.dumps(told, indent=1).splitlines()]
    golden(GOLDEN / "socket-down.txt", story.text())


async def test_who_is_let_in(fake: FakeGateway, golden: Compare) -> None:
    lines = []
    for scopes in (["record"], ["read"], ["gate"], ["read", "record"], ["admin"], None):
        key = generate_api_key() if scopes is not None else ""
        if scopes is not None:
            await sync_to_async(store_api_key)(key, label="suite", scopes=scopes)
        client = Socket(key)
        accepted = await client.connect()
        said = "accepted" if accepted else "refused"
        if accepted and "record" not in (scopes or []):
            said += f", closed with {await client.closed()}"
        lines.append(f"{scopes}: {said}\n")
        await client.channel.disconnect()
    golden(GOLDEN / "socket-access.txt", "".join(lines))
