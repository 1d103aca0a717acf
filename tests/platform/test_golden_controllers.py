"""Tells what the controllers of cluster and nodes do, turn by turn: status, rows, announcements and warnings
of starts that succeed, fail, are late or overtaken, of restarts, of processes that end, hang and crash."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from django.db.models import F

from dtvn.node.options import StartError
from tests.api.telling import Story, beside
from tests.golden import Compare
from tests.platform.desk import FOUR, Desk
from tests.platform.observed import never_started
from validators.models import Announcement, DesiredState, ManagedCluster, ManagedNode, NodeStatus
from validators.processes import cluster_controller
from validators.processes.node_controller import Action, NodeController
from validators.services import cluster, nodes
from validators.services.errors import ServiceError

pytestmark = pytest.mark.django_db

ALL = [*FOUR, "learner"]


class Turns:
    """A desk whose turns are told."""

    def __init__(self, desk: Desk, story: Story, caplog: pytest.LogCaptureFixture) -> None:
        self.desk, self.story, self._caplog = desk, story, caplog
        self.now = 1_000.0

    def turn(self, what: str = "turn", seconds: float = 1.0) -> None:
        self.now += seconds
        self.story.say(what)
        self.desk.controller.turn()
        row = ManagedCluster.objects.get()
        self.story.say(
            f"  cluster: {row.status} {row.started}/{row.total} asked {row.requested}"
            f" generation {row.generation} handled {row.handled} members {row.members} told {row.told}"
            f" error {row.error!r}"
        )
        for node in ManagedNode.objects.order_by("position", "node_id"):
            self.story.say(f"  {node.node_id}: {node.desired} {node.generation} {node.status} {node.error!r}")
        for frame in Announcement.objects.order_by("pk"):
            self.story.say(
                f"  announced: {frame.node_id!r} {frame.status} {frame.started}/{frame.total} {frame.error!r}"
            )
        Announcement.objects.all().delete()
        self.story.say(f"  founded: {self.desk.founded}, starting: {self.desk.controller.starting}")
        self.story.say(f"  under way: {cluster.under_way()}; stopped: {cluster.stopped_nodes()}")
        self.story.logged(self._caplog)

    def ask(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Asks for something, and tells what is answered."""
        try:
            answered = call(*arguments)
        except ServiceError as error:
            answered = f"{type(error).__name__}: {error}"
        self.story.say(f"{call.__name__}{arguments}: {answered}")


@pytest.fixture
def turns(desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Turns:
    found = Turns(desk, Story(), caplog)
    monkeypatch.setattr(cluster_controller, "time", SimpleNamespace(monotonic=lambda: found.now))
    return found


def show(status: str, *names: str, error: str = "", **report: Any) -> None:
    """Nodes as reconcile would show them."""
    rows = ManagedNode.objects.filter(node_id__in=names or ALL)
    rows.update(status=status, error=error, report=report, pid=77 if status != NodeStatus.STOPPED else None)
    if status == NodeStatus.RUNNING:
        rows.update(running_generation=F("generation"))


def test_what_starts_tell(golden: Compare, turns: Turns) -> None:
    turns.turn("nothing was asked")
    turns.ask(cluster.start_cluster, None)
    turns.ask(cluster.start_cluster, 7)
    turns.turn("founded")
    turns.turn()
    show(NodeStatus.STARTING)
    turns.turn("all are starting")
    show(NodeStatus.RUNNING, "node1", "node0")
    turns.turn("two run")
    show(NodeStatus.STARTING, "node3", error="its port is in use", voting=True)
    show(NodeStatus.RUNNING, "node2")
    turns.turn("three run, one votes and is held up")
    turns.turn("late", 89)
    turns.turn("later", 2)
    show(NodeStatus.RUNNING)
    turns.turn("all run")
    turns.ask(nodes.stop_node, "node2")
    turns.turn("one is to stop")
    show(NodeStatus.STOPPING, "node2")
    turns.turn()
    show(NodeStatus.STOPPED, "node2")
    turns.turn()
    turns.ask(cluster.start_stopped)
    turns.turn("started again")
    show(NodeStatus.RUNNING, "node2")
    turns.turn()
    turns.ask(cluster.stop_cluster)
    turns.turn("all are to stop")
    show(NodeStatus.STOPPING)
    turns.turn()
    show(NodeStatus.STOPPED)
    turns.turn("all have stopped")
    turns.ask(cluster.start_cluster, 4)
    turns.turn("the same cluster starts again")
    turns.ask(cluster.stop_cluster)
    turns.turn("and is stopped meanwhile")
    golden(beside(__file__, "controller_starts"), str(turns.story))


def test_what_failed_starts_tell(golden: Compare, turns: Turns) -> None:
    turns.desk.refusal = StartError("port 7001 is in use")
    turns.ask(cluster.start_cluster, 3)
    turns.turn("not founded")
    turns.desk.refusal = ZeroDivisionError("oh")
    turns.ask(cluster.start_cluster, 3)
    turns.turn("not founded, unforeseen")
    turns.turn()
    turns.desk.refusal = None
    turns.ask(cluster.start_cluster, 3)
    turns.turn("founded")
    turns.turn()
    show(NodeStatus.ERROR, "node0", error="no disk")
    show(NodeStatus.ERROR, "node2", error="no key")
    turns.turn("two have failed")
    turns.turn()
    show(NodeStatus.STOPPED)
    turns.turn()
    turns.ask(cluster.start_cluster, 4)
    turns.turn("another size is founded")
    turns.turn()
    show(NodeStatus.STARTING)
    turns.turn("nothing runs in time", 91)
    show(NodeStatus.STOPPED)
    turns.turn()
    turns.ask(nodes.start_node, "node1")
    show(NodeStatus.RUNNING, "node1")
    turns.turn("one is started by hand")
    turns.ask(cluster.start_cluster, None)
    turns.turn("it has to stop first")
    turns.turn("it does not", 91)
    turns.turn()
    golden(beside(__file__, "controller_failures"), str(turns.story))


def test_what_restarts_one_by_one_tell(golden: Compare, turns: Turns) -> None:
    def back(*names: str, voting: bool = True) -> None:
        show(NodeStatus.RUNNING, *names, voting=voting, peer_count=3, members=4)

    cluster.start_cluster(4)
    turns.desk.controller.turn()
    turns.desk.controller.turn()
    back(*ALL)
    turns.turn("all run")
    turns.ask(cluster.restart_one_by_one)
    turns.ask(cluster.restart_one_by_one)
    turns.ask(cluster.start_cluster, None)
    for name in ALL:
        turns.turn(f"{name} is next")
        show(NodeStatus.STARTING, name)
        turns.turn()
        back(name, voting=False)
        turns.turn(f"{name} does not vote")
        back(name)
    turns.turn("all are back")
    turns.ask(cluster.restart_one_by_one)
    turns.turn()
    back("node0", voting=False)
    turns.turn("the first is late", 89)
    turns.turn("too late", 2)
    back("node0")
    turns.ask(cluster.restart_one_by_one)
    back("node2", voting=False)
    turns.turn("another does not vote")
    turns.turn("which is told", 11)
    turns.turn("which ends it", 90)
    back("node2")
    turns.ask(cluster.restart_one_by_one)
    turns.turn()
    show(NodeStatus.ERROR, "node0", error="its disk is gone")
    turns.turn("the first fails")
    turns.ask(cluster.restart_one_by_one)
    turns.turn("not all run: all at once")
    golden(beside(__file__, "controller_rolls"), str(turns.story))


class Watched:
    """A node's facts, and what its controller decides every half second."""

    def __init__(self, story: Story) -> None:
        self.story, self.now, self.beats = story, 500.0, True
        self.facts = never_started()
        self.controller = NodeController(1)
        self._told = ""
        self.quiet = False
        """Whether growing numbers of seconds are told no more."""

    def run(self, seconds: float, what: str = "", **facts: Any) -> None:
        """Time passes with these facts; each decision that differs from the one before is told."""
        if what:
            self.story.say(what)
        self.facts = msgspec.structs.replace(self.facts, **facts)
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            self._look()

    def _look(self) -> None:
        if self.beats and self.facts.holder is not None:
            self.facts = msgspec.structs.replace(self.facts, heartbeat=self.now)
        made = self.controller.step(self.facts, self.now)
        told = (
            f"{made.status} {made.error!r} {made.action.value}{' counts' if made.counts_as_restart else ''}"
        )
        shown = re.sub(r"\d+ s\b", "some seconds", told) if self.quiet else told
        if shown != self._told:
            self.story.say(f"  {self.now:7.1f}  {told}")
        self._told = shown
        if made.action is Action.START:
            self.facts = msgspec.structs.replace(self.facts, claimed=False, exit_reason="", blocked=False)
        if made.action is Action.KILL:
            self.facts = msgspec.structs.replace(self.facts, holder=None)

    def claimed(self, seconds: float, what: str = "a worker takes it", **facts: Any) -> None:
        self.run(
            seconds,
            what,
            claimed=True,
            holder=4711,
            running_generation=self.facts.generation,
            turning=True,
            **facts,
        )

    def ended(self, seconds: float, what: str = "it ends", **facts: Any) -> None:
        self.run(seconds, what, holder=None, **facts)


@pytest.fixture
def watched() -> Watched:
    return Watched(Story())


def test_what_the_controller_of_a_node_decides(golden: Compare, watched: Watched) -> None:
    watched.run(27, "no worker takes the request")
    watched.quiet = True
    watched.claimed(5, trouble="its API port is in use")
    watched.run(30, "it runs", trouble="")
    watched.beats = False
    watched.run(12, "it is silent")
    watched.claimed(3)
    watched.beats = True
    watched.claimed(20)
    watched.ended(4, "it ends with a reason", exit_reason="its disk is full")
    watched.claimed(2)
    watched.ended(3, "it is killed")
    watched.claimed(1)
    watched.ended(8, "and again")
    watched.claimed(1)
    watched.ended(20, "and again")
    for _ in range(6):
        watched.claimed(1)
        watched.ended(40, "and again")
    watched.run(2, "it is asked to start anew", generation=2)
    watched.claimed(30)
    watched.ended(12, "its ledger is held elsewhere", blocked=True, exit_reason="another process holds it")
    watched.claimed(30)
    watched.run(3, "it is to restart", generation=3)
    watched.run(8, "it does not end in time")
    watched.claimed(30)
    watched.run(3, "it is to stop", desired=DesiredState.STOPPED, generation=4)
    watched.ended(2, "it has stopped")
    watched.run(2, "it is to run again", desired=DesiredState.RUNNING, generation=5)
    watched.controller.request_lost("the broker takes no start request: away")
    watched.run(3, "the request was lost")
    watched.controller.worker_lost()
    watched.run(1, "the worker was lost before it took it")
    watched.claimed(20)
    watched.controller.worker_lost()
    watched.ended(2, "its worker was lost")
    watched.claimed(5)
    watched.now += 30
    watched.run(3, "we were paused")
    golden(beside(__file__, "controller_of_a_node"), str(watched.story))
