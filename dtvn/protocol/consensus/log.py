"""The open part of the log: slots between the stable checkpoint and the window's end.

This module only stores and counts; `ordering`, `execution` and `checkpoint` act on it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dtvn.protocol.consensus.certificate import CommitCertificate, Prepared
from dtvn.protocol.consensus.effects import Reason


class Vote(msgspec.Struct, frozen=True, gc=False):
    """One sender's vote: the digest it votes for, and the signed frame."""

    digest: bytes
    frame: bytes


class Tally:
    """Votes of one phase of one slot: the first of each sender counts (P3)."""

    __slots__ = ("counts", "votes")

    def __init__(self) -> None:
        self.votes: dict[int, Vote] = {}
        self.counts: dict[bytes, int] = {}

    def add(self, sender: int, digest: bytes, frame: bytes) -> int:
        """Count a vote of a sender that has none yet; returns the number of votes for its digest."""
        self.votes[sender] = Vote(digest, frame)
        count = self.counts.get(digest, 0) + 1
        self.counts[digest] = count
        return count

    def frames(self, digest: bytes, limit: int) -> tuple[bytes, ...]:
        """The first `limit` frames for `digest`, in order of arrival."""
        found = [vote.frame for vote in self.votes.values() if vote.digest == digest]
        return tuple(found[:limit])


class Slot:
    """One sequence in the view this replica is in (or was in, while a view change is under way)."""

    __slots__ = (
        "abstain_reason",
        "commits",
        "digest",
        "durable_digest",
        "my_commit",
        "my_prepare",
        "opened",
        "prepared",
        "prepares",
        "proposals",
        "reproposed",
        "sequence",
        "view",
        "withheld_at",
    )

    def __init__(self, *, view: int, sequence: int, opened: int) -> None:
        self.view = view
        self.sequence = sequence
        self.opened = opened
        """Monotonic nanoseconds of its first proposal (or of its first vote, while it has no proposal)."""
        self.proposals: dict[bytes, bytes] = {}
        """Digest -> PRE-PREPARE frame; more than one only from a faulty primary."""
        self.digest: bytes | None = None
        """Digest of the first proposal, the only one that this replica may PREPARE."""
        self.reproposed = False
        """Whether the NEW-VIEW demands it: content and timestamp are then no reason to withhold (R3, R19)."""
        self.abstain_reason: Reason | None = None
        """Why this replica withholds its PREPARE."""
        self.withheld_at: int | None = None
        """Monotonic nanoseconds when this replica first withheld its PREPARE for the proposal's time. A pause
        does not move it: what was withheld then, is withheld for the rest of the view."""
        self.prepares = Tally()
        self.commits = Tally()
        self.prepared: bytes | None = None
        """Digest of the prepared certificate of this view."""
        self.durable_digest: bytes | None = None
        """Digest of the proposal whose PRE-PREPARE and body are in the ledger."""
        self.my_prepare: bytes | None = None
        self.my_commit: bytes | None = None

    def place(self, digest: bytes, frame: bytes, now: int) -> None:
        """Add a PRE-PREPARE. The slot's waiting time begins with the first one, not with a vote: any member
        may vote early, and votes alone are no work (P13)."""
        if not self.proposals:
            self.opened = now
        self.proposals[digest] = frame
        if self.digest is None:
            self.digest = digest

    @property
    def phase(self) -> str:
        """Progress of the slot at this replica, for display."""
        if self.my_commit is not None or self.prepared is not None:
            return "prepared"
        return "pre_prepared" if self.proposals else "waiting"


class LateCommits:
    """COMMITs for a sequence in views that this replica is not in: they may still decide it (R21)."""

    __slots__ = ("votes",)

    def __init__(self) -> None:
        self.votes: dict[int, tuple[int, Vote]] = {}

    def add(self, sender: int, view: int, vote: Vote) -> int:
        """Keep the vote of a sender's highest view; returns the number of equal votes."""
        known = self.votes.get(sender)
        if known is None or known[0] < view:
            self.votes[sender] = (view, vote)
        return sum(v == view and x.digest == vote.digest for v, x in self.votes.values())

    def frames(self, view: int, digest: bytes) -> tuple[bytes, ...]:
        """Frames of the votes for this view and digest."""
        return tuple(x.frame for v, x in self.votes.values() if v == view and x.digest == digest)


class Log:
    """Slots, certificates and decisions of the sequences (stable, stable + watermark_span]."""

    __slots__ = (
        "certificates",
        "decisions",
        "digests",
        "highest",
        "late",
        "slots",
        "stable",
        "watermark_span",
        "window",
    )

    def __init__(self, *, window: int, watermark_span: int) -> None:
        self.window = window
        """Sequences above the stable checkpoint in which a primary proposes."""
        self.watermark_span = watermark_span
        """Sequences above it for which messages are accepted (Config.watermark_span)."""
        self.stable = 0
        """Low mark h: the newest stable checkpoint that was executed here."""
        self.highest = 0
        """Highest sequence with a slot."""
        self.slots: dict[int, Slot] = {}
        self.certificates: dict[int, Prepared] = {}
        """Newest prepared certificate of each open sequence (R33)."""
        self.decisions: dict[int, CommitCertificate] = {}
        """Certificates of sequences that are decided but not yet executed."""
        self.late: dict[int, LateCommits] = {}
        self.digests: dict[int, bytes] = {}
        """Digests of the batches executed above the stable checkpoint."""

    def inside(self, sequence: int) -> bool:
        """Whether messages for the sequence are accepted."""
        return self.stable < sequence <= self.stable + self.watermark_span

    def open(self, sequence: int, view: int, now: int) -> Slot:
        """The slot of an open sequence, created if it does not exist."""
        slot = self.slots.get(sequence)
        if slot is None:
            slot = self.slots[sequence] = Slot(view=view, sequence=sequence, opened=now)
            self.highest = max(self.highest, sequence)
        return slot

    def on_executed(self, sequence: int, digest: bytes) -> None:
        """Note the digest of an executed batch, which needs no decision any more; only a replica that fetches
        far ahead of its checkpoints forgets old ones."""
        self.decisions.pop(sequence, None)
        self.late.pop(sequence, None)
        self.digests[sequence] = digest
        if len(self.digests) > 4 * self.window:
            del self.digests[next(iter(self.digests))]

    def unexecuted(self, executed: int) -> Iterator[Slot]:
        """Slots above `executed`, ascending."""
        for sequence in range(executed + 1, self.highest + 1):
            slot = self.slots.get(sequence)
            if slot is not None:
                yield slot

    def first_proposed(self, executed: int) -> Slot | None:
        """The lowest slot above `executed` with a proposal."""
        for sequence in range(executed + 1, self.highest + 1):
            slot = self.slots.get(sequence)
            if slot is not None and slot.proposals:
                return slot
        return None

    def leave_view(self) -> list[Slot]:
        """Drop and return the slots of a view that is left; their COMMITs are kept, as they may still
        decide."""
        left = [self.slots[sequence] for sequence in sorted(self.slots)]
        for slot in left:
            if slot.sequence in self.digests or slot.sequence in self.decisions:
                continue
            late = self.late.setdefault(slot.sequence, LateCommits())
            for sender, vote in slot.commits.votes.items():
                late.add(sender, slot.view, vote)
        self.slots.clear()
        self.highest = self.stable
        return left

    def prune(self, stable: int) -> None:
        """Forget the sequences that a stable checkpoint covers (R24)."""
        self.stable = stable
        self.highest = max(self.highest, stable)
        for table in (self.slots, self.certificates, self.decisions, self.late, self.digests):
            for sequence in [sequence for sequence in table if sequence <= stable]:
                del table[sequence]
