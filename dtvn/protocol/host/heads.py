"""Heads: what each member says how far its durable log reaches, and the age of a follower (R45).

A member signs a head every five seconds, also when idle. Members and relays pass them on to followers, the
newest of each member. A head counts for a follower once it holds the entry that the head names: its log is
then complete as of the head's time, as far as that member knew. The follower's age is the time since f + 1
members said so, of which one is honest; a single member can make nobody look fresher or older.

A head that names another entry than the follower's counts for nothing. It convicts nobody: forks are found
by certificates (R28).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dtvn.protocol.consensus import Signer
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.effects import Now, Reason
from dtvn.protocol.consensus.messages import Head

EVERY = 5_000_000_000
"""Nanoseconds between two heads of a member."""
CURRENT = 7_000_000_000
"""Nanoseconds in which each member signs another head, and it arrives."""
SOON = 1_000_000_000
"""The same after its first one, which goes out before its links are up."""
TRIED = 4
"""Heads that a member sends to all others at first."""
UNHEARD_EVERY = 6
"""Afterwards, who never sent one gets every sixth: in a release before heads it counts each as a bad frame,
and mutes who sends sixteen a minute."""
APART = 500_000_000
"""Nanoseconds within which a second head of the same member is refused: a liar could flood followers."""
PENDING_MAX = 16
"""Most heads of one member that name entries which this follower does not hold yet: eighty seconds' worth."""


class _Known(msgspec.Struct):
    """What is known of one member."""

    frame: bytes = b""
    """Its newest head, for followers."""
    newest: int = -1
    """That head's time, Unix microseconds; if it came from the future, that of its arrival: after a clock was
    set back, its heads must count again."""
    ahead: int = -1
    """The latest time of a head that came from the future: until then, a repeated one is told by it."""
    next_at: int = 0
    """Monotonic nanoseconds before which none of its heads is taken."""
    proved: int = -1
    """Time of its newest head that names an entry of this log."""
    pending: list[tuple[Head, int]] = msgspec.field(default_factory=list)
    """Its heads that name later entries than this log has, the oldest first, each with the time that it can
    prove: its own, or that of its arrival if a clock says that it came from the future."""


class Heads:
    """The heads of one epoch's members at one host; only the host calls it."""

    def __init__(self, config: Config, signer: Signer, hash_at: Callable[[int], bytes | None]) -> None:
        """`hash_at` returns the hash of an entry of the own log; None if that is below a state that was
        installed: q members signed that this state contains all of the log before it."""
        self._config = config
        self._signer = signer
        self._hash_at = hash_at
        self._known = {member: _Known() for member in range(config.n)}
        self._fresh: dict[int, bytes] = {}
        """Member -> its newest head, if it was not passed on yet."""
        self._due: int | None = None
        self._signed = 0
        """Heads signed by this host."""

    # --- a member's own ------------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """Monotonic nanoseconds of this member's next head; None for a follower."""
        return None if self._config.index is None else (self._due or 0)

    def is_due(self, now: int) -> bool:
        """Whether this member is to sign a head now (monotonic nanoseconds)."""
        due = self.deadline()
        return due is not None and now >= due

    def heard(self, member: int) -> bool:
        """Whether a head of this member came: it knows these messages, and the overlay's."""
        return self._known[member].newest >= 0

    def defer(self, now: int) -> None:
        """Sign none yet: this member's log may be behind the others', so that its head would make followers
        look younger than they are; with f liars' that would do."""
        self._due = now + SOON

    def sign(self, sequence: int, entry_hash: bytes, now: Now) -> bytes:
        """This member's head: its durable log ends with this entry."""
        self._due = now.monotonic + (SOON if self._due is None else EVERY)
        self._signed += 1
        head = Head(self._config.epoch, self._config.index or 0, sequence, entry_hash, now.wall // 1_000)
        frame = self._signer.sign(head)
        self._keep(head, frame, now)
        return frame

    def hearers(self) -> list[int]:
        """The other members to whom the head just signed goes."""
        others = [member for member in self._known if member != self._config.index]
        if self._signed <= TRIED or self._signed % UNHEARD_EVERY == 0:
            return others
        return [member for member in others if self.heard(member)]

    # --- those of others -----------------------------------------------------------------------------

    def refuse(self, head: Head, now: Now) -> Reason | None:
        """Why a head is of no use, before its signature is checked; else None."""
        if head.epoch != self._config.epoch:
            return Reason.WRONG_EPOCH
        known = self._known.get(head.sender)
        if known is None or head.sender == self._config.index:
            return Reason.UNKNOWN_SENDER
        if head.timestamp <= (known.ahead if self._is_ahead(head, now) else known.newest):
            return Reason.DECIDED
        return Reason.BUSY if now.monotonic < known.next_at else None

    def take(self, head: Head, frame: bytes, executed: int, now: Now) -> None:
        """Keep a head whose signature is good, if it is newer than that member's before. `executed`: the end
        of the own log. A head from the future says no more than that it has come: a clock that is an hour
        ahead would make a copy look fresh for an hour, where one member's word is enough (f = 0, Raft)."""
        if self.refuse(head, now) is not None:
            return
        self._keep(head, frame, now)
        known = self._known[head.sender]
        known.pending.append((head, min(head.timestamp, now.wall // 1_000)))
        if len(known.pending) > PENDING_MAX:
            del known.pending[0]
        self.on_executed(executed)

    def _keep(self, head: Head, frame: bytes, now: Now) -> None:
        known = self._known[head.sender]
        if self._is_ahead(head, now):
            known.ahead, known.newest = head.timestamp, max(known.newest, now.wall // 1_000)
        else:
            known.newest = head.timestamp
        known.frame, known.next_at = frame, now.monotonic + APART
        self._fresh[head.sender] = frame

    def _is_ahead(self, head: Head, now: Now) -> bool:
        """Whether it comes from the future: clocks may differ by the drift bound (R3)."""
        return head.timestamp > now.wall // 1_000 + self._config.drift_bound

    def on_executed(self, executed: int) -> None:
        """Compare the heads up to `executed`, the end of the own log, with its entries."""
        for known in self._known.values():
            while known.pending and known.pending[0][0].sequence <= executed:
                head, time = known.pending.pop(0)
                if self._hash_at(head.sequence) in (head.entry_hash, None):
                    known.proved = max(known.proved, time)

    def age(self, wall: int) -> int | None:
        """Microseconds since f + 1 members said that their logs were no longer than what this follower holds;
        None if they never did. `wall`: Unix microseconds; a time in the future counts as now."""
        said = sorted((min(known.proved, wall) for known in self._known.values()), reverse=True)
        time = said[self._config.f]
        return None if time < 0 else wall - time

    def is_current(self, now: Now) -> bool:
        """Whether f + 1 members of this epoch have just said so; of no use to a member. Heads that came long
        ago do not count, for this follower's clock may be behind theirs; nor do old ones that came late."""
        if self._config.index is not None:
            return False
        came, signed = now.monotonic - CURRENT, (now.wall - CURRENT) // 1_000
        lately = [known for known in self._known.values() if known.next_at > came and known.proved > signed]
        return len(lately) > self._config.f

    def adopt(self, before: Heads) -> None:
        """Go on with what a host before this one knew, over the same log in the same process."""
        if before._config.epoch == self._config.epoch:
            self._known = before._known

    # --- for followers -------------------------------------------------------------------------------

    def frames(self) -> tuple[bytes, ...]:
        """The newest head of each member."""
        return tuple(known.frame for known in self._known.values() if known.frame)

    @property
    def has_fresh(self) -> bool:
        """Whether a head came since the last call of `fresh`."""
        return bool(self._fresh)

    def fresh(self) -> tuple[bytes, ...]:
        """The heads that came since the last call."""
        fresh, self._fresh = tuple(self._fresh.values()), {}
        return fresh
