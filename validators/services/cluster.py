"""Start and stop the cluster as a whole: the only writers of what is wanted of it.

Like those for nodes, these functions write a wish and return at once; the keeper makes it true (see
validators.processes.keeper). What a wish means for each node is written with it: an order for one node
that follows it, however soon, is the newer one and stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from tickets.services.errors import Unavailable
from tickets.services.network import gateway
from validators import quorum
from validators.models import (
    ChangeState,
    ClusterStatus,
    ClusterWish,
    DesiredState,
    ManagedCluster,
    ManagedNode,
    MembershipChange,
    NodePart,
    NodeRole,
    NodeStatus,
)
from validators.services.errors import ClusterBusy, ClusterSize
from validators.services.joining import newcomer_of

__all__ = [
    "CLUSTER_NODES_DEFAULT",
    "CLUSTER_NODES_MAX",
    "begin",
    "cluster_now",
    "found_with",
    "give_up",
    "member_names",
    "own_members",
    "own_validators",
    "reset_cluster",
    "start_cluster",
    "start_standing",
    "stop_cluster",
    "stopped_since",
    "why_no_node",
]

CLUSTER_NODES_DEFAULT = 4
CLUSTER_NODES_MAX = 30
"""As the form of the seed's front end (spec 3.2)."""

ONE_ROW = 1


def cluster_now() -> ManagedCluster:
    """The row; a fresh one while nobody wanted anything yet."""
    return ManagedCluster.objects.filter(pk=ONE_ROW).first() or ManagedCluster(pk=ONE_ROW)


def start_cluster(count: int | None = None) -> int:
    """Want a cluster running, and return of how many: that of this data folder, whose members are started
    anew, when it has `count` of them or nobody named a number; else one founded now, where this platform may
    put an earlier one aside.

    A stop under way is gone on with, and the start follows. Raises ClusterBusy while a start is under way,
    ClusterSize where the cluster has another size.
    """
    nodes = own_validators()
    joined = own_members().count()
    # Who is only about to join makes it no other cluster.
    if nodes.exists() and count in (None, len(nodes), joined):
        start_standing()
        return len(nodes) if count is None else count
    if nodes.exists() and not settings.SUPERVISOR:
        raise ClusterSize(len(nodes))
    wanted = CLUSTER_NODES_DEFAULT if count is None else count
    _want_start([f"node{number}" for number in range(wanted)])
    return wanted


def start_standing() -> None:
    """Want the cluster of this data folder running, whoever its members are by then: it is never put aside
    (0130). Raises ClusterBusy."""
    _want_start([])


def found_with(node_id: str) -> None:
    """Want a cluster of one, where none is. Raises ClusterBusy."""
    _want_start([node_id])


def stop_cluster() -> None:
    """Want every node of this platform stopped; nothing to do when all are. A newcomer of ours of which
    nothing was made is taken back: that needs a cluster that runs, and it would show as starting until then.
    """
    with transaction.atomic():
        _locked()
        waiting = MembershipChange.objects.filter(state=ChangeState.WAITING, content=b"")
        # Before the rows: one that is made meanwhile has a row by then, or is taken back.
        waiting.filter(pk__in=[row.pk for row in waiting if newcomer_of(row)]).update(cancelled=True)
        _want(own_validators(), DesiredState.STOPPED)
        _wish(ClusterWish.STOP, told={})


def begin(generation: int, told: Mapping[str, int], stopped: Collection[str]) -> bool:
    """Want all nodes running, the learner too, as the start of this generation asked for; those apart that
    are `stopped`, or that a person stopped since it was `told`. False: there is a newer wish, so nothing."""
    with transaction.atomic():
        if _locked().generation != generation:
            return False
        rows = list(_everybody().select_for_update())  # all of them: nobody is stopped meanwhile
        stopped = set(stopped) | stopped_since(rows, told)
        _want(_everybody().exclude(node_id__in=stopped), DesiredState.RUNNING)
    return True


def give_up(generation: int) -> None:
    """Want all validators stopped: the start of this generation has failed. A newer wish stands."""
    with transaction.atomic():
        if _locked().generation == generation:
            _want(own_validators(), DesiredState.STOPPED)


def stopped_since(rows: Iterable[ManagedNode], told: Mapping[str, int]) -> set[str]:
    """Nodes that a person stopped after a wish was `told`: they are not to come up with the others. A row
    that was made since, by a founding, begins to count anew."""
    return {
        row.node_id
        for row in rows
        if row.desired == DesiredState.STOPPED and row.generation > told.get(row.node_id, row.generation)
    }


def why_no_node() -> str:
    """Why no node can be asked anything right now, "" when one may be. Only where the seed's conventions
    hold: elsewhere the gateway is asked, which waits for nodes that come back. Nodes whose own API does not
    answer show as starting; while a quorum of them is connected, the cluster can be asked all the same."""
    if not settings.SUPERVISOR:
        return ""
    statuses = set(own_validators().values_list("status", flat=True))
    if NodeStatus.RUNNING in statuses or NodeStatus.UNRESPONSIVE in statuses:
        return ""
    if not statuses:
        return "no primary: no cluster was started"
    if NodeStatus.STARTING in statuses and _has_quorum():
        return ""
    if NodeStatus.STARTING in statuses or cluster_now().status == ClusterStatus.STARTING:
        return "the cluster is still starting up"
    return "the primary is not running: no node is"


def _has_quorum() -> bool:
    try:
        members = gateway().members()
    except Unavailable:
        return False
    return sum(member.connected for member in members) >= quorum.quorum(len(members))


def member_names() -> list[str]:
    """The validators that this platform runs, by their numbers; those that left the cluster apart."""
    return list(own_validators().values_list("node_id", flat=True))


def own_validators() -> QuerySet[ManagedNode]:
    """Rows of the validators that this platform runs, those apart that left the cluster."""
    return ManagedNode.objects.filter(role=NodeRole.VALIDATOR).exclude(part=NodePart.LEFT)


def own_members() -> QuerySet[ManagedNode]:
    """Those of them that are members by now."""
    return own_validators().exclude(part=NodePart.JOINING)


def reset_cluster() -> None:
    """Called when the network starts, before any process runs: what the row says is of an earlier life."""
    wanted = own_validators().filter(desired=DesiredState.RUNNING).count()
    with transaction.atomic():
        row = _locked()
        ManagedCluster.objects.filter(pk=ONE_ROW).update(
            wish=ClusterWish.NONE,
            handled=row.generation,
            status=ClusterStatus.STARTING if wanted else ClusterStatus.IDLE,
            started=0,
            total=own_members().count(),
            error="",
        )


def _want_start(names: Sequence[str]) -> None:
    with transaction.atomic():
        if _starts(_locked()):
            raise ClusterBusy
        _want(_everybody(), DesiredState.STOPPED)
        told = dict(ManagedNode.objects.values_list("node_id", "generation"))
        _wish(ClusterWish.START, members=list(names), told=told)


def _starts(row: ManagedCluster) -> bool:
    """Whether a start is under way: wished, and not all of its nodes run yet. What the keeper has not
    noticed yet counts as well: people see the nodes, not the keeper."""
    if row.wish != ClusterWish.START:
        return False
    nodes = list(own_members())
    done = [node.node_id for node in nodes if _runs_as_wanted(node)]
    others = bool(row.members) and sorted(done) != sorted(row.members)
    return row.handled != row.generation or len(done) < len(nodes) or others


def _runs_as_wanted(node: ManagedNode) -> bool:
    return (
        node.desired == DesiredState.RUNNING
        and node.status == NodeStatus.RUNNING
        and node.running_generation == node.generation
    )


def _everybody() -> QuerySet[ManagedNode]:
    return ManagedNode.objects.exclude(part=NodePart.LEFT)


def _want(rows: QuerySet[ManagedNode], desired: DesiredState) -> None:
    if desired == DesiredState.STOPPED:
        rows = rows.exclude(desired=DesiredState.STOPPED)
    rows.update(desired=desired, generation=F("generation") + 1)


def _wish(wish: ClusterWish, **changes: object) -> None:
    ManagedCluster.objects.filter(pk=ONE_ROW).update(wish=wish, generation=F("generation") + 1, **changes)


def _locked() -> ManagedCluster:
    ManagedCluster.objects.get_or_create(pk=ONE_ROW)
    return ManagedCluster.objects.select_for_update().get(pk=ONE_ROW)
