"""Does the log answer what is asked of tickets as the sequential model does? (R13 to R15, R40 to R42)

Where `linearizable` knows only what callers saw, this checker reads the log in its order and its time: each
answer is compared, also that to a nonce that was forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from dtvn.gateway import Result
from dtvn.machine import CommandError, code_digest, default_salt, read_state
from dtvn.machine.commands import check
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.checkers.list_model import MAIN
from simulator.checkers.log_model import MOVING, LogModel, Request
from simulator.checkers.ticket_model import KINDS
from simulator.node import Node
from simulator.world import World

UNMODELLED = frozenset({"malformed", "busy", "full"})
"""Answers that depend on the form of an operation, on members and on limits."""
ENTERING = frozenset({"consume", "admit", "import_entry", "force"})
Place = tuple[str, str, str]
"""(event, ticket, slug of a list)."""


class AsTheModel(Checker):
    """Follows the agreed log, operation by operation."""

    name = "model"

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self.made: Counter[Place] = Counter()
        """Entries, those included that were taken back since."""
        self._history = history
        self._unread = Unread(history)
        granted = {
            each.name: frozenset(grant.capability for grant in each.grants)
            for each in world.genesis.principals
        }
        self._model = LogModel(granted)
        self._opened: dict[tuple[str, bytes], str] = {}
        """(event, code) -> ticket that it opened last."""

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        for sequence, bundle, operation, outcome in self._unread.operations():
            if outcome.code not in UNMODELLED:
                self._compare(self._request(sequence, bundle.principal, operation), outcome, sequence)

    def entered(self, operation: m.Operation, answer: m.Outcome | Result) -> Place | None:
        """Where a success says that somebody entered; None: nowhere."""
        if operation.kind not in ENTERING:
            return None
        said: Any = check(operation)
        if getattr(said, "kind", "entry") != "entry":
            return None
        state, place = read_state(answer.state), (operation.event, getattr(said, "code", b""))
        name = state.ticket if state is not None else self._opened.get(place, operation.ticket)
        return (operation.event, name, getattr(said, "list", "") or MAIN) if name else None

    def _compare(self, asked: Request, outcome: m.Outcome, sequence: int) -> None:
        before = self._model.event(asked.event)
        if asked.kind in KINDS:
            expected, name = self._model.ask(asked)
        else:
            expected, name = self._model.note(asked, outcome.code), ""
        if expected != outcome.code:
            what = f"{asked.kind} {asked.ticket} at {sequence}: {asked.command}"
            self.fail(f"the log answers {outcome.code}, the model {expected} to {what}")
        if asked.kind not in MOVING or outcome.code != "ok" or self._model.event(asked.event) is before:
            return  # nobody moved, or had moved by then
        shown = read_state(outcome.state)
        if shown is not None and shown.ticket != name:
            self.fail(f"{asked.kind} at {sequence} shows {shown.ticket}, not {name}: {asked.command}")
        if asked.code:
            self._opened[asked.event, asked.code] = name
        if asked.kind in ENTERING and getattr(asked.command, "kind", "entry") == "entry":
            self.made[asked.event, name, getattr(asked.command, "list", "") or MAIN] += 1

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
