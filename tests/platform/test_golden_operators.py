"""Tells what a cluster does whose operators press everything at any moment, while its nodes start, vote, fail
and stop as chance has it: desired states, progress, the restart one by one, announcements and refusals."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models import F

from dtvn.api.errors import Unavailable
from dtvn.node.options import StartError
from dtvn.protocol.quorum import Mode
from tests.api.telling import beside
from tests.golden import Compare, Telling
from tests.platform.desk import Desk
from validators.models import Announcement, DesiredState, ManagedCluster, ManagedNode, NodePart, NodeStatus
from validators.processes import cluster_controller, rolling
from validators.services import cluster, nodes
from validators.services.errors import ServiceError

pytestmark = pytest.mark.django_db

TURNS = 130
NAMES = ("node0", "node1", "node2", "node3", "learner", "node9")
ASKED = (
    lambda chance: (cluster.start_cluster, chance.choice((None, 3, 4, 4))),
    lambda chance: (cluster.stop_cluster,),
    lambda chance: (cluster.start_stopped,),
    lambda chance: (cluster.start_stopped,),
    lambda chance: (cluster.start_stopped,),
    lambda chance: (cluster.restart_one_by_one,),
    lambda chance: (nodes.start_node, chance.choice(NAMES)),
    lambda chance: (nodes.stop_node, chance.choice(NAMES)),
    lambda chance: (nodes.restart_node, chance.choice(NAMES)),
)
"""What operators ask for."""


class Operated:
    """A cluster, its operators and its nodes."""

    def __init__(self, desk: Desk, seed: int, mode: Mode) -> None:
        self.desk, self.chance, self.mode = desk, Random(seed), mode
        self.story, self.now = Telling(), 1_000.0

    def turn(self) -> None:
        if self.chance.random() < 0.12:
            self._ask(*self.chance.choice(ASKED)(self.chance))
        elif self.chance.random() < 0.5 and cluster.rolls():
            self._ask(cluster.restart_one_by_one)
        self.desk.refusal = StartError("no room") if self.chance.random() < 0.1 else None
        for row in ManagedNode.objects.all():
            if self.chance.random() < 0.6:
                self._step(row)
        self.now += self.chance.choice((1.0, 1.0, 4.0, 6.0, 40.0))
        self.desk.controller.turn()
        self._tell()

    def gateway(self) -> Any:
        """Which members are connected, if there is a cluster."""
        if self.chance.random() < 0.1:
            raise Unavailable("there is no cluster")
        members = [SimpleNamespace(connected=self.chance.random() < 0.7) for _ in range(4)]
        return SimpleNamespace(members=lambda: members, present=SimpleNamespace(mode=self.mode))

    def _ask(self, call: Any, *arguments: Any) -> None:
        try:
            answered = call(*arguments)
        except ServiceError as error:
            answered = f"{error.code}: {error}"
        if isinstance(answered, ManagedNode):
            answered = f"{answered.desired} {answered.generation}"
        self.story.say(f"{call.__name__}{arguments}: {answered}")

    def _step(self, row: ManagedNode) -> None:
        """What reconcile would show next of a node, or a failure."""
        chance, rows = self.chance, ManagedNode.objects.filter(pk=row.pk)
        fresh = row.running_generation == row.generation
        if row.desired == DesiredState.STOPPED or (row.status == NodeStatus.RUNNING and not fresh):
            ends = row.status in (NodeStatus.STOPPED, NodeStatus.STOPPING, NodeStatus.ERROR)
            status = NodeStatus.STOPPED if ends else NodeStatus.STOPPING
            rows.update(status=status, error="", pid=None if ends else 7, report={})
        elif row.status in (NodeStatus.STOPPED, NodeStatus.STOPPING, NodeStatus.ERROR):
            rows.update(status=NodeStatus.STARTING, pid=7, error="")
        elif chance.random() < 0.02:
            rows.update(status=NodeStatus.ERROR, error="no disk", pid=None)
        elif chance.random() < 0.05:
            rows.update(status=NodeStatus.STARTING, error="its port is in use", report={"voting": True})
        else:
            votes = {"voting": chance.random() < 0.9, "peer_count": 3 if chance.random() < 0.9 else 2}
            members = chance.choice((4, 4, 4, 5)) if chance.random() < 0.2 else 4
            rows.update(
                status=NodeStatus.RUNNING,
                error="",
                running_generation=F("generation"),
                report=votes | {"members": members},
            )

    def _tell(self) -> None:
        row = ManagedCluster.objects.get()
        say = self.story.say
        say(
            f"{self.now} {row.status} {row.started}/{row.total} {row.requested} {row.generation} "
            f"{row.handled} {row.members} {sorted(row.told.items())} {row.error!r}"
        )
        for node in ManagedNode.objects.order_by("position", "node_id"):
            say(f"  {node.node_id} {node.desired} {node.generation} {node.status} {node.error!r} {node.part}")
        for frame in Announcement.objects.order_by("pk"):
            say(f"  told {frame.node_id!r} {frame.status} {frame.started}/{frame.total} {frame.error!r}")
        Announcement.objects.all().delete()
        say(
            f"  {cluster.under_way()!r} {cluster.stopped_nodes()} {cluster.rolls()} "
            f"{cluster.why_no_node()!r} {cluster.member_names()} "
            f"{self.desk.controller.starting} {self.desk.controller.validators}"
        )


@pytest.mark.parametrize(
    ("seed", "mode", "supervisor"),
    [(1, Mode.PBFT, True), (2, Mode.RAFT, True), (3, Mode.PBFT, False)],
)
def test_what_a_cluster_does_whose_operators_press_everything(
    golden: Compare,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    seed: int,
    mode: Mode,
    supervisor: bool,
) -> None:
    settings.SUPERVISOR = supervisor
    settings.DATA = desk.folder.root
    operated = Operated(desk, seed, mode)
    monkeypatch.setattr(cluster_controller, "time", SimpleNamespace(monotonic=lambda: operated.now))
    monkeypatch.setattr(cluster, "gateway", operated.gateway)
    for module in (cluster_controller, cluster, rolling):
        monkeypatch.setattr(module, "cluster_mode", lambda: mode)
    nodes.register_nodes(["node0", "node1", "node2", "node3"])
    if seed == 2:
        ManagedNode.objects.create(node_id="node9", part=NodePart.JOINING, position=9)
    for _ in range(TURNS):
        operated.turn()
    golden.drawn(beside(__file__, f"operators-{seed}"), operated.story.text)
