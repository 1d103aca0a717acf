"""Is each request executed at most once, and is nobody told of more entries than are made? (R12, R19, R41)"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record
from simulator.checkers.as_the_model import AsTheModel, Place
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.gateway import Gateway, Request
from simulator.node import Node
from simulator.world import World


class AtMostOnce(Checker):
    """Reads the history as it grows and, independently, the answers that clients get."""

    name = "at-most-once"

    def __init__(self, world: World, history: History, model: AsTheModel) -> None:
        super().__init__(world)
        self._unread = Unread(history)
        self._model = model
        self._executed: dict[tuple[tuple[int, int], int], int] = {}
        self._told: dict[Place, set[tuple[object, ...]]] = {}

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        for sequence, bundle, _outcomes in self._unread.bundles():
            if bundle.session != (0, 0):
                self._once(sequence, bundle)

    def _once(self, sequence: int, bundle: m.Bundle) -> None:
        before = self._executed.setdefault((bundle.session, bundle.number), sequence)
        if before != sequence:
            self.fail(f"bundle {bundle.number} of session {bundle.session} at {before} and {sequence}")

    def answered(self, gateway: Gateway, request: Request) -> None:
        """The client's own view: no more entries of a ticket were told than were made."""
        for operation, result in zip(request.operations, request.results or (), strict=True):
            place = self._model.entered(operation, result) if result.code == "ok" else None
            if place is not None:
                told = self._told.setdefault(place, set())
                whose = gateway.principal, operation.actor, operation.nonce, operation.payload
                told.add(whose if operation.nonce else (result.sequence, result.index))
                if len(told) > self._model.made[place]:
                    self.fail(f"{place[1]!r}: {sorted(map(str, told))} were all told ok")
