"""/members, /parameters, /changes: the membership, and changes of it (R35-R37)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from dtvn.machine import reasons
from tickets.rest.bodies import Fields, nonce_of, read_fields
from tickets.services import InvalidRequest
from validators.membership import changes
from validators.membership.epoch import ShownMember, met_newest, present_epoch
from validators.membership.membership import KINDS, WORD_BYTES_MAX, Wish
from validators.models import ChangeState, ManagedNode, MembershipChange
from validators.rest.errors import ApiError, status_of
from validators.rest.http import ApiView, json_response, read_body, success

__all__ = [
    "ChangeView",
    "ChangesView",
    "MemberKeyView",
    "MemberView",
    "MembersView",
    "ParametersView",
    "PreviewView",
]

CHANGE_WAIT = 9.0
"""Seconds that a call waits for its change to be done."""
CANCEL_WAIT = 3.0
"""Seconds that a call waits for the cleanup of a cancelled change."""
SHOWN_CHANGES = 100


class AskingView(ApiView):
    """A call that requests a change of the membership."""

    def ask(self, http: Request, wish: Wish, fields: Fields) -> HttpResponse:
        """Store it, and return its state after a short wait."""
        nonce = nonce_of(http._request.META.get("HTTP_IDEMPOTENCY_KEY"), fields)
        return _carry(changes.ask(wish, actor=self.caller().actor, nonce=nonce))


class MembersView(AskingView):
    """GET shows the epoch; POST adds a member, or replaces one."""

    scopes: ClassVar = {"POST": "admin"}

    def get(self, http: Request) -> HttpResponse:
        """Members by seat, what they survive, parameters, and newcomers that follow."""
        now = present_epoch()
        told = msgspec.to_builtins(now.strength) | {
            "epoch": now.epoch,
            "after": now.after,
            "count": now.strength.members,
            "parameters": msgspec.structs.asdict(now.parameters),
            "members": [_member(each) for each in now.members],
            "joining": [_newcomer_object(row) for row in now.joining],
        }
        return success(data=told)

    def post(self, http: Request) -> HttpResponse:
        """Without `peer_id` the platform makes and runs the newcomer."""
        fields = read_fields(read_body(http))
        return self.ask(http, _newcomer(fields), fields)


class MemberView(AskingView):
    """DELETE ends a membership."""

    scopes: ClassVar = {"DELETE": "admin"}

    def delete(self, http: Request, node_id: str) -> HttpResponse:
        """`allow_small` in body or address: even below four members."""
        fields = read_fields(read_body(http), may_be_empty=True)
        named = http._request.GET.get("allow_small", "false")
        if named not in ("true", "false"):
            raise InvalidRequest("allow_small must be true or false")
        small = named == "true" or fields.flag("allow_small")
        return self.ask(http, Wish(change="remove", node_id=node_id, allow_small=small), fields)


class MemberKeyView(AskingView):
    """POST gives a member its next key."""

    scopes: ClassVar = {"POST": "admin"}

    def post(self, http: Request, node_id: str) -> HttpResponse:
        """`peer_id`: the next key of a member that runs elsewhere; one of ours makes it now."""
        fields = read_fields(read_body(http), may_be_empty=True)
        wish = Wish(change="rotate", node_id=node_id, peer_id=fields.text("peer_id"))
        return self.ask(http, wish, fields)


class ParametersView(AskingView):
    """PATCH changes parameters by starting a new epoch."""

    scopes: ClassVar = {"PATCH": "admin"}

    def patch(self, http: Request) -> HttpResponse:
        """Those named change, the others stay."""
        fields = read_fields(read_body(http))
        return self.ask(http, Wish(change="parameters", parameters=fields.numbers()), fields)


class PreviewView(ApiView):
    """POST previews a change with the quorum calculator; nothing is changed."""

    scopes: ClassVar = {"POST": "admin"}

    def post(self, http: Request) -> HttpResponse:
        """`change` and the fields of that change."""
        fields = read_fields(read_body(http))
        found = changes.foresee(_wish(fields))
        told = msgspec.to_builtins(found)
        told["parameters"] = {
            name: {"before": before, "after": after} for name, (before, after) in found.parameters.items()
        }
        return success(data=told)


class ChangesView(ApiView):
    """GET lists the changes that were requested from this platform, the newest first."""

    def get(self, http: Request) -> HttpResponse:
        """The newest hundred."""
        return success(data=[_change_object(row) for row in MembershipChange.objects.all()[:SHOWN_CHANGES]])


class ChangeView(ApiView):
    """GET shows one change and its outcome; DELETE cancels it."""

    scopes: ClassVar = {"DELETE": "admin"}

    def get(self, http: Request, number: int) -> HttpResponse:
        """404 when there is none."""
        row = MembershipChange.objects.filter(pk=number).first()
        if row is None:
            raise ApiError(404, "not_found", "No change has this number.")
        if row.state == ChangeState.DONE:
            met_newest()
        return success(data=_change_object(row))

    def delete(self, http: Request, number: int) -> HttpResponse:
        """Take it back; 409 once it was sent to the cluster, or is finished."""
        return _told(changes.wait(changes.cancel(number), CANCEL_WAIT))


def _change_object(row: MembershipChange) -> dict[str, Any]:
    """A change as JSON; times in ISO 8601, UTC."""
    return {
        "id": row.pk,
        **{name: value for name, value in row.wish.items() if name != "word"},
        "state": row.state,
        "code": row.code,
        "sentence": row.sentence,
        "epoch": row.epoch,
        "sequence": row.sequence,
        "asked_by": row.actor,
        "created_at": _time(row.created_at),
        "finished_at": _time(row.finished_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _carry(row: MembershipChange) -> HttpResponse:
    """Wait for a change for a limited time: 200 done, 202 the newcomer still follows, 504 requested but not
    decided yet; raises the error of a refusal."""
    row = changes.wait(row, CHANGE_WAIT)
    place = {"Location": f"/api/v1/changes/{row.pk}"}
    if row.state == ChangeState.DONE:
        met_newest()
        return success(row.sentence, _change_object(row), sequence=row.sequence, **place)
    if row.finished:
        headers = place | ({"X-DTVN-Sequence": str(row.sequence)} if row.sequence else {})
        raise ApiError(status_of(row.code), row.code, row.sentence, headers=headers)
    if row.state == ChangeState.ORDERING:
        sentence = reasons.REASONS[reasons.OUTCOME_UNKNOWN].sentence
        told = f"Change {row.pk} is being ordered. {sentence}"
        raise ApiError(504, reasons.OUTCOME_UNKNOWN, told, headers=place)
    return _told(row)


def _told(row: MembershipChange) -> HttpResponse:
    """200 when it is finished, else 202."""
    place = f"/api/v1/changes/{row.pk}"
    if row.finished:
        return success(row.sentence, _change_object(row), Location=place)
    waits = "It is being taken back." if row.cancelled else row.sentence or "It waits for its turn."
    body = {"success": True, "message": waits, "data": _change_object(row)}
    return json_response(body, status=202, headers={"Location": place})


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
        "sequence": node.sequence,
        "view": node.view_number,
    }


def _newcomer_object(row: ManagedNode) -> dict[str, Any]:
    return {"id": row.node_id, "status": row.status, "sequence": row.report.get("sequence", 0)}


def _newcomer(fields: Fields) -> Wish:
    replaces = fields.text("replaces")
    word = fields.base64("word", limit=WORD_BYTES_MAX)
    return Wish(
        change="replace" if replaces else "add",
        node_id=fields.text("node_id"),
        replaces=replaces,
        peer_id=fields.text("peer_id"),
        host=fields.text("host"),
        port=fields.number("port"),
        word=base64.b64encode(word).decode(),
        allow_small=fields.flag("allow_small"),
    )


def _wish(fields: Fields) -> Wish:
    """The change to preview: the fields of its call, and `change`."""
    match fields.text("change"):
        case "add" | "replace":
            return _newcomer(fields)
        case "remove":
            small = fields.flag("allow_small")
            return Wish(change="remove", node_id=fields.text("node_id"), allow_small=small)
        case "rotate":
            return Wish(change="rotate", node_id=fields.text("node_id"), peer_id=fields.text("peer_id"))
        case "parameters":
            return Wish(change="parameters", parameters=fields.fields("parameters").numbers())
    raise InvalidRequest(f"change must be one of {', '.join(KINDS)}")
