"""Probes at what may go wrong at a door: a code or a block changes while somebody is being admitted.

Calls are compared by the times at which they were asked and answered, nodes as they start.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.machine import read_state, read_terms
from dtvn.protocol.consensus.effects import Record
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.probes import probe
from simulator.checkers.base import Checker
from simulator.gateway import Gateway, Request
from simulator.node import Node

REMEMBERED = 50
"""Changes and admissions that are compared with each new one."""
REFUSED = {"replace": "revoked", "block": "blocked"}


class Seen(msgspec.Struct, frozen=True):
    """An answered operation on a ticket."""

    ticket: tuple[str, str]
    kind: str
    code: str
    nonce: tuple[str, str, bytes]
    asked: int
    ended: int


class DoorProbes(Checker):
    """Marks the moments; checks nothing itself."""

    name = "door-probes"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._changes: list[Seen] = []
        self._admissions: list[Seen] = []
        self._bases: dict[str, Base] = {}
        """Node -> base of the newest fetched state that it installed."""

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See Checker."""
        for operation, result in zip(request.operations, request.results or (), strict=False):
            if operation.kind not in ("admit", *REFUSED):
                continue
            state = read_state(result.state)
            if state is None:
                continue
            nonce = gateway.principal, operation.actor, operation.nonce
            seen = Seen(
                (state.event, state.ticket),
                *(operation.kind, result.code, nonce),
                *(request.asked_at, request.ended_at),
            )
            if operation.kind == "admit":
                self._admitted(seen, operation)
            elif result.code == "ok":
                for admission in self._admissions:
                    _in_flight(admission, seen)
                _keep(self._changes, seen)

    def _admitted(self, seen: Seen, operation: Operation) -> None:
        for change in self._changes:
            _in_flight(seen, change)
        if seen.code == "ok" and operation.nonce:
            self._repeated(seen)
        _keep(self._admissions, seen)

    def _repeated(self, seen: Seen) -> None:
        for first in self._admissions:
            if first.nonce == seen.nonce and first.code == "ok":
                for change in self._changes:
                    between = first.ended <= change.asked and change.ended <= seen.asked
                    if change.ticket == seen.ticket and between and change.kind == "block":
                        probe("door.blocked_between_admission_and_retry")
                    if change.ticket == seen.ticket and between and change.kind == "replace":
                        probe("door.replaced_between_admission_and_retry")

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Observer: a node that has installed a fetched state is built anew upon its rows."""
        base = node.disk.base
        if base is not None and base is not self._bases.get(node.name) and node.honest:
            self._bases[node.name] = base
            if any(read_terms(row.issued).codes for row in node.disk.rows("ticket")):
                probe("door.codes_of_a_snapshot")

    def started(self, node: Node) -> None:
        """See Observer: what the node has just read decides who comes in."""
        for row in node.disk.rows("ticket") if node.honest else ():
            terms = read_terms(row.issued)
            if terms.revoked:
                probe("door.revoked_code_read_at_start")
            if terms.blocked:
                probe("door.block_read_at_start")


def _in_flight(admission: Seen, change: Seen) -> None:
    """Mark an admission and a change of its ticket that were under way at once."""
    if admission.ticket != change.ticket or max(admission.asked, change.asked) >= min(
        admission.ended, change.ended
    ):
        return
    if admission.code in ("ok", REFUSED[change.kind]):
        first = "after" if admission.code == "ok" else "before"
        probe(f"door.{change.kind}_in_flight_{first}")


def _keep(seen: list[Seen], new: Seen) -> None:
    seen.append(new)
    del seen[:-REMEMBERED]
