"""One principal with hundreds of sessions takes no more than one with one (R30, P14 and P15)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.proposing import Proposing
from dtvn.protocol.consensus.request_key import key_of
from dtvn.protocol.consensus.requests.batching import Batching
from dtvn.protocol.consensus.requests.pool import Pool
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.genesis import BOUNDS
from tests.consensus.helpers import config_for
from tests.consensus.test_primary_monitor import bundle as bundle_of

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
ROOM = 100_000
"""Units of work: what drains in T / 2 here."""


def bundle(principal: str, session: int, number: int, operations: int = 84) -> VerifiedBundle:
    made = bundle_of(session, number, operations)
    inner = msgspec.structs.replace(made.bundle, principal=principal)
    return VerifiedBundle(inner, principal.encode() + made.digest, made.frame)


def pool_of(operations_max: int = 20_000) -> Pool:
    return Pool(operations_max=operations_max, bytes_max=10**9, client_share=4)


def ask(pool: Pool, asked: VerifiedBundle, room: int = ROOM) -> bool:
    """Admission as in a replica; True if the request is admitted."""
    if pool.crowded(asked, room) or pool.refuse(asked) is not None:
        return False
    pool.add(asked, key_of(asked.bundle), 0)
    return True


def test_r20_a_request_as_large_as_the_largest_batch_finds_room() -> None:
    """Genesis bounds batches by what one session may hold; otherwise such a request stays `busy` for ever."""
    most = BOUNDS["batch_operations_max"][1]
    config = config_for(0, 4)

    def pool() -> Pool:
        return Pool(
            operations_max=config.pool_operations_max,
            bytes_max=config.pool_bytes_max,
            client_share=config.pool_client_share,
        )

    assert ask(pool(), bundle("modest", 1, 0, most))
    assert not ask(pool(), bundle("modest", 1, 0, most + 1))


def flood(pool: Pool, operations: int) -> int:
    """Two hundred sessions of one principal, each asking until it is refused; requests let in."""
    return sum(
        ask(pool, bundle("greedy", session, number, operations))
        for number in range(40)
        for session in range(1, 201)
    )


def test_row_15_200_sessions_of_one_principal_leave_room_for_another() -> None:
    """By admission as by the pool itself: each of them was let in once, and twenty filled it."""
    for room in (ROOM, 10**9):
        pool = pool_of()
        assert ask(pool, bundle("modest", 1, 0), room)
        assert flood(pool, operations=1_000)
        flood(pool, operations=10)
        assert all(ask(pool, bundle("modest", 1, number), room) for number in range(1, 5))
        assert ask(pool, bundle("another", 1, 0), room)


def test_r30_a_principals_sessions_share_its_part_and_leave_the_rest() -> None:
    pool = pool_of(10**6)
    assert ask(pool, bundle("modest", 1, 0))
    flood(pool, operations=84)
    held = pool.work
    assert held <= ROOM * 3 // 4
    number = 0
    while ask(pool, bundle("modest", 1, number := number + 1)):
        assert number < 10_000
    assert pool.work - held > ROOM // 8, "its part is not a two hundredth"


def test_principals_take_turns_and_their_sessions_within() -> None:
    pool = pool_of()
    pool.lead()
    for session in range(1, 101):
        assert ask(pool, bundle("greedy", session, 0, 10), 10**9)
    for number in range(3):
        assert ask(pool, bundle("modest", 1, number, 10), 10**9)
    order: list[Any] = [item.bundle.bundle.principal for item in pool.take(60, 10**9)]
    assert order == ["greedy", "modest"] * 3
    rest = [item.bundle.bundle.session[0] for item in pool.take(10**6, 10**9)]
    assert rest == list(range(4, 101)), "each session of the greedy one in its turn"


class Primary:
    """A primary that proposes from a pool; `execute` executes its proposals. Rate in units of work a second,
    round trip in nanoseconds.
    """

    def __init__(self, *, rate: int | None = 20_000, round_trip: int = MILLISECOND) -> None:
        self.pool = pool_of()
        self.pool.lead()
        self.state: Any = SimpleNamespace(
            config=config_for(0, 4),
            now=Now(0, 0),
            executed=0,
            executor=SimpleNamespace(timestamp=0),
            application=SimpleNamespace(due=lambda: None),
            is_primary=True,
            may_vote=lambda view: True,
            views=SimpleNamespace(view=0),
            log=SimpleNamespace(stable=0, window=32),
            round_trips=SimpleNamespace(shortest=lambda: round_trip),
            timeouts=SimpleNamespace(base=800 * MILLISECOND),
        )
        clients: Any = SimpleNamespace(answer_if_settled=lambda bundle: False)
        throughput: Any = SimpleNamespace(rate=lambda: rate)
        batching = Batching(self.state, self.pool, throughput, clients)
        policy: Any = SimpleNamespace(
            has_unproposed=lambda: self.pool.waiting_operations > 0,
            ready_at=batching.ready_at,
            next_batch=batching.next_batch,
        )
        ignored: Any = SimpleNamespace(
            holds=lambda sequence: False, run=lambda: None, is_wanted=lambda: False
        )
        self.proposing = Proposing(self.state, policy, ignored, ignored, ignored, ignored)
        self.proposed: list[list[VerifiedBundle]] = []
        self.proposing._propose = self._propose  # type: ignore[method-assign]

    def _propose(self, bundles: list[VerifiedBundle]) -> None:
        self.proposed.append(bundles)
        self.proposing.next_sequence += 1

    def ask(self, principal: str, count: int, at: int, first: int = 0) -> None:
        self.state.now = Now(at, at)
        for number in range(first, first + count):
            asked = bundle(principal, 1, number, 1)
            self.pool.add(asked, key_of(asked.bundle), at, told=False)

    def propose(self) -> list[int]:
        """Sizes of what goes out a moment later."""
        at = self.state.now.monotonic + 2 * MILLISECOND
        self.state.now = Now(at, at)
        before = len(self.proposed)
        self.proposing.run()
        return [len(bundles) for bundles in self.proposed[before:]]

    def execute(self) -> None:
        """The oldest proposal."""
        for done in self.proposed[self.state.executed]:
            self.pool.remove(key_of(done.bundle))
        self.state.executed += 1


def test_r30_active_clients_wait_little_for_each_other() -> None:
    """A hundred and sixty requests of one wait; another's is in the next proposal, and that is small."""
    primary = Primary()
    primary.ask("modest", 1, at=0)
    assert primary.propose() == [1]
    primary.ask("greedy", 160, at=2 * MILLISECOND)
    assert sum(primary.propose()) <= 16, "the others wait, where a later request of another passes them"
    primary.ask("modest", 1, at=3 * MILLISECOND, first=1)
    primary.execute()
    primary.execute()
    primary.propose()
    following = primary.proposed[-1]
    assert "modest" in [each.bundle.principal for each in following]
    assert len(following) <= 8
    while len(primary.pool):
        primary.execute()
        primary.propose()
    assert sum(len(bundles) for bundles in primary.proposed) == 162, "and everybody is served"


def test_r30_a_single_active_client_is_not_delayed() -> None:
    primary = Primary()
    primary.ask("greedy", 160, at=0)
    assert primary.propose() == [160]
    primary.ask("modest", 1, at=MILLISECOND)
    primary.execute()
    primary.ask("greedy", 160, at=2 * SECOND, first=160)
    assert primary.propose() == [161], "a second after the other's last request it is alone again"


def test_r30_distant_members_have_more_in_flight() -> None:
    """Proposals in transit delay no request: what is executed meanwhile may follow at once."""
    primary = Primary(round_trip=100 * MILLISECOND)
    primary.ask("modest", 1, at=0)
    primary.propose()
    primary.ask("greedy", 200, at=2 * MILLISECOND)
    assert sum(primary.propose()) == 200


def test_r30_busy_processors_do_not_count_as_distance() -> None:
    """Members on one site that answer a Ping late are busy: more in flight would delay them further."""
    found = []
    for round_trip in (0, 5 * MILLISECOND, 50 * MILLISECOND):
        primary = Primary(round_trip=round_trip)
        primary.ask("modest", 1, at=0)
        primary.propose()
        primary.ask("greedy", 160, at=2 * MILLISECOND)
        found.append(sum(primary.propose()))
    near, busy, far = found
    assert near == busy < far


def waits(primary: Primary, until: int) -> int:
    """The number of requests proposed at that time."""
    primary.state.now = Now(until - 2 * MILLISECOND, until - 2 * MILLISECOND)
    return sum(primary.propose())


@pytest.mark.parametrize(("waited", "expected"), [(199, 8), (201, 161)])
def test_r30_everything_goes_out_once_all_clients_wait_long(waited: int, expected: int) -> None:
    """Small batches cost throughput, and here they shorten no client's wait."""
    primary = Primary(round_trip=0)
    primary.ask("busy", 160, at=0)
    primary.ask("another", 1, at=0)
    assert waits(primary, waited * MILLISECOND) == expected


@pytest.mark.parametrize("modest", [300, 900])
def test_r30_a_client_waiting_behind_itself_gets_no_more_out(modest: int) -> None:
    """A client with many open calls waits long on a slow machine: that is its own load, and proposing
    everything at once would delay a modest client, whether that waits just now or asked a moment ago (0168).
    """
    primary = Primary(round_trip=0)
    primary.ask("modest", 1, at=0)
    primary.propose()
    primary.execute()
    primary.ask("greedy", 160, at=2 * MILLISECOND)
    assert waits(primary, modest * MILLISECOND) == 8
    primary.execute()
    primary.ask("modest", 1, at=modest * MILLISECOND, first=1)
    assert primary.propose() == [8]
    assert "modest" in [each.bundle.principal for each in primary.proposed[-1]]


def test_r30_two_long_waiting_clients_get_no_more_out_beside_a_modest_one() -> None:
    primary = Primary(round_trip=0)
    primary.ask("modest", 1, at=0)
    primary.propose()
    primary.execute()
    primary.ask("greedy", 80, at=2 * MILLISECOND)
    primary.ask("another", 80, at=2 * MILLISECOND)
    assert waits(primary, 900 * MILLISECOND) == 8


@pytest.mark.parametrize(("waited", "expected"), [(99, 8), (101, 160)])
def test_r32_requests_other_members_wait_for_go_out_soon(waited: int, expected: int) -> None:
    """They judge their primary by it: a request that waits longer than T / 4 shows a slow primary."""
    primary = Primary(round_trip=0)
    primary.ask("modest", 1, at=0)
    primary.propose()
    primary.execute()
    at = 250 * MILLISECOND
    primary.ask("greedy", 160, at=2 * MILLISECOND)
    primary.state.now = Now(at, at)
    for item in list(primary.pool)[-2:]:
        primary.pool.note_told(item, 1, at)
    assert waits(primary, at + waited * MILLISECOND) == expected


def test_r32_a_flood_sent_to_all_members_is_not_proposed_at_once() -> None:
    """All members wait for all of it, but judge the primary by a principal's turns (0196)."""
    primary = Primary(round_trip=0)
    primary.ask("modest", 1, at=0)
    primary.propose()
    primary.execute()
    at = 2 * MILLISECOND
    primary.ask("greedy", 160, at=at)
    for item in list(primary.pool):
        for member in (1, 2, 3):
            primary.pool.note_told(item, member, at)
    assert primary.propose() == [8]
    primary.execute()
    assert waits(primary, 900 * MILLISECOND) == 8
    assert primary.pool.told_since() is None
    while len(primary.pool):
        primary.execute()
        primary.propose()
    late = SECOND * 2
    primary.ask("greedy", 1, at=late, first=160)
    [item] = primary.pool
    primary.pool.note_told(item, 1, late)
    assert primary.pool.told_since() == late, "nothing of it waits there any more"


def test_r32_what_another_member_told_does_not_hide_what_this_one_waits_for() -> None:
    """It may know others of the principal's requests, or none of them."""
    primary = Primary(round_trip=0)
    primary.ask("greedy", 9, at=0)
    *told, last = list(primary.pool)
    for item in told:
        primary.pool.note_told(item, 1, 5)
    primary.pool.take(8, 10**9)
    primary.ask("greedy", 8, at=6, first=9)
    for item in list(primary.pool)[9:]:
        primary.pool.note_told(item, 1, 6)
    for item in list(primary.pool)[9:]:
        primary.pool.remove(item.key)
    assert primary.pool.told_since() is None
    primary.pool.note_told(last, 2, 7)
    assert primary.pool.told_since() == 7


def test_r32_a_principal_waits_for_its_own_requests_while_others_are_active() -> None:
    """Eight of its requests are a batch, and the other one's turn doubles that; alone it waits for none."""
    pool = pool_of()

    def ahead(number: int, now: int = 0) -> int:
        asked = bundle("greedy", 1, number, 1)
        return pool.add(asked, key_of(asked.bundle), now).ahead

    assert {ahead(number) for number in range(80)} == {0}
    pool.active_clients.executed("modest", 5)
    assert {ahead(number, 5) for number in range(80, 88)} == {20}
    assert ahead(88, 5) == 22
    assert ahead(89, 2 * SECOND) == 0, "the other has been silent for a second"


def test_r32_a_principals_large_request_is_one_batch_beside_others() -> None:
    pool = pool_of()
    pool.active_clients.executed("modest", 0)
    asked = [bundle("greedy", 1, number, 500) for number in range(3)]
    assert [pool.add(each, key_of(each.bundle), 0).ahead for each in asked] == [0, 2, 4]


def test_r32_proposed_or_removed_requests_do_not_count_as_waiting() -> None:
    primary = Primary(round_trip=0)
    primary.ask("greedy", 8, at=0)
    primary.ask("modest", 1, at=0)
    first, *_rest, last = list(primary.pool)
    for item in (last, first):
        primary.pool.note_told(item, 1, 7)
    assert primary.pool.told_since() == 7
    primary.pool.remove(last.key)
    assert primary.pool.told_since() == 7
    primary.propose()
    assert primary.pool.told_since() is None
    primary.pool.note_told(first, 1, 9)
    assert primary.pool.told_since() is None, "it is proposed"


def test_r32_a_new_primary_keeps_what_other_members_wait_for() -> None:
    pool = pool_of()
    asked = bundle("modest", 1, 1)
    pool.add(asked, key_of(asked.bundle), 5)
    assert pool.told_since() is None
    pool.lead()
    assert pool.told_since() == 5
    pool.follow()
    assert pool.told_since() is None
