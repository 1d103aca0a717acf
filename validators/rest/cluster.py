"""The routes that the Go DTVN's supervisor proxied to a node: to any reachable one, the primary first."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import Any

from dtvn.api.answers import Answer, bare, success
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, Unavailable
from dtvn.gateway import Answered
from validators.feed import simulation
from validators.membership import MemberNode, list_members
from validators.rest.http import waits
from validators.rest.nodes import ASK_WAIT, node_objects, own_sequence, read_answered
from validators.services import following
from validators.services.network import gateway

SUPERVISOR = "supervisor"

PEER_FIELDS = ("id", "addrs", "connected_at", "node_id")

PRIMARY_WAIT = 0.5
"""Seconds for which only the primary is queried: a reader waits no longer than this for members that hang."""


def ask_any(what: str) -> tuple[MemberNode, dict[str, Any]] | None:
    """The answer of the primary, or the first other answer if the primary does not answer at once; None if no
    node answers in time."""
    try:
        members = [member for member in list_members() if member.up]
        members.sort(key=lambda member: not (member.view and member.view.primary))
        network = gateway()
    except Unavailable:
        return None
    asked: dict[Future[Answered], MemberNode] = {}
    for some, patience in ((members[:1], PRIMARY_WAIT), (members[1:], ASK_WAIT)):
        asked |= {network.query(each.index, what, wait=PRIMARY_WAIT + ASK_WAIT): each for each in some}
        if (found := _first_answer(asked, patience)) is not None:
            return found
    return None


def _first_answer(
    asked: dict[Future[Answered], MemberNode], patience: float
) -> tuple[MemberNode, dict[str, Any]] | None:
    """The first valid answer within `patience` seconds; nodes that gave another answer are removed from
    `asked`."""
    until = time.monotonic() + patience
    while asked:
        done, _ = wait(asked, timeout=max(0.0, until - time.monotonic()), return_when=FIRST_COMPLETED)
        if not done:
            return None
        for answer in done:
            member = asked.pop(answer)
            with suppress(ApiError):
                return member, read_answered(member, answer.result())
    return None


def show_status(call: Call) -> Answer:
    """Summary of what this platform runs."""
    listed = node_objects()
    status = {
        "supervisor": "running",
        "nodes_count": len(listed),
        "nodes": listed,
        "simulator_status": simulation.simulator.status_now(),
    }
    return bare(status | following.told())


@waits
def show_stats(call: Call) -> Answer:
    """Statistics of a node and `mode`; without nodes the supervisor's own, without an envelope."""
    found = ask_any("stats")
    if found is None:
        return bare(
            {
                "node_id": SUPERVISOR,
                "peer_count": 0,
                "is_primary": False,
                "current_view": 0,
                "sequence": 0,
                "mode": SUPERVISOR,
                "nodes_count": len(node_objects()),
            }
        )
    return success(data=found[1] | {"mode": SUPERVISOR}, sequence=own_sequence(found[1]))


@waits
def show_peers(call: Call) -> Answer:
    """The peers of a node."""
    found = ask_any("peers")
    told = [] if found is None else found[1].get("peers", [])
    peers = [
        {name: peer[name] for name in PEER_FIELDS if name in peer}
        for peer in (told if isinstance(told, list) else [])
        if isinstance(peer, dict) and peer.get("connected", True)
    ]
    return success("No node answers." if found is None else "", {"peers": peers})


@waits
def show_config(call: Call) -> Answer:
    """A node's place in the cluster."""
    found = ask_any("status")
    if found is None:
        count = len(node_objects())
        return success("No node answers.", {"mode": SUPERVISOR, "nodes_count": count})
    member, told = found
    config = {
        "node_id": member.id,
        "total_nodes": told.get("members", 0),
        "is_primary": told.get("is_primary", False),
        "current_view": told.get("view", 0),
        "mode": SUPERVISOR,
    }
    if told.get("continues"):
        config["continues"] = told["continues"]
    return success(data=config, sequence=own_sequence(told))
