"""Tells what a node that is to be added leads to in each state of a cluster, how a node's API begins in a
process of its own, and how parts of apps above the platform are found."""

from __future__ import annotations

import socket
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dtvn.api.errors import ApiError
from dtvn.api.helper.process import main
from dtvn.ledger import Location
from tests.api.telling import beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from validators import node_api
from validators.feed import parts as feed_parts
from validators.ledger import node_reader
from validators.membership import adding, changes
from validators.models import ClusterRequest, DesiredState, ManagedNode, NodeStatus
from validators.services.errors import ServiceError
from validators.services.nodes import register_nodes
from validators.web import parts as web_parts


@pytest.fixture
def told(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


class Cluster:
    """Members as this platform sees them, and what is done when a node is added."""

    def __init__(self, told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told, self.members = told, list[Any]()
        self.connected: dict[str, bool] = {}
        for name in ("check_new_name", "found_with"):
            monkeypatch.setattr(adding, name, told.function(name))
        monkeypatch.setattr(
            adding, "look_until", lambda condition, seconds, *, pause: self.look(seconds, pause)
        )
        monkeypatch.setattr(adding, "list_members", lambda: self.members)
        monkeypatch.setattr(adding, "gateway", lambda: SimpleNamespace(members=self.linked))
        monkeypatch.setattr(changes, "ask", self.ask)

    def look(self, seconds: float, pause: float) -> None:
        self.told.say(f"  waits {seconds} s until it is listed, every {pause}")

    def linked(self) -> list[Any]:
        return [SimpleNamespace(id=name, connected=linked) for name, linked in self.connected.items()]

    def ask(self, asked: Any, *, actor: str) -> None:
        self.told.say(f"  asks {asked} for {actor}")

    def member(self, name: str, *, primary: bool | None = None, up: bool = True) -> None:
        view = None if primary is None else SimpleNamespace(primary=primary)
        self.members.append(SimpleNamespace(id=name, view=view, up=up))

    def add(self, title: str, name: str, *, as_primary: bool = False) -> None:
        self.told.chapter(f"{title}: {name}{' as primary' if as_primary else ''}")
        try:
            adding.add_node(name, as_primary=as_primary, actor="user:ada")
        except (ServiceError, ApiError) as error:
            self.told.say(f"  = {error.code}: {error}")
        for row in ManagedNode.objects.order_by("pk"):
            self.told.say(f"  {row.node_id} {row.desired} {row.generation} {row.status}")


@pytest.mark.django_db
def test_what_adding_a_node_leads_to(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.DATA, settings.SUPERVISOR = told.folder, True
    cluster = Cluster(told, monkeypatch)
    cluster.add("no cluster, under a supervisor", "first", as_primary=True)
    settings.SUPERVISOR = False
    cluster.add("no cluster, and no supervisor", "first")
    register_nodes(["node0", "node1"])
    for name in ("node0", "node1"):
        cluster.member(name, primary=name == "node1")
    cluster.member("theirs", primary=False)
    for name in ("node0", "node1", "theirs", "new"):
        cluster.add("a cluster that starts", name)
        cluster.add("a cluster that starts", name, as_primary=True)
    ManagedNode.objects.update(status=NodeStatus.RUNNING)
    cluster.add("one that runs already", "node0")
    cluster.members[1].up = False
    cluster.add("whose primary is down", "node0", as_primary=True)
    cluster.add("whose primary is down", "node1", as_primary=True)
    ManagedNode.objects.update(desired=DesiredState.STOPPED, status=NodeStatus.STOPPED)
    cluster.add("all are stopped", "new")
    cluster.add("all are stopped", "node0")
    ManagedNode.objects.update(desired=DesiredState.STOPPED, status=NodeStatus.STOPPED)
    cluster.connected = {"node0": True, "theirs": False}
    cluster.add("all are stopped, and one is linked still", "new")
    cluster.connected = {"theirs": True}
    cluster.add("another party's member runs", "new")
    cluster.connected = {}
    ManagedNode.objects.filter(node_id="node0").update(desired="running", status=NodeStatus.ERROR)
    cluster.add("one has failed", "new")
    for members in ([], ["node0", "node1"], ["node0"]):
        asked = SimpleNamespace(requested=ClusterRequest.START, members=members)
        monkeypatch.setattr(adding, "cluster_now", lambda asked=asked: asked)
        cluster.add(f"a start of {members} is requested", "new")
    golden(beside(__file__, "adding"), told.text)


def test_how_a_nodes_api_begins(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forks:
        def __init__(self, requests: Any, helper: Any) -> None:
            assert isinstance(helper, partial)
            assert (helper.func, helper.args) == (main, (node_api.open_reader,))
            self.requests = requests

        def run(self) -> None:
            told.say(f"  runs with {self.requests}")

    monkeypatch.setattr(node_api, "Forks", Forks)
    monkeypatch.setattr(node_api, "setproctitle", told.function("setproctitle"))
    monkeypatch.setattr(node_api, "prepare_models", told.function("prepare_models"))
    monkeypatch.setattr(node_reader, "NodeReader", told.function("NodeReader"))
    monkeypatch.setattr(socket, "socket", lambda *, fileno: f"socket {fileno}")
    node_api.fork_helpers(7)
    node_api.open_reader(Location(told.folder), ["r0", "r1"])
    assert told.lines == [
        "  prepare_models()",
        "  setproctitle('dtvn api helpers')",
        "  runs with socket 7",
        "  prepare_models()",
        "  NodeReader(Location, ['r0', 'r1'])",
    ]


@pytest.mark.parametrize("module", [feed_parts, web_parts])
def test_parts_are_imported_when_they_are_first_asked_for(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_names", [])
    for name in ("part_two", "part_one", "part_two"):
        module.add(name)
    with pytest.raises(ModuleNotFoundError, match="part_two"):
        module.parts()
    made = [ModuleType(name) for name in ("part_two", "part_one")]
    for each in made:
        monkeypatch.setitem(sys.modules, each.__name__, each)
    assert module.parts() == made


def test_all_parts_of_the_web_process_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    found = [SimpleNamespace(begin=partial(begun.append, name)) for name in ("one", "two")]
    monkeypatch.setattr(web_parts, "parts", lambda: found)
    web_parts.begin()
    assert begun == ["one", "two"]
