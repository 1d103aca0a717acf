"""Queries a node's own API on this host, as any client would (spec 1): for data that only the node has."""

from __future__ import annotations

import http.client
import os
from contextlib import closing
from typing import Any

import msgspec
from django.conf import settings

from dtvn.node.kept_ports import kept_api
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from tickets.services.errors import Unavailable
from validators.membership.roster import MemberNode, list_members

__all__ = ["ask_any_api", "ask_api"]

WAIT = 2.0
"""Seconds for one node's answer."""
ANSWER_BYTES_MAX = 4 * 1024 * 1024

_decoder = msgspec.json.Decoder(dict[str, Any])


def ask_api(member: MemberNode, path: str) -> Any:
    """`data` of GET `path` from this member; raise Unavailable if it gives none or is not ours."""
    found = _ask(member, path) if member.managed is not None and member.up else None
    if found is None:
        raise Unavailable(f"{member.id} does not answer on its own API.")
    return found


def ask_any_api(path: str) -> dict[str, Any]:
    """`data` of GET `path` from the primary, else from any node of ours that answers; raise Unavailable."""
    members = [member for member in list_members() if member.managed is not None and member.up]
    for member in sorted(members, key=lambda member: not (member.view and member.view.primary)):
        found = _ask(member, path)
        if isinstance(found, dict):
            return found
    raise Unavailable("No node answers on its own API.")


def _ask(member: MemberNode, path: str) -> Any:
    """The answer of one node, None if it gives none."""
    folder = ClusterFolder(settings.DATA).node(member.id)
    try:
        api = kept_api(folder, os.environ.get("DTVN_API_KEY", ""))
        if api is None:
            return None
        with closing(http.client.HTTPConnection(api.host, api.port, timeout=WAIT)) as connection:
            connection.request("GET", path, headers={"X-API-Key": api.key.encode()} if api.key else {})
            answer = connection.getresponse()
            body = answer.read(ANSWER_BYTES_MAX)
        return _decoder.decode(body).get("data") if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, StartError, msgspec.MsgspecError, ValueError):
        return None
