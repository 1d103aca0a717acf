"""Tells what reconcile does with the rows of nodes, turn by turn, while processes come and go as chance has
it: changes of rows, kills, start requests, announcements, log lines; the broker and rows may fail."""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError
from kombu.exceptions import OperationalError

from dtvn.node.run import EXIT_FENCED, EXIT_UNREACHABLE
from tests.api.telling import LEFT_OUT, beside
from tests.golden import Compare, Telling
from validators.data_folder.folder import DataFolder
from validators.models import Announcement, DesiredState, ManagedNode, NodePart
from validators.processes import reconcile
from validators.processes.reconcile import Reconciler
from validators.services import nodes

pytestmark = pytest.mark.django_db

TURNS = 220
SHOWN = (
    "desired",
    "generation",
    "running_generation",
    "status",
    "error",
    "start_token",
    "claimed_token",
    "pid",
    "exit_reason",
    "restarts",
    "report",
    "part",
)


class Probes:
    """Which APIs answer, and of which runs they are asked."""

    def __init__(self, chance: Random) -> None:
        self._chance, self.runs = chance, dict[str, str]()

    def watch(self, runs: dict[str, str]) -> None:
        self.runs = runs

    def answers(self, name: str) -> bool:
        return name in self.runs and self._chance.random() < 0.8


class Processes:
    """Processes that hold slots, and what reconcile does to them."""

    def __init__(self, folder: DataFolder, seed: int) -> None:
        self.chance, self.story, self.folder = Random(seed), Telling(), folder
        self.held, self.beats = dict[str, int](), dict[str, int]()
        self.now, self.ending = 1_000.0, False
        self.pids, self.tokens = itertools.count(100), itertools.count(1)
        self.probes = Probes(self.chance)
        self.fails = False
        self.reconciler = Reconciler(folder, self.send, self.probes, ending=lambda: self.ending)  # type: ignore[arg-type]

    def send(self, row: ManagedNode, token: str) -> None:
        away = self.chance.random() < 0.2
        self.story.say(f"  request {row.node_id} {token} {'no broker' if away else ''}")
        if away:
            raise OperationalError("no broker")

    def kill(self, pid: int, number: int) -> None:
        self.story.say(f"  kill {pid} {number.name}")  # type: ignore[attr-defined]
        self.held = {name: each for name, each in self.held.items() if each != pid}

    def announce(self, **said: object) -> None:
        if self.fails:
            raise DatabaseError("no connection")
        Announcement.objects.create(**said)

    def move(self, row: ManagedNode) -> None:
        """What may happen to a node until the next turn."""
        draw, name = self.chance.random(), row.node_id
        rows = ManagedNode.objects.filter(pk=row.pk)
        if name in self.held and self.chance.random() < 0.9:
            self.beats[name] = self.beats.get(name, 0) + 1
        if draw < 0.5 and name not in self.held and row.start_token:
            self.held[name] = next(self.pids)
            if self.chance.random() < 0.9:
                rows.update(
                    claimed_token=row.start_token,
                    running_generation=row.generation,
                    pid=self.held[name],
                    report={"sequence": 1} if self.chance.random() < 0.8 else {},
                )
        elif draw < 0.1 and name in self.held:
            del self.held[name]
            if self.chance.random() < 0.6:
                code = self.chance.choice((0, 1, EXIT_FENCED, EXIT_UNREACHABLE))
                rows.update(exit_reason="it says why", report={"exit_code": code})
        elif draw < 0.14:
            rows.update(report={"sequence": 2, "api_error": self.chance.choice(("", "port in use"))})
        elif draw < 0.18:
            desired = self.chance.choice((DesiredState.STOPPED, DesiredState.RUNNING, DesiredState.RUNNING))
            rows.update(desired=desired, generation=row.generation + 1)
        elif draw < 0.2:
            rows.update(part=self.chance.choice((NodePart.MEMBER, NodePart.MEMBER, NodePart.JOINING)))

    def turn(self) -> None:
        for row in ManagedNode.objects.order_by("pk"):
            self.move(row)
        self.now += self.chance.choice((0.2, 0.5, 1.0, 1.0, 1.9, 6.0))
        self.fails = self.chance.random() < 0.03
        self.ending = self.chance.random() < 0.03
        if self.chance.random() < 0.03:
            self.reconciler.worker_lost(["node0", "node1", "nobody"])
            self.story.say("a worker is lost")
        try:
            answered: Any = self.reconciler.turn()
        except DatabaseError as error:
            answered = error
        self.story.say(f"{self.now:.1f} {answered} {self.reconciler.names} {self.probes.runs}")

    def tell(self, caplog: pytest.LogCaptureFixture) -> None:
        for row in ManagedNode.objects.order_by("pk").values("node_id", *SHOWN):
            self.story.say("  " + " ".join(repr(str(value)) for value in row.values()))
        for frame in Announcement.objects.order_by("pk"):
            self.story.say(f"  told {frame.node_id} {frame.status} {frame.error!r}")
        Announcement.objects.all().delete()
        for record in caplog.records:
            self.story.say(f"  log {record.levelname} {LEFT_OUT.sub('', record.getMessage())}")
        caplog.clear()


@pytest.mark.parametrize("seed", [1, 2])
def test_what_reconcile_does(
    golden: Compare,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seed: int,
) -> None:
    caplog.set_level("INFO", "dtvn.reconcile")
    found = Processes(DataFolder(tmp_path), seed)
    monkeypatch.setattr(reconcile, "lock_holder", lambda path: found.held.get(path.stem))
    monkeypatch.setattr(reconcile, "heartbeat", lambda path: found.beats.get(path.stem, 0))
    monkeypatch.setattr(reconcile, "os", SimpleNamespace(kill=found.kill))
    monkeypatch.setattr(reconcile, "announce", found.announce)
    monkeypatch.setattr(reconcile, "time", SimpleNamespace(monotonic=lambda: found.now))
    tokens = SimpleNamespace(token_hex=lambda size: f"token-{size}-{next(found.tokens)}")
    monkeypatch.setattr(reconcile, "secrets", tokens)
    nodes.register_nodes(["node0", "node1"])
    for turn in range(TURNS):
        found.turn()
        found.tell(caplog)
        if turn == TURNS - 30:
            ManagedNode.objects.filter(pk="node1").delete()
    golden.drawn(beside(__file__, f"reconcile-{seed}"), found.story.text)
