"""Why an admission is refused: the checks in their order, as one table (R42).

Form, nonce, time, room and permission come before (operations.py), as for every kind. What follows is ORDER:
the first check that answers decides. An admission of the first form (Admit.code is None) keeps its earlier
order (kinds/lifecycle.py), since ledgers hold its outcomes.
"""

from __future__ import annotations

from collections.abc import Callable

from dtvn.machine import reasons
from dtvn.machine.codes import code_digest
from dtvn.machine.context import Context, present_state
from dtvn.machine.fields import DEFAULT_EVENT
from dtvn.machine.terms import Terms
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.machine.transitions import TRANSITIONS, State
from dtvn.protocol.consensus.messages import Operation

_ADMIT = TRANSITIONS["admit"]
_IN_DISPUTE = frozenset((State.DISPUTED, State.UPHELD))


class Asked:
    """An admission while it is judged."""

    __slots__ = ("at", "code", "device", "found", "gate", "operation", "terms")

    def __init__(self, at: Context, operation: Operation, code: bytes, gate: str, device: str) -> None:
        self.at = at
        self.operation = operation
        self.code = code
        """Digest of the code that was read; b"": the ticket is named by its id."""
        self.gate = gate
        self.device = device
        self.found = find(at, operation, code)
        self.terms = Terms() if self.found is None else read_terms(self.found.issued)

    @property
    def ticket(self) -> Ticket:
        """The ticket, for the checks behind the one that it exists."""
        if self.found is None:
            raise RuntimeError("the order of the checks is broken")
        return self.found


Check = Callable[[Asked], str | None]
"""Returns the reason of a refusal (`ok`: a late retry, R13), or None to ask on."""


def find(at: Context, operation: Operation, code: bytes) -> Ticket | None:
    """The ticket of an admission that is not of the first form: the one with the code that was read; in an
    event whose ids are codes, also the one that the operation names, if that id is the text of this code and
    the ticket has no codes: else its id would still open it after its codes were replaced."""
    event, name = operation.event, operation.ticket
    named = at.registry.get(event, name)
    if not code:
        return named
    ticket = at.registry.by_code(event, code)
    if ticket is not None or named is None or not at.events.ids_are_codes(event) or has_codes(named):
        return ticket
    return named if code == code_digest(at.events.salt(event), name) else None


def has_codes(ticket: Ticket) -> bool:
    """Whether a ticket has codes, so that its id is not a code. A ticket never loses all its codes."""
    return not ticket.plain and bool(read_terms(ticket.issued).codes)


def decide(asked: Asked) -> str | None:
    """The outcome code of an admission that changes nothing; None: the ticket is admitted."""
    for check in _CHECKS:
        if (reason := check(asked)) is not None:
            return reason
    return None


def by_name_only(at: Context, operation: Operation, ticket: Ticket | None) -> bool:
    """Whether an admission by id is only for people who found the ticket by name: it needs `operate` as well,
    which its signer lacks. A gate scans the ids of tickets without codes, where ids are codes."""
    event = operation.event
    if at.events.ids_are_codes(event) and (ticket is None or not has_codes(ticket)):
        return False
    return not at.principals.may(at.principal, "operate", event)


def outside_window(at: Context, ticket: Ticket) -> str | None:
    """The reason if batch time is outside the ticket's window, both ends of which are inside."""
    if at.timestamp < ticket.not_before:
        return reasons.NOT_YET_VALID
    if 0 < ticket.not_after < at.timestamp:
        return reasons.NO_LONGER_VALID
    return None


def _permission(asked: Asked) -> str | None:
    named = not asked.code and by_name_only(asked.at, asked.operation, asked.found)
    return reasons.NOT_PERMITTED if named else None


def _event(asked: Asked) -> str | None:
    event, at = asked.operation.event, asked.at
    known = event == DEFAULT_EVENT or at.registry.holds(event) or at.events.declared(event)
    return None if known else reasons.UNKNOWN_EVENT


def _found(asked: Asked) -> str | None:
    if asked.found is not None:
        return None
    return reasons.BARCODE_NOT_FOUND if asked.code else reasons.TICKET_NOT_FOUND


def _late_retry(asked: Asked) -> str | None:
    if not asked.at.stands(asked.operation, asked.ticket):
        return None
    present = present_state(asked.ticket)
    same = (present.operation, present.gate, present.device) == ("admit", asked.gate, asked.device)
    return reasons.OK if same else reasons.NONCE_REUSED


def _revoked(asked: Asked) -> str | None:
    return reasons.REVOKED if asked.code in asked.terms.revoked else None


def _blocked(asked: Asked) -> str | None:
    return reasons.BLOCKED if asked.terms.blocked else None


def _disputed(asked: Asked) -> str | None:
    return reasons.DISPUTED if asked.ticket.status in _IN_DISPUTE else None


def _window(asked: Asked) -> str | None:
    return outside_window(asked.at, asked.ticket)


def _product(asked: Asked) -> str | None:
    opens = asked.at.events.opens(asked.operation.event, asked.terms.product)
    return None if opens else reasons.WRONG_PRODUCT


def _entered(asked: Asked) -> str | None:
    target = _ADMIT[asked.ticket.status]
    return target if isinstance(target, str) else None


ORDER: tuple[tuple[tuple[str, ...], Check], ...] = (
    ((reasons.NOT_PERMITTED,), _permission),
    ((reasons.UNKNOWN_EVENT,), _event),
    ((reasons.BARCODE_NOT_FOUND, reasons.TICKET_NOT_FOUND), _found),
    ((reasons.OK, reasons.NONCE_REUSED), _late_retry),
    ((reasons.REVOKED,), _revoked),
    ((reasons.BLOCKED,), _blocked),
    ((reasons.DISPUTED,), _disputed),
    ((reasons.NOT_YET_VALID, reasons.NO_LONGER_VALID), _window),
    ((reasons.WRONG_PRODUCT,), _product),
    ((reasons.ALREADY_CONSUMED,), _entered),
)
"""The checks of an admission, each with the reasons that it gives: the first that gives one decides."""
_CHECKS = tuple(check for _given, check in ORDER)
