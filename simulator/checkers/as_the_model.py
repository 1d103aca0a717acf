"""Does the log answer what is asked of tickets as the sequential model does? (R13 to R15, R40 to R42)

Where `linearizable` knows only what callers saw, this checker reads the log in its order and its time: each
answer is compared, also that to a nonce that was forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.machine import CommandError, code_digest, default_salt
from dtvn.machine.commands import check
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.checkers.log_model import LogModel, Request
from simulator.checkers.ticket_model import KINDS
from simulator.node import Node
from simulator.world import World

UNMODELLED = frozenset({"malformed", "busy", "full"})
"""Answers that depend on the form of an operation, on members and on limits."""


class AsTheModel(Checker):
    """Follows the agreed log, operation by operation."""

    name = "model"

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self._history = history
        self._unread = Unread(history)
        granted = {
            each.name: frozenset(grant.capability for grant in each.grants)
            for each in world.genesis.principals
        }
        self._model = LogModel(granted)

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        for sequence, bundle, operation, outcome in self._unread.operations():
            if outcome.code in UNMODELLED:
                continue
            asked = self._request(sequence, bundle.principal, operation)
            if operation.kind not in KINDS:
                self._model.note(asked, outcome.code)
                continue
            expected, _name = self._model.ask(asked)
            if expected != outcome.code:
                what = f"{asked.kind} {asked.ticket} at {sequence}: {asked.command}"
                self.fail(f"the log answers {outcome.code}, the model {expected} to {what}")

    def _request(self, sequence: int, principal: str, operation: m.Operation) -> Request:
        try:
            command: Any = check(operation)
        except CommandError:
            command = operation.payload
        salt = default_salt(self.world.cluster, operation.event)
        return Request(
            operation.kind,
            command,
            principal,
            operation.actor,
            operation.event,
            operation.ticket,
            operation.nonce,
            self._history.timestamps[sequence],
            operation.valid_until,
            code_digest(salt, operation.ticket) if operation.ticket else b"",
        )
