"""Exactly once, outcomes, state and time: P8, P9 and P20; R12 to R15, R24 to R26."""

from __future__ import annotations

from itertools import count
from typing import Any

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    TRANSITIONS,
    Executor,
    Frontier,
    NonceTable,
    Operations,
    Principals,
    SessionTable,
    State,
    StateTree,
    TicketApplication,
    lifecycle,
    operations,
    reasons,
)


@mutant("executes-as-often-as-it-comes", "R12 R19 P9")
def executes_twice(plant: Plant) -> None:
    """There is no session table: a bundle is executed each time that it is ordered."""
    plant.put(TicketApplication, "_refuse_session", lambda self, bundle: None)
    plant.put(TicketApplication, "repeated", lambda self, bundle: None)


@replaces(SessionTable, "refuse", "session-window-open", "R12 P9", world="lying-client", seed=2)
def window_open(
    right: Any, self: SessionTable, key: Any, *, principal: str, number: int, done_below: int
) -> Any:
    """Numbers beyond a session's window are accepted."""
    reason = right(self, key, principal=principal, number=number, done_below=done_below)
    return None if reason == "outside_session_window" else reason


@replaces(SessionTable, "open", "session-evicted-by-chance", "R12 P8", world="many-sessions")
def evicts_by_chance(right: Any, self: Any, key: Any, principal: str) -> None:
    """The session evicted from a full table depends on how long this process has run."""
    count = self._opened = getattr(self, "_opened", 0) + 1
    if count % 2 and len(self._sessions) >= self._capacity:
        self._evict(list(self._sessions)[-1])
    right(self, key, principal)


@replaces(NonceTable, "get", "nonce-forgotten", "R13 P9", world="retries")
def nonce_forgotten(*_arguments: Any) -> None:
    """A repeated operation is executed as a new one."""


@replaces(Operations, "_repeat", "nonce-for-any-body", "R13", world="lying-client", seed=2)
def nonce_any_body(
    _right: Any, self: Operations, operation: Any, first: Any, request: bytes, shown: bytes
) -> Any:
    """A nonce gives the first outcome to a different operation too."""

    return reasons.CODE_OF[first.code], shown


@mutant("never-expires", "R14", world="expiring-requests", seed=2)
def never_expires(plant: Plant) -> None:
    """An operation is executed however late it is ordered."""
    right = Operations.apply

    def mutant(self: Operations, operation: Any, principal: str, index: int, *, opening: bool = False) -> Any:
        timestamp = self.context.timestamp
        if operation.valid_until < timestamp:
            self.context.timestamp = operation.valid_until
        try:
            return right(self, operation, principal, index, opening=opening)
        finally:
            self.context.timestamp = timestamp

    refuse = TicketApplication.refuse

    def let_in(self: TicketApplication, bundle: Any, timestamp: int) -> Any:
        reason = refuse(self, bundle, timestamp)
        return None if reason == "expired" else reason

    plant.put(Operations, "apply", mutant)
    plant.put(TicketApplication, "refuse", let_in)
    plant.put(operations, "VALID_FOR_MAX", 1 << 62)


@replaces(Principals, "may", "capabilities-not-checked", "R15", world="unauthorized-client")
def everybody_may(*_arguments: Any) -> Any:
    """Capabilities are not checked."""
    return True


@mutant("consumes-again", "P9 R13", world="calm")
def consumes_again(plant: Plant) -> None:
    """A consumed ticket can be admitted again."""

    row = dict(TRANSITIONS["admit"])
    row[State.CONSUMED] = State.CONSUMED
    changed = {**TRANSITIONS, "admit": row}
    plant.put(lifecycle, "TRANSITIONS", changed)
    plant.put(lifecycle, "entries_refuse", lambda *_arguments: None)


@mutant("root-depends-on-process", "P8 R24")
def root_of_process(plant: Plant) -> None:
    """The state root depends on the process that computes it."""
    right = TicketApplication.root
    numbers = count(1)

    def mutant(self: Any) -> bytes:
        if not hasattr(self, "_number"):
            self._number = next(numbers)
        return bytes(right(self)[:-8] + self._number.to_bytes(8, "big"))

    plant.put(TicketApplication, "root", mutant)


@replaces(StateTree, "replace", "root-leaves-out-changes", "R24 R25", world="crashes")
def stale_root(right: Any, self: StateTree, place: int, old: bytes, new: bytes) -> None:
    """Replacing a leaf does not mark its bucket as changed: the root stays the same."""
    known = place in self._changed
    right(self, place, old, new)
    if not known:
        self._changed.discard(place)


@replaces(TicketApplication, "execute", "reads-own-uptime", "R22 P8", world="crashes")
def reads_uptime(right: Any, self: Any, bundles: Any, *, sequence: int, timestamp: int) -> Any:
    """Execution adds the number of batches that this process has executed to the time."""
    count = self._done = getattr(self, "_done", 0) + 1
    return right(self, bundles, sequence=sequence, timestamp=timestamp + count)


@replaces(Executor, "restore", "log-root-restarts", "R26", world="crashes")
def log_root_of_head(right: Any, self: Executor, tail: Any, signer: Any) -> Any:
    """After a restart the log's tree begins anew, so that its root covers only later entries."""

    notes = right(self, tail, signer)
    if self.executed:
        self.frontier = Frontier()
    return notes


@mutant("repeat-passes-for-the-first", "R48")
def repeat_as_first(plant: Plant) -> None:
    """A repeat that the table of nonces knows does not name the operation that it repeats."""
    right = Operations.apply

    def wrong(self: Operations, *arguments: Any, **options: Any) -> Any:
        result = right(self, *arguments, **options)
        self.context.first = ()
        return result

    plant.put(Operations, "apply", wrong)
