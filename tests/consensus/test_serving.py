"""A state is given to one member without another being able to take it away (R23, R25; P17)."""

from __future__ import annotations

import pytest

from dtvn.machine.tree import GROUPS
from dtvn.protocol.canonical import CanonicalError, decode, encode
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.transfer import serving
from tests.consensus.doubles import KeyValue
from tests.consensus.helpers import Cluster

ITEMS = ((b"an item",),)


class Serving(Cluster):
    """Four members; m0 can serve its state, m1 is a liar, m2 and m3 fetch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(KeyValue, "pin", lambda _self, _sequence: bytes(32 * GROUPS))
        monkeypatch.setattr(KeyValue, "read_pinned", lambda _self, _group: ITEMS)
        super().__init__(4)
        self.checkpoint()

    def checkpoint(self) -> int:
        """Work until the next checkpoint is stable; its sequence."""
        for number in range(10):
            self.request(f"T-{self.executed()[0]}-{number}")
            self.stabilize()
        stable: int = self[0].core.snapshot().stable
        assert stable == self.executed()[0]
        return stable

    def wish(self, member: int, above: int) -> None:
        """A member wants a state above a sequence."""
        self[0].hear(self[member], self[member].signer.link(m.FetchSnapshot(0, above)))

    def gets(self, member: int, sequence: int) -> bool:
        """Whether a member that asks m0 for a group of this state gets it."""
        before = len(self.messages(m.Groups, 0))
        self[0].hear(self[member], self[member].signer.link(m.FetchGroups(sequence, (7,))))
        self.advance(20)
        (answer,) = self.messages(m.Groups, 0)[before:]
        return bool(answer.groups == ((7, ITEMS),))

    def offered(self) -> list[int]:
        return [message.entry.sequence for message in self.messages(m.Snapshot, 0)]


def test_row_17_an_unsatisfiable_request_takes_no_state_away(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Serving(monkeypatch)
    cluster.wish(3, 0)
    assert cluster.offered() == [10]
    cluster.wish(1, 1 << 60)
    for _ in range(3):
        cluster.checkpoint()
        assert cluster.gets(3, 10)
    assert cluster[0].core.serving._wanting == {}, "not kept for ever either"


def test_row_17_no_request_takes_a_state_from_another_fetcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that lag differently, or a liar that always wants the next state."""
    cluster = Serving(monkeypatch)
    cluster.wish(3, 0)
    for above in (10, 20, 30):
        cluster.wish(1, above)
        cluster.checkpoint()
        cluster.wish(1, above)
        assert cluster.gets(3, 10)
    assert cluster.offered() == [10]


def test_a_state_is_safe_from_its_offer_to_the_first_question(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Serving(monkeypatch)
    cluster.wish(1, 0)
    cluster.wish(3, 0)
    cluster.wish(1, 10)
    cluster.checkpoint()
    cluster.advance(500)
    cluster.wish(1, 10)
    assert cluster.gets(3, 10)


def test_a_single_fetcher_gets_a_newer_state_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Serving(monkeypatch)
    cluster.wish(3, 0)
    assert cluster.gets(3, 10)
    cluster.wish(3, 10)
    cluster.advance(100)
    cluster.checkpoint()
    assert cluster.offered() == [10, 20]
    assert cluster.gets(3, 20)


def test_a_question_that_arrives_twice_takes_nothing_from_its_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Serving(monkeypatch)
    cluster.wish(3, 0)
    cluster.advance(100)
    cluster.checkpoint()
    cluster.wish(3, 0)
    assert cluster.gets(3, 10)


def test_row_17_an_old_state_is_served_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A liar that keeps asking for a state of no use to others holds it for at most a minute."""
    cluster = Serving(monkeypatch)
    cluster.wish(1, 0)
    cluster.checkpoint()
    for _second in range(59):
        assert cluster.gets(1, 10)
        cluster.wish(3, 10)
        cluster.advance(980)
    assert cluster.offered() == [10]
    cluster.advance(1_000)
    cluster.wish(3, 10)
    assert cluster.offered() == [10, 20]
    assert cluster.gets(3, 20)


def test_r31_a_pause_ages_neither_a_state_nor_who_fetches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Serving(monkeypatch)
    cluster.wish(3, 0)
    cluster.checkpoint()
    cluster.time += 2 * serving.AGE_MAX
    cluster[0].tick()
    assert cluster[0].told("paused")
    cluster.wish(1, 10)
    assert cluster.gets(3, 10)


def test_row_17_a_group_that_no_state_has_is_refused_unread() -> None:
    assert decode(m.FetchGroups, encode(m.FetchGroups(10, (0, GROUPS - 1)))).groups == (0, GROUPS - 1)
    for number in (GROUPS, 5_000, -1):
        with pytest.raises(CanonicalError):
            decode(m.FetchGroups, encode(m.FetchGroups(10, (number,))))


def test_row_17_of_large_groups_one_is_listed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """To put one in order takes a source long: votes are read in between."""
    cluster = Serving(monkeypatch)
    cluster.wish(3, 0)
    listed = ((b"hashes", b"of", b"leaves"),)
    monkeypatch.setattr(KeyValue, "read_pinned", lambda _self, group: listed if group % 2 else ITEMS)
    for asked, answered in (((1, 3, 5), (1,)), ((2, 4, 5, 7), (2, 4, 5)), ((2, 4), (2, 4))):
        cluster.messages(m.Groups, 0).clear()
        cluster[0].hear(cluster[3], cluster[3].signer.link(m.FetchGroups(10, asked)))
        cluster.advance(20)
        assert tuple(number for number, _items in cluster.messages(m.Groups, 0)[-1].groups) == answered
