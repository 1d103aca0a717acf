"""/principals: the principals that may sign requests, their keys and grants (R15)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from dtvn.api.answers import Answer, success
from dtvn.api.bodies import NewPeerId, PeerId, convert, nonce_of
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, InvalidRequest
from dtvn.machine.bodies import NonceBody, Text
from dtvn.machine.granting import GRANTS_MAX
from dtvn.protocol.genesis import CAPABILITIES, EVENT_NAME, PRINCIPAL_NAME, Grant
from validators.rest.http import own_writes
from validators.services import principals
from validators.services.principals import Changed, ShownPrincipal

OVERLAP_MAX = 600
"""Most seconds for which a replaced key may stay valid."""

Grants = Annotated[
    list[Any],
    msgspec.Meta(
        max_length=GRANTS_MAX,
        description=f"a list of at most {GRANTS_MAX} grants",
        extra_json_schema={
            "items": {
                "type": "object",
                "required": ["capability"],
                "properties": {
                    "event": {"type": "string", "pattern": f"^([*]|{EVENT_NAME[1:-1]})$", "default": "*"},
                    "capability": {"enum": list(CAPABILITIES)},
                },
            }
        },
    ),
]


class PrincipalBody(NonceBody, frozen=True, kw_only=True):
    """Of POST /principals."""

    name: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=64,
            pattern=PRINCIPAL_NAME,
            description="a string of 1 to 64 characters of A-Z a-z 0-9 . _ -, with a letter or digit first",
        ),
    ]
    peer_id: NewPeerId
    grants: Grants = []


class GrantsBody(NonceBody, frozen=True, kw_only=True):
    """The body of PATCH /principals/{name}."""

    grants: Grants


class GrantBody(msgspec.Struct, frozen=True):
    """One grant."""

    event: Text = "*"
    capability: Text = ""


class KeyBody(NonceBody, frozen=True, kw_only=True):
    """Of POST /principals/{name}/rotate."""

    peer_id: PeerId = ""
    overlap: (
        Annotated[
            int,
            msgspec.Meta(ge=0, le=OVERLAP_MAX, description=f"a number of seconds from 0 to {OVERLAP_MAX}"),
        ]
        | None
    ) = None
    may_be_empty: ClassVar[bool] = True


class RevokeBody(NonceBody, frozen=True, kw_only=True):
    """Of DELETE /principals/{name}."""

    may_be_empty: ClassVar[bool] = True


def list_principals(call: Call) -> Answer:
    """List all principals by name."""
    sequence = own_writes(call)
    return success(data=[_object(each) for each in principals.list_principals()], sequence=sequence)


def add_principal(call: Call, body: PrincipalBody) -> Answer:
    """Add a principal: `name`, `peer_id`, `grants`."""
    key, nonce = principals.read_key(body.peer_id), nonce_of(body, call.idempotency_key)
    made = principals.add_principal(body.name, key, _grants(body.grants), actor=call.actor, nonce=nonce)
    return _told(f"{body.name} was added.", made)


def show_principal(call: Call, name: str) -> Answer:
    """Show one principal; 404 if it does not exist."""
    sequence = own_writes(call)
    found = principals.find_principal(name)
    if found is None:
        raise ApiError(404, "principal_not_found", f"There is no principal named {name!r}.")
    return success(data=_object(found), sequence=sequence)


def limit_principal(call: Call, name: str, body: GrantsBody) -> Answer:
    """Replace the grants of a principal: `grants`."""
    grants, nonce = _grants(body.grants), nonce_of(body, call.idempotency_key)
    limited = principals.limit_principal(name, grants, actor=call.actor, nonce=nonce)
    return _told(f"{name} has new grants.", limited)


def revoke_principal(call: Call, name: str, body: RevokeBody) -> Answer:
    """Revoke a principal."""
    nonce = nonce_of(body, call.idempotency_key)
    gone = principals.revoke_principal(name, actor=call.actor, nonce=nonce)
    return _told(f"{name} was revoked.", gone)


def rotate_principal(call: Call, name: str, body: KeyBody) -> Answer:
    """Replace the key of a principal. `peer_id`: the new key; absent for the platform's own principal, which
    makes it here. `overlap`: seconds for which the old key stays valid."""
    own = principals.is_own(name) and not body.peer_id
    overlap = body.overlap if body.overlap is not None else int(principals.OWN_OVERLAP) if own else 0
    nonce = nonce_of(body, call.idempotency_key)
    if own:
        rotated = principals.rotate_own(overlap=overlap, actor=call.actor)
    else:
        key = principals.read_key(body.peer_id)
        rotated = principals.rotate_principal(name, key, overlap=overlap, actor=call.actor, nonce=nonce)
    return _told(f"{name} has a new key.", rotated)


def _grants(items: list[Any]) -> list[Grant]:
    if not all(isinstance(item, dict) for item in items):
        raise InvalidRequest("grants must be objects of event and capability")
    grants = [convert(item, GrantBody) for item in items]
    return [Grant(grant.event, grant.capability) for grant in grants]


def _object(shown: ShownPrincipal) -> dict[str, Any]:
    return {
        "name": shown.name,
        "wire": shown.wire,
        "own": principals.is_own(shown.name),
        "peer_id": shown.peer_id,
        "public_key": shown.public_key.hex(),
        "grants": [{"event": grant.event, "capability": grant.capability} for grant in shown.grants],
    }


def _told(sentence: str, changed: Changed) -> Answer:
    return success(sentence, _object(changed.principal), sequence=changed.sequence)
