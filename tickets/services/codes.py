"""Codes of tickets as texts: their digests, and the platform's own table of them (models.TicketCode).

The log knows digests only and decides alone. The table serves exports, searches and hints; what a hint says,
the platform's copy of the log confirms.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from dtvn.api.ordering import Decision, Request
from dtvn.machine import Issue, Replace, reasons
from dtvn.machine.codes import CodeError, code_digest, default_salt, normalised
from dtvn.machine.fields import is_name
from dtvn.machine.rows import EventRow, TicketRow
from tickets.models import TicketCode
from tickets.services.search import without_case
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import models as ledger
from validators.ledger import read
from validators.services.network import own_cluster

ROWS_AT_ONCE = 500
"""Rows per query; SQLite takes at most 32,766 parameters."""
FOLDED_LENGTH_MAX = 512
"""Characters of a folded code: PostgreSQL limits the size of an index row."""
ALIKE_MAX = 500
"""Most codes that are compared with one that was not found."""
UNDECIDED = reasons.NOT_SENT | {reasons.OUTCOME_UNKNOWN}
"""Codes after which the operation may still be executed, or be sent again."""
OWN_WRITES_WAIT = 1.0
"""Seconds for the platform's copy to include a refusal."""
_LOOKS = str.maketrans("oil", "011")


def salt_of(event: str, row: EventRow | None) -> bytes:
    """The salt, 32 bytes, of the codes of an event with this row."""
    return row.salt if row is not None else default_salt(own_cluster(), event)


def digest_of(event: str, text: str) -> bytes:
    """The digest under which the log knows a code; raises machine.codes.CodeError, which names no code."""
    return code_digest(salt_of(event, read.event_row(LEARNER_ALIAS, event)), text)


def first_code(event: str, texts: Sequence[str]) -> str | None:
    """The first of these texts that is a code of the event and was not replaced, or the id of a ticket where
    ids are codes, as the platform's copy of the log has it."""
    row = read.event_row(LEARNER_ALIAS, event)
    salt, digests = salt_of(event, row), {}
    for text in texts:
        with suppress(CodeError):  # no text that could be a code
            digests[text] = code_digest(salt, text).hex()
    owners = _owners(event, list(digests.values()))
    found = {text for text, digest in digests.items() if digest in owners and not owners[digest][1]}
    if ids_are_codes(row):
        found.update(one.code for one in _opening_ids([event], texts))
    return next((text for text in texts if text in found), None)


def tickets_with(text: str, events: Iterable[str]) -> list[tuple[str, str, bool]]:
    """(event, ticket id, whether the code was replaced) of the tickets of these events with this code."""
    rows = read.event_rows(LEARNER_ALIAS)
    try:
        digests = {event: code_digest(salt_of(event, rows.get(event)), text) for event in events}
    except CodeError:  # no text that could be a code
        return []
    found = []
    for part in _parts(list(digests)):
        known = ledger.TicketCode.objects.using(LEARNER_ALIAS).filter(
            event__in=part, digest__in=[digests[event] for event in part]
        )
        for event, digest, ticket, revoked in known.values_list("event", "digest", "ticket_id", "revoked"):
            if bytes(digest) == digests[event]:
                found.append((event, ticket, revoked))
    return sorted(found)


def ids_are_codes(row: EventRow | None) -> bool:
    """Whether a scanned text may be the id of a ticket of the event with this row."""
    return row is None or not row.declared or row.ids_are_codes


def by_name_only(row: EventRow | None, ticket: TicketRow | None) -> bool:
    """Whether an admission of the ticket by its id is only for people who found it by name, by its event's
    row and its own: where ids are no codes, or if it has codes, so that its id is none of them."""
    return not ids_are_codes(row) or (ticket is not None and bool(ticket.codes))


def taken_by_ids(requests: Sequence[Request], events: Mapping[str, EventRow | None]) -> set[int]:
    """Places of the operations that would give a ticket a code which is the id of another one, where ids are
    codes: the same text would open twice, and the log, which has digests only, could not tell. Earlier
    operations of the same call count."""
    wanted: dict[str, set[str]] = {}
    for event, given in _giving(requests).items():
        if ids_are_codes(events[event]):
            wanted[event] = {normalised(text) for request in given for text in request.texts}
    ids = {
        (event, name)
        for event, names in wanted.items()
        for part in _parts(sorted(filter(is_name, names)))
        for name in ledger.Ticket.objects.using(LEARNER_ALIAS)
        .filter(event=event, ticket_id__in=part)
        .values_list("ticket_id", flat=True)
    }
    taken = set()
    for place, request in enumerate(requests):
        command, event = request.command, request.event
        if event not in wanted or not isinstance(command, Issue | Replace):
            continue
        named = zip(map(normalised, request.texts), command.codes, strict=False)
        clashing = [code for name, code in named if name != request.ticket and (event, name) in ids]
        if any(_owner(event, code) != request.ticket for code in clashing):
            taken.add(place)
        elif isinstance(command, Issue):
            ids.add((event, request.ticket))
    return taken


def folded(text: str) -> str:
    """What a code looks like: without case, separators and forms of characters, 0 for O, 1 for I and l."""
    plain = without_case(text)
    looks = "".join(filter(str.isalnum, plain)).translate(_LOOKS) or plain
    return looks[:FOLDED_LENGTH_MAX]


def remember_codes(event: str, tickets: Iterable[tuple[str, Sequence[str]]], *, source: str = "") -> None:
    """Store the codes (texts) of tickets of one event by id, before they are sent; a repetition changes
    nothing. `source`: of the file that gives them. Raises machine.codes.CodeError."""
    salt = salt_of(event, read.event_row(LEARNER_ALIAS, event))
    rows = [
        TicketCode(
            event=event,
            ticket=ticket,
            code=(code := normalised(text)),
            folded=folded(code),
            digest=code_digest(salt, code).hex(),
            source=source,
        )
        for ticket, texts in tickets
        for text in texts
    ]
    TicketCode.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE, ignore_conflicts=True)


def forget_codes(event: str, tickets: Iterable[str]) -> None:
    """Delete what was stored for an operation that was refused: codes of these tickets that are not theirs
    in the platform's copy of the log, which must include the refusal."""
    for part in _parts(sorted(set(tickets))):
        rows = TicketCode.objects.filter(event=event, ticket__in=part)
        found = list(rows.values_list("pk", "ticket", "digest"))
        owners = _owners(event, [digest for _pk, _ticket, digest in found])
        wrong = [pk for pk, ticket, digest in found if owners.get(digest, ("", False))[0] != ticket]
        for keys in _parts(wrong):
            TicketCode.objects.filter(pk__in=keys).delete()


def remember(requests: Sequence[Request], *, source: str = "") -> None:
    """Store the codes that these operations give to tickets. `source`: as in `remember_codes`."""
    for event, given in _giving(requests).items():
        remember_codes(event, ((request.ticket, request.texts) for request in given), source=source)


def forget_refused(decisions: Sequence[Decision]) -> None:
    """Delete the codes that these operations were to give to tickets, and did not."""
    refused = [one for one in decisions if one.code != reasons.OK and one.code not in UNDECIDED]
    given = _giving([decision.request for decision in refused])
    last = max((decision.result.sequence for decision in refused), default=0)
    if given and feed.wait_for(last, OWN_WRITES_WAIT) < last:
        return  # what the tickets have is not known here yet; a text too many does no harm
    for event, requests in given.items():
        forget_codes(event, (request.ticket for request in requests))


def _giving(requests: Sequence[Request]) -> dict[str, list[Request]]:
    """Event -> the operations that give codes, of which the texts are known, to its tickets."""
    found: dict[str, list[Request]] = {}
    for request in requests:
        if request.texts and isinstance(request.command, Issue | Replace):
            found.setdefault(request.event, []).append(request)
    return found


class KnownCode(msgspec.Struct, frozen=True):
    """A code that opens a ticket."""

    event: str
    ticket: str
    code: str
    """Its text, or the ticket's id where ids are codes."""


def codes_like(
    event: str,
    text: str,
    further: Collection[str],
    others: Mapping[str, EventRow],
    *,
    elsewhere: Collection[str] = (),
) -> list[KnownCode]:
    """Codes of the event, or of one of the `others` (slug -> its row), that look like the normalised `text`
    or like one of the `further` texts (`folded`), and ids, where they are codes: in the event those that are
    one of the texts in any case, in the others the text itself and those `elsewhere`. Empty if there are more
    than ALIKE_MAX.
    """
    texts = {text, *further}
    rows = TicketCode.objects.filter(
        folded__in=set(map(folded, texts)), event__in={event, *others}
    ).order_by()
    found = list(rows.values_list("event", "ticket", "code", "digest")[: ALIKE_MAX + 1])
    if len(found) > ALIKE_MAX:
        return []
    known = []
    for slug in {one[0] for one in found} & {event, *others}:
        of_event = [one for one in found if one[0] == slug]
        owners = _owners(slug, [digest for *_, digest in of_event])
        known += [
            KnownCode(slug, ticket, code)
            for _slug, ticket, code, digest in of_event
            if owners.get(digest) == (ticket, False)
        ]
    if ids_are_codes(read.event_row(LEARNER_ALIAS, event)):
        known += _opening_ids([event], texts | {text.upper(), text.lower()})
    ids = [slug for slug, row in others.items() if ids_are_codes(row)]
    return known + list(_opening_ids(ids, {text, *elsewhere}))


def _opening_ids(events: Collection[str], texts: Iterable[str]) -> Iterator[KnownCode]:
    """Those of the texts that are ids of tickets without codes: of events whose ids are codes."""
    tickets = ledger.Ticket.objects.using(LEARNER_ALIAS).filter(
        event__in=events, ticket_id__in=filter(is_name, texts)
    )
    for one in tickets.order_by("id"):
        if not one.whole.codes:
            yield KnownCode(one.event, one.ticket_id, one.ticket_id)


def _owner(event: str, digest: bytes) -> str:
    """The ticket that holds this code now or held it before, else "". Only that ticket can get the code
    again."""
    return (read.ticket_by_code(LEARNER_ALIAS, event, digest) or ("", False))[0]


def _owners(event: str, digests: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """Digest in hex -> (ticket, whether the code was replaced), of those that the log knows."""
    owners: dict[str, tuple[str, bool]] = {}
    for part in _parts(list(digests)):
        rows = ledger.TicketCode.objects.using(LEARNER_ALIAS).filter(
            event=event, digest__in=[bytes.fromhex(digest) for digest in part]
        )
        for digest, ticket, revoked in rows.values_list("digest", "ticket_id", "revoked"):
            owners[bytes(digest).hex()] = (ticket, revoked)
    return owners


def _parts(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), ROWS_AT_ONCE):
        yield items[start : start + ROWS_AT_ONCE]
