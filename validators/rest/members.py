"""/members, /parameters, /changes: the membership, and changes of it (R35-R37)."""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar, get_args

import msgspec

from dtvn.api.answers import Answer, bare, success
from dtvn.api.bodies import Flag, PeerId, nonce_of
from dtvn.api.calls import Call
from dtvn.api.errors import SEQUENCE_HEADER, ApiError, InvalidRequest
from dtvn.machine import reasons
from dtvn.machine.bodies import NonceBody
from dtvn.protocol.genesis import BOUNDS, HOST_MAX, PORT_MAX, PRINCIPAL_NAME
from validators.membership import (
    FIXED_PARAMETERS,
    LIVENESS_PROOF_BYTES_MAX,
    ChangeRequest,
    Kind,
    ShownMember,
    changes,
    met_newest,
    present_epoch,
)
from validators.models import ChangeState, ManagedNode, MembershipChange
from validators.rest.errors import status_of
from validators.rest.nodes import utc_text
from validators.services.errors import ChangeUnknown

CHANGE_WAIT = 9.0
"""Seconds that a call waits for its change to be done."""
CANCEL_WAIT = 3.0
"""Seconds that a call waits for the cleanup of a cancelled change."""
SHOWN_CHANGES = 100


PARAMETERS = {
    name: {"type": "integer", "minimum": least, "maximum": most}
    for name, (least, most) in BOUNDS.items()
    if name not in FIXED_PARAMETERS
}
"""Parameters that a change may name, as JSON Schema; the machine decides about them."""

NodeId = Annotated[
    str,
    msgspec.Meta(
        max_length=64,
        pattern=f"^({PRINCIPAL_NAME[1:-1]})?$",
        description="a string of 1 to 60 of A-Z a-z 0-9 . _ -, with a letter or digit first, "
        "or of 1 to 64 for a node that runs elsewhere",
    ),
]
""" "" counts as absent."""
NewName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=64,
        pattern=PRINCIPAL_NAME,
        description="a string of 1 to 60 of A-Z a-z 0-9 . _ -, with a letter or digit first, "
        "or of 1 to 64 for a node that runs elsewhere",
    ),
]


class MemberBody(NonceBody, frozen=True, kw_only=True):
    """Of POST /members. `host` and `port` are required with `peer_id`, and refused without it."""

    node_id: NewName
    replaces: NodeId = ""
    peer_id: PeerId = ""
    host: Annotated[
        str, msgspec.Meta(max_length=HOST_MAX, description="a string: IP address or DNS name")
    ] = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=PORT_MAX, description=f"a number from 1 to {PORT_MAX}")] = 0
    """0 counts as absent."""
    word: Annotated[
        bytes,
        msgspec.Meta(
            max_length=LIVENESS_PROOF_BYTES_MAX,
            description=f"standard base64 of at most {LIVENESS_PROOF_BYTES_MAX} bytes",
        ),
    ] = b""
    allow_small: Flag = False


class RemoveBody(NonceBody, frozen=True, kw_only=True):
    """Of DELETE /members/{node_id}."""

    allow_small: Flag = False
    may_be_empty: ClassVar[bool] = True


class RotateBody(NonceBody, frozen=True, kw_only=True):
    """Of POST /members/{node_id}/rotate."""

    peer_id: PeerId = ""
    may_be_empty: ClassVar[bool] = True


class ParametersBody(NonceBody, frozen=True, kw_only=True):
    """Of PATCH /parameters: all its other members are parameters."""

    further: ClassVar[dict[str, Any]] = PARAMETERS


class PreviewBody(MemberBody, frozen=True, kw_only=True):
    """Of POST /members/preview: the fields of any change, and which one it is."""

    node_id: NodeId = ""
    change: Annotated[Kind, msgspec.Meta(description=f"one of {', '.join(get_args(Kind))}")]
    parameters: (
        Annotated[
            dict[str, Any],
            msgspec.Meta(description="an object", extra_json_schema={"properties": PARAMETERS}),
        ]
        | None
    ) = None


def show_members(call: Call) -> Answer:
    """Members by seat, tolerated faults, parameters, and newcomers that follow the log."""
    now = present_epoch()
    told = msgspec.to_builtins(now.strength) | {
        "epoch": now.epoch,
        "after": now.after,
        "count": now.strength.members,
        "waits": now.waits,
        "parameters": msgspec.structs.asdict(now.parameters),
        "members": [_member(each) for each in now.members],
        "joining": [_newcomer_object(row) for row in now.joining],
    }
    return success(data=told)


def add_member(call: Call, body: MemberBody) -> Answer:
    """Add or replace a member. Without `peer_id` the platform makes and runs the newcomer."""
    return _ask(call, _newcomer(body), body)


def remove_member(call: Call, node_id: str, body: RemoveBody) -> Answer:
    """Remove a member. `allow_small` in body or query: even below four members."""
    named = call.query.get("allow_small", "false")
    if named not in ("true", "false"):
        raise InvalidRequest("allow_small must be true or false")
    small = named == "true" or body.allow_small
    return _ask(call, ChangeRequest(change="remove", node_id=node_id, allow_small=small), body)


def rotate_member(call: Call, node_id: str, body: RotateBody) -> Answer:
    """Rotate a member's key. `peer_id`: its next key; not for members that this platform runs."""
    return _ask(call, ChangeRequest(change="rotate", node_id=node_id, peer_id=body.peer_id), body)


def set_parameters(call: Call, body: ParametersBody) -> Answer:
    """Change the named parameters."""
    members = msgspec.json.decode(call.body) or {}
    return _ask(call, ChangeRequest(change="parameters", parameters=_numbers(members)), body)


def preview_change(call: Call, body: PreviewBody) -> Answer:
    """Preview a change: `change` and the fields of that change."""
    found = changes.foresee(_requested(body))
    told = msgspec.to_builtins(found)
    told["parameters"] = {
        name: {"before": before, "after": after} for name, (before, after) in found.parameters.items()
    }
    return success(data=told)


def list_changes(call: Call) -> Answer:
    """List the newest hundred changes."""
    return success(data=[_change_object(row) for row in MembershipChange.objects.all()[:SHOWN_CHANGES]])


def show_change(call: Call, number: int) -> Answer:
    """Show one change; 404 for an unknown number."""
    row = MembershipChange.objects.filter(pk=number).first()
    if row is None:
        raise ChangeUnknown
    if row.state == ChangeState.DONE:
        met_newest()
    return success(data=_change_object(row))


def cancel_change(call: Call, number: int) -> Answer:
    """Cancel a change; 409 once it was sent to the cluster or has finished."""
    return _told(changes.wait(changes.cancel(number), CANCEL_WAIT))


def _ask(call: Call, requested: ChangeRequest, body: NonceBody) -> Answer:
    """Store a change request, and return its state after a short wait."""
    return _carry(changes.ask(requested, actor=call.actor, nonce=nonce_of(body, call.idempotency_key)))


def _change_object(row: MembershipChange) -> dict[str, Any]:
    """A change as JSON; times in ISO 8601, UTC."""
    return {
        "id": row.pk,
        **{name: value for name, value in row.request.items() if name != "word"},
        "state": row.state,
        "code": row.code,
        "sentence": row.sentence,
        "epoch": row.epoch,
        "sequence": row.sequence,
        "asked_by": row.actor,
        "created_at": utc_text(row.created_at),
        "finished_at": utc_text(row.finished_at),
    }


def _carry(row: MembershipChange) -> Answer:
    """Wait for a change for a limited time: 200 done, 202 the newcomer still follows, 504 requested but not
    decided yet; raises the error of a refusal."""
    row = changes.wait(row, CHANGE_WAIT)
    place = {"Location": f"/api/v1/changes/{row.pk}"}
    if row.state == ChangeState.DONE:
        met_newest()
        return success(row.sentence, _change_object(row), sequence=row.sequence, headers=place)
    if row.finished:
        headers = place | ({SEQUENCE_HEADER: str(row.sequence)} if row.sequence else {})
        raise ApiError(status_of(row.code), row.code, row.sentence, headers=headers)
    if row.state == ChangeState.ORDERING:
        sentence = reasons.REASONS[reasons.OUTCOME_UNKNOWN].sentence
        told = f"Change {row.pk} is being ordered. {sentence}"
        raise ApiError(504, reasons.OUTCOME_UNKNOWN, told, headers=place)
    return _told(row)


def _told(row: MembershipChange) -> Answer:
    """200 when it is finished, else 202."""
    place = f"/api/v1/changes/{row.pk}"
    if row.finished:
        return success(row.sentence, _change_object(row), headers={"Location": place})
    waits = "It is being cancelled." if row.cancelled else row.sentence or "It is queued."
    body = {"success": True, "message": waits, "data": _change_object(row)}
    return bare(body, status=202, headers={"Location": place})


def _member(each: ShownMember) -> dict[str, Any]:
    node = each.node
    return {
        "id": node.id,
        "seat": each.seat,
        "peer_id": node.peer_id,
        "public_key": each.public_key,
        "host": node.host,
        "port": node.port,
        "external": node.managed is None,
        "status": str(node.status),
        "sequence": node.report.sequence,
        "view": node.report.view,
        "release": each.release,
    }


def _newcomer_object(row: ManagedNode) -> dict[str, Any]:
    return {"id": row.node_id, "status": row.status, "sequence": row.report.get("sequence", 0)}


def _newcomer(body: MemberBody) -> ChangeRequest:
    return ChangeRequest(
        change="replace" if body.replaces else "add",
        node_id=body.node_id,
        replaces=body.replaces,
        peer_id=body.peer_id,
        host=body.host,
        port=body.port,
        liveness_proof=base64.b64encode(body.word).decode(),
        allow_small=body.allow_small,
    )


def _requested(body: PreviewBody) -> ChangeRequest:
    """The change to preview. Raises InvalidRequest for parameters beside another change."""
    if body.parameters is not None and body.change != "parameters":
        raise InvalidRequest(f"parameters must be absent: the change is {body.change}")
    match body.change:
        case "add" | "replace":
            return _newcomer(body)
        case "remove":
            return ChangeRequest(change="remove", node_id=body.node_id, allow_small=body.allow_small)
        case "rotate":
            return ChangeRequest(change="rotate", node_id=body.node_id, peer_id=body.peer_id)
        case "parameters":
            if body.parameters is None:
                raise InvalidRequest("parameters must be an object")
            return ChangeRequest(change="parameters", parameters=_numbers(body.parameters))


def _numbers(members: dict[str, Any]) -> dict[str, int]:
    """All members except the nonce; each must be a whole number, null counts as 0."""
    found = {name: 0 if value is None else value for name, value in members.items() if name != "nonce"}
    for name, value in found.items():
        if type(value) is not int:
            raise InvalidRequest(f"{name} must be a number")
    return found
