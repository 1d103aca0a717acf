"""/principals: the principals that may sign requests, their keys and grants (R15)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.request import Request

from dtvn.machine.commands import GRANTS_MAX
from dtvn.protocol.genesis import Grant
from tickets.rest.bodies import Fields, nonce_of, read_fields
from tickets.services import InvalidRequest
from validators.rest.errors import ApiError
from validators.rest.http import ApiView, own_writes, read_body, success
from validators.services import principals
from validators.services.principals import Changed, ShownPrincipal

__all__ = ["PrincipalKeyView", "PrincipalView", "PrincipalsView"]

OVERLAP_MAX = 600
"""Most seconds for which a replaced key may stay valid."""


class PrincipalsView(ApiView):
    """GET lists them; POST adds one."""

    scopes: ClassVar = {"POST": "admin"}

    def get(self, http: Request) -> HttpResponse:
        """All that are listed now, by name."""
        sequence = own_writes(http)
        found = [_object(each) for each in principals.list_principals()]
        return success(data=found, sequence=sequence)

    def post(self, http: Request) -> HttpResponse:
        """`name`, `peer_id`, `grants`."""
        fields = read_fields(read_body(http))
        name = fields.text("name")
        if not name:
            raise InvalidRequest("name is required")
        key = principals.read_key(fields.text("peer_id"))
        made = principals.add_principal(name, key, _grants(fields), **_asker(self, http, fields))
        return _told(f"{name} is listed.", made)


class PrincipalView(ApiView):
    """GET shows one; PATCH replaces its grants; DELETE revokes it."""

    scopes: ClassVar = {"PATCH": "admin", "DELETE": "admin"}

    def get(self, http: Request, name: str) -> HttpResponse:
        """404 when it is not listed."""
        sequence = own_writes(http)
        found = principals.find_principal(name)
        if found is None:
            raise ApiError(404, "principal_not_found", f"There is no principal named {name!r}.")
        return success(data=_object(found), sequence=sequence)

    def patch(self, http: Request, name: str) -> HttpResponse:
        """`grants`: all that it has from now on."""
        fields = read_fields(read_body(http))
        grants = _grants(fields, required=True)
        limited = principals.limit_principal(name, grants, **_asker(self, http, fields))
        return _told(f"{name} has other grants.", limited)

    def delete(self, http: Request, name: str) -> HttpResponse:
        """Its key counts no more."""
        fields = read_fields(read_body(http), may_be_empty=True)
        gone = principals.revoke_principal(name, **_asker(self, http, fields))
        return _told(f"{name} is revoked.", gone)


class PrincipalKeyView(ApiView):
    """POST gives a principal a new key."""

    scopes: ClassVar = {"POST": "admin"}

    def post(self, http: Request, name: str) -> HttpResponse:
        """`peer_id`: the new key; none for the platform's own principal, which makes it here. `overlap`:
        seconds for which the old one counts."""
        fields = read_fields(read_body(http), may_be_empty=True)
        own = principals.is_own(name) and not fields.text("peer_id")
        overlap = fields.number("overlap", default=int(principals.OWN_OVERLAP) if own else 0)
        if not 0 <= overlap <= OVERLAP_MAX:
            raise InvalidRequest(f"overlap must be from 0 to {OVERLAP_MAX} seconds")
        asker = _asker(self, http, fields)
        if own:
            rotated = principals.rotate_own(overlap=overlap, actor=asker["actor"])
        else:
            key = principals.read_key(fields.text("peer_id"))
            rotated = principals.rotate_principal(name, key, overlap=overlap, **asker)
        return _told(f"{name} has another key.", rotated)


def _asker(view: ApiView, http: Request, fields: Fields) -> dict[str, Any]:
    nonce = nonce_of(http._request.META.get("HTTP_IDEMPOTENCY_KEY"), fields)
    return {"actor": view.caller().actor, "nonce": nonce}


def _grants(fields: Fields, *, required: bool = False) -> list[Grant]:
    found = []
    for item in fields.objects("grants", most=GRANTS_MAX, required=required):
        if not isinstance(item, dict):
            raise InvalidRequest("grants must be objects of event and capability")
        grant = Fields(item)
        found.append(Grant(grant.text("event", "*"), grant.text("capability")))
    return found


def _object(shown: ShownPrincipal) -> dict[str, Any]:
    return {
        "name": shown.name,
        "wire": shown.wire,
        "own": principals.is_own(shown.name),
        "peer_id": shown.peer_id,
        "public_key": shown.public_key.hex(),
        "grants": [{"event": grant.event, "capability": grant.capability} for grant in shown.grants],
    }


def _told(sentence: str, changed: Changed) -> HttpResponse:
    return success(sentence, _object(changed.principal), sequence=changed.sequence)
