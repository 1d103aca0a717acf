"""Does no ticket enter a list more often than it may (`main` at most once, unless the event says otherwise),
and is each request executed at most once? (R12, R13, R19, R41)"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record
from simulator.checkers.admissions import Admissions, Place, code_of
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.checkers.log_model import NONCE_KEPT
from simulator.gateway import Gateway, Request
from simulator.node import Node
from simulator.world import World

FORGOTTEN = frozenset({"malformed", "expired", "too_far_ahead", "busy", "nonce_reused"})
"""Outcomes that do not use up a nonce."""


class AtMostOnce(Checker):
    """Reads the history as it grows and, independently, the answers that clients get."""

    name = "at-most-once"

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self._history = history
        self._unread = Unread(history)
        self._admissions = Admissions()
        self._executed: dict[tuple[tuple[int, int], int], int] = {}
        self._nonces: dict[tuple[str, str, bytes], tuple[m.Operation, str]] = {}
        self._told: dict[Place, set[tuple[object, ...]]] = {}

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        for sequence, bundle, outcomes in self._unread.bundles():
            if bundle.session != (0, 0):
                self._once(sequence, bundle)
            for operation, outcome in zip(bundle.operations, outcomes, strict=True):
                self._operation(sequence, bundle.principal, operation, outcome)

    def _once(self, sequence: int, bundle: m.Bundle) -> None:
        before = self._executed.setdefault((bundle.session, bundle.number), sequence)
        if before != sequence:
            self.fail(f"bundle {bundle.number} of session {bundle.session} at {before} and {sequence}")

    def _operation(self, sequence: int, principal: str, operation: m.Operation, outcome: m.Outcome) -> None:
        first, again = True, False
        if operation.nonce:
            key = (principal, operation.actor, operation.nonce)
            again = self._forget(key, sequence, operation)
            if outcome.code not in FORGOTTEN:
                self._nonces.setdefault(key, (operation, outcome.code))
            known = self._nonces.get(key, (operation, outcome.code))
            first = known[0] is operation
            same = _body(known[0]) == _body(operation)
            if outcome.code == "malformed" and operation.entry not in self._history.member_ids:
                return  # not a valid request: it is not compared with the first operation of its nonce
            if not first and same and outcome.code not in (known[1], "expired"):
                self.fail(f"nonce repeated at {sequence}: first {known[1]}, now {outcome.code}")
            if not first and not same and outcome.code not in FORGOTTEN:
                self.fail(f"a nonce's second body at {sequence} is answered {outcome.code} (R13)")
        if first and outcome.code == "ok":
            now = self._history.timestamps[sequence]
            wrong = self._admissions.happened(principal, operation, outcome, now, again=again)
            if wrong is not None:
                self.fail(f"{wrong} at {sequence}")

    def _forget(self, key: tuple[str, str, bytes], sequence: int, operation: m.Operation) -> bool:
        """A nonce may be forgotten after an hour of batch time, which clocks that step make a short one;
        whether this one is, and comes again with the same body."""
        before = self._nonces.get(key)
        if before is None or self._history.timestamps[sequence] <= before[0].valid_until + NONCE_KEPT:
            return False
        del self._nonces[key]
        return _body(before[0]) == _body(operation)

    def answered(self, gateway: Gateway, request: Request) -> None:
        """The client's own view: no more entries of a ticket were told than were made."""
        for operation, result in zip(request.operations, request.results or (), strict=True):
            place = self._admissions.entered(operation, result) if result.code == "ok" else None
            if place is not None:
                told = self._told.setdefault(place, set())
                whose = gateway.principal, operation.actor, operation.nonce, operation.payload
                told.add(whose if operation.nonce else (result.sequence, result.index))
                if len(told) > self._admissions.made[place]:
                    self.fail(f"{place[1]!r}: {sorted(map(str, told))} were all told ok")


def _body(operation: m.Operation) -> tuple[str, str, str, bytes]:
    """What a nonce is bound to: where a code is given, not the text beside it."""
    return operation.kind, operation.event, "" if code_of(operation) else operation.ticket, operation.payload
