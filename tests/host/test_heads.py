"""Members say how far their durable logs reach, and followers how old they are (PROTOCOL R45)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.protocol.canonical import decode
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.config import build
from dtvn.protocol.consensus.effects import Effects, EntryRecord, Now, Reason, StateRecord
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.epochs.catch_up import ASK_EVERY, EpochCatchUp
from dtvn.protocol.host.heads import APART, CURRENT, EVERY, PENDING_MAX, SOON, TRIED, UNHEARD_EVERY, Heads
from dtvn.protocol.wire import Envelope, link_frame
from tests.host.doubles import Bench, entry_record
from tests.host.support import Paper, make_genesis

SECOND = 1_000_000_000
WALL = 1_700_000_000_000_000
PAPER = Paper()


def hash_at(sequence: int) -> bytes | None:
    """Of the log of every honest node here; 100 and above are not held."""
    return bytes(32) if sequence == 0 else sequence.to_bytes(32, "big") if sequence < 100 else None


class Follower:
    """The heads at a follower of four members, of which one may lie."""

    def __init__(self, executed: int = 0) -> None:
        config = build(make_genesis(), PAPER.cluster, None)
        self.heads = Heads(config, PAPER.signer("r0"), hash_at)
        self.executed = executed
        self.now = 0

    def hear(
        self,
        sender: int,
        sequence: int,
        time: int,
        entry_hash: bytes | None = None,
        *,
        at: int | None = None,
    ) -> None:
        """`time`: that of the head; `at`: that of the own clock when it comes, the same if left out."""
        self.now += APART
        named = entry_hash or hash_at(sequence) or b"x" * 32
        head = m.Head(0, sender, sequence, named, WALL + time)
        now = Now(self.now, (WALL + (time if at is None else at)) * 1_000)
        self.heads.take(head, b"frame of %d" % sender, self.executed, now)

    def age(self, time: int) -> int | None:
        return self.heads.age(WALL + time)

    def execute(self, executed: int) -> None:
        self.executed = executed
        self.heads.on_executed(executed)


def test_the_age_is_that_of_the_f_plus_first_newest_head() -> None:
    follower = Follower(executed=7)
    assert follower.age(50) is None
    follower.hear(0, 7, 40)
    assert follower.age(50) is None, "one member may lie"
    follower.hear(1, 6, 10)
    assert follower.age(50) == 40
    follower.hear(2, 7, 30)
    assert follower.age(50) == 20
    follower.hear(3, 7, 45)
    assert follower.age(50) == 10, "the second newest of four"


def test_a_head_counts_once_the_follower_holds_its_entry() -> None:
    follower = Follower(executed=6)
    for member in range(4):
        follower.hear(member, 7, 10 + member)
    assert follower.age(50) is None
    follower.execute(7)
    assert follower.age(50) == 38


def test_a_follower_that_stays_behind_has_the_age_of_the_log_that_it_holds() -> None:
    """Each newer head names an entry that it does not hold; the earlier ones count in their turn."""
    follower = Follower()
    for sequence in range(1, 11):
        for member in range(4):
            follower.hear(member, sequence, 100 * sequence + member)
    for sequence in range(1, 11):
        follower.execute(sequence)
        assert follower.age(2_000) == 2_000 - (100 * sequence + 2)


def test_heads_that_wait_are_bounded() -> None:
    follower = Follower()
    for sequence in range(1, PENDING_MAX + 3):
        follower.hear(0, sequence, sequence)
    assert len(follower.heads._known[0].pending) == PENDING_MAX


def test_a_head_that_names_another_entry_counts_for_nothing() -> None:
    follower = Follower(executed=7)
    follower.hear(0, 7, 40, b"f" * 32)
    follower.hear(1, 7, 30)
    assert follower.age(50) is None
    follower.hear(2, 7, 20)
    assert follower.age(50) == 30


def test_a_state_that_was_installed_contains_what_heads_below_it_name() -> None:
    """The entry that they name is not held here, but q members signed that the state contains it."""
    follower = Follower(executed=200)
    for member in range(4):
        follower.hear(member, 150, 10)
    assert follower.age(50) == 40


def test_a_host_after_an_installed_state_knows_the_heads_of_the_one_before() -> None:
    before, after = Follower(executed=7), Follower(executed=7)
    for member in range(4):
        before.hear(member, 7, 10)
    after.heads.adopt(before.heads)
    assert after.age(50) == 40
    later = Follower(executed=7)
    later.heads._config = msgspec.structs.replace(later.heads._config, epoch=1)
    later.heads.adopt(before.heads)
    assert later.age(50) is None, "its members may be others"


def test_a_head_in_this_members_own_name_and_one_of_nobody_are_refused() -> None:
    heads = Heads(build(make_genesis(), PAPER.cluster, "r0"), PAPER.signer("r0"), hash_at)
    now = Now(SECOND, WALL * 1_000)
    for sender, reason in ((0, Reason.UNKNOWN_SENDER), (1, None), (4, Reason.UNKNOWN_SENDER)):
        assert heads.refuse(m.Head(0, sender, 7, bytes(32), WALL), now) is reason
    assert heads.refuse(m.Head(1, 1, 7, bytes(32), WALL), now) is Reason.WRONG_EPOCH


def test_a_follower_is_current_while_f_plus_one_members_keep_saying_so() -> None:
    """Then it asks nobody for a later epoch."""
    follower = Follower(executed=7)
    begun, age = WALL * 1_000, CURRENT // 1_000

    def is_current(later: int = 0) -> bool:
        return follower.heads.is_current(Now(follower.now + later, begun + later))

    follower.hear(0, 7, 0)
    follower.hear(1, 8, 0)
    assert not is_current(), "one member may lie, and an entry of another's is not here"
    follower.execute(8)
    assert is_current()
    assert not is_current(CURRENT), "they say it no more"
    for member in range(4):
        follower.hear(member, 8, 1 - 2 * age)
    assert not is_current(CURRENT), "these were signed long ago"


def test_heads_that_came_long_ago_make_no_follower_current_whose_clock_is_behind() -> None:
    follower = Follower(executed=7)
    for member in range(4):
        follower.hear(member, 7, 3_600_000_000, at=0)
    assert follower.heads.is_current(Now(follower.now, WALL * 1_000))
    assert not follower.heads.is_current(Now(follower.now + CURRENT, WALL * 1_000 + CURRENT))


def test_a_member_is_never_current() -> None:
    """Its own log is what the others compare theirs with."""
    heads = Heads(build(make_genesis(), PAPER.cluster, "r0"), PAPER.signer("r0"), hash_at)
    for sender in (1, 2, 3):
        heads.take(m.Head(0, sender, 0, bytes(32), WALL), b"frame", 0, Now(SECOND, WALL * 1_000))
    assert not heads.is_current(Now(SECOND, WALL * 1_000))


def test_who_is_current_asks_for_no_epoch() -> None:
    genesis = make_genesis()
    present = Membership(0, 0, genesis.members, genesis.parameters)
    catch_up = EpochCatchUp(present, lambda _known: pytest.fail("no proof came"), far=10, patience=SECOND)
    assert catch_up.ask(7, 0, lambda: True) == []
    assert catch_up.deadline() == ASK_EVERY
    assert len(catch_up.ask(7, ASK_EVERY, lambda: False)) == 1


def test_a_head_from_the_future_counts_as_of_its_arrival() -> None:
    follower = Follower(executed=7)
    follower.hear(0, 7, 10**15, at=10)
    follower.hear(1, 7, 20)
    assert follower.age(50) == 40, "a fast clock alone makes nobody fresh"
    follower.hear(2, 8, 10**15, at=50)
    follower.execute(8)
    assert (follower.age(50), follower.age(90)) == (30, 70)
    follower.hear(3, 8, 10**15, at=90)
    assert (follower.age(90), follower.age(190)) == (40, 140)


def test_no_age_is_below_nothing_after_the_own_clock_was_set_back() -> None:
    follower = Follower(executed=7)
    for member in range(4):
        follower.hear(member, 7, 40)
    assert follower.age(30) == 0


def test_an_older_head_a_quick_one_and_one_of_another_epoch_are_refused() -> None:
    follower = Follower(executed=7)
    follower.hear(0, 7, 40)
    heads, now = follower.heads, Now(follower.now, (WALL + 41) * 1_000)
    later = Now(now.monotonic + APART, now.wall)
    assert heads.refuse(m.Head(0, 0, 7, b"h" * 32, WALL + 40), later) is Reason.DECIDED
    assert heads.refuse(m.Head(0, 0, 7, b"h" * 32, WALL + 41), now) is Reason.BUSY
    assert heads.refuse(m.Head(0, 0, 7, b"h" * 32, WALL + 41), later) is None
    assert heads.refuse(m.Head(1, 0, 7, b"h" * 32, WALL + 41), later) is Reason.WRONG_EPOCH
    assert heads.refuse(m.Head(0, 4, 7, b"h" * 32, WALL + 41), later) is Reason.UNKNOWN_SENDER


def test_heads_count_again_after_a_clock_was_set_back_and_a_repeated_one_never() -> None:
    """An hour ahead, and back: what was dated an hour from now can make nobody look fresh a second time."""
    hour = 3_600_000_000
    follower = Follower(executed=7)
    follower.hear(0, 7, hour, at=0)
    follower.hear(1, 7, hour, at=0)
    assert follower.age(SECOND // 1_000) == SECOND // 1_000
    repeated = m.Head(0, 1, 7, hash_at(7) or b"", WALL + hour)
    later = Now(follower.now + EVERY, (WALL + EVERY // 1_000) * 1_000)
    assert follower.heads.refuse(repeated, later) is Reason.DECIDED
    follower.hear(0, 7, EVERY // 1_000)
    follower.hear(1, 7, EVERY // 1_000)
    assert follower.age(EVERY // 1_000) == 0


def test_each_head_is_passed_on_once_and_all_to_newcomers() -> None:
    follower = Follower(executed=7)
    follower.hear(0, 7, 40)
    follower.hear(1, 7, 41)
    assert follower.heads.has_fresh
    assert follower.heads.fresh() == (b"frame of 0", b"frame of 1")
    assert (follower.heads.has_fresh, follower.heads.fresh()) == (False, ())
    assert follower.heads.frames() == (b"frame of 0", b"frame of 1")


# --- at a host --------------------------------------------------------------------------------------


class Member(Bench):
    """The host of member r0."""

    def __init__(self) -> None:
        super().__init__()
        config = build(make_genesis(), self.paper.cluster, "r0")
        self.core.config = config
        self.host.heads = Heads(config, self.paper.signer("r0"), self.host._hash_at)

    def said(self, member: int = 1) -> list[m.Head]:
        """The heads that were sent to a member since the last call."""
        found = [value for what, value in self.tape.said if what == "send"]
        self.tape.said.clear()
        frames = [decode(Envelope, send.frame) for send in found if send.to == member]
        return [decode(m.Head, each.body) for each in frames if each.kind == m.KIND_OF[m.Head]]


def test_a_member_signs_its_head_every_five_seconds_also_when_idle() -> None:
    member = Member()
    member.host.start()
    assert [(head.sender, head.sequence) for head in member.said()] == [(0, 0)]
    times = []
    for _ in range(3):
        wake = member.host.wake_at()
        assert wake is not None
        times.append(wake - member.clock.monotonic)
        member.clock.monotonic = wake
        member.clock.wall += times[-1]
        member.host.turn()
        assert len(member.said()) == 1
    assert times == [SOON, EVERY, EVERY]


def test_a_member_that_never_sent_a_head_gets_few() -> None:
    """Of a release before heads, for example: it counts each as a bad frame."""
    heads = Member().host.heads
    heads.take(m.Head(0, 2, 0, bytes(32), WALL), b"frame", 0, Now(SECOND, WALL * 1_000))
    to = []
    for number in range(1, 2 * UNHEARD_EVERY + 1):
        heads.sign(0, bytes(32), Now(number * EVERY, (WALL + number) * 1_000))
        to.append(heads.hearers())
    assert to[:TRIED] == [[1, 2, 3]] * TRIED
    assert [number for number, each in enumerate(to, 1) if each == [1, 2, 3]] == [1, 2, 3, 4, 6, 12]
    assert all(each == [2] for number, each in enumerate(to, 1) if number not in (1, 2, 3, 4, 6, 12))


def test_a_member_that_is_far_behind_signs_none() -> None:
    member = Member()
    member.core.is_behind = True
    member.host.start()
    assert member.said() == []
    assert member.host.wake_at() == member.clock.monotonic + SOON
    member.core.is_behind = False
    member.clock.monotonic += SOON
    member.host.turn()
    assert len(member.said()) == 1


def test_a_follower_signs_none() -> None:
    bench = Bench()
    bench.host.start()
    assert "send" not in bench.tape.words()
    assert bench.host.wake_at() is None


@pytest.mark.parametrize("in_the_same_turn", [True, False])
def test_r45_what_a_head_names_is_durable_before_it_is_sent(in_the_same_turn: bool) -> None:
    """A turn that only executed is not synced (R6): a power failure could take back what the head names."""
    member = Member()
    member.host.start()
    member.said()
    record = entry_record(1)
    synced = member.journal.synced
    member.core.due = member.clock.monotonic
    member.core.on_tick = lambda: Effects(persist=[record])
    if in_the_same_turn:
        member.clock.monotonic += EVERY
    member.host.turn()
    if not in_the_same_turn:
        assert (member.journal.synced, member.said()) == (synced, [])
        member.clock.monotonic += EVERY
        member.host.turn()
    words = member.tape.words()
    assert member.journal.synced == synced + 1
    assert words.index("persist") < words.index("send")
    ((_, records), *_) = [said for said in member.tape.said if said[0] == "persist"]
    kind = EntryRecord if in_the_same_turn else StateRecord
    assert [type(each) for each in records] == [kind]
    (head,) = member.said()
    assert (head.sequence, head.entry_hash) == (1, record.entry_hash)


def announced(paper: Paper, *heads: m.Head) -> bytes:
    return link_frame(m.Announce(0, 9, tuple(paper.sign(head) for head in heads)))


def test_a_follower_keeps_the_heads_in_an_announcement() -> None:
    bench = Bench()
    bench.host.start()
    now = bench.clock.wall // 1_000
    heads = [m.Head(0, sender, 0, bytes(32), now - 100 - sender) for sender in (1, 2)]
    bench.transport.waiting.append(Inbound(Peer("relay", 5), announced(bench.paper, *heads)))
    bench.host.turn()
    assert bench.host.age() == 102
    receipts = [value for what, value in bench.tape.said if what == "receive"]
    assert [type(each) for each in receipts] == [m.Announce], "the core hears how far the peer is"


def test_heads_of_another_epoch_spoil_no_announcement() -> None:
    """A follower that is behind knows no keys of later epochs."""
    bench = Bench()
    bench.host.start()
    later, known = m.Head(4, 1, 0, bytes(32), 5), m.Head(0, 2, 0, bytes(32), 6)
    bench.transport.waiting.append(Inbound(Peer("relay", 5), announced(bench.paper, later, known)))
    bench.host.turn()
    assert bench.host.heads.frames() == (bench.paper.sign(known),)
    assert "receive" in bench.tape.words()


@pytest.mark.parametrize("what", ["signature", "kind"])
def test_a_forged_head_refuses_the_announcement_and_is_counted(what: str) -> None:
    bench = Bench()
    bench.host.start()
    head = bench.paper.sign(m.Head(0, 1, 0, bytes(32), 5))
    if what == "kind":
        head = bench.paper.sign(m.Receipt(0, 1, 1, b"h" * 32))
    else:
        envelope: Any = decode(Envelope, head)
        head = msgspec.msgpack.encode(msgspec.structs.replace(envelope, signature=b"f" * 64))
    bench.transport.waiting.append(Inbound(Peer("relay", 5), link_frame(m.Announce(0, 9, (head,)))))
    bench.host.turn()
    assert bench.host.heads.frames() == ()
    assert "receive" not in bench.tape.words()
    assert [value.fields["reason"] for what, value in bench.tape.said if what == "note"] == [
        "bad_signature" if what == "signature" else "bad_proof"
    ]
