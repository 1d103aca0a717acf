"""Whom a follower dials (PROTOCOL R45): another member when what it hears does not bring it forward."""

from __future__ import annotations

from typing import Any, cast

from dtvn.node.bootstrap import Place
from dtvn.node.relay_dialling import HELD_BACK, RelayDialling
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.genesis import Member

MEMBERS = tuple(
    Member(f"node{number}", bytes([number]) * 32, "127.0.0.1", 4000 + number) for number in range(4)
)
RELAYS = [bytes([number]) * 32 for number in (11, 12, 13)]


class Links:
    """Links that are up as soon as they are dialled."""

    members = MEMBERS

    def __init__(self) -> None:
        self.up = list(RELAYS)

    def dialled_up(self) -> list[bytes]:
        return list(self.up)

    def has_dialled(self, key: bytes) -> bool:
        return key in self.up

    def dial(self, key: bytes, _address: tuple[str, int]) -> int:
        self.up.append(key)
        return len(self.up)

    def hang_up(self, key: bytes) -> None:
        self.up.remove(key)


class Follower:
    def __init__(self, first: bytes = RELAYS[0]) -> None:
        self.links = Links()
        self.executed = self.vouched = 0
        start = Place(first, ("127.0.0.1", 5000))
        self.dialling = RelayDialling(
            cast(Any, self.links), start, b"o" * 32, list, lambda: (self.executed, self.vouched)
        )
        self.seconds = 0.0

    def run(self, seconds: int) -> set[bytes]:
        """The members that were linked meanwhile."""
        keys = {member.public_key for member in MEMBERS}
        met: set[bytes] = set()
        for _ in range(2 * seconds):
            self.seconds += 0.5
            self.dialling.look(Now(round(self.seconds * 1e9), 0))
            met |= keys.intersection(self.links.up)
        return met


def test_a_follower_with_relays_enough_that_goes_forward_asks_no_member() -> None:
    follower = Follower()
    for second in range(60):
        follower.executed, follower.vouched = 3 * second, 3 * second + 2
        assert follower.run(1) == set()


def test_r45_relays_that_pass_on_heads_and_hold_back_entries_lead_to_one_member_after_another() -> None:
    """A member may lie, too; so each has its turn, two at a time."""
    follower = Follower()
    follower.executed, follower.vouched = 7, 7
    assert follower.run(60) == set(), "there is nothing more"
    follower.vouched = 9
    assert follower.run(HELD_BACK // 10**9 - 1) == set()
    assert len(follower.run(2)) == 1
    assert len(follower.run(60)) == len(MEMBERS)
    assert len(follower.links.up) <= len(RELAYS) + 2
    follower.executed = 9
    follower.run(60)
    assert follower.links.up == RELAYS, "members are left to those with fewer relays"


def test_r45_members_take_turns_beside_the_one_that_was_asked_first() -> None:
    """The others' turns do not end the link to it."""
    first = MEMBERS[2].public_key
    follower = Follower(first)
    follower.vouched = 9
    assert len(follower.run(60)) == len(MEMBERS)
    for _ in range(60):
        follower.run(1)
        assert first in follower.links.up
        assert len(follower.links.up) <= len(RELAYS) + 3
