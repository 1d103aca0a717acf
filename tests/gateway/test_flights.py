"""Bundles under way are queried at every turn, so no query may walk over all of them."""

from __future__ import annotations

import random

import pytest

from dtvn.gateway.answers import Tally
from dtvn.gateway.calls import Call, Part
from dtvn.gateway.collector import FLIGHTS_MAX
from dtvn.gateway.flights import DUE_SLACK, Flight, Flights
from tests.gateway.support import SECOND, operation
from tests.support.table import table


def flight(request: bytes, first_sent: int, retry_at: int, give_up_at: int) -> Flight:
    call = Call(1, (operation(),), 1, 0, 0)
    return Flight(
        session=(1, 0),
        number=0,
        frame=b"",
        tally=Tally(request, call.operations, 2),
        parts=[Part(call, 0, 1, 0)],
        first_sent=first_sent,
        retry_at=retry_at,
        pause=0,
        give_up_at=give_up_at,
    )


def changed(flights: Flights, request: bytes, draw: random.Random, now: int) -> None:
    """A change that the collector makes to one flight."""
    found = flights.get(request)
    assert found is not None
    what = draw.randrange(4)
    if what == 0:
        flights.remove(request)
    elif what == 1:
        found.retry_at = now  # earlier: noted
        flights.note(request)
    elif what == 2:
        found.retry_at += draw.randrange(SECOND)  # later: found out
    else:
        found.moved.add(0)
        flights.note(request)


@table("seed", range(20), count=20)
def test_flights_agree_with_a_walk_over_all_bundles(seed: int) -> None:
    draw = random.Random(seed)
    flights = Flights()
    now = 0
    for step in range(400):
        now += draw.randrange(SECOND // 20)
        for _ in range(draw.randrange(4)):
            request = b"%d-%d" % (step, len(flights))
            flights.add(request, flight(request, now, now + draw.randrange(SECOND), now + 3 * SECOND))
        for request in draw.sample(sorted(dict(flights.items())), k=min(2, len(flights))):
            changed(flights, request, draw, now)
        everything = list(flights.items())
        assert flights.deadline() == min((each.due() for _name, each in everything), default=None)
        assert flights.flying == sum(not each.left for _name, each in everything)
        assert flights.left() == [name for name, each in everything if each.left]
        for since in (now - SECOND, now - SECOND // 10):
            young = [each for _name, each in everything if not each.left and each.first_sent > since]
            assert flights.young(since) == len(young)
        due = [(name, each) for name, each in everything if each.due() <= now]
        assert flights.overdue(now) == due
        for name, each in due:
            if each.give_up_at <= now:
                flights.remove(name)
            else:
                each.retry_at = now + draw.randrange(1, SECOND)
                flights.note(name)


def test_the_next_deadline_is_known_without_asking_every_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    flights = Flights()
    for place in range(FLIGHTS_MAX):
        flights.add(b"%d" % place, flight(b"%d" % place, place, SECOND + place, 9 * SECOND))
    asked = 0
    plain = Flight.due

    def counted(self: Flight) -> int:
        nonlocal asked
        asked += 1
        return plain(self)

    monkeypatch.setattr(Flight, "due", counted)
    for turn in range(100):
        flights.remove(b"%d" % turn)
        assert flights.deadline() == SECOND + turn + 1
    assert asked <= 2 * 100


def test_deadlines_of_finished_flights_are_dropped() -> None:
    flights = Flights()
    flights.add(b"first", flight(b"first", 0, 1, 9 * SECOND))
    for place in range(10_000):
        request = b"%d" % place
        flights.add(request, flight(request, place, SECOND + place, 9 * SECOND))
        flights.remove(request)
    assert flights.deadline() == 1
    assert len(flights._due) <= 2 * len(flights) + DUE_SLACK + 1
