"""A state is given to one member without another being able to take it away (R23, R25; P17)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from dtvn.machine.tree import GROUPS
from dtvn.protocol.canonical import CanonicalError, decode, encode
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Effects
from dtvn.protocol.consensus.transfer import serving
from dtvn.protocol.consensus.verified import Inbound, Peer
from tests.consensus.doubles import KeyValue
from tests.consensus.helpers import Cluster, open_frame
from tests.consensus.test_pauses import STAY, pause

ITEMS = ((b"an item",),)
QUIET_MS = serving.QUIET_AFTER // serving.MILLISECOND


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


class Followers(Serving):
    """Followers ask m0, over connections of their own."""

    def ask(self, follower: Peer, message: m.FetchSnapshot | m.FetchGroups) -> list[tuple[Peer, Any]]:
        """What m0 answers at once: (connection, message) each."""
        core = self[0].core
        header = self[0].door.peek(Inbound(follower, self.client.link(message)))
        assert core.wants(header) is None
        return self.answers_in(core.receive(self[0].door.verify(header), self[0].now()))

    def answers_in(self, effects: Effects) -> list[tuple[Peer, Any]]:
        return [(peer, open_frame(frame)) for peer, frame in effects.answers]

    def answered_within(self, milliseconds: int) -> list[int]:
        """When followers got groups within this time, milliseconds from now."""
        core, found, start = self[0].core, [], self.time
        for _ in range(milliseconds):
            self.time += 1_000_000
            found += [(self.time - start) // 1_000_000] * len(self.answers_in(core.tick(self[0].now())))
        return found


def follower(name: str, route: int = 0) -> Peer:
    return Peer(name, None, bytes([route]))


def test_r45_a_follower_is_offered_the_state_and_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Followers(monkeypatch)
    asking = follower("f")
    ((peer, offer),) = cluster.ask(asking, m.FetchSnapshot(0, 0))
    assert (peer, type(offer), offer.entry.sequence) == (asking, m.Snapshot, 10)
    cluster.advance(20)
    ((peer, groups),) = cluster.ask(asking, m.FetchGroups(10, (7,)))
    assert (peer, groups) == (asking, m.Groups(10, ((7, ITEMS),)))


def test_row_15_followers_that_are_served_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Followers(monkeypatch)
    greedy = [follower("greedy", route) for route in range(serving.FOLLOWERS_SHARE + 2)]
    offered = [bool(cluster.ask(each, m.FetchSnapshot(0, 0))) for each in greedy]
    assert offered == [True] * serving.FOLLOWERS_SHARE + [False, False]
    others = [follower(f"f{number}") for number in range(serving.FOLLOWERS_MAX)]
    assert sum(bool(cluster.ask(each, m.FetchSnapshot(0, 0))) for each in others) == (
        serving.FOLLOWERS_MAX - serving.FOLLOWERS_SHARE
    )
    assert cluster.ask(greedy[-1], m.FetchGroups(10, (7,))) == [], "it was offered nothing"
    cluster.advance(serving.IDLE_MAX / 1_000_000)
    assert cluster.ask(others[-1], m.FetchSnapshot(0, 0)), "who is gone makes room"


def test_row_15_places_are_given_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four principals that keep asking hold no place for ever, and take none from who has fewer."""
    cluster = Followers(monkeypatch)
    greedy = [follower(f"g{number % 4}", number) for number in range(serving.FOLLOWERS_MAX)]
    honest, spare = follower("honest"), follower("g0", 99)
    second = 1_000
    for each in greedy:
        assert cluster.ask(each, m.FetchSnapshot(0, 0))
    for _ in range(serving.TURN // serving.FRESH_AFTER - 1):
        cluster.advance(second)
        for each in greedy:
            cluster.ask(each, m.FetchSnapshot(0, 0))
        assert not cluster.ask(honest, m.FetchSnapshot(0, 0))
        assert not cluster.ask(spare, m.FetchSnapshot(0, 0))
    cluster.advance(second)
    for each in greedy:
        cluster.ask(each, m.FetchSnapshot(0, 0))
    left, offer = cluster.ask(honest, m.FetchSnapshot(0, 0))
    assert left == (greedy[0], m.Groups(10, ())), "who had its turn is told, and asks others"
    assert (offer[0], type(offer[1])) == (honest, m.Snapshot)
    assert cluster.ask(greedy[0], m.FetchGroups(10, (7,))) == []
    for _ in range(2 * serving.TURN // serving.FRESH_AFTER):
        cluster.advance(second)
        assert cluster.ask(honest, m.FetchSnapshot(0, 0)), "it keeps its place"
        for each in (*greedy, spare):
            cluster.ask(each, m.FetchSnapshot(0, 0))


def test_row_15_who_has_its_share_takes_the_place_of_its_own_longest_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Followers(monkeypatch)
    held = [follower(name, route) for name in ("first", "second") for route in range(serving.FOLLOWERS_SHARE)]
    for _ in range(serving.TURN // serving.FRESH_AFTER + 1):
        for each in held:
            cluster.ask(each, m.FetchSnapshot(0, 0))
        cluster.advance(1_000)
    spare = follower("second", 99)
    left, offer = cluster.ask(spare, m.FetchSnapshot(0, 0))
    assert (left, offer[0]) == ((follower("second", 0), m.Groups(10, ())), spare)


def test_r45_followers_get_less_often_and_after_members(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Followers(monkeypatch)
    some = [follower(f"f{number}") for number in range(3)]
    for each in some:
        cluster.ask(each, m.FetchSnapshot(0, 0))
    cluster.wish(3, 0)
    cluster.advance(100)
    assert cluster.ask(some[0], m.FetchGroups(10, (7,)))
    for each in some:
        assert cluster.ask(each, m.FetchGroups(10, (7,))) == []
    before = len(cluster.messages(m.Groups, 0))
    cluster[0].hear(cluster[3], cluster[3].signer.link(m.FetchGroups(10, (7,))))
    cluster.advance(11)
    assert len(cluster.messages(m.Groups, 0)) == before + 1, "the member comes first"
    assert cluster.answered_within(100) == [9, 29, 49]


def test_r45_followers_get_as_often_as_members_only_while_nothing_is_executed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A newcomer has the state of an idle cluster soon, and slows a cluster that admits down no more than
    before: there an entry is executed every 40 ms."""
    cluster = Followers(monkeypatch)
    some = [follower(f"f{number}") for number in range(20)]
    some = [each for each in some if cluster.ask(each, m.FetchSnapshot(0, 0))]
    for each in some:
        cluster.ask(each, m.FetchGroups(10, (7,)))
    busy: list[int] = []
    for number in range(5):
        cluster.request(f"T-busy-{number}")
        cluster.stabilize()
        busy += [40 * number + at for at in cluster.answered_within(40)]
    assert len(busy) <= 11, "one in 20 ms"
    assert min(after - before for before, after in pairwise(busy)) >= 20
    cluster.answered_within(QUIET_MS)
    for each in some:
        cluster.ask(each, m.FetchGroups(10, (7,)))
    assert cluster.answered_within(50) == [10, 20, 30, 40, 50]


def test_r45_a_follower_takes_no_state_from_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that asks for a newer state gets that, whatever followers are fetching."""
    cluster = Followers(monkeypatch)
    cluster.ask(follower("f"), m.FetchSnapshot(0, 0))
    sequence = cluster.checkpoint()
    cluster.wish(3, 10)
    assert cluster.offered() == [sequence]
    cluster.advance(20)
    assert cluster.ask(follower("f"), m.FetchGroups(10, (7,))) == [], "its state is served no more"


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


def test_r23_a_state_that_nobody_asks_for_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application keeps memory for a state that is being served."""
    released: list[int] = []
    monkeypatch.setattr(KeyValue, "release", lambda _self: released.append(1))
    cluster = Serving(monkeypatch)
    cluster.wish(3, 0)
    idle = serving.IDLE_MAX // 1_000_000
    cluster.advance(idle - 100)
    assert cluster.gets(3, 10)
    cluster.advance(idle - 100)
    assert released == []
    cluster.advance(200)
    assert released == [1]
    assert not cluster.gets(3, 10)


def test_r31_a_pause_ages_neither_a_state_nor_who_fetches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Serving(monkeypatch)
    cluster.wish(3, 0)
    cluster.checkpoint()
    cluster.time += 2 * serving.AGE_MAX
    cluster[0].tick()
    assert cluster[0].told("paused")
    cluster.wish(1, 10)
    assert cluster.gets(3, 10)


def test_r31_a_pause_takes_no_followers_place(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Followers(monkeypatch)
    cluster.ask(follower("f"), m.FetchSnapshot(0, 0))
    moved, stayed = pause(cluster[0].core.serving)
    assert moved >= {"Serving._followers[]", "Serving._since[]", "Serving._busy[]", "Serving._asked"}
    assert stayed <= STAY


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


def test_r23_a_group_that_is_larger_than_an_answer_is_sent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Serving(monkeypatch)
    cluster.wish(3, 0)
    large = ((bytes(serving.ANSWER_BYTES + 1),),)
    monkeypatch.setattr(KeyValue, "read_pinned", lambda _self, group: large if group % 2 else ITEMS)
    for asked, answered in (((1, 3), (1,)), ((2, 1), (2,)), ((1, 2), (1,))):
        cluster[0].hear(cluster[3], cluster[3].signer.link(m.FetchGroups(10, asked)))
        cluster.advance(20)
        assert tuple(number for number, _items in cluster.messages(m.Groups, 0)[-1].groups) == answered


def test_row_15_a_follower_that_only_fetches_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Followers(monkeypatch)
    some = [follower("f", route) for route in range(serving.FOLLOWERS_SHARE)]
    for each in some:
        assert cluster.ask(each, m.FetchSnapshot(0, 0))
    for _ in range(2 * serving.IDLE_MAX // serving.FRESH_AFTER):
        cluster.advance(1_000)
        for each in some:
            cluster.ask(each, m.FetchGroups(10, (7,)))
    assert cluster.ask(follower("f", 99), m.FetchSnapshot(0, 0)) == [], "all places are taken"
