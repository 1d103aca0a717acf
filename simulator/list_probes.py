"""Probes at what may go wrong at a list: a second thought comes between entries, or the list changes (R41).

Calls are compared by the times at which they were asked and answered, nodes as they start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dtvn.machine import CommandError, ListedState, read_state, read_terms
from dtvn.machine.commands import check
from dtvn.protocol.consensus.effects import Record
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.probes import probe
from simulator.checkers import list_model
from simulator.checkers.base import Checker
from simulator.gateway import Gateway, Request
from simulator.node import Node

REMEMBERED = 60
"""Scans that are compared with each new one."""
REFUSED = ("not_inside", "still_inside", "list_full", "list_closed", "unknown_list", "too_late_to_annul")
"""Answers that have a probe."""


class Seen(msgspec.Struct, frozen=True):
    """An answered scan that changed something."""

    ticket: tuple[str, str]
    slug: str
    kind: str
    nonce: tuple[str, str, bytes]
    asked: int
    ended: int
    told: int
    """Log time, Unix microseconds."""
    day: int
    """By what its list said then."""
    used: int


class ListProbes(Checker):
    """Marks the moments; checks nothing itself."""

    name = "list-probes"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._seen: list[Seen] = []
        self._lists: dict[str, dict[str, Any]] = {}
        """Event -> slug -> list as it was said last."""
        self._bases: dict[str, Base] = {}
        """Node -> base of the newest fetched state that it installed."""

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See Checker."""
        for operation, result in zip(request.operations, request.results or (), strict=False):
            try:
                command: Any = check(operation)
            except CommandError:
                continue
            if operation.kind == "set_event" and result.code == "ok" and command.lists is not None:
                self._said(operation.event, command.lists)
            if operation.kind not in ("admit", "annul", "force"):
                continue
            if result.code in REFUSED:
                probe(f"list.refused_{result.code}")
            state = read_state(result.state)
            if isinstance(state, ListedState):
                self._scanned(gateway, request, operation, command, result, state)

    def _listed(self, event: str, slug: str) -> Any:
        return self._lists.get(event, {}).get(slug) or list_model.Listed(slug)

    def _said(self, event: str, lists: Sequence[Any]) -> None:
        if any(seen.ticket[0] == event for seen in self._seen):
            probe("list.changed_after_entries")
        self._lists[event] = {each.slug: each for each in lists}

    def _scanned(
        self,
        gateway: Gateway,
        request: Request,
        operation: Operation,
        command: Any,
        result: Any,
        state: ListedState,
    ) -> None:
        visit = state.visit
        listed = self._listed(state.event, visit.list)
        seen = Seen(
            (state.event, state.ticket),
            visit.list,
            command.kind if operation.kind == "admit" else operation.kind,
            (gateway.principal, operation.actor, operation.nonce),
            *(request.asked_at, request.ended_at, result.timestamp),
            list_model.day(listed, result.timestamp),
            visit.used,
        )
        before = [each for each in self._seen if (each.ticket, each.slug) == (seen.ticket, seen.slug)]
        for each in before:
            if result.code == "ok" and {each.kind, seen.kind} == {"entry", "annul"} and _overlap(each, seen):
                probe("list.annulled_while_somebody_enters")
        if result.code == "not_the_newest" and before:
            probe("list.annul_of_another_movement")
        if result.code == "already_consumed" and any(each.kind == "force" for each in before):
            probe("list.forced_entry_used_the_last")
        if listed.rule == "daily" and any(list_model.day(listed, one.told) != one.day for one in before):
            probe("list.entries_dated_anew")
        if result.code != "ok":
            return
        repeated = operation.nonce and any(each.nonce == seen.nonce for each in before)
        if repeated and seen.kind == "entry" and before[-1].kind == "annul":
            probe("list.entry_repeated_after_its_annulment")
        if not repeated:
            self._moved(seen, before, visit.allowed, command)
            self._seen.append(seen)
            del self._seen[:-REMEMBERED]

    def _moved(self, seen: Seen, before: list[Seen], allowed: int, command: Any) -> None:
        """`before`: on the same list, with the same ticket."""
        listed = self._listed(seen.ticket[0], seen.slug)
        if seen.kind == "force" and 0 < allowed < seen.used:
            probe("list.forced_beyond_the_limit")
        if seen.kind == "annul":
            if command.supervised:
                probe("list.annulled_by_a_supervisor")
            else:
                probe("list.annulled")
            if before and before[-1].kind == "exit":
                probe("list.exit_annulled")
        if seen.kind != "entry":
            return
        if listed.returns and any(each.kind == "exit" for each in before):
            probe("list.entered_again_after_an_exit")
        if before and before[-1].kind == "annul":
            probe("list.entered_after_an_annulment")
        if listed.rule == "daily" and seen.told:
            days = {list_model.day(listed, each.told) for each in before if each.told}
            if days - {seen.day}:
                probe("list.entered_on_two_days")

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Observer: a node that has installed a fetched state is built anew upon its rows."""
        base = node.disk.base
        if base is not None and base is not self._bases.get(node.name) and node.honest:
            self._bases[node.name] = base
            if any(read_terms(row.issued).movements for row in node.disk.rows("ticket")):
                probe("list.movements_of_a_snapshot")

    def started(self, node: Node) -> None:
        """See Observer: what the node has just read decides who comes in."""
        if node.honest and any(read_terms(row.issued).movements for row in node.disk.rows("ticket")):
            probe("list.movements_read_at_start")


def _overlap(one: Seen, other: Seen) -> bool:
    return max(one.asked, other.asked) < min(one.ended, other.ended)
