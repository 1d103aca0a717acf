"""Why an entry, an exit, an annulment or a forced entry is refused: the checks in their order, as one table
(R42).

Form, nonce, time, room and permission come before (operations.py), as for every kind. What follows is ORDER:
the first check that answers decides; each says of which kinds it is asked. An exit is refused only for what
is unknown or not inside: who is let out is counted out. An admission of the first form
(Admit.code is None) keeps its earlier order (kinds/lifecycle.py), since ledgers hold its outcomes.
"""

from __future__ import annotations

from collections.abc import Callable

from dtvn.machine import reasons
from dtvn.machine.codes import code_digest
from dtvn.machine.context import Context, present_state
from dtvn.machine.fields import DEFAULT_EVENT
from dtvn.machine.lists import MAIN, MAIN_SLUG, EventList
from dtvn.machine.movements import ANNUL, ENTRY, EXIT, FORCE, Visits
from dtvn.machine.terms import Terms
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.machine.transitions import State
from dtvn.machine.visits import plain, visits_of
from dtvn.protocol.consensus.messages import Operation

ANNULLED_WITHIN = 15 * 60 * 1_000_000
"""Microseconds of log time for which a movement may be annulled by the principal and actor that made it."""
_IN_DISPUTE = frozenset((State.DISPUTED, State.UPHELD))


class Asked:
    """An entry, an exit, an annulment or a forced entry while it is judged."""

    __slots__ = (
        *("at", "code", "device", "first", "found", "gate", "kind", "listed", "movement", "operation"),
        *("slug", "supervised", "terms"),
    )

    def __init__(
        self,
        at: Context,
        operation: Operation,
        code: bytes,
        gate: str,
        device: str,
        slug: str = "",
        kind: str = ENTRY,
        *,
        supervised: bool = False,
        movement: bytes = b"",
    ) -> None:
        self.at = at
        self.operation = operation
        self.code = code
        """Digest of the code that was read; b"": the ticket is named by its id."""
        self.gate = gate
        self.device = device
        self.slug = slug or MAIN_SLUG
        self.kind = kind
        """entry, exit, annul or force."""
        self.supervised = supervised
        """Whether an annulment is one that needs `supervise`."""
        self.movement = movement
        """Nonce of the operation whose movement alone may be annulled; b"": any."""
        self.found = find(at, operation, code)
        self.terms = Terms() if self.found is None else read_terms(self.found.issued)
        self.listed = at.events.list_of(operation.event, self.slug)
        self.first = self.listed is MAIN and plain(self.terms)
        """Whether the ticket enters `main` once, and never did more: then its state says all."""

    @property
    def list(self) -> EventList:
        """The list, for the checks behind the one that it exists."""
        if self.listed is None:
            raise RuntimeError("the order of the checks is broken")
        return self.listed

    @property
    def visits(self) -> Visits:
        """What the ticket did so far."""
        return visits_of(present_state(self.ticket), self.terms)

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
    """The outcome code of what changes nothing; None: it is done."""
    for check in _CHECKS[asked.kind]:
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


def may_supervise(at: Context, event: str) -> bool:
    """Whether the signer may force entries, and annul movements of others or later."""
    may = at.principals.may
    return may(at.principal, "supervise", event) or may(at.principal, "admin", event)


def _permission(asked: Asked) -> str | None:
    named = not asked.code and by_name_only(asked.at, asked.operation, asked.found)
    return reasons.NOT_PERMITTED if named else None


def _supervision(asked: Asked) -> str | None:
    lacks = asked.supervised and not may_supervise(asked.at, asked.operation.event)
    return reasons.NOT_PERMITTED if lacks else None


def _event(asked: Asked) -> str | None:
    event, at = asked.operation.event, asked.at
    known = event == DEFAULT_EVENT or at.registry.holds(event) or at.events.declared(event)
    return None if known else reasons.UNKNOWN_EVENT


def _known_list(asked: Asked) -> str | None:
    return reasons.UNKNOWN_LIST if asked.listed is None else None


def _found(asked: Asked) -> str | None:
    if asked.found is not None:
        return None
    return reasons.BARCODE_NOT_FOUND if asked.code else reasons.TICKET_NOT_FOUND


def _late_retry(asked: Asked) -> str | None:
    at, operation = asked.at, asked.operation
    if asked.terms.movements and (made := at.moved(operation, asked.ticket, asked.terms)) is not None:
        said = made.list, made.kind, made.gate, made.device
        same = said == (asked.slug, asked.kind, asked.gate, asked.device)
        return reasons.OK if same else reasons.NONCE_REUSED
    if not at.stands(operation, asked.ticket):
        return None
    present = present_state(asked.ticket)
    same = (present.operation, present.gate, present.device) == ("admit", asked.gate, asked.device)
    return reasons.OK if same and (asked.slug, asked.kind) == (MAIN_SLUG, ENTRY) else reasons.NONCE_REUSED


def _revoked(asked: Asked) -> str | None:
    return reasons.REVOKED if asked.code in asked.terms.revoked else None


def _blocked(asked: Asked) -> str | None:
    return reasons.BLOCKED if asked.terms.blocked else None


def _disputed(asked: Asked) -> str | None:
    return reasons.DISPUTED if asked.ticket.status in _IN_DISPUTE else None


def _window(asked: Asked) -> str | None:
    return outside_window(asked.at, asked.ticket)


def _open(asked: Asked) -> str | None:
    return None if asked.listed is MAIN or asked.list.is_open(asked.at.timestamp) else reasons.LIST_CLOSED


def _product(asked: Asked) -> str | None:
    takes = asked.at.events.takes(asked.operation.event, asked.list, asked.terms.product)
    return None if takes else reasons.WRONG_PRODUCT


def _entries(asked: Asked) -> str | None:
    if asked.first:
        return reasons.ALREADY_CONSUMED if asked.ticket.status is State.CONSUMED else None
    return entries_refuse(asked.at, asked.operation.event, asked.ticket, asked.terms, asked.list)


def _inside(asked: Asked) -> str | None:
    tally = asked.visits.tally(asked.list, asked.terms.entries, asked.at.timestamp)
    return None if tally.inside > 0 else reasons.NOT_INSIDE


def _annullable(asked: Asked) -> str | None:
    made = asked.visits.newest(asked.slug)
    if made is None or made.device != asked.device or asked.movement not in (b"", made.nonce):
        return reasons.NOT_THE_NEWEST
    if asked.supervised:
        return None
    if (made.principal, made.actor) != (asked.at.principal, asked.operation.actor):
        return reasons.NOT_THE_NEWEST
    return reasons.TOO_LATE_TO_ANNUL if asked.at.timestamp - made.at > ANNULLED_WITHIN else None


def entries_refuse(at: Context, event: str, ticket: Ticket, terms: Terms, listed: EventList) -> str | None:
    """Why the ticket has no entry left on a list, or nobody may come in now; None: it may enter (R41)."""
    if listed is MAIN and plain(terms):
        return reasons.ALREADY_CONSUMED if ticket.status is State.CONSUMED else None
    tally = visits_of(present_state(ticket), terms).tally(listed, terms.entries, at.timestamp)
    if tally.exhausted:
        return reasons.ALREADY_CONSUMED
    if listed.exit_first and tally.inside >= terms.entries:
        return reasons.STILL_INSIDE
    if listed.capacity and at.registry.inside.count(event, listed, at.timestamp) >= listed.capacity:
        return reasons.LIST_FULL
    return None


_ALL = frozenset((ENTRY, EXIT, ANNUL, FORCE))
_OPENING = frozenset((ENTRY, EXIT, FORCE))
_COMING_IN = frozenset((ENTRY, FORCE))
_ENTRY = frozenset((ENTRY,))

ORDER: tuple[tuple[tuple[str, ...], Check, frozenset[str]], ...] = (
    ((reasons.NOT_PERMITTED,), _permission, _OPENING),
    ((reasons.NOT_PERMITTED,), _supervision, frozenset((ANNUL,))),
    ((reasons.UNKNOWN_EVENT,), _event, _ALL),
    ((reasons.UNKNOWN_LIST,), _known_list, _ALL),
    ((reasons.BARCODE_NOT_FOUND, reasons.TICKET_NOT_FOUND), _found, _ALL),
    ((reasons.OK, reasons.NONCE_REUSED), _late_retry, _ALL),
    ((reasons.REVOKED,), _revoked, _COMING_IN),
    ((reasons.BLOCKED,), _blocked, _COMING_IN),
    ((reasons.DISPUTED,), _disputed, _ALL - {EXIT}),
    ((reasons.NOT_YET_VALID, reasons.NO_LONGER_VALID), _window, _ENTRY),
    ((reasons.LIST_CLOSED,), _open, _ENTRY),
    ((reasons.WRONG_PRODUCT,), _product, _ENTRY),
    ((reasons.ALREADY_CONSUMED, reasons.STILL_INSIDE, reasons.LIST_FULL), _entries, _ENTRY),
    ((reasons.NOT_INSIDE,), _inside, frozenset((EXIT,))),
    ((reasons.NOT_THE_NEWEST, reasons.TOO_LATE_TO_ANNUL), _annullable, frozenset((ANNUL,))),
)
"""The checks, each with the reasons that it gives and the kinds of which it is asked: the first that gives a
reason decides."""
_CHECKS = {kind: tuple(check for _given, check, kinds in ORDER if kind in kinds) for kind in sorted(_ALL)}
