"""Fills the log below an installed state, in the background, from the members (R23).

A node that took a state has no entries below it. If all members came that way, nobody would have the old log.
So this asks for the highest missing range, without proofs, and checks it backwards: the entry behind it, or
the state's own entry, names the hash of its last one, and that one names the next. Nothing is executed, and
no signature is checked (decision 0290). What is written need not be durable: after a crash the search begins
again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import EntryRecord, Note, Reason
from dtvn.protocol.host.ports import Gap, Journal
from dtvn.protocol.host.time_share import TimeShare

SPAN_MAX = 64
"""Most entries in one range: a few milliseconds of the loop to check and write them."""
EVERY = 50_000_000
"""Nanoseconds between two steps at least."""
PATIENCE = 2_000_000_000
"""Nanoseconds after which another member is asked."""
REST = 5_000_000_000
"""Nanoseconds of rest after no member had the range."""
UNHEARD = 500_000_000
"""Nanoseconds between two looks whether a member can be asked yet."""
ENTRY_COST = 60_000
"""Nanoseconds of this process for one entry: its hash, its batch's digest, its rows."""
BYTE_COST = 20
"""Nanoseconds of this process for one byte of a batch."""


class _Question(msgspec.Struct, frozen=True):
    peer: int
    first: int
    last: int
    until: int


class ArchiveRepair:
    """One host's. `members`: indexes of those to ask. `lowest`: first sequence of this cluster's log.
    `answers`: whether a member can be asked: one of an older release would count the question as a bad frame.
    `digest_of` returns the digest of a batch body and raises an error of `errors` if it is malformed."""

    def __init__(
        self,
        journal: Journal,
        members: Sequence[int],
        *,
        lowest: int,
        answers: Callable[[int], bool],
        digest_of: Callable[[bytes], bytes],
        errors: type[Exception],
    ) -> None:
        self._journal = journal
        self._members = list(members)
        self._lowest = lowest
        self._answers = answers
        self._digest_of = digest_of
        self._errors = errors
        self._below = 0
        """Nothing is missing from here up to the state; 0: nothing to do."""
        self._gap: Gap | None = None
        self._span = SPAN_MAX
        self._asked: _Question | None = None
        self._failures = 0
        """Members that did not bring the range, since one was brought."""
        self._records: list[EntryRecord] = []
        """Checked, to be written by the next `turn`."""
        self._at = 0
        self._share = TimeShare()
        self._filling = False
        """What `note` said last: whether entries are missing."""

    @property
    def complete_from(self) -> int:
        """The lowest sequence from which on nothing is missing, as far as was looked; 0: the log is whole."""
        return self._below

    def note(self) -> Note | None:
        """The event since the last call: the first missing entries were found, or the last were filled."""
        if self._filling == (self._gap is not None or (self._filling and self._below > 0)):
            return None
        self._filling = not self._filling
        if self._gap is not None:
            return Note("archive_filling", {"up_to": self._gap.last})
        return Note("archive_complete", {"from": self._lowest})

    def begin(self, base: int | None) -> None:
        """Start, at the sequence of the state that was installed; None: the log is whole."""
        self._below = base + 1 if base is not None and self._members else 0
        self._ends_at_lowest()

    def deadline(self) -> int | None:
        """Monotonic nanoseconds of the next `turn` that is needed; None if nothing is missing."""
        if not self._below:
            return None
        return self._at if self._asked is None else self._asked.until

    def turn(self, now: int) -> tuple[int, int, int] | None:
        """Write what was brought, look on, or return (member, first, last) to ask for. `now`: monotonic
        nanoseconds."""
        if self._records:
            self._write(now)
        if not self._below:
            return None
        if self._asked is not None and now >= self._asked.until:
            self._failed(now)
        if self._asked is not None or now < self._at:
            return None
        if self._gap is None and not self._look(now):
            return None
        gap = self._gap
        if gap is None:
            return None
        member = next(filter(self._answers, self._members), None)
        if member is None:
            self._at = now + UNHEARD
            return None
        first = max(gap.first, gap.last - self._span + 1)
        self._asked = _Question(member, first, gap.last, now + PATIENCE)
        return member, first, gap.last

    def awaits(self, member: int | None, message: m.Entries) -> bool:
        """Whether this is an answer to the question that is open."""
        asked = self._asked
        if asked is None or member != asked.peer or not message.entries:
            return False
        first, last = message.entries[0][0].sequence, message.entries[-1][0].sequence
        return asked.first == first <= last <= asked.last

    def take(self, message: m.Entries, now: int) -> Reason | None:
        """Check an answer that was awaited; returns why if it is refused, and its sender is asked last."""
        asked, gap = self._asked, self._gap
        if asked is None or gap is None:
            return Reason.NOT_ASKED
        if message.entries[-1][0].sequence != asked.last:
            # Cut by its size: only its upper end could be checked.
            self._span = max(1, min(len(message.entries), self._span // 2))
            self._asked, self._at = None, now + EVERY
            return None
        records = self._checked(message, gap)
        if records is None or len(records) != asked.last - asked.first + 1:
            self._failed(now)
            return Reason.BAD_PROOF
        self._records = records
        self._asked, self._at = None, now
        return None

    # --- one step each ---------------------------------------------------------------------------

    def _checked(self, message: m.Entries, gap: Gap) -> list[EntryRecord] | None:
        """The entries, first one first, if the hash that is due leads through all of them."""
        due, sequence = gap.due, gap.last
        found: list[EntryRecord] = []
        for entry, body, _commits in reversed(message.entries):
            if entry.sequence != sequence or m.entry_hash(entry) != due or not self._fits(entry, body):
                return None
            found.append(EntryRecord(entry, due, body, ()))
            due, sequence = entry.previous, sequence - 1
        return found[::-1]

    def _fits(self, entry: m.Entry, body: bytes) -> bool:
        try:
            return entry.batch_digest == (self._digest_of(body) if body else m.NULL_BATCH_DIGEST)
        except self._errors:
            return False

    def _write(self, now: int) -> None:
        records, self._records = self._records, []
        self._journal.fill(records)
        gap, lowest = self._gap, records[0].entry
        if gap is not None:
            done = lowest.sequence <= gap.first
            self._gap = None if done else Gap(gap.first, lowest.sequence - 1, lowest.previous)
        self._below = lowest.sequence
        self._ends_at_lowest()
        self._failures = 0
        self._span = min(SPAN_MAX, 2 * self._span)
        self._spend(len(records) * ENTRY_COST + sum(len(r.body) for r in records) * BYTE_COST, now)

    def _look(self, now: int) -> bool:
        """Look for the next gap; False if none was found yet."""
        found = self._journal.gap(self._below)
        self._spend(ENTRY_COST, now)
        if found.first > found.last:
            self._below = found.first
            self._ends_at_lowest()
            return False
        self._below = found.last + 1
        self._gap = msgspec.structs.replace(found, first=max(found.first, self._lowest))
        self._ends_at_lowest()
        return bool(self._below)

    def _ends_at_lowest(self) -> None:
        if self._below <= self._lowest:
            self._below, self._gap = 0, None

    def _failed(self, now: int) -> None:
        """Ask another member; after all of them failed, for less and later."""
        if self._asked is not None:
            self._members.remove(self._asked.peer)
            self._members.append(self._asked.peer)
        self._asked = None
        self._failures += 1
        self._at = now + EVERY
        if self._failures >= len(self._members):
            self._failures = 0
            self._span = max(1, self._span // 4)
            self._at = now + REST

    def _spend(self, cost: int, now: int) -> None:
        self._share.save(now)
        self._share.spend(cost)
        self._at = max(now + EVERY, self._share.rested_at)
