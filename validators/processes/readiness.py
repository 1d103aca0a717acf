"""Has the cluster committed an operation since this start? Asked of the platform, over HTTP.

`/ready` answers 200 only when a fresh operation went through the gateway, the ordered log and back,
so one answer shows that web process, keys, nodes and quorum work together. Then the learner must
have it too, or the first page that somebody opens would be empty.

A cluster that somebody stopped commits nothing until it is started again, and whoever starts it needs the
key that is written when this wait ends: it ends then as well.
"""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import msgspec
from django.db import DatabaseError, connection

from validators.models import ClusterWish, DesiredState, ManagedNode, NodeRole
from validators.services.cluster import cluster_now, own_members

ASK_INTERVAL = 0.25
SAY_INTERVAL = 10.0
ANSWER_PATIENCE = 12.0


class Reply(msgspec.Struct, frozen=True):
    """What `/ready` said: a sequence, or a reason why not."""

    sequence: int = 0
    reason: str = ""
    answered: bool = False
    """The web process said it."""


def wait(url: str, stop: threading.Event, say: Callable[[str], None]) -> bool:
    """Return True when the cluster commits and the learner follows, or is stopped because that was asked
    for, or since its start failed; False when told to stop before."""
    said_at, committed, reason = time.monotonic(), 0, ""
    reply = Reply()
    while not stop.wait(ASK_INTERVAL):
        if not committed:
            reply = ask(url)
            committed, reason = reply.sequence, reply.reason
        if committed:
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
    """What is to be done where all validators of this platform are wanted stopped; "" where they are not, or
    while a start of the cluster is under way: that one stops them first."""
    try:
        wanted = set(own_members().values_list("desired", flat=True))
        # After the nodes: a start writes both at once, and ends with nodes that are wanted running.
        cluster = cluster_now()
    except DatabaseError:
        connection.close()  # asked again, over another one
        return ""
    if wanted != {DesiredState.STOPPED} or cluster.wish == ClusterWish.START:
        return ""
    # Why a start failed was told by the keeper.
    return "start it again" if cluster.error else "the cluster is stopped, as it was asked to be: start it"


def ask(url: str) -> Reply:
    """One question to `/ready`."""
    try:
        # Straight to this machine, whatever proxy the environment names.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/ready", timeout=ANSWER_PATIENCE) as answer:
            content = _content(answer.read(4096))
        sequence = content.get("sequence")
        return Reply(sequence if isinstance(sequence, int) else 0, "no sequence in the answer", answered=True)
    except urllib.error.HTTPError as error:
        with error:
            content = _content(error.read(4096))
        said = str(content.get("error") or f"/ready answered {error.code}")
        return Reply(reason=said, answered=True)
    except OSError as error:
        return Reply(reason=f"the web process does not answer yet ({error})")


def _content(body: bytes) -> dict[str, object]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def learned() -> int:
    """The last sequence the learner reported."""
    learner = ManagedNode.objects.filter(role=NodeRole.LEARNER).first()
    return int(learner.report.get("sequence", 0)) if learner is not None else 0


def node_states() -> str:
    return ", ".join(f"{node.node_id} {node.status}" for node in ManagedNode.objects.all())
