"""A simulated cluster that the doctor can ask: real cores, whose status the Inspector of a real node reports.

Links, sleep and clocks are those of the simulator, and so is the gateway: its own questions decide
which members have a breaker that is open.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from dtvn.gateway import Agreeing, Answered, Balance, Result
from dtvn.gateway.entries import Entries
from dtvn.machine import Issue, build
from dtvn.net import LinkCounters
from dtvn.node.inspect import Inspector
from dtvn.node.journal import JournalMeter
from dtvn.node.metrics import Figures
from dtvn.node.node import Node as RealNode
from dtvn.node.watcher import NodeWatcher
from dtvn.protocol.consensus.effects import Executed, Note, Record
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.consensus.messages import Query
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.host import OwnClock
from dtvn.protocol.quorum import Mode
from dtvn.watch import MemberReport, read_report
from simulator.clock import SECOND
from simulator.cluster import Cluster
from simulator.network import PERFECT, LinkQuality
from simulator.node import Node
from simulator.observers import Observer
from simulator.world import Settings
from tests.consensus.world import Callers
from tests.fake_events import FakeEvents
from tests.host.support import make_genesis


class Member:
    """What an Inspector reads of a real node, over a simulated one; it answers though the core has halted."""

    view, voting, awaited = RealNode.view, RealNode.voting, RealNode.awaited
    voting_reason, state = RealNode.voting_reason, RealNode.state
    log_time, log_time_ahead = RealNode.log_time, RealNode.log_time_ahead
    withheld_ahead, log_time_behind = RealNode.withheld_ahead, RealNode.log_time_behind
    own_clock_doubtful, clock_offsets = RealNode.own_clock_doubtful, RealNode.clock_offsets
    disk_full = False
    started = 0.0
    complete_from = 0

    def __init__(self, node: Node, cluster: Cluster) -> None:
        assert node.index is not None
        self._node = node
        self._world = world = cluster.world
        self.id, self.index = node.name, node.index
        self.cluster, self.founding, self.genesis = world.cluster, world.genesis, world.genesis
        self.membership = world.present
        self.clock = node.clock
        self.logger = logging.getLogger("simulated")
        self.watcher = NodeWatcher(self.logger, lambda _peer: 0)
        self.figures = Figures()
        self.journal = SimpleNamespace(meter=JournalMeter())
        self.ledger = SimpleNamespace(incarnation=1, voting_reason="")
        self.transport = SimpleNamespace(
            connected=self.linked, endpoint=f"sim://{self.id}", strangers=0, malformed=0
        )
        self.inspector = Inspector(self)  # type: ignore[arg-type]

    @property
    def core(self) -> Any:
        return self._node.core

    @property
    def executed(self) -> int:
        return int(self.core.executed)

    @property
    def host(self) -> Any:
        """A node that has halted has none; its process still knows its clock."""
        return self._node.host or SimpleNamespace(clock=OwnClock(self.clock, 0))

    @property
    def halted(self) -> str:
        return self._node.halted

    def linked(self) -> list[str]:
        """Ids of the members to which frames get, and from which."""
        carries, nodes = self._world.network.carries, self._world.nodes
        others = [name for name in self._world.member_names if name != self.id and nodes[name].up]
        return [name for name in others if carries(name, self.id) and carries(self.id, name)]

    def answer(self, what: str, arguments: tuple[str, ...] = ()) -> Answered:
        if self._node.paused:
            return Answered(0, "timeout", "")
        told = self.inspector.answer(Query(number=1, what=what, arguments=arguments))
        return Answered(0, told.code, told.text)


class Simulated(Observer, Agreeing):
    """Four members under load from one gateway; the part of GatewayFace that a doctor uses, and nodes."""

    def __init__(self, quality: LinkQuality = PERFECT, mode: Mode = Mode.PBFT) -> None:
        self.cluster = cluster = Cluster(
            0, Settings(members=4, learners=0, gateways=1, skew_max=0, quality=quality, mode=mode)
        )
        self.world = world = cluster.world
        self.present = world.present
        self.genesis = world.genesis
        self.members_of = {name: Member(world.nodes[name], cluster) for name in world.member_names}
        world.observers.add(self)
        paper = make_genesis(4)
        self.events = FakeEvents(cluster_id(paper), founding(paper), self.submit)
        """Members with keys of their own judge events; nothing is recorded."""
        self.entries = Entries(world.member_names, 1, random.Random(0), 0.0)
        cluster.start()
        self.pass_seconds(0.2)
        self.callers = Callers(cluster.gateways[0], 2, pause=SECOND // 20)

    def pass_seconds(self, seconds: float) -> None:
        """Time of the world; the gateway polls the members once in each second of it."""
        until = self.world.time + round(seconds * SECOND)
        while self.world.time < until:
            self.world.run(min(until, self.world.time + SECOND // 2))
            statuses = self.cluster.gateways[0].collector.questions.statuses
            self.entries.observe(statuses, self.world.time / SECOND)

    def wall_time(self) -> int:
        """Unix nanoseconds that the platform's clock shows."""
        return self.cluster.gateways[0].clock.now().wall

    def node(self, name: str) -> Node:
        return self.world.nodes[name]

    def ask(self, count: int) -> None:
        """Tickets T-0, T-1, ... to be issued, four a second, each in a bundle of its own."""
        gateway = self.cluster.gateways[0]
        for number in range(count):
            until = gateway.clock.now().wall // 1_000 + 300_000_000
            issue = build(Issue(), ticket=f"T-{number}", actor="desk", entry="r0", valid_until=until)
            gateway.ask([issue])
            self.pass_seconds(0.26)

    def flip_bit(self, name: str, ticket: str) -> None:
        """In a member's memory of a ticket. It is a liar from now on, for the simulator's checkers."""
        self.node(name).honest = False
        registry = self.node(name).host.application._state.registry  # type: ignore[union-attr]
        found = registry.get("default", ticket)
        flipped = found.state[:-1] + bytes([found.state[-1] ^ 1])
        registry.change(found, flipped, found.status, found.validator)

    # --- simulator.observers.Observer --------------------------------------------------------------

    def noticed(self, node: Node, note: Executed | Note) -> None:
        if node.name in self.members_of:
            self.members_of[node.name].watcher.notice(note)

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        if node.name in self.members_of:
            now = node.clock.now()
            self.members_of[node.name].figures.recorded(records, now.monotonic)

    # --- GatewayFace -------------------------------------------------------------------------------

    def members(self) -> tuple[MemberReport, ...]:
        gateway = self.cluster.gateways[0]
        statuses = gateway.collector.questions.settled
        return tuple(
            read_report(
                name,
                self._status(name),
                index=index,
                connected=self.node(name).up or bool(self.node(name).halted),
                primary=index == gateway.collector.primary(),
                heard=0.0 if status.heard_at is not None and self.node(name).up else None,
                clock_ahead=self._clock_ahead(name),
            )
            for index, (name, status) in enumerate(zip(self.world.member_names, statuses, strict=True))
        )

    def _clock_ahead(self, name: str) -> float | None:
        clock = self._status(name).get("clock")
        return None if clock is None else clock / 1e6 - self.wall_time() / 1e9

    def _status(self, name: str) -> dict[str, Any]:
        answered = self.members_of[name].answer("status")
        return {} if answered.code else dict(json.loads(answered.text))

    def links(self) -> dict[str, LinkCounters]:
        return {name: LinkCounters() for name in self.world.member_names}

    def query(self, member: int, what: str, arguments: Any = (), *, wait: float = 2.0) -> Future[Answered]:
        future: Future[Answered] = Future()
        future.set_result(self.members_of[self.world.member_names[member]].answer(what, tuple(arguments)))
        return future

    def submit(self, operations: Any, *, wait: float) -> Future[tuple[Result, ...]]:
        raise AssertionError("the doctor records nothing")

    def balance(self) -> Balance:
        return self.entries.balance()
