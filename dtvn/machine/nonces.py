"""Nonces: they keep the first outcome of an operation, so that a repetition gets the same answer (R13).

A nonce belongs to (principal, actor) and is bound to the hash of its operation. It is kept until an hour
of batch time after the operation's `valid_until`; a principal holds at most `capacity` of them, and
`OPENINGS_RESERVED` more that only the opening of a session may use: without a session not even an
operation without a nonce can be ordered, and a full table stays full for an hour.
Nonces first used at one sequence form a group, which is hashed, stored and dropped as one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

import msgspec

from dtvn.machine.rows import NonceEntry, NonceGroup

KEPT_AFTER = 3_600_000_000
"""Microseconds of batch time for which a nonce outlives its operation's `valid_until`."""

OPENINGS_RESERVED = 10_000
"""Nonces of a principal beyond its quota that only `open_session` may use: enough for an hour of eighty
client processes that each open a new session after every 30 idle seconds. Execution depends on this number:
nodes with different values would fork."""

NonceKey = tuple[str, str, bytes]


class Remembered(msgspec.Struct, frozen=True, gc=False):
    """The operation and first outcome that a nonce is bound to."""

    request: bytes
    """commands.request_digest of the operation."""
    code: int
    """Number of its outcome code."""
    sequence: int
    index: int


class NonceTable:
    """All remembered nonces; calls `touch((sequence,))` for each group that changed."""

    def __init__(self, capacity: int, touch: Callable[[tuple[int, ...]], None]) -> None:
        self._capacity = capacity
        self._touch = touch
        self._remembered: dict[NonceKey, Remembered] = {}
        self._groups: dict[int, list[NonceKey]] = {}
        self._keep_until: dict[int, int] = {}
        self._held: dict[str, int] = {}
        """Principal -> number of its nonces."""
        self._expiring: list[tuple[int, int]] = []
        """Heap of (keep_until, sequence), one for each group; a later nonce may have prolonged the group."""

    def __len__(self) -> int:
        return len(self._remembered)

    def get(self, principal: str, actor: str, nonce: bytes) -> Remembered | None:
        """The operation and outcome bound to this nonce, or None if it is not remembered."""
        return self._remembered.get((principal, actor, nonce))

    def full(self, principal: str, *, opening: bool = False) -> bool:
        """Whether this principal has used up its nonces; `opening`: for opening a session."""
        room = self._capacity + (OPENINGS_RESERVED if opening else 0)
        return self._held.get(principal, 0) >= room

    def remember(self, key: NonceKey, remembered: Remembered, valid_until: int) -> None:
        """Keep the first outcome of an operation."""
        sequence = remembered.sequence
        self._remembered[key] = remembered
        principal = key[0]
        self._held[principal] = self._held.get(principal, 0) + 1
        group = self._groups.get(sequence)
        if group is None:
            self._groups[sequence] = [key]
            self._touch((sequence,))
        else:
            group.append(key)
        self._keep(sequence, valid_until + KEPT_AFTER)

    def forget(self, timestamp: int) -> None:
        """Drop the groups that have expired at this batch time."""
        while self._expiring and self._expiring[0][0] < timestamp:
            sequence = self._expiring[0][1]
            if (keep_until := self._keep_until[sequence]) >= timestamp:
                heapq.heapreplace(self._expiring, (keep_until, sequence))
                continue
            heapq.heappop(self._expiring)
            del self._keep_until[sequence]
            for key in self._groups.pop(sequence):
                del self._remembered[key]
                self._held[key[0]] -= 1
            self._touch((sequence,))

    def row(self, key: tuple[int, ...]) -> NonceGroup | None:
        """The present row of a touched key, None if the group was dropped."""
        group = self._groups.get(key[0])
        if group is None:
            return None
        entries = []
        for nonce_key in group:
            principal, actor, nonce = nonce_key
            first = self._remembered[nonce_key]
            entries.append(NonceEntry(principal, actor, nonce, first.request, first.code, first.index))
        return NonceGroup(keep_until=self._keep_until[key[0]], entries=tuple(entries))

    def load(self, groups: Iterable[tuple[int, NonceGroup]]) -> None:
        """Replace all nonces by stored groups, given in any order."""
        self._remembered.clear()
        self._groups.clear()
        self._keep_until.clear()
        self._held.clear()
        self._expiring.clear()
        for sequence, group in groups:
            self._groups[sequence] = keys = []
            for entry in group.entries:
                key = (entry.principal, entry.actor, entry.nonce)
                keys.append(key)
                self._remembered[key] = Remembered(
                    request=entry.request, code=entry.code, sequence=sequence, index=entry.index
                )
                self._held[entry.principal] = self._held.get(entry.principal, 0) + 1
            self._keep(sequence, group.keep_until)

    def _keep(self, sequence: int, keep_until: int) -> None:
        """Keep a group at least until `keep_until`; its latest nonce decides."""
        if sequence not in self._keep_until:
            heapq.heappush(self._expiring, (keep_until, sequence))
        elif keep_until <= self._keep_until[sequence]:
            return
        self._keep_until[sequence] = keep_until
