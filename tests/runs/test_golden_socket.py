"""What `/ws/events` answers to each message of a client, in order and out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fake_gateway import FakeGateway
from tests.golden import Compare
from tests.runs.test_golden_rest import Story, fields
from tests.runs.test_rest import BAD, GOOD, texts
from tests.runs.test_socket import Socket, opened  # noqa: F401 - a fixture

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
        story.lines += fields(told)
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
        story.lines += fields(told)
    golden(GOLDEN / "socket-down.txt", story.text())
