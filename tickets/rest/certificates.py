"""Certificates and the epoch chain as files (R26, R27): proofs that verify without this platform."""

from __future__ import annotations

from dtvn.api.answers import Answer
from dtvn.api.calls import Call
from dtvn.api.errors import SEQUENCE_HEADER, Refused
from dtvn.api.queries import read_event
from dtvn.machine import reasons
from dtvn.machine.fields import is_name
from tickets.services import certify
from validators.rest.http import own_writes, waiting
from validators.services import epochs


def show_certificate(call: Call, ticket_id: str) -> Answer:
    """Certificate of the last change, or of the outcome `at` SEQUENCE.INDEX, also of a refusal; `event`."""
    event, at = read_event(call.query), call.query.get("at")
    position = None if at is None else certify.read_position(at)
    sequence = own_writes(call)
    if not is_name(ticket_id):
        raise Refused(reasons.TICKET_NOT_FOUND)
    with waiting(call.actor):
        content = certify.certificate_of(event, ticket_id, position)
    return _file(content, f"{ticket_id}.certificate.json", sequence)


def show_epochs(call: Call) -> Answer:
    """The epoch chain: genesis and every epoch change proof since."""
    return _file(epochs.epoch_chain(), "epochs.json", own_writes(call))


def _file(content: bytes, name: str, sequence: int) -> Answer:
    """The file in the contract's envelope; verifiers read it with or without the envelope."""
    # Ids contain no quotes and no separators, so the name needs no escaping.
    disposition = f'attachment; filename="{name.replace(":", "_")}"'
    headers = {"Content-Disposition": disposition, SEQUENCE_HEADER: str(sequence)}
    return Answer(b'{"success":true,"data":%b}' % content, headers=headers)
