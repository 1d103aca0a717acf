"""Brings the cluster as a whole to its desired state: stops, founds and starts it, and reports progress.

Runs in the process that `up` or `supervisor` keeps in the foreground, beside reconcile, which does the same
for each node. A start stops running nodes, founds a cluster if none with these members exists, and sets all
nodes to run; it fails if no quorum of them comes up, and then all nodes are stopped again. Nodes that vote
while their own API is down count as running: they are shown as starting, with the reason, and take part in
decisions.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import msgspec
from django.db import DatabaseError
from django.db.models import F

from dtvn.node.options import StartError
from dtvn.protocol import quorum
from dtvn.protocol.genesis import GenesisError
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import lock_holder
from validators.models import (
    ClusterRequest,
    ClusterStatus,
    DesiredState,
    ManagedCluster,
    ManagedNode,
    NodePart,
    NodeStatus,
)
from validators.processes.rolling import Rolling, step
from validators.services.announcing import announce
from validators.services.cluster import (
    ONE_ROW,
    START_PATIENCE,
    begin,
    cluster_now,
    give_up,
    member_names,
    own_members,
    own_validators,
    stopped_since,
)
from validators.services.mode import cluster_mode

logger = logging.getLogger("dtvn.cluster")

Found = Callable[[Sequence[str]], None]
"""Ensures that the cluster of these members exists in the data folder; raises StartError."""


class Start(msgspec.Struct):
    """A start in progress."""

    members: list[str]
    """Members of the cluster to be founded, unless it already exists; empty: those of the existing
    cluster."""
    since: float
    generation: int
    """Generation of the desired state."""
    told: dict[str, int]
    """Generation of each node as this start set it: a different one means that an operator has changed the
    desired state since."""
    begun: bool = False
    """The nodes are set to run; before that, running ones are being stopped."""


class ClusterController:
    """One per network. `turn` observes, acts and reports; it never waits."""

    def __init__(self, folder: DataFolder, found: Found) -> None:
        self._folder = folder
        self._found = found
        self._start: Start | None = None
        self._rolling: Rolling | None = None
        self.validators = 0
        """Number of nodes that need a slot, as of the last turn."""

    @property
    def starting(self) -> bool:
        """Whether a start, or a restart of all nodes, is in progress."""
        return self._start is not None or self._rolling is not None

    def turn(self) -> None:
        """Check the desired state and the nodes once."""
        row = cluster_now()
        unknown = row.requested == ClusterRequest.ROLL and self._rolling is None  # to a new supervisor
        if row.generation != row.handled or unknown:
            self._take_up(row)
            row = cluster_now()
        validators = list(own_validators())
        self.validators = len(validators)
        if self._start is not None:
            self._go_on(self._start, time.monotonic())
        elif self._rolling is not None:
            self._roll(self._rolling, row)
        else:
            self._follow(row, validators)

    def _take_up(self, row: ManagedCluster) -> None:
        """Starts to carry out a new desired state."""
        ManagedCluster.objects.filter(pk=ONE_ROW).update(handled=row.generation)
        self._start = self._rolling = None
        now = time.monotonic()
        if row.requested == ClusterRequest.ROLL:
            self._rolling = Rolling(told=dict(row.told), since=now)
        if row.requested == ClusterRequest.START:
            self._start = Start(
                members=list(row.members), since=now, generation=row.generation, told=dict(row.told)
            )
            tell(ClusterStatus.STARTING, 0, len(row.members) or own_members().count())

    def _go_on(self, start: Start, now: float) -> None:
        if not start.begun:
            late = now - start.since > START_PATIENCE
            if (self._any_runs() or _any_shown()) and not late:
                return
            if start.members and self._any_runs():
                # Started since by an operator, or it does not end: the files of a running process are not
                # moved.
                self._fail(start, "a node of the previous cluster still runs", len(start.members))
                return
            names = start.members or member_names()
            stopped = stopped_since(ManagedNode.objects.all(), start.told)
            try:
                if not names:
                    raise StartError("this platform runs none of the cluster's members")
                self._found(names)
            except Exception as error:
                if isinstance(error, DatabaseError) and now - start.since < START_PATIENCE:
                    raise  # it is tried again: founding can be repeated
                # After any error this start has failed, but another one may work.
                known = isinstance(error, (StartError, GenesisError))
                self._fail(start, str(error) if known else f"{type(error).__name__}: {error}", len(names))
                return
            if begin(start.generation, start.told, stopped):  # else the next turn starts the newer one
                start.begun, start.since = True, now
            return
        self._count(start, now)

    def _roll(self, rolling: Rolling, row: ManagedCluster) -> None:
        """Restart the next node, if it is its turn."""
        found = step(rolling, time.monotonic())
        running = sum(node.status == NodeStatus.RUNNING for node in own_members())
        if found.over:
            self._over()
        if found.error:
            logger.warning("the restart of all nodes ends: %s", found.error)
        tell(ClusterStatus.RUNNING, running, own_members().count(), found.error or found.waits, before=row)

    def _over(self) -> None:
        """The start is over, successful or not: another may be requested. A newer desired state is kept."""
        ManagedCluster.objects.filter(pk=ONE_ROW, generation=F("handled")).update(
            requested=ClusterRequest.NONE
        )
        self._start = self._rolling = None

    def _count(self, start: Start, now: float) -> None:
        """Count the running nodes, and decide whether the start has succeeded or failed. Nodes stopped by an
        operator meanwhile are not waited for."""
        members = list(own_members())
        rows = [row for row in members if row.desired == DesiredState.RUNNING]
        running = sum(row.status == NodeStatus.RUNNING for row in rows)
        total, late = len(members), now - start.since > START_PATIENCE
        failed = [row for row in rows if row.status == NodeStatus.ERROR and row.error]
        held_up = [row for row in rows if row.status == NodeStatus.STARTING and row.error]
        reasons = "; ".join(f"{row.node_id}: {row.error}" for row in rows if row in failed or row in held_up)
        needed = min(quorum.quorum(total, cluster_mode()), len(rows))
        up = sum(row.status == NodeStatus.RUNNING or _votes(row) for row in rows)
        if running == len(rows) or (late and up >= needed):
            self._over()
            tell(ClusterStatus.RUNNING, running, total, reasons if running < len(rows) else "")
        elif late or len(rows) - len(failed) < needed:
            self._fail(start, reasons or f"only {running} of {total} started", total)
        else:
            tell(ClusterStatus.STARTING, running, total)

    def _fail(self, start: Start, reason: str, total: int) -> None:
        logger.warning("the cluster does not start: %s", reason)
        give_up(start.generation)
        tell(ClusterStatus.STOPPING if self._any_runs() else ClusterStatus.IDLE, 0, total, reason)
        self._over()

    def _any_runs(self) -> bool:
        """Whether the kernel reports a running node, even if the rows do not: the folder is about to be
        reused."""
        names = ManagedNode.objects.values_list("node_id", flat=True)
        return any(lock_holder(self._folder.node_lock(name)) is not None for name in names)

    def _follow(self, row: ManagedCluster, validators: Sequence[ManagedNode]) -> None:
        """Without a start in progress, derives the cluster's status from those of our validators."""
        rows = [node for node in validators if node.part != NodePart.JOINING]
        wanted = [node for node in rows if node.desired == DesiredState.RUNNING]
        running = sum(node.status == NodeStatus.RUNNING for node in rows)
        settled = all(node.status in (NodeStatus.RUNNING, NodeStatus.ERROR) for node in wanted)
        if not wanted:
            stopped = (node for node in validators if node.desired == DesiredState.STOPPED)
            ended = all(node.status == NodeStatus.STOPPED for node in stopped)
            status = ClusterStatus.IDLE if ended else ClusterStatus.STOPPING
            tell(status, running, len(rows), row.error, before=row)
        elif row.status == ClusterStatus.RUNNING or (settled and running):
            # The reason for an incomplete start is shown until all nodes run.
            error = row.error if row.status == ClusterStatus.RUNNING and running < len(rows) else ""
            tell(ClusterStatus.RUNNING, running, len(rows), error, before=row)
        else:
            tell(ClusterStatus.STARTING, running, len(rows), before=row)


def _votes(row: ManagedNode) -> bool:
    """Whether a node shown as starting already votes: only its own API does not answer."""
    return row.status == NodeStatus.STARTING and row.pid is not None and row.report.get("voting") is True


def _any_shown() -> bool:
    """Whether a node is still shown as anything but ended. The founding may delete or reset its row:
    reconcile should first report that it stopped."""
    ended = (NodeStatus.STOPPED, NodeStatus.ERROR)
    return ManagedNode.objects.exclude(part=NodePart.LEFT).exclude(status__in=ended).exists()


def tell(
    status: str, started: int, total: int, error: str = "", *, before: ManagedCluster | None = None
) -> None:
    """Write the cluster's status; announced if users would see a change. `before`: its row, if just read."""
    row = before or cluster_now()
    if (row.status, row.started, row.total, row.error) == (status, started, total, error):
        return
    ManagedCluster.objects.filter(pk=ONE_ROW).update(status=status, started=started, total=total, error=error)
    announce(status=status, started=started, total=total, error=error)
