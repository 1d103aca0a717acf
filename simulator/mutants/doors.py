"""What opens a door and what does not: codes, blocks, products, events; R13, R24, R40, R42."""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    Events,
    Operations,
    State,
    TicketRegistry,
    canonical,
    commands,
    find,
    operations,
    order_of_reasons,
    read_terms,
    reasons,
    registry,
    snapshot,
    ticket_leaf,
    told,
)


def instead(plant: Plant, check: str, wrong: Any, *kinds: str) -> None:
    """A scan is asked this instead; None: nothing. `kinds`: only of these."""
    right = getattr(order_of_reasons, check)
    changed = {
        kind: tuple(
            wrong if each is right and kind in (kinds or (kind,)) else each
            for each in checks
            if wrong is not None or each is not right or kind not in (kinds or (kind,))
        )
        for kind, checks in order_of_reasons._CHECKS.items()
    }
    plant.put(order_of_reasons, "_CHECKS", changed)


def without(plant: Plant, check: str, *kinds: str) -> None:
    """A scan is not asked this. `kinds`: only of these."""
    instead(plant, check, None, *kinds)


def in_kind(plant: Plant, kind: str, wrong: Any) -> None:
    """The rule of a kind is called through `wrong`."""
    kinds = vars(operations)["KINDS"]
    right = kinds[kind]

    def rule(*arguments: Any) -> Any:
        return wrong(right.rule, *arguments)

    changed = msgspec.structs.replace(right, rule=rule)
    plant.put(operations, "KINDS", {**kinds, kind: changed})


@mutant("replaced-code-opens", "R40 R42", world="doors")
def replaced_code_opens(plant: Plant) -> None:
    """A code that was replaced opens like a valid one."""
    without(plant, "_revoked")


@mutant("product-not-asked", "R42", world="doors")
def product_not_asked(plant: Plant) -> None:
    """A parking ticket opens the hall."""
    without(plant, "_product")


@mutant("unknown-event-looks-like-a-guest", "R42", world="doors")
def unknown_event_unsaid(plant: Plant) -> None:
    """In a misspelt event every code is unknown, as if the guest were at fault."""
    without(plant, "_event")


@mutant("window-asked-before-block", "R42", world="doors")
def window_before_block(plant: Plant) -> None:
    """A blocked ticket outside its window is told of the window."""
    block, window = order_of_reasons._blocked, order_of_reasons._window
    swapped: dict[Any, Any] = {block: window, window: block}
    changed = {
        kind: tuple(swapped.get(each, each) for each in checks) if window in checks else checks
        for kind, checks in order_of_reasons._CHECKS.items()
    }
    plant.put(order_of_reasons, "_CHECKS", changed)


@replaces(Events, "ids_are_codes", "id-opens-like-a-code", "R40", world="doors")
def ids_always(*_arguments: Any) -> Any:
    """The id of a ticket is taken for a code in every event."""
    return True


@mutant("code-in-two-tickets", "R40", world="doors")
def two_tickets(plant: Plant) -> None:
    """Nobody asks whether another ticket has a code."""

    def wrong(right: Any, at: Any, *arguments: Any) -> Any:
        at.registry.by_code = lambda *_code: None
        try:
            return right(at, *arguments)
        finally:
            del at.registry.by_code

    in_kind(plant, "issue", wrong)
    in_kind(plant, "replace", wrong)


@mutant("own-code-never-returns", "R40", world="doors")
def never_returns(plant: Plant) -> None:
    """A ticket cannot take back a code of its own that was replaced."""

    def wrong(right: Any, at: Any, operation: Any, command: Any, ticket: Any) -> Any:
        if ticket is not None and {*command.codes} & {*read_terms(ticket.issued).revoked}:
            return reasons.BARCODE_TAKEN, told(at, operation.event, ticket)
        return right(at, operation, command, ticket)

    in_kind(plant, "replace", wrong)


@mutant("codes-outside-the-root", "R24 R40", world="poisoned-terms", seed=1)
def outside_the_root(plant: Plant) -> None:
    """Codes and blocks are not in a ticket's leaf: a fetched state may have others."""

    def leaf(state: bytes, issued: bytes) -> bytes:
        terms = msgspec.structs.replace(read_terms(issued), codes=(), revoked=(), blocked=False)
        return ticket_leaf(state, canonical.encode_trimmed(terms))

    plant.put(registry, "ticket_leaf", leaf)
    plant.put(snapshot, "ticket_leaf", leaf)


@replaces(TicketRegistry, "_restore", "code-index-not-rebuilt", "R24 R40", world="doors-among-transfers")
def not_rebuilt(right: Any, self: TicketRegistry, *stored: Any) -> Any:
    """A node that reads its state from rows or a fetched state finds no ticket by a code."""
    ticket = right(self, *stored)
    self._codes.clear()
    return ticket


@replaces(TicketRegistry, "_restore", "revoked-codes-not-indexed", "R40", world="doors-among-crashes", seed=2)
def revoked_not_indexed(right: Any, self: TicketRegistry, head: Any, state: bytes, issued: bytes) -> Any:
    """After a restart a replaced code is unknown, and another ticket may take it."""
    ticket = right(self, head, state, issued)
    for code in read_terms(issued).revoked:
        self._codes[head.event].pop(code, None)
    return ticket


@replaces(TicketRegistry, "_restore", "block-forgotten-at-restart", "R9 P20 R42", world="doors-among-crashes")
def block_forgotten(right: Any, self: TicketRegistry, head: Any, state: bytes, issued: bytes) -> Any:
    """A restarted node no longer knows which tickets are blocked, though its root says so."""
    ticket = right(self, head, state, issued)
    terms = msgspec.structs.replace(read_terms(issued), blocked=False, block_reason="")
    ticket.issued = canonical.encode_trimmed(terms)
    return ticket


@replaces(Events, "load", "event-forgotten-at-restart", "R9 P20 R42", world="doors-among-crashes")
def event_forgotten(right: Any, self: Events, rows: Any) -> None:
    """A restarted node takes every event for one that was not created."""
    right(self, rows)
    self._admits.clear()


@replaces(Operations, "apply", "replayed-unblock-unblocks", "R13 P9", world="doors")
def replayed(right: Any, self: Operations, operation: Any, *arguments: Any, **options: Any) -> Any:
    """An unblock that is repeated under its nonce ends a block that was made since."""
    if operation.kind == "unblock":
        operation = msgspec.structs.replace(operation, nonce=b"")
    return right(self, operation, *arguments, **options)


@replaces(Operations, "_repeat", "retry-asked-anew-once-blocked", "R13 R42", world="doors", seed=1)
def asked_anew(right: Any, self: Operations, operation: Any, *arguments: Any) -> Any:
    """A scan that is repeated after its ticket was blocked is refused, though its guest is inside."""
    code, shown = right(self, operation, *arguments)
    if operation.kind == "admit":
        command: Any = commands.check(operation)
        ticket = find(self.context, operation, command.code or b"")
        if ticket is not None and read_terms(ticket.issued).blocked:
            return reasons.BLOCKED, shown
    return code, shown


@mutant("block-undoes-the-entry", "R13 R42 P9", world="doors")
def block_undoes(plant: Plant) -> None:
    """A ticket that is blocked has not entered any more: once unblocked, it opens again."""

    def wrong(right: Any, at: Any, operation: Any, command: Any, ticket: Any) -> Any:
        if ticket is not None and ticket.status is State.CONSUMED:
            at.registry.change(ticket, ticket.state, State.ISSUED, "")
        return right(at, operation, command, ticket)

    in_kind(plant, "block", wrong)
