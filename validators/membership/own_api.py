"""Queries a node's own API and metrics on this host, as any client would (spec 1, 6): for data that only the
node has."""

from __future__ import annotations

import http.client
import os
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

from dtvn.api.errors import Unavailable
from dtvn.node.kept_ports import kept_api, kept_metrics
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.options import StartError
from validators.membership.roster import MemberNode, list_members

__all__ = ["ask_any_api", "ask_api", "read_figures", "sums"]

WAIT = 2.0
"""Seconds for one node's answer."""
ANSWER_BYTES_MAX = 4 * 1024 * 1024

NO_ANSWER = (OSError, http.client.HTTPException, msgspec.MsgspecError, ValueError)

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


def read_figures(member: MemberNode, names: Mapping[str, str]) -> dict[str, float] | None:
    """`sums` of this member's metrics; None if it does not answer, or is not ours."""
    try:
        where = None if member.managed is None else kept_metrics(_folder_of(member))
        body = None if where is None else _get(where.host, where.port, "/metrics", {})
    except (*NO_ANSWER, StartError):
        return None
    return None if body is None else sums(body.decode("utf-8", "replace"), names)


def sums(text: str, names: Mapping[str, str]) -> dict[str, float]:
    """Samples of Prometheus text, summed over all labels, renamed as `names` says; 0 if there are none."""
    found = dict.fromkeys(names.values(), 0.0)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if (name := names.get(sample.name)) is not None:
                found[name] += sample.value
    return found


def _ask(member: MemberNode, path: str) -> Any:
    """The answer of one node, None if it gives none."""
    try:
        api = kept_api(_folder_of(member), os.environ.get("DTVN_API_KEY", ""))
        headers = {"X-API-Key": api.key.encode()} if api is not None and api.key else {}
        body = None if api is None else _get(api.host, api.port, path, headers)
        return None if body is None else _decoder.decode(body).get("data")
    except (*NO_ANSWER, StartError):
        return None


def _folder_of(member: MemberNode) -> NodeFolder:
    return ClusterFolder(settings.DATA).node(member.id)


def _get(host: str, port: int, path: str, headers: Mapping[str, bytes]) -> bytes | None:
    """The body of GET `path`; None if the status is not 200. Raises some of NO_ANSWER."""
    with closing(http.client.HTTPConnection(host, port, timeout=WAIT)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES_MAX)
    return body if answer.status == http.HTTPStatus.OK else None
