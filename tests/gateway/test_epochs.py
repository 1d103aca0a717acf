"""A gateway follows the membership: f + 1 equal words, and what is under way is asked anew (R16, R35)."""

from __future__ import annotations

import msgspec
import pytest

from tests.hostcore.support import Paper, key_pair, operation
from validators import canonical
from validators.consensus import messages as m
from validators.consensus.effects import Now
from validators.consensus.membership import Membership, founding
from validators.gateway.calls import Queue
from validators.gateway.client import GenesisKeys
from validators.gateway.collector import Collector
from validators.genesis import Member
from validators.wire import Door, decode_envelope, link_frame

SECOND = 1_000_000_000


class Desk:
    """A collector whose members say what the test wants."""

    def __init__(self) -> None:
        self.paper = Paper(4)
        self.keys = GenesisKeys(self.paper.genesis)
        self.collector = Collector(
            self.paper.genesis,
            principal="gateway",
            client=b"12345678",
            signer=self.paper.signer("gateway"),
            door=Door(self.paper.cluster, self.keys),
        )
        self.time = SECOND
        self.collector.connected(frozenset(range(4)), self.now)

    @property
    def now(self) -> Now:
        return Now(self.time, 1_700_000_000 * SECOND + self.time)

    def asked(self) -> dict[int, m.Query]:
        """Status questions to each member since the last call."""
        self.time += 2 * SECOND
        self.collector.tick(self.now)
        sent = self.collector.take(self.now).send
        frames = [(member, decode_envelope(frame)[1]) for member, frame in sent]
        return {member: message for member, message in frames if isinstance(message, m.Query)}

    def say(self, membership: Membership | str, *members: int) -> Membership | None:
        """These members answer; whom the collector believes then."""
        questions = self.asked()
        text = membership if isinstance(membership, str) else canonical.encode(membership).hex()
        told = msgspec.json.encode({"view": 0, "sequence": 9, "membership": text}).decode()
        for member in members:
            answer = link_frame(m.Answer(questions[member].number, "", told))
            self.collector.receive(member, answer, self.now)
        return self.collector.take(self.now).successor


@pytest.fixture
def desk() -> Desk:
    return Desk()


def later(desk: Desk, count: int = 5, epoch: int = 1) -> Membership:
    now = founding(desk.paper.genesis)
    members = tuple(Member(f"r{i}", key_pair(f"r{i}")[0], "127.0.0.1", 7000 + i) for i in range(count))
    return msgspec.structs.replace(now, epoch=epoch, after=20, members=members)


def test_r16_one_liar_cannot_lead_a_gateway_away_and_f_plus_1_members_can(desk: Desk) -> None:
    assert desk.say(later(desk), 2) is None
    assert desk.say(later(desk, 6), 3) is None  # another claim
    assert desk.say(later(desk), 1) == later(desk)


def test_r16_an_epoch_that_is_over_is_never_gone_back_to(desk: Desk) -> None:
    assert desk.say(later(desk, epoch=2), 0, 1) == later(desk, epoch=2)
    desk.collector.connected(frozenset(range(5)), desk.now)
    assert desk.say(later(desk, 4, epoch=1), 0, 1, 2) is None
    assert desk.say(founding(desk.paper.genesis), 0, 1, 2) is None


@pytest.mark.parametrize("junk", ["", "zz", "00", "c0" * 50_000])
def test_junk_instead_of_a_membership_is_passed_over(desk: Desk, junk: str) -> None:
    assert desk.say(junk, 0, 1, 2, 3) is None


def test_what_is_under_way_is_asked_of_the_new_members(desk: Desk) -> None:
    call = desk.collector.submit((operation(),), desk.now, wait=60 * SECOND)
    first = [decode_envelope(frame)[1] for _member, frame in desk.collector.take(desk.now).send]
    bundle = next(message for message in first if isinstance(message, m.Bundle))
    assert call >= 0
    assert desk.say(later(desk), 0, 1) == later(desk)
    desk.keys.follow(later(desk))
    desk.collector.connected(frozenset(range(5)), desk.now)
    desk.time += SECOND
    desk.collector.tick(desk.now)
    again = {
        member for member, frame in desk.collector.take(desk.now).send if decode_envelope(frame)[1] == bundle
    }
    assert again == {0, 1, 2, 3, 4}


def test_r35_a_change_of_the_membership_shares_no_bundle_with_what_waits_beside_it() -> None:
    """Under load the next bundle takes all that waits; there the change would be refused `not_alone`."""
    queue = Queue(operations_max=100, bytes_max=1 << 20, part_bytes_max=1 << 16)
    change = operation("T-3", kind="reconfigure")
    for one in (operation("T-1"), operation("T-2"), change, operation("T-4"), operation("T-5")):
        queue.add((one,), SECOND)
    bundles = [[each.kind for each in queue.gather(100)[1]] for _ in range(3)]
    assert [len(kinds) for kinds in bundles] == [2, 1, 2]
    assert bundles[1] == ["reconfigure"]
