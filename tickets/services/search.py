"""Finds tickets by id, product, seat, order, holder's name and e-mail address, and by gates and devices of
the movements that they keep: any part in any case, with or without accents, from the platform's own copies.

No index of the two databases finds a text inside another one, so tickets are read in the order of their keys,
at most SCANNED_MAX of them in one call: a search of a million tickets is many short answers, each of which
names the key to continue after, so it does not delay other requests.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from dtvn.machine import State, state_of
from dtvn.machine.rows import TicketRow
from tickets.models import TicketHolder
from tickets.services.list_counts import is_inside, lists_of
from validators.ledger import read
from validators.ledger.models import Ticket
from validators.ledger.state_rows import unpack_ticket

SCANNED_MAX = 5_000
"""Tickets that one call compares with the words."""
SCANNED_AT_ONCE = 1_000
"""Of these in one query."""
ROWS_AT_ONCE = 100
"""Whole rows in memory at a time: one may have 64 KiB."""
SEARCHED = ("ticket_id", "product", "seat", "gate", "device")
"""Columns of a ticket in which words are found, besides its movements."""
PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
"""Letters that Unicode does not decompose."""

Key = tuple[str, str]
"""(event, ticket id)."""


class Search(msgspec.Struct, frozen=True):
    """What is looked for."""

    words: tuple[str, ...] = ()
    """Words in folded form; each must occur in one of SEARCHED, in gate or device of a movement, or in what
    is seen of the holder."""
    events: tuple[str, ...] = ()
    """The events that are searched, ascending."""
    state: State | None = None
    """None: all states."""
    blocked: bool = False
    """Whether only blocked tickets are looked for."""
    inside: bool = False
    """Whether only tickets are looked for of which somebody is inside on some list."""


ALL = Search()
Sees = Callable[[str], bool]
"""Whether a caller may see the holders of the tickets of an event."""


def nowhere(_event: str) -> bool:
    """For callers who may see none."""
    return False


class Found(msgspec.Struct, frozen=True):
    """A part of the result, in the order of the keys."""

    tickets: list[TicketRow]
    holders: dict[Key, tuple[str, str]]
    """Key -> (name, order) of these tickets' holders; empty unless they were to be read."""
    after: Key | None
    """Key to continue after, None at the end. There may be more behind it even if no ticket was found."""


def without_case(text: str) -> str:
    """The text without case, in Unicode form NFKC: as codes are compared."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def folded(text: str) -> str:
    """The text in the form that is compared: without case and accents, in Unicode form NFKD."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(PLAIN)
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def state_of_row(row: TicketRow) -> State:
    """The state of a ticket, an upheld dispute apart from an open one."""
    return state_of(row.state, upheld=row.upheld)


def search(
    using: str,
    wanted: Search,
    *,
    limit: int,
    after: Key = ("", ""),
    with_holders: Sees,
    with_addresses: Sees = nowhere,
) -> Found:
    """At most `limit` tickets after `after`, of at most SCANNED_MAX that are compared with the words.

    `with_holders`: at which events names and orders are searched and returned too, `with_addresses`: and
    e-mail addresses are searched; only for callers who may see them.
    """
    tickets: list[TicketRow] = []
    holders: dict[Key, tuple[str, str]] = {}
    size = SCANNED_AT_ONCE if wanted.words else limit + 1
    scanned = 0
    for event in wanted.events:
        if event < after[0]:
            continue
        behind = after[1] if event == after[0] else ""
        while True:
            texts = _texts(using, event, wanted, behind, size)
            known = _holders(event, list(texts)) if with_holders(event) else {}
            if wanted.words and with_addresses(event):
                texts |= _with_addresses(event, texts)
            hits = [one for one in texts if _fits(" ".join((texts[one], *known.get(one, ()))), wanted.words)]
            for row in _rows(using, event, hits, limit + 1, wanted):
                if len(tickets) == limit:
                    return Found(tickets, holders, (tickets[-1].event, tickets[-1].ticket))
                tickets.append(row)
                if row.ticket in known:
                    holders[event, row.ticket] = known[row.ticket]
            scanned += len(texts)
            if len(texts) < size:
                break
            behind = next(reversed(texts))
            if scanned >= SCANNED_MAX:
                return Found(tickets, holders, (event, behind))
    return Found(tickets, holders, None)


def by_keys(using: str, keys: Sequence[Key], *, with_holders: Sees) -> Found:
    """The tickets with these keys, in their order."""
    tickets: list[TicketRow] = []
    holders: dict[Key, tuple[str, str]] = {}
    for event, ticket in keys:
        tickets += _rows(using, event, [ticket], 1)
        known = _holders(event, [ticket]) if with_holders(event) else {}
        holders |= {(event, name): holder for name, holder in known.items()}
    return Found(tickets, holders, None)


def _texts(using: str, event: str, wanted: Search, behind: str, limit: int) -> dict[str, str]:
    """The next tickets of one event by ascending id, each with what it is found by."""
    rows = Ticket.objects.using(using).filter(event=event, ticket_id__gt=behind).order_by("ticket_id")
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.name)
    if wanted.blocked:
        rows = rows.filter(blocked=True)
    if not wanted.words:
        return dict.fromkeys(rows.values_list("ticket_id", flat=True)[:limit], "")
    found = rows.values_list(*SEARCHED, "row")[:limit].iterator(chunk_size=ROWS_AT_ONCE)
    return {one[0]: " ".join(filter(None, (*one[:-1], *_places(one[-1])))) for one in found}


def _places(packed: bytes) -> Iterator[str]:
    """Gates and devices of the movements that a ticket keeps; the columns have the newest one's alone."""
    for movement in unpack_ticket(bytes(packed)).movements:
        yield movement.gate
        yield movement.device


def _holders(event: str, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Ticket id -> its holder's name and order, of those that have one."""
    found = TicketHolder.objects.filter(event=event, ticket__in=ids).exclude(name="", order="").order_by()
    return {ticket: (name, order) for ticket, name, order in found.values_list("ticket", "name", "order")}


def _with_addresses(event: str, texts: Mapping[str, str]) -> dict[str, str]:
    """Those of these tickets whose holder has an e-mail address, each with it."""
    found = TicketHolder.objects.filter(event=event, ticket__in=texts).exclude(email="").order_by()
    return {ticket: f"{texts[ticket]} {email}" for ticket, email in found.values_list("ticket", "email")}


def _fits(text: str, words: Sequence[str]) -> bool:
    text = folded(text) if words else ""
    return all(word in text for word in words)


def _rows(
    using: str, event: str, ids: Sequence[str], at_once: int, wanted: Search = ALL
) -> Iterator[TicketRow]:
    """The tickets with these ids that are still as wanted, in their order; read as they are taken."""
    lists = lists_of(read.event_row(using, event)) if wanted.inside else {}
    now = time.time_ns() // 1_000
    for start in range(0, len(ids), at_once):
        found = Ticket.objects.using(using).filter(event=event, ticket_id__in=ids[start : start + at_once])
        for packed in found.order_by("ticket_id").values_list("row", flat=True):
            row = unpack_ticket(bytes(packed))
            if wanted.state not in (None, state_of_row(row)) or (wanted.blocked and not row.blocked):
                continue
            if not wanted.inside or is_inside(row, lists, now):
                yield row
