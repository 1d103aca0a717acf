"""What a gate, or a person who changes a ticket, is told: the fields of answers that can be acted on.

Built from an outcome alone, so REST, a node's own API and the Python client tell the same:

    (result,) = gateway.submit([scan]).result()
    print(told("admit", result.code, result.state, ZoneInfo("Europe/Berlin")))
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any, Literal

import msgspec

from dtvn.api.times import in_zone
from dtvn.machine import (
    AnsweredState,
    ListedState,
    State,
    Terms,
    TicketState,
    read_state,
    read_terms,
    reasons,
)
from dtvn.machine.lists import MAIN_SLUG
from dtvn.machine.movements import ENTRIES, ENTRY, EXIT, FORCE, Movement, Visit
from dtvn.machine.visits import visits_of
from dtvn.protocol.canonical import CanonicalError

Ending = Literal["admitted", "done", "refused", "error", "unknown"]
"""What became of a request. "admitted": let the guest in. "done": another operation was executed. "refused":
decided, this guest does not come in. "error": the request is wrong, and nothing was decided about a guest.
"unknown": the network did not decide, or its answer was lost; repeat with the same nonce."""

ELSEWHERE = "import_entry"
"""Kind of an entry that was made elsewhere."""
ADMISSIONS = frozenset({"admit", "consume", "force"})
"""Kinds that let somebody in, an exit apart."""
_ASKED = {"admit": ENTRY, EXIT: EXIT, "annul": "annul", FORCE: FORCE}
"""Kind of an operation on a list, "exit" for an exit -> Told.kind."""
_REFUSED: dict[str, Ending] = {"guest": "refused", "gate": "error", "network": "unknown"}
"""Whose matter a reason is -> what became of the request."""


class Entry(msgspec.Struct, frozen=True):
    """An entry that was made."""

    at: str | None
    """RFC 3339; None: of an imported entry whose time is not known."""
    gate: str
    device: str


class Told(msgspec.Struct, frozen=True):
    """The fields; None: not known, or none. Times are RFC 3339 with the event's offset."""

    outcome: Ending
    code: str
    """ "ok", or the reason (dtvn.machine.reasons)."""
    whose: Literal["guest", "gate", "network"] | None
    ticket_id: str | None = None
    product: str | None = None
    """ "" for none, as for the seat and the reason of a block."""
    seat: str | None = None
    last_entry: Entry | None = None
    """The ticket's newest entry on the list that stands; after an admission, that one."""
    valid_from: str | None = None
    valid_until: str | None = None
    """Last second in which it is valid."""
    blocked: bool | None = None
    block_reason: str | None = None
    list: str | None = None
    """Slug of the list that the next fields are about."""
    kind: str | None = None
    """What was asked: entry, exit, annul or force; None: something else, about no list."""
    entries_used: int | None = None
    """On a daily list those of the day."""
    entries_allowed: int | None = None
    """None: no limit, or not known (then `entries_used` is None too)."""
    inside: int | None = None
    """Persons with this ticket who are inside."""
    forced: bool | None = None
    """Whether `last_entry` was forced."""


class Hint(msgspec.Struct, frozen=True):
    """What may be wrong with a code that no ticket has. It decides nothing."""

    sentence: str
    keyboard: str = ""
    """What to set, if the text seems to have been typed through a wrong keyboard layout."""
    whose: Literal["guest", "gate"] = "guest"
    """ "gate": the reader, the chosen event or the imported file is at fault; nothing is known against the
    guest."""

    @property
    def members(self) -> dict[str, str]:
        """Members of an answer."""
        return {"hint": self.sentence} | ({"keyboard": self.keyboard} if self.keyboard else {})


def told(kind: str, code: str, state: bytes = b"", zone: tzinfo = UTC) -> Told:
    """The fields of an answer to an operation of this kind, "exit" for an exit, from its outcome's code and
    state. Raises CanonicalError if the state is not that of a ticket."""
    ending, whose = _ending(kind, code), whose_of(code)
    found = read_state(state)
    if found is None:
        return Told(ending, code, whose)
    known = Told(ending, code, whose, ticket_id=found.ticket, last_entry=entry_of(found, zone))
    if not isinstance(found, AnsweredState):
        return known
    fields = told_fields(found, zone)
    return msgspec.structs.replace(known, **fields | {"kind": fields["kind"] or _ASKED.get(kind)})


def told_fields(state: AnsweredState, zone: tzinfo) -> dict[str, Any]:
    """The fields of Told that tell what the ticket is, by name."""
    return _worth(state, zone) | _visited(state) | {"last_entry": entry_of(state, zone)}


def _visited(state: AnsweredState) -> dict[str, Any]:
    """The fields about a list. A ticket of before lists enters `main` once."""
    entered = int(state.state is State.CONSUMED)
    visit = Visit(MAIN_SLUG, "", entered, 1, entered, False, 0, "", "")
    if isinstance(state, ListedState):
        visit = state.visit
    return {
        "list": visit.list,
        "kind": visit.kind or None,
        "entries_used": visit.used,
        "entries_allowed": visit.allowed or None,
        "inside": visit.inside,
        "forced": visit.forced,
    }


def _worth(terms: AnsweredState | Terms, zone: tzinfo) -> dict[str, Any]:
    return {
        "product": terms.product,
        "seat": terms.seat,
        "valid_from": moment(terms.not_before, zone),
        "valid_until": moment(terms.not_after, zone),
        "blocked": terms.blocked,
        "block_reason": terms.block_reason,
    }


def untold(code: str, status: int) -> Told:
    """The fields of an error that no operation's outcome gave. `status`: of its HTTP answer."""
    whose = whose_of(code) if code in reasons.REASONS else "network" if status >= 500 else "gate"
    return Told(_REFUSED[whose or "gate"], code, whose)


def whose_of(code: str) -> Literal["guest", "gate", "network"] | None:
    """Whose matter a reason is; None for "ok"."""
    return reasons.REASONS[code].whose or None


def details(state: bytes, issued: bytes, zone_of: Callable[[str], tzinfo]) -> dict[str, Any]:
    """What is shown of a ticket besides the contract, from the canonical bytes of its leaf: under the names
    of Told, the number of its codes, and what it did on lists. `zone_of`: the time zone of an event, asked
    only if a time is shown."""
    terms, found = read_terms(issued), read_state(state)
    if found is None:
        raise ValueError("a ticket without a state")
    visits = visits_of(found, terms)
    zone = zone_of(found.event) if terms.not_before or terms.not_after or visits.movements else UTC
    last = visits.newest(MAIN_SLUG, ENTRIES)
    entry = None if last is None else Entry(moment(visits.time_of(last), zone), last.gate, last.device)
    return _worth(terms, zone) | {
        "codes": {"valid": len(terms.codes), "revoked": len(terms.revoked)},
        "last_entry": msgspec.to_builtins(entry),
        "entries": terms.entries,
        "lists": [
            {"list": each.list, "entries": each.entries, "exits": each.exits} for each in visits.counts
        ],
        "movements": [_moved(each, visits.time_of(each), zone) for each in reversed(visits.movements)],
    }


def _moved(movement: Movement, at: int, zone: tzinfo) -> dict[str, Any]:
    """A movement, as it is shown of a ticket. `at`: Visits.time_of it."""
    asked = movement.kind if movement.kind in (EXIT, "annul") else ENTRY
    return {
        "list": movement.list,
        "kind": asked,
        "at": moment(at, zone),
        "gate": movement.gate,
        "device": movement.device,
        "forced": movement.kind == FORCE,
        "stands": movement.stands,
        "nonce": _text(movement.nonce),
    }


def _text(nonce: bytes) -> str:
    """A nonce as the API takes it; "" for one that is no text, which the API cannot name."""
    try:
        return nonce.decode()
    except UnicodeDecodeError:
        return ""


def entry_of(state: TicketState, zone: tzinfo, entered_at: int = 0) -> Entry | None:
    """The entry that a ticket's state records, or None. `entered_at`: see Terms; an AnsweredState has it."""
    if isinstance(state, ListedState):
        visit = state.visit
        made = visit.at or visit.used or visit.inside
        return Entry(moment(visit.at, zone), visit.gate, visit.device) if made else None
    if state.state is not State.CONSUMED:
        return None
    at = state.timestamp
    if state.operation == ELSEWHERE:
        at = getattr(state, "entered_at", entered_at)
    return Entry(moment(at, zone), state.gate, state.device)


def moment(microseconds: int, zone: tzinfo) -> str | None:
    """A time of the log as RFC 3339, to the second, with the offset of `zone`; None for 0."""
    return in_zone(microseconds, zone).isoformat() if microseconds else None


def sentence(code: str, state: bytes, zone: tzinfo = UTC) -> str:
    """The reason as a sentence for a person at a gate, with what the ticket's state adds to it."""
    plain = reasons.REASONS[code].sentence
    try:
        found = read_state(state)
    except CanonicalError:  # the state of something else, such as a lock
        return plain
    if found is None:
        return plain
    if code in reasons.ABOUT_DISPUTES and found.state is State.UPHELD:
        return reasons.REASONS[reasons.ALREADY_UPHELD].sentence
    more = _more(code, found, zone)
    return f"{plain.removesuffix('.')}: {more}." if more else plain


def _more(code: str, found: TicketState, zone: tzinfo) -> str:
    """What a steward needs besides the reason, "" for nothing."""
    if isinstance(found, ListedState) and code in (reasons.ALREADY_CONSUMED, reasons.STILL_INSIDE):
        return _more_of(found.visit, zone)
    if code == reasons.ALREADY_CONSUMED:
        at = found.timestamp
        if found.operation == ELSEWHERE:
            at = getattr(found, "entered_at", 0)
        return _place(at, found.gate, found.device, zone)
    if not isinstance(found, AnsweredState):
        return ""
    match code:
        case reasons.NOT_YET_VALID:
            return f"it is from {_clock(found.not_before, zone)} on"
        case reasons.NO_LONGER_VALID:
            return f"it was until {_clock(found.not_after, zone)}"
        case reasons.BLOCKED | reasons.ALREADY_BLOCKED:
            return found.block_reason
        case reasons.WRONG_PRODUCT:
            return found.product
    return ""


def _more_of(visit: Visit, zone: tzinfo) -> str:
    used = f"{visit.used} of {visit.allowed} entries, last " if visit.allowed > 1 else ""
    return used + _place(visit.at, visit.gate, visit.device, zone)


def _place(at: int, gate: str, device: str, zone: tzinfo) -> str:
    when = _clock(at, zone) if at else "at a time that is not known"
    return when + (f" at gate {gate}" if gate else "") + (f", device {device}" if device else "")


def _clock(microseconds: int, zone: tzinfo) -> str:
    at = in_zone(microseconds, zone)
    return f"{at:%Y-%m-%d %H:%M:%S} {getattr(at.tzinfo, 'key', None) or at.tzname()}"


def _ending(kind: str, code: str) -> Ending:
    if code == reasons.OK:
        return "admitted" if kind in ADMISSIONS else "done"
    return _REFUSED[reasons.REASONS[code].whose]
