"""Sessions record which bundles of each client were executed, so that none is executed twice (R12, R19).

A session is opened by an ordered operation and named by that operation's (sequence, index). Executed bundle
numbers are kept in a window [low, low + WINDOW). Only `done_below` in the client's own bundles raises `low`;
bundles below it are forgotten and can neither be executed nor answered again. So memory is bounded
(sessions_max * WINDOW bundles), and a replay of an old bundle is refused for ever.

The table is part of the replicated state. It holds plain values and reports each changed row by
`touch(key)`: a session's own row under (sequence, index), a page of executed bundles under (sequence,
index, page). A page has 64 bundle numbers, because the table's owner hashes and stores each changed row: a
row per bundle would cost as much as the tickets, a single row per session up to 50 KB at each change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from dtvn.protocol.consensus.effects import Reason

WINDOW = 1_024
"""Bundle numbers of a session that may be in use at once (R12)."""
PAGE = 64
"""Bundle numbers in one row."""
SHARE_MIN = 4
"""Minimum share of each principal in a full table, in sessions, however many principals there are."""

SessionKey = tuple[int, int]


class SessionRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A client's session; its key is the (sequence, index) of the operation that opened it."""

    principal: str
    low: int
    """Bundle numbers below it are forgotten and refused."""
    last_sequence: int
    """Sequence at which its newest bundle was executed (with `last_index`): the least recent session is
    evicted first."""
    last_index: int


class ExecutedBundle(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The position and outcome codes of an executed bundle; the replies themselves are not kept (R13)."""

    number: int
    digest: bytes
    """messages.bundle_digest of its signed body."""
    sequence: int
    first_index: int
    count: int
    """Number of operations."""
    codes: bytes
    """One byte per operation, the number of its outcome code; trailing zeros (ok) are cut off."""


class BundlePage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Executed bundles with number // PAGE equal, ascending by number."""

    bundles: tuple[ExecutedBundle, ...]


class SessionTable:
    """All open sessions, at most `capacity`. Opening one in a full table evicts the least recently used one.

    Opening needs no capability, so each principal has a share of a full table: `capacity` divided by the
    number of `principals`, at least SHARE_MIN. A principal that holds its share loses its own least
    recently used session; one that holds less takes that of a principal that exceeds its share. If none
    exceeds its share, the least recently used session of all is evicted.
    """

    def __init__(
        self, capacity: int, touch: Callable[[tuple[int, ...]], None], principals: Callable[[], int]
    ) -> None:
        self._capacity = capacity
        self._touch = touch
        self._principals = principals
        # The least recently used first: a session moves to the end with each executed bundle.
        self._sessions: dict[SessionKey, SessionRow] = {}
        self._held: dict[str, dict[SessionKey, None]] = {}
        """The sessions of each principal, in the same order."""
        self._executed: dict[SessionKey, dict[int, ExecutedBundle]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, key: SessionKey, principal: str) -> None:
        """Opens the session requested by the operation at `key`; evicts one first if the table is full."""
        if len(self._sessions) >= self._capacity:
            self._evict(self._to_evict(principal))
        self._held.setdefault(principal, {})[key] = None
        self._sessions[key] = SessionRow(principal=principal, low=0, last_sequence=key[0], last_index=key[1])
        self._executed[key] = {}
        self._touch(key)

    def refuse(self, key: SessionKey, *, principal: str, number: int, done_below: int) -> Reason | None:
        """Returns why this bundle may not be executed (unknown session, outside the window, already
        executed), or None.

        The window is the one after `done_below` is applied, so a client whose window is full moves it with
        the next bundle it sends.
        """
        session = self._sessions.get(key)
        if session is None or session.principal != principal:
            return Reason.UNKNOWN_SESSION
        low = max(session.low, done_below)
        if not low <= number < low + WINDOW:
            return Reason.OUTSIDE_SESSION_WINDOW
        if number in self._executed[key]:
            return Reason.DECIDED
        return None

    def executed(self, key: SessionKey, *, principal: str, number: int) -> ExecutedBundle | None:
        """The executed bundle with this number; None if it was not executed or is below the window."""
        session = self._sessions.get(key)
        if session is None or session.principal != principal or number < session.low:
            return None
        return self._executed[key].get(number)

    def record(self, key: SessionKey, bundle: ExecutedBundle, *, done_below: int) -> None:
        """Records an executed bundle that `refuse` accepted, and forgets those below `done_below`."""
        session = self._sessions.pop(key)
        held = self._held[session.principal]
        del held[key]
        held[key] = None
        executed = self._executed[key]
        low = max(session.low, done_below)
        self._sessions[key] = SessionRow(
            principal=session.principal,
            low=low,
            last_sequence=bundle.sequence,
            last_index=bundle.first_index,
        )
        executed[bundle.number] = bundle
        self._touch(key)
        self._touch((*key, bundle.number // PAGE))
        if low > session.low:
            self._forget(key, executed, session.low, low)

    def row(self, key: tuple[int, ...]) -> SessionRow | BundlePage | None:
        """The current row under a touched key; None if it no longer exists."""
        session = self._sessions.get((key[0], key[1]))
        if session is None or len(key) == 2:
            return session
        executed = self._executed[(key[0], key[1])]
        first = key[2] * PAGE
        bundles = tuple(executed[n] for n in range(first, first + PAGE) if n in executed)
        return BundlePage(bundles) if bundles else None

    def load(
        self,
        sessions: Iterable[tuple[SessionKey, SessionRow]],
        pages: Iterable[tuple[SessionKey, BundlePage]],
    ) -> None:
        """Replaces the whole table by stored rows, given in any order."""
        ordered = sorted(sessions, key=lambda item: (item[1].last_sequence, item[1].last_index))
        self._sessions = dict(ordered)
        self._executed = {key: {} for key in self._sessions}
        self._held = {}
        for opened, row in self._sessions.items():
            self._held.setdefault(row.principal, {})[opened] = None
        for key, page in pages:
            self._executed[key].update((bundle.number, bundle) for bundle in page.bundles)

    def _forget(self, key: SessionKey, executed: dict[int, ExecutedBundle], low: int, high: int) -> None:
        """Drops executed numbers in [low, high). There can be none at or above `low + WINDOW`."""
        for number in range(low, min(high, low + WINDOW)):
            if executed.pop(number, None) is not None:
                self._touch((*key, number // PAGE))

    def _to_evict(self, principal: str) -> SessionKey:
        """The session to evict for a new session of `principal`, the same on every replica."""
        share = max(SHARE_MIN, self._capacity // max(1, self._principals()))
        own = self._held.get(principal, {})
        if len(own) >= share:
            return next(iter(own))
        oldest = [next(iter(held)) for held in self._held.values() if len(held) > share]
        return min(oldest, key=self._last_used) if oldest else next(iter(self._sessions))

    def _last_used(self, key: SessionKey) -> tuple[int, int]:
        row = self._sessions[key]
        return row.last_sequence, row.last_index

    def _evict(self, key: SessionKey) -> None:
        for page in sorted({number // PAGE for number in self._executed[key]}):
            self._touch((*key, page))
        self._touch(key)
        principal = self._sessions.pop(key).principal
        held = self._held[principal]
        del held[key]
        if not held:
            del self._held[principal]
        del self._executed[key]
