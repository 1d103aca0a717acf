"""Make the wish for the cluster as a whole true: stop, found, start, and tell how far it is.

Runs in the process that `up` or `supervisor` keeps in the foreground, beside reconcile, which does the
same for each node. A start stops what runs, founds a cluster where none of that shape exists, and wants
all nodes running; it has failed when no quorum of them comes up, and then everything is stopped again. Nodes
that vote without their own API are up: they show as starting, and why, and are left to decide.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import msgspec
from django.db import DatabaseError
from django.db.models import F

from validators import quorum
from validators.genesis import GenesisError
from validators.models import (
    ClusterStatus,
    ClusterWish,
    DesiredState,
    ManagedCluster,
    ManagedNode,
    NodePart,
    NodeStatus,
)
from validators.processes.errors import StartError
from validators.processes.facts import lock_holder
from validators.processes.folder import DataFolder
from validators.services.announcing import announce
from validators.services.cluster import (
    ONE_ROW,
    begin,
    cluster_now,
    give_up,
    member_names,
    own_members,
    own_validators,
    stopped_since,
)

__all__ = ["ClusterKeeper"]

logger = logging.getLogger("dtvn.cluster")

START_PATIENCE = 90.0
"""Seconds until a start counts as failed when no quorum runs, and as done when one does."""

Found = Callable[[Sequence[str]], None]
"""Make sure that the cluster of these members exists in the data folder; raises StartError."""


class Start(msgspec.Struct):
    """A start under way."""

    members: list[str]
    """Of the cluster to be founded, unless it is the one that stands; none: whoever stands there."""
    since: float
    generation: int
    """Of the wish."""
    told: dict[str, int]
    """Generation of each node as the wish has left it: one that is another was wished by a person since."""
    begun: bool = False
    """The nodes are wanted running; before, what ran is being stopped."""


class ClusterKeeper:
    """One per network. `turn` looks, acts and tells; it never waits."""

    def __init__(self, folder: DataFolder, found: Found) -> None:
        self._folder = folder
        self._found = found
        self._start: Start | None = None
        self.validators = 0
        """How many nodes need a slot, as of the last look."""

    def turn(self) -> None:
        """One look at the wish and the nodes."""
        row = cluster_now()
        if row.generation != row.handled:
            self._take_up(row)
            row = cluster_now()
        self.validators = own_validators().count()
        if self._start is not None:
            self._go_on(self._start, time.monotonic())
        else:
            self._follow(row)

    def _take_up(self, row: ManagedCluster) -> None:
        """A person asked for something else."""
        ManagedCluster.objects.filter(pk=ONE_ROW).update(handled=row.generation)
        self._start = None
        if row.wish == ClusterWish.START:
            now = time.monotonic()
            self._start = Start(
                members=list(row.members), since=now, generation=row.generation, told=dict(row.told)
            )
            tell(ClusterStatus.STARTING, 0, len(row.members) or own_members().count())

    def _go_on(self, start: Start, now: float) -> None:
        if not start.begun:
            late = now - start.since > START_PATIENCE
            if (self._somebody_runs() or _somebody_shown()) and not late:
                return
            if start.members and self._somebody_runs():
                # Started since by a person, or it does not end: nothing is put aside under a process.
                self._fail(start, "a node of the cluster before still runs", len(start.members))
                return
            names = start.members or member_names()
            stopped = stopped_since(ManagedNode.objects.all(), start.told)
            try:
                if not names:
                    raise StartError("this platform runs none of the cluster's members")
                self._found(names)
            except Exception as error:
                if isinstance(error, DatabaseError) and now - start.since < START_PATIENCE:
                    raise  # it comes back, and founding can be done again
                # Whatever it is: this start is over, and another one may work.
                known = isinstance(error, (StartError, GenesisError))
                self._fail(start, str(error) if known else f"{type(error).__name__}: {error}", len(names))
                return
            if begin(start.generation, start.told, stopped):  # else the next turn takes up the newer wish
                start.begun, start.since = True, now
            return
        self._count(start, now)

    def _over(self) -> None:
        """The start is over, well or not: another one may be wished. A newer wish stands."""
        ManagedCluster.objects.filter(pk=ONE_ROW, generation=F("handled")).update(wish=ClusterWish.NONE)
        self._start = None

    def _count(self, start: Start, now: float) -> None:
        """How many run, and whether that is the end of it, one way or the other. Whom a person stopped
        meanwhile is not waited for."""
        everybody = list(own_members())
        rows = [row for row in everybody if row.desired == DesiredState.RUNNING]
        running = sum(row.status == NodeStatus.RUNNING for row in rows)
        total, late = len(everybody), now - start.since > START_PATIENCE
        failed = [row for row in rows if row.status == NodeStatus.ERROR and row.error]
        held_up = [row for row in rows if row.status == NodeStatus.STARTING and row.error]
        reasons = "; ".join(f"{row.node_id}: {row.error}" for row in rows if row in failed or row in held_up)
        needed = min(quorum.quorum(total), len(rows))
        up = sum(row.status == NodeStatus.RUNNING or _votes(row) for row in rows)
        if running == len(rows) or (late and up >= needed):
            self._over()
            tell(ClusterStatus.RUNNING, running, total, reasons if running < len(rows) else "")
        elif late or len(rows) - len(failed) < needed:
            self._fail(start, reasons or f"only {running} of {total} nodes came up", total)
        else:
            tell(ClusterStatus.STARTING, running, total)

    def _fail(self, start: Start, reason: str, total: int) -> None:
        logger.warning("the cluster does not start: %s", reason)
        give_up(start.generation)
        tell(ClusterStatus.STOPPING if self._somebody_runs() else ClusterStatus.IDLE, 0, total, reason)
        self._over()

    def _somebody_runs(self) -> bool:
        """A fact of the kernel, whatever rows say: the folder is about to be used by others."""
        names = ManagedNode.objects.values_list("node_id", flat=True)
        return any(lock_holder(self._folder.node_lock(name)) is not None for name in names)

    def _follow(self, row: ManagedCluster) -> None:
        """Without a start under way: what the members' wishes and states amount to."""
        everybody = list(own_validators())
        rows = [node for node in everybody if node.part != NodePart.JOINING]
        wanted = [node for node in rows if node.desired == DesiredState.RUNNING]
        running = sum(node.status == NodeStatus.RUNNING for node in rows)
        settled = all(node.status in (NodeStatus.RUNNING, NodeStatus.ERROR) for node in wanted)
        if not wanted:
            stopped = (node for node in everybody if node.desired == DesiredState.STOPPED)
            ended = all(node.status == NodeStatus.STOPPED for node in stopped)
            tell(ClusterStatus.IDLE if ended else ClusterStatus.STOPPING, running, len(rows), row.error)
        elif row.status == ClusterStatus.RUNNING or (settled and running):
            # Why a start came to less than all is said until all run.
            error = row.error if row.status == ClusterStatus.RUNNING and running < len(rows) else ""
            tell(ClusterStatus.RUNNING, running, len(rows), error)
        else:
            tell(ClusterStatus.STARTING, running, len(rows))


def _votes(row: ManagedNode) -> bool:
    """Whether a node shown as starting takes part already: its own API does not answer."""
    return row.status == NodeStatus.STARTING and row.pid is not None and row.report.get("voting") is True


def _somebody_shown() -> bool:
    """Whether a node is still shown as anything but ended. Its row may be deleted or reset by the founding:
    reconcile is to have said first that it stopped."""
    ended = (NodeStatus.STOPPED, NodeStatus.ERROR)
    return ManagedNode.objects.exclude(part=NodePart.LEFT).exclude(status__in=ended).exists()


def tell(status: str, started: int, total: int, error: str = "") -> None:
    """Write how the cluster is; announced where that changes something for people."""
    row = cluster_now()
    if (row.status, row.started, row.total, row.error) == (status, started, total, error):
        return
    ManagedCluster.objects.filter(pk=ONE_ROW).update(status=status, started=started, total=total, error=error)
    announce(status=status, started=started, total=total, error=error)
