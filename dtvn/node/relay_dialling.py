"""Whom a follower dials: what the overlay wants; a member besides while it has few relays, or while what it
hears does not bring it forward; and the peer that it asked first, and members, while it has no link at all
(R45).

A member's link costs the member a Follow a second and the announcements, so a follower with RELAYS_ENOUGH
relays leaves it to those with fewer. Relays that all lie, or all show an old log, lead back to a member: the
tree wants one as soon as the members' heads stay away (dtvn.overlay.tree, rules 4 and 5).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from dtvn.net import RelayTransport
from dtvn.node.bootstrap import Place
from dtvn.protocol.consensus.effects import Now

ALONE = 1_000_000_000
"""Nanoseconds without any link after which the first peer and a member are dialled, and another member after
each further one of these."""
RELAYS_ENOUGH = 3
"""Linked relays with which a follower needs no member: a source, and two that tell what it holds back."""
HELD_BACK = 5_000_000_000
"""Nanoseconds without an entry, though f + 1 members said that they had more, after which another member is
dialled, and again after each further ones: relays may pass on heads and hold back entries."""
SPARE = 10_000_000_000
"""Nanoseconds for which a link to a member must have been needless before it is ended."""


class RelayDialling:
    """See overlay_port.Dialling."""

    def __init__(
        self,
        links: RelayTransport,
        start: Place,
        own: bytes,
        uses: Callable[[], Iterable[bytes]],
        progress: Callable[[], tuple[int, int]],
    ) -> None:
        """`start`: the peer that this follower asked first; `own`: its public key; `uses`: see Dialling;
        `progress` returns the last sequence executed here, and the highest that f + 1 members said to
        have."""
        self.uses = uses
        self._progress = progress
        self._executed = -1
        self._moved_at = 0
        """When this follower last executed an entry, or had all, or a member was dialled since it had not."""
        self._links, self._start, self._own = links, start, own
        self._alone_at = 0
        self._needed_at = 0
        """When a link to a member was last needed."""
        self._members: list[bytes] = []
        """Members that are dialled for lack of any link."""

    def dial(self, public_key: bytes, address: tuple[str, int]) -> bool:
        """See Dialling."""
        return public_key != self._own and self._links.dial(public_key, address) is not None

    def hang_up(self, public_key: bytes) -> None:
        """See Dialling; one link to a member is kept while there are few relays."""
        members, relays = self._up()
        if members == [public_key] and len(relays) < RELAYS_ENOUGH:
            return
        self._links.hang_up(public_key)

    def has_dialled(self, public_key: bytes) -> bool:
        """See Dialling."""
        return self._links.has_dialled(public_key)

    def speaks(self, public_key: bytes) -> bool:
        """See Dialling. All peers that this follower dials serve followers."""
        return self._links.has_dialled(public_key) or self._links.index_of(public_key) is not None

    def look(self, now: Now) -> None:
        """Dial somebody while too few links are up, and leave members that others need more."""
        members, relays = self._up()
        if self._is_held_back(now):
            self._needed_at = self._moved_at = now.monotonic
            self._dial_member()
            return
        if members and len(relays) >= RELAYS_ENOUGH:
            self._leave_members(members, now)
            return
        self._needed_at = now.monotonic
        if members:
            self._alone_at = now.monotonic + ALONE
        elif now.monotonic >= self._alone_at and len(relays) < RELAYS_ENOUGH:
            self._alone_at = now.monotonic + ALONE
            if not relays:
                self.dial(self._start.public_key, self._start.address)
            self._dial_member()

    def _is_held_back(self, now: Now) -> bool:
        executed, vouched = self._progress()
        if executed != self._executed or executed >= vouched:
            self._executed, self._moved_at = executed, now.monotonic
        return now.monotonic >= self._moved_at + HELD_BACK

    def _up(self) -> tuple[list[bytes], list[bytes]]:
        """Keys of the linked members and of the linked relays that this follower dialled."""
        peers, known = self._links.dialled_up(), {each.public_key for each in self._links.members}
        return [key for key in peers if key in known], [key for key in peers if key not in known]

    def _leave_members(self, members: list[bytes], now: Now) -> None:
        """Hang up on members that do not bring the log, once there were relays enough for a while."""
        used = set(self.uses())
        if used.intersection(members):
            self._needed_at = now.monotonic
        elif now.monotonic >= self._needed_at + SPARE:
            for key in members:
                self._links.hang_up(key)

    def _dial_member(self) -> None:
        """Dial one more member at its address in the log; at most two at a time besides the first peer."""
        known = {member.public_key: (member.host, member.port) for member in self._links.members}
        while len(self._members) >= 2:
            gone = self._members.pop(0)
            if gone != self._start.public_key:
                self._links.hang_up(gone)
        free = [key for key in known if not self._links.has_dialled(key)]
        if free:
            key = free[secrets.randbelow(len(free))]
            self._members.append(key)
            self._links.dial(key, known[key])
