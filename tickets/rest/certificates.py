"""Certificates and the epoch chain as files (R26, R27): proofs that verify without this platform."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request as HttpRequest

from dtvn.machine import reasons
from dtvn.machine.commands import is_name
from tickets.rest.queries import read_event
from tickets.services import certify, epochs
from tickets.services.errors import Refused
from validators.rest.http import ApiView, own_writes

__all__ = ["CertificateView", "EpochsView"]


class CertificateView(ApiView):
    """GET /tickets/{id}/certificate."""

    needs_nodes = True

    def get(self, http: HttpRequest, ticket_id: str) -> HttpResponse:
        """Of the last change, or of the outcome `at` SEQUENCE.INDEX, refusals included; query `event`."""
        query = http._request.GET
        event = read_event(query)
        at = certify.read_position(query["at"]) if "at" in query else None
        sequence = own_writes(http)
        if not is_name(ticket_id):
            raise Refused(reasons.TICKET_NOT_FOUND)
        return _file(certify.certificate_of(event, ticket_id, at), f"{ticket_id}.certificate.json", sequence)


class EpochsView(ApiView):
    """GET /epochs: the epoch chain that verifiers take with a certificate."""

    def get(self, http: HttpRequest) -> HttpResponse:
        """Genesis and every epoch change proof since."""
        return _file(epochs.epoch_chain(), "epochs.json", own_writes(http))


def _file(content: bytes, name: str, sequence: int) -> HttpResponse:
    """The file in the envelope of spec 1.1; verifiers read it with or without the envelope."""
    response = HttpResponse(b'{"success":true,"data":%b}' % content, content_type="application/json")
    # Ids contain no quotes and no separators, so the name needs no escaping.
    response.headers["Content-Disposition"] = f'attachment; filename="{name.replace(":", "_")}"'
    response.headers["X-DTVN-Sequence"] = str(sequence)
    return response
