"""What is held against peers, for how long, and of how many (R45)."""

from __future__ import annotations

import pytest

from dtvn.overlay.conduct import BURST, DROPPED_MAX, DROPPED_TIME, RECORDS_MAX, Conduct, Fault


def test_r45_who_is_dropped_again_stays_away_twice_as_long_up_to_sixteen_times() -> None:
    conduct, now, away = Conduct(), 0, []
    for _ in range(7):
        conduct.on_dropped(b"peer", now)
        until = conduct._dropped[b"peer"][1]
        assert conduct.is_shunned(b"peer", until - 1)
        assert not conduct.is_shunned(b"peer", until)
        away.append((until - now) // DROPPED_TIME)
        now = until
    assert away == [1, 2, 4, 8, 16, 16, 16]


def test_of_many_that_were_dropped_who_is_let_in_first_is_forgotten() -> None:
    conduct = Conduct()
    for _ in range(5):
        conduct.on_dropped(b"often", 0)
    for number in range(DROPPED_MAX):
        conduct.on_dropped(b"%d" % number, number)
    assert conduct.is_shunned(b"often", 2 * DROPPED_TIME)
    assert not conduct.is_shunned(b"0", 0)
    assert conduct.is_shunned(b"1", 0)


@pytest.mark.parametrize("fault", list(Fault))
def test_r45_how_often_a_peer_may_do_each_thing_before_its_link_is_dropped(fault: Fault) -> None:
    times = {Fault.MALFORMED: 3, Fault.TOO_LARGE: 3, Fault.FORGED: 3, Fault.LIED: 3, Fault.UNASKED: 60}
    conduct = Conduct()
    for number in range(times.get(fault, 1_000)):
        assert not conduct.must_drop(b"peer"), number
        conduct.blame(b"peer", fault, 0)
    assert conduct.must_drop(b"peer") == (fault in times)


def test_points_are_remembered_of_a_bounded_number_of_peers_of_the_worst_longest() -> None:
    conduct = Conduct()
    conduct.blame(b"liar", Fault.FORGED, 0)
    for number in range(RECORDS_MAX + 5):
        assert conduct.admits(b"%d" % number, number)
    assert len(conduct._records) == RECORDS_MAX
    assert conduct.counts(b"liar") == {Fault.FORGED: 1}


def test_what_is_refused_takes_no_room_of_a_link() -> None:
    conduct = Conduct()
    for _ in range(3):
        assert not conduct.admits(b"peer", 0, BURST + 1)
    assert conduct.admits(b"peer", 0, BURST - 1)
    assert not conduct.admits(b"peer", 0, 2)
    assert conduct.admits(b"peer", 0, 1)
    assert not conduct.admits(b"peer", 0, 1)
    assert conduct.counts(b"peer") == {Fault.FLOODED: 5}
