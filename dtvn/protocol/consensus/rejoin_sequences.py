"""Empty batches for a member that waits for its vote (R11).

A member that lost its ledger votes again above a stable checkpoint about two spans ahead (see `rejoin`); in
an idle cluster none would come. While the newest Status of a member says that it has no vote, an idle primary
orders empty batches, at the interval of ticks.

A liar may claim to wait for ever, to some members or to all. So a primary orders at most `grant` such batches
in `GRANT_EVERY`, for all members that wait together. A backup cannot know what the primary heard: it prepares
them without a reason, up to `TOLERATED` times as many. A faulty primary that orders more is deposed, as for a
bad batch.
"""

from __future__ import annotations

from collections import deque

from dtvn.protocol.consensus.state import State

GRANT_EVERY = 300_000_000_000
"""Nanoseconds in which a primary orders `grant` empty batches at most: a second loss, or one that a liar used
up, waits so long at most."""
ALIVE = 6_000_000_000
"""Nanoseconds for which a Status counts: some may be lost in a row."""
TOLERATED = 3
"""Grants in `GRANT_EVERY` that a backup accepts: a primary forgets what it ordered when it restarts."""


class RejoinSequences:
    """Owns the members that wait for their vote, and the empty batches that were ordered for such."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._waiting: dict[int, int] = {}
        """Member -> monotonic time of its newest Status, which says that it has no vote."""
        self._ordered: deque[int] = deque()
        """Monotonic times of the newest empty batches, in `GRANT_EVERY`."""
        self._newest = 0
        """Sequence of the newest of them."""

    @property
    def grant(self) -> int:
        """Sequences within which a vote returns: two spans above what the others have proved (`rejoin`), the
        next checkpoint, and what was ordered before they had proved it."""
        return 4 * self.state.log.watermark_span

    def on_said(self, member: int, *, voting: bool) -> None:
        """Handles what a member's Status says."""
        if voting:
            self._waiting.pop(member, None)
        else:
            self._waiting[member] = self.state.now.monotonic

    def is_wanted(self) -> bool:
        """Whether the primary orders an empty batch for a member: a quorum votes without those that wait."""
        state = self.state
        waiting = sum(heard >= state.now.monotonic - ALIVE for heard in self._waiting.values())
        return 0 < waiting <= state.n - state.q and self._room(self.grant)

    def accept(self, sequence: int) -> bool:
        """Whether to prepare an empty batch at `sequence` for which nothing is due; counts it once."""
        if sequence <= self._newest:
            return True
        if not self._room(TOLERATED * self.grant):
            return False
        self.note(sequence)
        return True

    def note(self, sequence: int) -> None:
        """Counts an empty batch for which nothing is due."""
        self._newest = sequence
        self._ordered.append(self.state.now.monotonic)

    def shift(self, gap: int) -> None:
        """Moves the times of received Statuses by a pause of this process, which must not age them (R31)."""
        self._waiting = {member: heard + gap for member, heard in self._waiting.items()}

    def _room(self, most: int) -> bool:
        """Whether fewer than `most` empty batches were counted in `GRANT_EVERY`."""
        since = self.state.now.monotonic - GRANT_EVERY
        while self._ordered and self._ordered[0] < since:
            self._ordered.popleft()
        return len(self._ordered) < most
