"""The sequential model of tickets, codes, events and lists: what one operation after the other answers (R40
to R42; the words of R41 are in list_model).

Written from the rules, not from dtvn.machine, of whose code it reads nothing but the fields of commands. One
State holds the tickets of one event that can have to do with each other (see ticket_calls).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from simulator.checkers import list_model
from simulator.checkers.list_model import MAIN, Moved

ABSENT, ISSUED, VALIDATED, CONSUMED, DISPUTED, UPHELD = range(6)
ANSWERS: dict[str, tuple[tuple[int, str], ...]] = {
    # kind: for each state before, (state after, answer)
    "issue": (
        (ISSUED, "ok"),
        (ISSUED, "ticket_exists"),
        (VALIDATED, "ticket_exists"),
        (CONSUMED, "ticket_exists"),
        (DISPUTED, "ticket_exists"),
        (UPHELD, "ticket_exists"),
    ),
    "validate": (
        (ABSENT, "ticket_not_found"),
        (VALIDATED, "ok"),
        (VALIDATED, "already_validated"),
        (CONSUMED, "already_consumed"),
        (DISPUTED, "disputed"),
        (UPHELD, "disputed"),
    ),
    "consume": (
        (ABSENT, "ticket_not_found"),
        (ISSUED, "not_validated"),
        (CONSUMED, "ok"),
        (CONSUMED, "already_consumed"),
        (DISPUTED, "disputed"),
        (UPHELD, "disputed"),
    ),
    "admit": (
        (ABSENT, "ticket_not_found"),
        (CONSUMED, "ok"),
        (CONSUMED, "ok"),
        (CONSUMED, "already_consumed"),
        (DISPUTED, "disputed"),
        (UPHELD, "disputed"),
    ),
    "dispute": (
        (ABSENT, "ticket_not_found"),
        (ISSUED, "not_validated"),
        (DISPUTED, "ok"),
        (CONSUMED, "already_consumed"),
        (DISPUTED, "already_disputed"),
        (UPHELD, "already_disputed"),
    ),
    "clear": (
        (ABSENT, "ticket_not_found"),
        (ISSUED, "not_disputed"),
        (VALIDATED, "not_disputed"),
        (CONSUMED, "not_disputed"),
        (VALIDATED, "ok"),
        (UPHELD, "already_upheld"),
    ),
    "uphold": (
        (ABSENT, "ticket_not_found"),
        (ISSUED, "not_disputed"),
        (VALIDATED, "not_disputed"),
        (CONSUMED, "not_disputed"),
        (UPHELD, "ok"),
        (UPHELD, "already_upheld"),
    ),
}
"""The life of a ticket, deliberately written down a second time."""
NOW = 1_700_000_000_000_000
"""Time of the world, microseconds, where nothing depends on the day or the minute: windows of tickets begin
and end far from it, on either side."""
CODES_MAX = 32
DEFAULT = "default"


class Ticket(msgspec.Struct, frozen=True):
    """A ticket, issued or not."""

    state: int = ABSENT
    codes: frozenset[bytes] = frozenset()
    revoked: frozenset[bytes] = frozenset()
    blocked: bool = False
    product: str = ""
    window: tuple[int, int] = (0, 0)
    persons: int = 1
    moves: list_model.Moves = ()


class State(msgspec.Struct, frozen=True):
    """Some tickets of an event."""

    event: str = DEFAULT
    ids_are_codes: bool = True
    products: frozenset[tuple[str, bool]] | None = None
    """(product, whether it admits); None: the event was not created."""
    tickets: tuple[tuple[str, Ticket], ...] = ()
    """Those that exist, in the order of their names."""
    crowded: bool = False
    """Whether the event may have other tickets than these, so that it may be known by them."""
    lists: tuple[Any, ...] = ()
    """Those that are written down."""
    signed: bool = True
    """Whether it matters who made a movement, where and when; else all entries look alike."""

    def ticket(self, name: str) -> Ticket | None:
        """The ticket with this name, or None."""
        return next((ticket for known, ticket in self.tickets if known == name), None)


class Asked(msgspec.Struct, frozen=True):
    """One operation."""

    kind: str
    """Of a resolution its verdict."""
    ticket: str = ""
    """Beside a code: named only if it is the text of that code."""
    command: Any = None
    """The command with its fields; None: as the first form of this kind, with nothing said."""
    who: tuple[str, str] = ("", "")
    """(principal, actor)."""
    now: int = NOW
    """Log time, Unix microseconds."""
    nonce: bytes = b""
    id_code: bytes = b""
    """Of an issue, the ticket's id as a code; b"": that is no code of another one."""


Step = tuple[State, tuple[str, ...], str]
"""State after an operation; the answers that are right; name of the ticket that it is about, if it exists."""


def step(state: State, asked: Asked) -> Step:
    """One operation."""
    after, answer, name = _RULES.get(asked.kind, _lives)(state, asked)
    if answer == "unknown_event" and state.crowded:
        missing = "barcode_not_found" if asked.command.code else "ticket_not_found"
        if list_model.find(state.lists, asked.command.list or MAIN) is None:
            missing = "unknown_list"
        return after, (answer, missing), name
    return after, (answer,), name


Result = tuple[State, str, str]


def _set_event(state: State, asked: Asked) -> Result:
    """What is not said stays; of an event that was not created, ids are codes if it holds tickets."""
    said = asked.command
    ids = bool(state.tickets) if state.products is None else state.ids_are_codes
    products = frozenset() if state.products is None else state.products
    if said.ids_are_codes is not None:
        ids = said.ids_are_codes
    if said.products is not None:
        products = frozenset((dict(products if said.others_stay else ()) | dict(said.products)).items())
    lists = (() if state.products is None else state.lists) if said.lists is None else said.lists
    return msgspec.structs.replace(state, ids_are_codes=ids, products=products, lists=lists), "ok", ""


def _issue(state: State, asked: Asked) -> Result:
    said, name = asked.command, asked.ticket
    if state.ticket(name) is not None:
        return state, "ticket_exists", name
    if said is None:
        return _put(state, name, Ticket(ISSUED))
    ids = (asked.id_code,) if state.products is None or state.ids_are_codes else ()
    if any(_holder(state, code) for code in (*said.codes, *ids) if code):
        return state, "barcode_taken", ""
    window = said.not_before, said.not_after
    codes = frozenset(said.codes)
    issued = Ticket(ISSUED, codes, frozenset(), said.blocked, said.product, window, said.entries)
    return _put(_listed(state, said.product), name, issued)


def _lives(state: State, asked: Asked) -> Result:
    """Operations of the first form along the ticket's life; only what admits or validates asks for more."""
    ticket = state.ticket(asked.ticket)
    after, answer = ANSWERS[asked.kind][ABSENT if ticket is None else ticket.state]
    if ticket is None:
        return state, answer, ""
    if answer == "ok" and asked.kind in ("validate", "consume", "admit"):
        if ticket.blocked:
            answer = "blocked"
        elif after == CONSUMED:
            answer = _refuses_first_form(state, ticket, asked.now) or "ok"
    if answer != "ok":
        return state, answer, asked.ticket
    if after == CONSUMED:
        return _moves(state, asked.ticket, ticket, asked, MAIN, "entry")
    return _put(state, asked.ticket, msgspec.structs.replace(ticket, state=after))


def _refuses_first_form(state: State, ticket: Ticket, now: int) -> str | None:
    main = list_model.find(state.lists, MAIN)
    return (
        (None if _takes(state, main, ticket) else "wrong_product")
        or _window(ticket, now)
        or (None if list_model.is_open(main, now) else "list_closed")
        or _entries(state, main, ticket, now)
    )


def _scan(state: State, asked: Asked) -> Result:
    """An entry or an exit, an annulment or a forced entry: R42 says what is asked of which, and in what
    order."""
    said = asked.command
    if said is None or said.code is None:
        return _lives(state, asked)
    wanted = said.kind if asked.kind == "admit" else asked.kind
    listed = list_model.find(state.lists, said.list or MAIN)
    if not (state.event == DEFAULT or state.products is not None or state.tickets):
        return state, "unknown_event", ""
    if listed is None:
        return state, "unknown_list", ""
    name = _scanned(state, asked)
    ticket = state.ticket(name)
    if ticket is None:
        return state, "barcode_not_found" if said.code else "ticket_not_found", ""
    refusal = _REFUSE[wanted](state, asked, listed, ticket)
    if refusal is not None:
        return state, refusal, name
    return _moves(state, name, ticket, asked, listed.slug, "entry" if wanted == "force" else wanted)


def _scanned(state: State, asked: Asked) -> str:
    """Name of the ticket that a scan finds."""
    code = asked.command.code
    name = _holder(state, code) if code else ""
    if not name and (not code or state.products is None or state.ids_are_codes):
        name = asked.ticket
    ticket = state.ticket(name)
    if ticket is not None and ticket.codes and code and not _holder(state, code):
        return ""  # its codes open it, and its id no more
    return name


def _refuses_all(_state: State, asked: Asked, _listed: Any, ticket: Ticket) -> str | None:
    """The refusals that apply to every entry, forced entries included."""
    return (
        ("revoked" if asked.command.code in ticket.revoked else None)
        or ("blocked" if ticket.blocked else None)
        or ("disputed" if ticket.state in (DISPUTED, UPHELD) else None)
    )


def _refuses_entry(state: State, asked: Asked, listed: Any, ticket: Ticket) -> str | None:
    return (
        _refuses_all(state, asked, listed, ticket)
        or _window(ticket, asked.now)
        or (None if list_model.is_open(listed, asked.now) else "list_closed")
        or (None if _takes(state, listed, ticket) else "wrong_product")
        or _entries(state, listed, ticket, asked.now)
    )


def _refuses_exit(_state: State, asked: Asked, listed: Any, ticket: Ticket) -> str | None:
    return None if list_model.inside(listed, ticket.moves, asked.now) > 0 else "not_inside"


def _refuses_annulment(_state: State, asked: Asked, listed: Any, ticket: Ticket) -> str | None:
    said = asked.command
    if ticket.state in (DISPUTED, UPHELD):
        return "disputed"
    return list_model.refuses_annulment(ticket.moves, listed.slug, said, asked.who, asked.now)


_REFUSE = {
    "entry": _refuses_entry,
    "exit": _refuses_exit,
    "force": _refuses_all,
    "annul": _refuses_annulment,
}


def _entries(state: State, listed: Any, ticket: Ticket, now: int) -> str | None:
    everybody = (each.moves for _name, each in state.tickets)
    return list_model.refuses_entry(listed, ticket.moves, ticket.persons, now, everybody)


def _moves(
    state: State, name: str, ticket: Ticket, asked: Asked, slug: str, kind: str, dated: int = 0
) -> Result:
    """The movement is made. A ticket is CONSUMED when its last movement on `main` leaves it no entry there;
    one that moved at all is no longer only issued. `dated`: the source's time of an entry, 0 of others."""
    listed = list_model.find(state.lists, slug)
    moves = ticket.moves
    if kind == "annul":
        moves = list_model.annulled(listed, moves, asked.now)
    elif state.signed:
        device = getattr(asked.command, "device", "")
        moves = list_model.moved(
            listed,
            moves,
            kind,
            asked.now,
            device,
            asked.who,
            dated,
            asked.nonce,
            imported=asked.kind == "import_entry",
        )
    else:
        moves = (*moves, Moved(slug, kind))
    consumed = ticket.state == CONSUMED
    if slug == MAIN:
        consumed = list_model.used_up(listed, moves, ticket.persons, asked.now)
    after = CONSUMED if consumed else VALIDATED
    return _put(state, name, msgspec.structs.replace(ticket, state=after, moves=moves))


def _block(state: State, asked: Asked) -> Result:
    ticket = state.ticket(asked.ticket)
    wanted = asked.kind == "block"
    if ticket is None:
        return state, "ticket_not_found", ""
    if ticket.blocked is wanted:
        return state, "already_blocked" if wanted else "not_blocked", asked.ticket
    return _put(state, asked.ticket, msgspec.structs.replace(ticket, blocked=wanted))


def _replace(state: State, asked: Asked) -> Result:
    ticket, wanted = state.ticket(asked.ticket), frozenset(asked.command.codes)
    if ticket is None:
        return state, "ticket_not_found", ""
    if any(_holder(state, code) not in ("", asked.ticket) for code in wanted):
        return state, "barcode_taken", asked.ticket
    revoked = (ticket.revoked | ticket.codes) - wanted
    if len(wanted) + len(revoked) > CODES_MAX:
        return state, "too_many_codes", asked.ticket
    return _put(state, asked.ticket, msgspec.structs.replace(ticket, codes=wanted, revoked=revoked))


def _change(state: State, asked: Asked) -> Result:
    ticket, said = state.ticket(asked.ticket), asked.command
    if ticket is None:
        return state, "ticket_not_found", ""
    if ticket.state == CONSUMED:
        return state, "already_consumed", asked.ticket
    begin = ticket.window[0] if said.not_before is None else said.not_before
    end = ticket.window[1] if said.not_after is None else said.not_after
    if end and end < begin:
        return state, "empty_window", asked.ticket
    if said.product is not None and said.product != ticket.product:
        state = _listed(state, said.product)
        ticket = msgspec.structs.replace(ticket, product=said.product)
    return _put(state, asked.ticket, msgspec.structs.replace(ticket, window=(begin, end)))


def _import_entry(state: State, asked: Asked) -> Result:
    """An entry made elsewhere: nothing is asked but the ticket's life, as an admission asks it."""
    ticket = state.ticket(asked.ticket)
    _after, answer = ANSWERS["admit"][ABSENT if ticket is None else ticket.state]
    if ticket is None or answer != "ok":
        return state, answer, "" if ticket is None else asked.ticket
    dated = getattr(asked.command, "at", 0)
    return _moves(state, asked.ticket, ticket, asked, MAIN, "entry", dated)


_RULES: dict[str, Callable[[State, Asked], Result]] = {
    "set_event": _set_event,
    "issue": _issue,
    "admit": _scan,
    "annul": _scan,
    "force": _scan,
    "block": _block,
    "unblock": _block,
    "replace": _replace,
    "change": _change,
    "import_entry": _import_entry,
}
KINDS = frozenset({*_RULES, *ANSWERS, "resolve"})
"""Kinds of operations that the model knows."""


def _holder(state: State, code: bytes) -> str:
    """Name of the ticket that has or had a code; "": none."""
    return next((name for name, each in state.tickets if code in each.codes or code in each.revoked), "")


def _put(state: State, name: str, ticket: Ticket) -> Result:
    others = tuple(each for each in state.tickets if each[0] != name)
    return (
        msgspec.structs.replace(state, tickets=tuple(sorted((*others, (name, ticket)), key=_name))),
        "ok",
        name,
    )


def _name(each: tuple[str, Ticket]) -> str:
    return each[0]


def _listed(state: State, product: str) -> State:
    """An event that somebody created takes a product that it does not know as one that admits."""
    if state.products is None or not product or any(name == product for name, _admits in state.products):
        return state
    return msgspec.structs.replace(state, products=state.products | {(product, True)})


def _opens(state: State, ticket: Ticket) -> bool:
    return state.products is None or not ticket.product or (ticket.product, True) in state.products


def _takes(state: State, listed: Any, ticket: Ticket) -> bool:
    return _opens(state, ticket) if listed.products is None else ticket.product in listed.products


def _window(ticket: Ticket, now: int) -> str | None:
    begin, end = ticket.window
    if begin > now:
        return "not_yet_valid"
    return "no_longer_valid" if 0 < end < now else None
