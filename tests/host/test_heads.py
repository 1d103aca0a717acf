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
from dtvn.protocol.host.heads import APART, CURRENT, EVERY, PENDING_MAX, Heads
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


def test_heads_that_wait_are_bounded() -> None:
    follower = Follower()
    for sequence in range(1, PENDING_MAX + 3):
        follower.hear(0, sequence, sequence)
    assert len(follower.heads._known[0].pending) == PENDING_MAX


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


def test_who_is_current_asks_for_no_epoch() -> None:
    genesis = make_genesis()
    present = Membership(0, 0, genesis.members, genesis.parameters)
    catch_up = EpochCatchUp(present, lambda _known: pytest.fail("no proof came"), far=10, patience=SECOND)
    assert catch_up.ask(7, 0, lambda: True) == []
    assert catch_up.deadline() == ASK_EVERY
    assert len(catch_up.ask(7, ASK_EVERY, lambda: False)) == 1


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
