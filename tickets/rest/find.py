"""Finds a ticket by a code, given in a body so that it stands in no URL and no log of accesses."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec

from dtvn.api.answers import Answer, success
from dtvn.api.calls import Call
from dtvn.api.errors import SEQUENCE_HEADER, InvalidRequest, Refused
from dtvn.api.rights import READ
from dtvn.machine import reasons
from dtvn.machine.bodies import Barcode, Body, EventName
from dtvn.machine.codes import CodeError, normalised
from dtvn.machine.fields import is_name
from tickets.rest.objects import shown_ticket
from tickets.services import codes, hints, list_counts
from tickets.services.event_days import others_today
from tickets.services.scanned_codes import scanned_code
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.rest.http import own_writes
from validators.services.wrong_codes import wrong_codes


class FindBody(Body, frozen=True, kw_only=True):
    """Body of /tickets/find."""

    event: EventName
    barcode: Annotated[Barcode, msgspec.Meta(description="the text of a code")]


def find_ticket(call: Call, body: FindBody) -> Answer:
    """Find the ticket with a code, also with a replaced one; 404 without one."""
    call.rights.require(READ, body.event)
    sequence = own_writes(call)
    try:
        text = scanned_code(body.event, body.barcode)
        name, digest = normalised(text), codes.digest_of(body.event, text)
    except CodeError as error:
        raise InvalidRequest(f"barcode: {error}") from error
    event = read.event_row(LEARNER_ALIAS, body.event)
    found = read.ticket_by_code(LEARNER_ALIAS, body.event, digest)
    known, revoked = found or (name if is_name(name) else "", False)
    row = read.read_ticket(LEARNER_ALIAS, body.event, known)
    if row is None or (found is None and codes.by_name_only(event, row)):
        raise _unfound(call, body, sequence)
    main = list_counts.on_list(row, event, time.time_ns() // 1_000)
    used = {"entries_used": main.used, "entries_allowed": main.limit}
    return success(data=shown_ticket(row) | used | {"barcode_valid": not revoked}, sequence=sequence)


def _unfound(call: Call, body: FindBody, sequence: int) -> Refused:
    wrong_codes.note(call.actor)
    refusal = Refused(reasons.BARCODE_NOT_FOUND)
    refusal.headers[SEQUENCE_HEADER] = str(sequence)
    if not hints.allowed(call.actor, call.rights, body.event):
        return refusal
    others = others_today(body.event, call.rights)
    shown = call.rights.may("operate", body.event)
    hint = hints.about(body.event, body.barcode, shown=shown, others=others)
    refusal.more = dict(hint.members) if hint is not None else {}
    return refusal
