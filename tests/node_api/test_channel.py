"""Node and helper exchange lines over a socket pair: complete, without blocking, and with an end."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dtvn.node.api_channel import Answered, Channel, Counted, Status, Stop


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    first, second = socket.socketpair()
    channels = Channel(first), Channel(second)
    yield channels
    for channel in channels:
        channel.close()


def test_messages_arrive_in_order(ends: tuple[Channel, Channel]) -> None:
    node, helper = ends
    said = [Status({"view": 1, "peers": [{"id": "a\nb"}]}), Stop()]
    assert all(node.send(message) for message in said)
    heard = helper.receive()
    assert [next(heard), next(heard)] == said
    counted = Counted((Answered("GET", "/health", 200, 0.25, "/health", unforeseen=True),), 3, 2)
    assert helper.send(counted)
    assert next(node.receive()) == counted


def test_a_slow_listener_delays_no_sender_and_gets_whole_lines_later(ends: tuple[Channel, Channel]) -> None:
    node, helper = ends
    long = "x" * 50_000
    sent = [number for number in range(200) if node.send(Status({"number": number, "text": long}))]
    assert 0 < len(sent) < 200, "the buffers are full, and nobody waited"
    heard = helper.receive()
    found = [next(heard) for _ in sent[:-1]]
    assert [message.fields["number"] for message in found if isinstance(message, Status)] == sent[:-1]
    assert node.send(Stop()), "there is room again"
    rest = [next(heard), next(heard)]
    assert isinstance(rest[0], Status)
    assert rest == [Status({"number": sent[-1], "text": long}), Stop()]


def test_silence_is_reported_and_ends_with_the_next_message(ends: tuple[Channel, Channel]) -> None:
    node, helper = ends
    heard = node.listen(0.01)
    assert [next(heard), next(heard)] == [None, None]
    assert helper.send(Counted((), 0))
    assert next(heard) == Counted((), 0)
    assert next(heard) is None
    node.close()
    assert list(heard) == [], "nobody listens to a line that was hung up"


def test_closing_one_end_of_a_channel_ends_the_other(ends: tuple[Channel, Channel]) -> None:
    node, helper = ends
    node.close()
    assert list(helper.receive()) == []
    assert not helper.send(Stop())
