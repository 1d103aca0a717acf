"""The trail of a run: a hash over everything that its nodes and gateways did, told second by second.

It holds every turn, every frame that arrived, every record and note of a node, every answer to a caller, what
each replica shows of itself ten times a second, and at the end what each disk holds. Two runs with equal
trails are equal for everybody outside of a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

from dtvn.events.judging import Event
from dtvn.gateway import Judged
from dtvn.protocol.consensus.effects import Executed, Note, Record
from simulator.campaign import Play, Task
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.event_client import EventClient
from simulator.gateway import Gateway, Request
from simulator.node import Node
from simulator.observers import Observer
from simulator.world import World
from simulator.worlds import world_of

LOOK = 100 * MILLISECOND
"""Time between two looks at all replicas."""
DIGITS = 6
"""Hexadecimal digits that are kept of the hash at the end of a second."""


class Trail(Observer):
    """Hashes a run while it is played. `seconds` has the hash of all that happened before the end of each
    second of virtual time."""

    def __init__(self, play: Play) -> None:
        self._world: World = play.cluster.world
        self._hash = sha256()
        self._next_look = LOOK
        self.seconds: list[str] = []
        self._world.observers.add(self)
        for gateway in play.cluster.gateways:
            gateway.observers.append(self)
        for client in () if play.event_runs is None else play.event_runs.clients:
            client.watchers.append(self)

    def end(self) -> list[str]:
        """Take in what the disks hold, and return the whole trail."""
        for name, node in sorted(self._world.nodes.items()):
            for key, value in node.disk.places():
                self._tell("holds", name, key, value)
        self.seconds.append(self._digest())
        return self.seconds

    def _digest(self) -> str:
        return self._hash.hexdigest()[:DIGITS]

    def _tell(self, what: str, who: str, *values: Any) -> None:
        time = self._world.time
        while time >= self._next_look:
            self._look()
        self._hash.update(f"\n{time} {what} {who} ".encode())
        for value in values:
            self._hash.update(value if isinstance(value, bytes) else encoded(value))

    def _look(self) -> None:
        time, self._next_look = self._next_look, self._next_look + LOOK
        for name, node in self._world.nodes.items():
            if node.look is not None and node.host is not None:
                self._hash.update(f"\n{time} looks {name} ".encode() + encoded(node.look()))
        if time % SECOND == 0:
            self.seconds.append(self._digest())

    # --- what happens ----------------------------------------------------------------------------

    def turning(self, node: Node) -> None:
        """See Observer."""
        self._tell("turns", node.name)

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Observer."""
        self._tell("keeps", node.name, *records)

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Observer."""
        self._tell("notes", node.name, note)

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Observer."""
        self._tell(sender, receiver, frame)

    def started(self, node: Node) -> None:
        """See Observer."""
        self._tell("starts", node.name)

    def stopped(self, node: Node) -> None:
        """See Observer."""
        self._tell("stops", node.name)

    def answered(self, gateway: Gateway, request: Request) -> None:
        """A caller has its answer (ClientObserver)."""
        self._tell("answers", gateway.name, request)

    def hears(self, client: EventClient, member: int, body: bytes) -> None:
        """Frames that arrive are told already (EventWatcher)."""

    def heard(self, client: EventClient) -> None:
        """See EventWatcher."""

    def answers(self, client: EventClient, answer: Judged, events: Sequence[Event]) -> None:
        """The writer of a run has an answer (EventWatcher)."""
        self._tell("judges", client.gateway.name, answer, *events)


def told_trail(task: Task) -> str:
    """The trail of a run, one line for each second. Raises Violation if the run breaks a promise."""
    plan = world_of(task.world, task.seed)
    play = Play(Cluster(task.seed, plan.settings), plan, task.cut)
    trail = Trail(play)
    play.run()
    *seconds, ended = trail.end()
    lines = [f"# {task.command}", *(f"{number:3} s {told}" for number, told in enumerate(seconds, 1))]
    return "\n".join([*lines, f"  end {ended}", ""])


def encoded(value: Any) -> bytes:
    """The bytes of a plain value or Struct."""
    return msgspec.msgpack.encode(value, enc_hook=_plain, order="deterministic")


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise NotImplementedError(f"{type(value).__name__} in a trail")
