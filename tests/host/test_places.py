"""Places of followers: shares, eviction and succession (R23, P15)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.protocol.canonical import decode
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.host import log_server
from dtvn.protocol.host import places as module
from dtvn.protocol.host.places import PLACE_TIME, Places
from dtvn.protocol.wire import Envelope
from tests.host.test_log_server import Shop, served

SECOND = 1_000_000_000


def full(*names: str) -> Places:
    places = Places(most=4, share=2)
    for number, name in enumerate(names):
        assert places.take(name, number) == (True, "")
    return places


def test_p15_one_principal_takes_a_quarter_of_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 8)
    places = full("p/1", "p/2", "q/1", "q/2")
    for number in range(3, 20):
        assert places.take(f"p/{number}", SECOND + number) == (False, "")
    assert list(places._waiting) == ["p/3", "p/4"]


def test_a_principal_over_its_share_takes_nothing_of_others() -> None:
    places = full("p/1", "p/2", "q/1")
    for second in range(11, 40):
        _placed, loser = places.take(f"p/{second}", second * SECOND)
        assert not loser.startswith("q")


def test_waiting_followers_of_one_principal_hold_back_no_other() -> None:
    places = full("q/1", "q/2", "p/1", "p/2")
    for number in range(3, 9):
        assert places.take(f"p/{number}", 8 * SECOND + number) == (False, "")
    assert places.take("s/1", 9 * SECOND) == (False, "")
    assert places.take("s/1", PLACE_TIME + SECOND) == (True, "q/1")


def told(shop: Shop) -> list[tuple[bytes, m.Answer]]:
    said = [
        (peer.route, decode(Envelope, frame)) for what, (peer, frame) in shop.tape.said if what == "answer"
    ]
    return [(route, decode(m.Answer, envelope.body)) for route, envelope in said if envelope.kind == 75]


def test_the_fifth_connection_gets_busy_and_other_addresses() -> None:
    shop = Shop(1)
    shop.server._elsewhere = lambda: {"r1": ("10.0.0.1", 4001)}
    follower = [Peer("learner", None, bytes([number])) for number in range(log_server.CONNECTIONS_MAX + 1)]
    for peer in follower:
        shop.ask(m.Follow(0, 1), peer)
        shop.ask(m.Follow(0, 1), peer)
    ((route, answer),) = told(shop)
    assert (route, answer.number, answer.code) == (follower[-1].route, 0, "busy")
    assert msgspec.json.decode(answer.text) == {"members": {"r1": "10.0.0.1:4001"}, "children": []}
    assert served(shop) == ["learner"] * log_server.CONNECTIONS_MAX


def test_a_follower_that_loses_its_place_is_notified() -> None:
    shop = Shop(1)
    peers = [Peer("learner", None, bytes([number])) for number in range(log_server.CONNECTIONS_MAX + 1)]
    for _ in range(12):
        shop.clock.monotonic += SECOND
        for peer in peers:
            shop.ask(m.Follow(0, 2), peer)
    assert peers[0].route in {route for route, _answer in told(shop)}
    assert len(shop.server._subscribers) == log_server.CONNECTIONS_MAX
