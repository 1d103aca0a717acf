"""Asks the platform over HTTP whether a quorum votes.

`/ready` answers 200 when the web process's gateway hears a quorum of members that vote in one view, so one
answer shows that web process, keys, nodes and quorum work together. Then the learner must have reached their
sequence too, or the first page opened would be empty.

A cluster of which too many nodes are set to stopped commits nothing until they are started again. Starting
them needs the API key that is written when this wait ends, so the wait also ends then.
"""

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from django.db import DatabaseError, close_old_connections

from dtvn.protocol.quorum import quorum
from validators.local_get import NO_ANSWER, get
from validators.models import ClusterRequest, DesiredState, ManagedNode, NodeRole
from validators.services.cluster import cluster_now, own_members
from validators.services.mode import cluster_mode

ASK_INTERVAL = 0.25
SAY_INTERVAL = 10.0
ANSWER_PATIENCE = 12.0


class Reply(msgspec.Struct, frozen=True):
    """The answer of `/ready`: a sequence, or a reason why not."""

    sequence: int = -1
    """The sequence that a quorum has executed; -1: not ready."""
    reason: str = ""
    answered: bool = False
    """True if the web process sent it."""


def wait(url: str, stop: threading.Event, say: Callable[[str], None]) -> bool:
    """Return True when the cluster commits and the learner follows, or when too many nodes are stopped, on
    request or because a start failed; False when `stop` is set before."""
    said_at, committed, reason = time.monotonic(), -1, ""
    reply = Reply()
    while not stop.wait(ASK_INTERVAL):
        if committed < 0:
            reply = ask(url)
            committed, reason = reply.sequence, reply.reason
        if committed >= 0:
            if learned() >= committed:
                return True
            reason = f"the learner has not reached sequence {committed}"
        if reply.answered and (way := way_out()):
            start = f"POST {url}/api/v1/cluster/start (body: {{}})"
            say(f"{way} with {start}, or its nodes in the admin under Nodes")
            return True
        if time.monotonic() - said_at >= SAY_INTERVAL:  # an answer may take seconds
            said_at = time.monotonic()
            say(f"not ready yet: {reason}; {node_states()}")
    return False


def way_out() -> str:
    """Advice if fewer validators of this platform are set to run than a quorum of them; "" if enough are, or
    while a start of the cluster is in progress, because a start stops them first."""
    try:
        wanted = list(own_members().values_list("desired", flat=True))
        # Read after the nodes: a start writes both at once, and finishes with nodes that are set to run.
        cluster = cluster_now()
    except DatabaseError:
        close_old_connections()
        return ""
    running = wanted.count(DesiredState.RUNNING)
    if (
        not wanted
        or running >= quorum(len(wanted), cluster_mode())
        or cluster.requested == ClusterRequest.START
    ):
        return ""
    if running:
        return f"{len(wanted) - running} of {len(wanted)} nodes are stopped, as requested: start them"
    # The cluster controller has already reported why a start failed.
    return "start it again" if cluster.error else "the cluster is stopped, as requested: start it"


def ask(url: str) -> Reply:
    """One request to `/ready`."""
    place = urlsplit(url)
    try:
        found = get(place.hostname or "", place.port or 80, "/ready", patience=ANSWER_PATIENCE)
    except NO_ANSWER as error:
        return Reply(reason=f"the web process does not answer yet ({error})")
    try:
        told = msgspec.json.decode(found.body, type=dict[str, object])
    except msgspec.MsgspecError:
        told = {}
    if found.status != HTTPStatus.OK:
        said = str(told.get("error") or f"/ready answered {found.status}")
        return Reply(reason=said, answered=True)
    sequence = told.get("sequence")
    return Reply(sequence if isinstance(sequence, int) else -1, "no sequence in the answer", answered=True)


def learned() -> int:
    """The last sequence the learner reported; -1 before its first report and while the database is away."""
    try:
        learner = ManagedNode.objects.filter(role=NodeRole.LEARNER).first()
    except DatabaseError:
        close_old_connections()
        return -1
    return int(learner.report.get("sequence", -1)) if learner is not None else -1


def node_states() -> str:
    """Name and status of each node, for a message; a sentence instead while the database is away."""
    try:
        return ", ".join(f"{node.node_id} {node.status}" for node in ManagedNode.objects.all())
    except DatabaseError:
        close_old_connections()
        return "the platform's database does not answer"
