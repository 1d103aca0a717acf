"""How the platform makes operations of bodies and answers of decisions: it knows codes, zones and holders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import tzinfo
from functools import partial

import msgspec

from dtvn.api.bodies import request_of
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, TicketError, Unavailable
from dtvn.api.ordering import Decision, Request
from dtvn.api.outcome import Hint
from dtvn.api.writes import Members, members_of, require_scopes
from dtvn.gateway import Result
from dtvn.machine import (
    ANSWERED_HEADS,
    CAPABILITY,
    Admit,
    Annul,
    Consume,
    Force,
    Terms,
    answered,
    parse_row,
    read_state,
    read_terms,
    reasons,
)
from dtvn.machine.bodies import OperationBody
from dtvn.machine.codes import code_digest, normalised
from dtvn.machine.commands import code_of
from dtvn.machine.fields import is_name
from dtvn.machine.kinds import KIND_OF, KINDS, OPERATIONS
from dtvn.machine.lists import MAIN_SLUG, list_in
from dtvn.machine.rows import EventRow, TicketRow
from dtvn.machine.visits import visit_of
from tickets.models import TicketHolder
from tickets.services import codes, events, hints, patience
from tickets.services.event_days import others_today
from tickets.services.patience import Found
from tickets.services.reading import caught_up
from tickets.services.scanned_codes import scanned_code
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.feed import gates
from validators.ledger import read
from validators.ledger.event_zones import zone_of
from validators.rest.http import OWN_WRITES_WAIT
from validators.services import decide
from validators.services.teams import NAMES_SEEN_WITH
from validators.services.wrong_codes import wrong_codes

HOLDERS_AT_ONCE = 500
_last: dict[str, tuple[bool, EventRow | None]] = {}
"""Events and their rows as this process read them last: what holds while the copy is away."""
UNFOUND = frozenset({reasons.BARCODE_NOT_FOUND, reasons.TICKET_NOT_FOUND})


class PlatformAsking:
    """See dtvn.api.writes.Asking and dtvn.api.bodies.Coder; for one call, so an event is looked up once."""

    def __init__(self, call: Call, order: Callable[..., list[Decision]] = decide.decide) -> None:
        self._call = call
        self._order = order
        self._events: dict[str, tuple[bool, EventRow | None]] = {}
        self._unread: dict[str, TicketError] = {}
        self._caught_up: TicketError | bool = False
        """Whether the copy has caught up for this call, or why it could not."""
        self._zones: dict[str, tzinfo] = {}
        self._others: dict[str, dict[str, EventRow]] = {}
        """Event -> `others_today`."""

    # --- requests -------------------------------------------------------------------------------

    def request(self, kind: str, body: OperationBody, header: str | None = None) -> Request:
        """See Asking. Raises ApiError (403) for an admission by name, or a supervised annulment, without the
        scope for it, and for a list or a product that the caller is not for: the log would permit it to the
        platform."""
        request = self._at_own_gate(request_of(kind, body, header, self))
        require_scopes(self._call, kind, request.event)
        if isinstance(request.command, Admit | Consume | Force | Annul):
            supervised = "supervise" if getattr(request.command, "supervised", False) else ""
            for right in filter(None, {CAPABILITY[kind], KINDS[kind].besides, supervised}):
                self._require_limits(request, right)
        if isinstance(request.command, Annul) and request.command.supervised:
            require_scopes(self._call, "force", request.event)
        admits = isinstance(request.command, Admit | Consume | Force) and not code_of(request.command)
        if admits and not self._call.rights.may("operate", request.event):
            self._require_found(request)
        return request

    def _at_own_gate(self, request: Request) -> Request:
        """The request with the gate of the caller's link or key, if it has one."""
        command = request.command
        if not self._call.gate or not isinstance(command, Admit | Consume | Force | Annul):
            return request
        return msgspec.structs.replace(
            request, command=msgspec.structs.replace(command, gate=self._call.gate)
        )

    def _require_found(self, request: Request) -> None:
        """Raise ApiError (403) for an admission by id without the scope `operate`, unless ids are codes, or a
        person at a gate found the guest by name: then the ticket is of an order."""
        _, row = self._event(request.event)
        if not codes.ids_are_codes(row):
            why = "In this event only codes admit"
        elif row is not None and codes.by_name_only(row, self._row(request.event, request.ticket)):
            why = "This ticket has codes"
        else:
            return
        if not (self._is_at_a_gate(request) and self._is_ordered(request)):
            text = f"{why}; by ticket_id it needs the scopes 'gate' and 'operate'."
            raise ApiError(403, reasons.NOT_PERMITTED, text)

    def _is_at_a_gate(self, request: Request) -> bool:
        """Whether a person who may see names asks, and says at which gate and device. A program has no names
        in view: what it sends as an id may be a text that it scanned."""
        command = request.command
        if not (isinstance(command, Admit) and command.gate.strip() and command.device.strip()):
            return False
        return self._call.person and self._call.rights.may_any(NAMES_SEEN_WITH, request.event)

    @staticmethod
    def _is_ordered(request: Request) -> bool:
        """Whether the ticket is of an order that this platform knows. Raises Unavailable."""
        rows = TicketHolder.objects.filter(event=request.event, ticket=request.ticket).exclude(order="")
        found = patience.platform.read(lambda: (rows.exists(),), None)
        if found is None:
            raise Unavailable("The platform's table of guests cannot be read; try again later.")
        return found[0]

    def _require_limits(self, request: Request, right: str) -> None:
        """Raise ApiError (403) unless the caller is for this list, and for the product of the ticket: that
        of a ticket which the copy does not know yet is waited for."""
        rights, event = self._call.rights, request.event
        slug = getattr(request.command, "list", "") or MAIN_SLUG
        rights.require_list(right, event, slug)
        if not rights.products(right, event, slug):
            return
        row = self._found(request)
        if row is None:
            self._catch_up()
            row = self._found(request)
        if row is not None:
            rights.require_product(right, event, slug, row.product)

    def _found(self, request: Request) -> TicketRow | None:
        """The ticket that is asked about, None if the copy has none. Raises Unavailable."""
        ticket = _read(lambda: self._ticket(request))
        return self._row(request.event, ticket) if ticket else None

    def scanned(self, event: str, text: str) -> str:
        """See Coder."""
        return scanned_code(event, text)

    def digest(self, event: str, text: str) -> bytes:
        """See Coder."""
        _, row = self._event(event)
        return code_digest(codes.salt_of(event, row), text)

    def name(self, event: str, text: str, digest: bytes) -> str:
        """See Coder. The text is named as an id only in an event that exists and whose ids are codes, if the
        copy has no ticket with the code, since a code must not stand in the log. (A nonce is bound to the
        code, not to this name.) Raises Unavailable if the copy cannot be asked; an event without a row has
        no codes."""
        name = normalised(text)
        known, row = self._event(event)
        if not (is_name(name) and known and codes.ids_are_codes(row)):
            return ""
        if row is None or _read(lambda: read.ticket_by_code(LEARNER_ALIAS, event, digest)) is None:
            return name
        return ""

    # --- the order ------------------------------------------------------------------------------

    def order(self, requests: list[Request]) -> list[Decision]:
        """See Asking. Nothing is sent of an operation that gives a ticket another one's id as a code."""
        giving = {request.event for request in requests if request.texts and not code_of(request.command)}
        rows = {event: self._event(event)[1] for event in giving}
        taken = codes.taken_by_ids(requests, rows)
        sent = [request for place, request in enumerate(requests) if place not in taken]
        codes.remember(sent)
        ordered = self._order(sent, actor=self._call.actor) if sent else []
        codes.forget_refused(ordered)
        told = iter(ordered)
        decisions = [
            Decision(request, Result(reasons.BARCODE_TAKEN)) if place in taken else next(told)
            for place, request in enumerate(requests)
        ]
        return [patience.copy.read(partial(self._complete, one), one) for one in decisions]

    # --- answers --------------------------------------------------------------------------------

    def _complete(self, decision: Decision) -> Decision:
        """The decision with the event's zone, a hint for a code that was not found, and with what its outcome
        left out (as for repeats, R16) from the platform's copy."""
        if not _told(decision):
            return decision
        decision = msgspec.structs.replace(decision, zone=self._zone(decision.request.event))
        if decision.code == reasons.BARCODE_NOT_FOUND and decision.request.texts:
            wrong_codes.note(self._call.actor)
            hint = patience.platform.read(partial(self._hint, decision.request), None)
            if hint is not None and hint.whose == "gate":
                gate = getattr(decision.request.command, "gate", "")
                gates.count.mistaken(decision.request.event, gate, decision.request.nonce)
            return msgspec.structs.replace(decision, hint=hint)
        state = decision.result.state
        whose = reasons.REASONS[decision.code].whose
        if state.startswith(ANSWERED_HEADS) or whose not in ("", "guest") or decision.code in UNFOUND:
            return decision
        if not state and decision.result.sequence:
            feed.wait_for(decision.result.sequence, OWN_WRITES_WAIT)
        ticket = self._ticket(decision.request)
        row = read.read_ticket(LEARNER_ALIAS, decision.request.event, ticket) if ticket else None
        if row is None:
            return decision
        present, issued = parse_row(row, ())
        told = self._answered(decision, state or present, read_terms(issued))
        return msgspec.structs.replace(decision, result=msgspec.structs.replace(decision.result, state=told))

    def _hint(self, request: Request) -> Hint | None:
        """See services.hints; None if the caller gets none now."""
        if not hints.allowed(self._call.actor, self._call.rights, request.event):
            return None
        event, shown = request.event, self._call.rights.may("operate", request.event)
        if event not in self._others:
            self._others[event] = others_today(event, self._call.rights)
        return hints.about(event, request.texts[0], shown=shown, others=self._others[event])

    def _answered(self, decision: Decision, state: bytes, terms: Terms) -> bytes:
        """The answered state of a decision about a ticket that stands so, from the platform's copy."""
        request = decision.request
        row = read.event_row(LEARNER_ALIAS, request.event)
        listed = list_in(row.lists if row else (), getattr(request.command, "list", "") or MAIN_SLUG)
        found = read_state(state)
        if listed is None or found is None:
            return answered(state, terms)
        now = decision.result.timestamp or found.timestamp
        return answered(state, terms, visit_of(found, terms, listed, now, decision.told.kind or ""))

    def members(self, decisions: Sequence[Decision]) -> list[Members]:
        """See Asking: holders for callers that may see names."""
        made = [members_of(decision) for decision in decisions]
        told = [
            (decision, members) for decision, members in zip(decisions, made, strict=True) if _told(decision)
        ]
        named = [one for one in told if self._call.rights.may_any(NAMES_SEEN_WITH, one[0].request.event)]
        for _decision, members in named:
            members["holder"] = None
        if named:
            patience.platform.read(lambda: self._add_holders(named), None)
        return made

    def _add_holders(self, told: list[tuple[Decision, Members]]) -> None:
        asked = defaultdict(set)
        for decision, members in told:
            if members["ticket_id"]:
                asked[decision.request.event].add(members["ticket_id"])
        names: dict[tuple[str, str], str] = {}
        for event, tickets in asked.items():
            wanted = sorted(tickets)
            for start in range(0, len(wanted), HOLDERS_AT_ONCE):
                part = wanted[start : start + HOLDERS_AT_ONCE]
                rows = TicketHolder.objects.filter(event=event, ticket__in=part).order_by()
                names |= {(event, ticket): name for ticket, name in rows.values_list("ticket", "name")}
        for decision, members in told:
            members["holder"] = names.get((decision.request.event, members["ticket_id"])) or None

    # --- the event ------------------------------------------------------------------------------

    def _event(self, event: str) -> tuple[bool, EventRow | None]:
        """See settled_row. Raises TicketError if the event cannot be read and was not before: a guess could
        give a wrong digest, as the salt may be an earlier cluster's, and admit by name."""
        if event in self._unread:
            raise self._unread[event]
        if event not in self._events:
            try:
                found = _read(lambda: events.settled_row(event, self._catch_up), _last.get(event))
            except TicketError as error:
                self._unread[event] = error  # else each operation of a batch would wait for the copy anew
                raise
            self._events[event] = found
            if found[0]:
                _last[event] = found
        return self._events[event]

    def _catch_up(self) -> None:
        """See caught_up, at most once a call: a batch may name 10,000 unknown events and codes."""
        if self._caught_up is False:
            try:
                caught_up()
                self._caught_up = True
            except TicketError as error:
                self._caught_up = error
        if isinstance(self._caught_up, TicketError):
            raise self._caught_up

    @staticmethod
    def _row(event: str, ticket: str) -> TicketRow | None:
        """A ticket as the platform's copy has it. Raises Unavailable."""
        return _read(lambda: read.read_ticket(LEARNER_ALIAS, event, ticket))

    def _zone(self, event: str) -> tzinfo:
        if event not in self._zones:
            known = self._events.get(event)
            row = known[1] if known else read.event_row(LEARNER_ALIAS, event)
            self._zones[event] = zone_of(row)
        return self._zones[event]

    @staticmethod
    def _ticket(request: Request) -> str:
        """The ticket that a request is about, "" if it is not known."""
        if code := code_of(request.command):
            found = read.ticket_by_code(LEARNER_ALIAS, request.event, code)
            return found[0] if found else request.ticket
        return request.ticket


def _read(look: Callable[[], Found], otherwise: Found | None = None) -> Found:
    """What `look` reads from the platform's copy; while that does not answer, `otherwise`. Raises Unavailable
    if that is None."""
    found = patience.copy.read(lambda: (look(),), None if otherwise is None else (otherwise,))
    if found is None:
        raise Unavailable("The platform's copy of the log cannot be read; try again later.")
    return found[0]


def _told(decision: Decision) -> bool:
    return OPERATIONS[KIND_OF[type(decision.request.command)]].full
