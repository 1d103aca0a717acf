"""Start and stop the cluster as a whole: the only writers of its desired state.

Like those for nodes, these functions write a desired state and return at once; the cluster controller carries
it out. They also write the desired state of each node: a later request for a single node, however soon, is
newer and takes precedence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F, Q, QuerySet

from dtvn.api.errors import Unavailable
from dtvn.protocol import quorum
from validators.models import (
    ChangeState,
    ClusterRequest,
    ClusterStatus,
    DesiredState,
    ManagedCluster,
    ManagedNode,
    MembershipChange,
    NodePart,
    NodeRole,
    NodeStatus,
)
from validators.services.announcing import desired_state_changed
from validators.services.errors import ClusterBusy, ClusterSize
from validators.services.mode import cluster_mode
from validators.services.network import gateway

CLUSTER_NODES_DEFAULT = 4
CLUSTER_NODES_MAX = 30
"""Same limit as the form of the Go DTVN's front end."""

ONE_ROW = 1
START_PATIENCE = 90.0
"""Seconds after which a start has failed without a running quorum, or is done with one."""
ENDED = (NodeStatus.STOPPED, NodeStatus.ERROR)
COMING = (NodeStatus.STOPPED, NodeStatus.STARTING)
"""Statuses of a node that is wanted and does not run yet."""


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """A start or stop under way: `done` of `total` nodes run, or have ended."""

    verb: str
    """starting, stopping or restarting."""
    done: int
    total: int
    whole: bool
    """It is a start of the whole cluster: no other is taken until it is over."""
    waits: str = ""
    """Why the next node does not restart yet."""

    def __str__(self) -> str:
        done = {"starting": "running", "stopping": "stopped", "restarting": "restarted"}[self.verb]
        waits = f"; {self.waits}" if self.waits else ""
        return f"{self.done} of {self.total} {done}{waits}"


class Started(msgspec.Struct, frozen=True):
    """The nodes that a call set to run, and what is under way since."""

    nodes: list[str]
    progress: Progress | None


def cluster_now() -> ManagedCluster:
    """The cluster's row; a new one if no state was ever requested."""
    return ManagedCluster.objects.filter(pk=ONE_ROW).first() or ManagedCluster(pk=ONE_ROW)


def start_cluster(count: int | None = None) -> int:
    """Set a cluster to run, and return its number of members. The existing cluster of this data folder is
    restarted if it has `count` members or `count` is None; else a new one is founded, if this platform may
    move an earlier one aside.

    A stop in progress is completed first. Raises ClusterBusy while a start is in progress, ClusterSize if the
    cluster has another size.
    """
    nodes = own_validators()
    joined = own_members().count()
    # A node that is still joining does not make it another cluster.
    if nodes.exists() and count in (None, len(nodes), joined):
        start_existing()
        return len(nodes) if count is None else count
    if nodes.exists() and not settings.SUPERVISOR:
        raise ClusterSize(len(nodes))
    wanted = CLUSTER_NODES_DEFAULT if count is None else count
    _want_start([f"node{number}" for number in range(wanted)])
    return wanted


def start_existing() -> None:
    """Set the cluster of this data folder to run, with its members at that time: it is never moved aside
    (0130). Raises ClusterBusy."""
    _want_start([])


def restart_one_by_one() -> Progress | None:
    """Restart all nodes of this platform, each while a quorum votes without it; all at once where no quorum
    could, or where not all of them run. Returns what is under way. Raises ClusterBusy while a start or such a
    restart is."""
    with transaction.atomic():
        row = lock_cluster()
        if _starts(row) or row.requested == ClusterRequest.ROLL:
            raise ClusterBusy(under_way())
        if not rolls():
            start_existing()
        else:
            told = dict(everybody().values_list("node_id", "generation"))
            _request(ClusterRequest.ROLL, told=told, error="")
        return under_way()


def rolls() -> bool:
    """Whether all members of this platform run, and a quorum can vote without one of them."""
    members = list(own_members())
    if not members:
        return False
    known = [int(node.report.get("members", 0)) for node in members]
    spare = quorum.crashes_tolerated(max([len(members), *known]), cluster_mode())
    return spare > 0 and all(map(runs_as_wanted, members))


def start_stopped() -> Started:
    """Set the stopped and failed nodes of this platform to run; leave running ones alone. While a start is
    under way nothing is changed, and its progress is returned: a second press is no second start."""
    with transaction.atomic():
        if _starts(lock_cluster()):
            return Started([], under_way())
        names = [row.node_id for row in _ended()]
        if names and not own_validators().exclude(node_id__in=names).exists():
            _want_start([])
        else:
            _want(ManagedNode.objects.filter(node_id__in=names), DesiredState.RUNNING)
        return Started(names, under_way())


def stopped_nodes() -> list[str]:
    """Names of our validators that are to be stopped, or have failed. The learner starts and stops with them:
    it is named only where it alone has failed."""
    rows = list(_ended())
    validators = [row for row in rows if row.role == NodeRole.VALIDATOR]
    alone = [] if validators or under_way() else rows
    return [row.node_id for row in validators or alone]


def _ended() -> QuerySet[ManagedNode]:
    stopped = Q(desired=DesiredState.STOPPED) | Q(status=NodeStatus.ERROR)
    return everybody().filter(stopped)


def under_way() -> Progress | None:
    """The start or stop that is under way, None if there is none; every operator sees the same."""
    row = cluster_now()
    rows = list(own_members())
    done = sum(runs_as_wanted(node) for node in rows)
    if _starts(row):
        return Progress("starting", done, len(row.members) or len(rows), whole=True)
    if row.requested == ClusterRequest.ROLL:
        rolled = [node for node in everybody() if node.node_id in row.told]
        again = [node for node in rolled if node.generation > row.told[node.node_id]]
        return Progress(
            "restarting", sum(map(runs_as_wanted, again)), len(rolled), whole=True, waits=row.error
        )
    ending = [node for node in rows if node.desired == DesiredState.STOPPED]
    ended = sum(node.status in ENDED for node in ending)
    if ended < len(ending):
        return Progress("stopping", ended, len(ending), whole=False)
    coming = [node for node in rows if node.status != NodeStatus.ERROR and node not in ending]
    if any(node.status in COMING for node in coming):
        return Progress("starting", done, len(coming), whole=False)
    return None


def found_with(node_id: str) -> None:
    """Request a cluster of one node, if there is no cluster. Raises ClusterBusy."""
    _want_start([node_id])


def stop_cluster() -> None:
    """Set every node of this platform to stopped; no effect if all are. A newcomer of ours that was not
    created yet is cancelled: creating it needs a running cluster, and it would be shown as starting until
    then.
    """
    with transaction.atomic():
        lock_cluster()
        waiting = MembershipChange.objects.filter(state=ChangeState.WAITING, content=b"")
        # Before the rows: a newcomer created meanwhile either has a row by then, or is cancelled.
        waiting.filter(pk__in=[row.pk for row in waiting if row.newcomer]).update(cancelled=True)
        _want(own_validators(), DesiredState.STOPPED)
        _request(ClusterRequest.STOP, told={})


def begin(generation: int, told: Mapping[str, int], stopped: Collection[str]) -> bool:
    """Set all nodes to run, including the learner, as the start of this generation requested; except those in
    `stopped`, or stopped by an operator since it was `told`. False: there is a newer desired state, so
    nothing was changed."""
    with transaction.atomic():
        if lock_cluster().generation != generation:
            return False
        rows = list(everybody().select_for_update())  # locks all rows: none is stopped meanwhile
        stopped = set(stopped) | stopped_since(rows, told)
        _want(everybody().exclude(node_id__in=stopped), DesiredState.RUNNING)
    return True


def give_up(generation: int) -> None:
    """Set all validators to stopped: the start of this generation has failed. A newer desired state is
    kept."""
    with transaction.atomic():
        if lock_cluster().generation == generation:
            _want(own_validators(), DesiredState.STOPPED)


def stopped_since(rows: Iterable[ManagedNode], told: Mapping[str, int]) -> set[str]:
    """Nodes that an operator stopped since the desired state was `told`: they must not start with the others.
    A row that a founding created since is counted from its creation."""
    return {
        row.node_id
        for row in rows
        if row.desired == DesiredState.STOPPED and row.generation > told.get(row.node_id, row.generation)
    }


def why_no_node() -> str:
    """Why no node can be queried right now, "" if one can. Only under the Go DTVN's conventions: otherwise
    the gateway is queried, which waits for nodes to return. Nodes whose own API does not answer are shown as
    starting; while a quorum of them agrees, the cluster can be queried all the same."""
    if not settings.SUPERVISOR:
        return ""
    try:
        statuses = set(own_validators().values_list("status", flat=True))
    except DatabaseError:
        return ""  # unknown while the platform's database is away: the gateway finds out
    if NodeStatus.RUNNING in statuses or NodeStatus.UNRESPONSIVE in statuses:
        return ""
    if not statuses:
        return "no primary: no cluster has been started"
    if NodeStatus.STARTING in statuses and _has_quorum():
        return ""
    if NodeStatus.STARTING in statuses or cluster_now().status == ClusterStatus.STARTING:
        return "the cluster is still starting up"
    return "the primary is not running: no node is running"


def _has_quorum() -> bool:
    try:
        return gateway().agreement().has_quorum
    except Unavailable:
        return False


def member_names() -> list[str]:
    """The validators that this platform runs, by number; without those that left the cluster."""
    return list(own_validators().values_list("node_id", flat=True))


def own_validators() -> QuerySet[ManagedNode]:
    """Rows of the validators that this platform runs, without those that left the cluster."""
    return ManagedNode.objects.filter(role=NodeRole.VALIDATOR).exclude(part=NodePart.LEFT)


def own_members() -> QuerySet[ManagedNode]:
    """Rows of our validators that are already members."""
    return own_validators().exclude(part=NodePart.JOINING)


def reset_cluster() -> None:
    """Called when the network starts, before any process runs: the row still describes an earlier run."""
    wanted = own_validators().filter(desired=DesiredState.RUNNING).count()
    with transaction.atomic():
        row = lock_cluster()
        ManagedCluster.objects.filter(pk=ONE_ROW).update(
            requested=ClusterRequest.NONE,
            handled=row.generation,
            status=ClusterStatus.STARTING if wanted else ClusterStatus.IDLE,
            started=0,
            total=own_members().count(),
            error="",
        )


def _want_start(names: Sequence[str]) -> None:
    with transaction.atomic():
        if _starts(lock_cluster()):
            raise ClusterBusy(under_way())
        _want(everybody(), DesiredState.STOPPED)
        told = dict(ManagedNode.objects.values_list("node_id", "generation"))
        _request(ClusterRequest.START, members=list(names), told=told)


def _starts(row: ManagedCluster) -> bool:
    """Whether a start is in progress: requested, and not all of its nodes run yet. A start that the cluster
    controller has not noticed yet counts as well: users see the nodes, not the controller."""
    if row.requested != ClusterRequest.START:
        return False
    nodes = list(own_members())
    done = [node.node_id for node in nodes if runs_as_wanted(node)]
    others = bool(row.members) and sorted(done) != sorted(row.members)
    return row.handled != row.generation or len(done) < len(nodes) or others


def runs_as_wanted(node: ManagedNode) -> bool:
    """Whether a node runs in the process that its newest desired state asks for."""
    return (
        node.desired == DesiredState.RUNNING
        and node.status == NodeStatus.RUNNING
        and node.running_generation == node.generation
    )


def everybody() -> QuerySet[ManagedNode]:
    """Rows of all nodes of this platform, the learner too, without those that left the cluster."""
    return ManagedNode.objects.exclude(part=NodePart.LEFT)


def _want(rows: QuerySet[ManagedNode], desired: DesiredState) -> None:
    if desired == DesiredState.STOPPED:
        rows = rows.exclude(desired=DesiredState.STOPPED)
    rows.update(desired=desired, generation=F("generation") + 1)
    desired_state_changed()


def _request(requested: ClusterRequest, **changes: object) -> None:
    ManagedCluster.objects.filter(pk=ONE_ROW).update(
        requested=requested, generation=F("generation") + 1, **changes
    )
    desired_state_changed()


def lock_cluster() -> ManagedCluster:
    """The cluster's row, locked until the end of this transaction."""
    ManagedCluster.objects.get_or_create(pk=ONE_ROW)
    return ManagedCluster.objects.select_for_update().get(pk=ONE_ROW)
