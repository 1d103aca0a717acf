"""Queries a node's own API and metrics, and the platform's metrics, on this host, as any client would: for
data that only that process has."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from django.conf import settings

from dtvn.api.errors import Unavailable
from dtvn.cli.platform import breaker_states
from dtvn.node.kept_ports import FILE as PORTS
from dtvn.node.kept_ports import kept_api, kept_metrics
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.options import StartError
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.local_get import NO_ANSWER, get
from validators.membership import MemberNode, list_members

WAIT = 2.0
"""Seconds for one node's answer."""
UNUSABLE = (*NO_ANSWER, StartError, msgspec.MsgspecError, ValueError)

ELSEWHERE = (
    "This web process has a data folder of its own, without the nodes' ports: ask the web process of make up."
)

_decoder = msgspec.json.Decoder(dict[str, Any])


def ask_api(member: MemberNode, path: str) -> Any:
    """`data` of GET `path` from this member; raise Unavailable if it gives none or is not ours."""
    found = _ask(member, path) if member.managed is not None and member.up else None
    if found is None:
        silent = f"{member.id} does not answer on its own API."
        raise Unavailable(ELSEWHERE if member.up and are_elsewhere([member.id]) else silent)
    return found


def ask_any_api(path: str) -> dict[str, Any]:
    """`data` of GET `path` from the primary, else from any node of ours that answers; raise Unavailable."""
    members = [member for member in list_members() if member.managed is not None and member.up]
    for member in sorted(members, key=lambda member: not (member.view and member.view.primary)):
        found = _ask(member, path)
        if isinstance(found, dict):
            return found
    away = are_elsewhere([member.id for member in members])
    raise Unavailable(ELSEWHERE if away else "No node answers on its own API.")


def are_elsewhere(node_ids: Sequence[str]) -> bool:
    """Whether this data folder has the ports of none of these nodes of ours, of which there are some: a
    further web process may have a folder of its own."""
    return bool(node_ids) and not any((_folder_of(name).root / PORTS).exists() for name in node_ids)


def read_metrics(node_id: str) -> str | None:
    """The metrics of a node of ours as Prometheus text; None if it does not answer."""
    try:
        where = kept_metrics(_folder_of(node_id))
        found = None if where is None else get(where.host, where.port, "/metrics", patience=WAIT)
    except UNUSABLE:
        return None
    if found is None or found.status != HTTPStatus.OK:
        return None
    return found.body.decode("utf-8", "replace")


def read_breakers() -> dict[str, str]:
    """State of the breaker of each member in the gateway of this platform's web process, by id, by its
    metrics; {} if it does not answer."""
    try:
        folder = DataFolder(settings.DATA)
        targets = msgspec.json.decode(folder.prometheus.joinpath("platform.json").read_bytes())
        host, _, port = targets[0]["targets"][0].rpartition(":")
        headers = {"X-API-Key": folder.metrics_key.read_bytes().strip()}
        found = get(host.strip("[]"), int(port), "/metrics", patience=WAIT, headers=headers)
    except (*UNUSABLE, LookupError, TypeError):
        return {}
    return breaker_states(found.body.decode("utf-8", "replace"))


def _ask(member: MemberNode, path: str) -> Any:
    """The answer of one node, None if it gives none."""
    try:
        api = kept_api(_folder_of(member.id), environment.api_key())
        if api is None:
            return None
        headers = {"X-API-Key": api.key.encode()} if api.key else {}
        found = get(api.host, api.port, path, patience=WAIT, headers=headers)
        return _decoder.decode(found.body).get("data") if found.status == HTTPStatus.OK else None
    except UNUSABLE:
        return None


def _folder_of(node_id: str) -> NodeFolder:
    return ClusterFolder(settings.DATA).node(node_id)
