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


def test_a_place_is_held_for_a_while_then_given_to_a_waiting_peer() -> None:
    places = full("p/1", "p/2")
    assert places.take("p/3", SECOND) == (False, "")
    assert places.take("p/1", SECOND) == (True, ""), "whoever has one keeps it by asking"
    assert places.take("p/3", PLACE_TIME) == (True, "p/1"), "the longest holder of the same principal"
    assert places.take("p/1", PLACE_TIME + SECOND) == (True, "p/2")


def test_the_longest_waiting_peer_that_still_asks_is_next() -> None:
    places = full("p/1", "p/2")
    for number, name in enumerate(("p/3", "p/4")):
        assert places.take(name, SECOND + number) == (False, "")
    assert places.take("p/3", 9 * SECOND) == (False, "")
    assert places.take("p/4", PLACE_TIME + SECOND) == (False, ""), "p/3 asked just now"
    assert places.take("p/4", PLACE_TIME + 3 * SECOND) == (True, "p/1"), "it asks no more"


def test_a_peer_that_stopped_asking_goes_to_the_end_of_the_queue() -> None:
    """It had a place at another node meanwhile."""
    places = full("p/1", "p/2")
    assert places.take("p/3", SECOND) == (False, "")
    for second in range(2, 10):
        assert places.take("p/4", second * SECOND) == (False, "")
    assert places.take("p/3", 9 * SECOND) == (False, "")
    assert places.take("p/3", PLACE_TIME + SECOND) == (False, ""), "p/4 has asked all the time"
    assert places.take("p/4", PLACE_TIME + SECOND) == (True, "p/1")


def test_p15_one_principal_takes_a_quarter_of_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 8)
    places = full("p/1", "p/2", "q/1", "q/2")
    for number in range(3, 20):
        assert places.take(f"p/{number}", SECOND + number) == (False, "")
    assert list(places._waiting) == ["p/3", "p/4"]


def test_each_of_many_gets_a_place_in_bounded_time() -> None:
    """Eight want two places and ask once a second."""
    names = [f"p/{number}" for number in range(8)]
    places = Places(most=4, share=2)
    had: dict[str, int] = {}
    for second in range(60):
        for name in names:
            if places.take(name, second * SECOND)[0]:
                had.setdefault(name, second)
    assert set(had) == set(names)
    assert max(had.values()) <= 4 * PLACE_TIME // SECOND


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


def test_the_largest_principal_gives_up_a_place_if_all_are_taken() -> None:
    places = full("q/1", "p/1", "p/2", "r/1")
    assert places.take("s/1", 5 * SECOND) == (False, "")
    assert places.take("s/1", PLACE_TIME + SECOND) == (True, "p/1")


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


def test_a_follower_that_asks_no_more_frees_its_place() -> None:
    shop = Shop(1)
    *left, newcomer = [Peer("learner", None, bytes([at])) for at in range(log_server.CONNECTIONS_MAX + 1)]
    for peer in left:
        shop.ask(m.Follow(0, 1), peer)
    shop.clock.monotonic += log_server.FOLLOW_TIME + 1
    assert log_server.FOLLOW_TIME < PLACE_TIME, "nobody could take a place that is held"
    shop.ask(m.Follow(0, 1), newcomer)
    assert told(shop) == []
    assert served(shop) == ["learner"]


def test_a_follower_that_loses_its_place_is_notified() -> None:
    shop = Shop(1)
    peers = [Peer("learner", None, bytes([number])) for number in range(log_server.CONNECTIONS_MAX + 1)]
    for _ in range(12):
        shop.clock.monotonic += SECOND
        for peer in peers:
            shop.ask(m.Follow(0, 2), peer)
    assert peers[0].route in {route for route, _answer in told(shop)}
    assert len(shop.server._subscribers) == log_server.CONNECTIONS_MAX
