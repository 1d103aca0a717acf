"""A process that slept while another one took its node over, and wakes without knowing it (R10).

It has the old process's core and connections, and the ledger that is no longer its own: it receives what its
node receives and sends in its node's name until it writes. The product's pump must then end without sending
anything.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from dtvn.protocol.host import Host, TurnLost
from dtvn.protocol.host.ports import JournalFenced
from simulator.node import Node
from simulator.violation import Violation
from simulator.world import World

OLD = "~old"
"""Suffix of the name under which the world keeps it; it sends in its node's name."""


class StaleProcess(Node):
    """The old process of `node`, asleep, with the host that ran in it."""

    def __init__(self, world: World, node: Node, host: Host) -> None:
        dice = world.dice.fork(f"old process of {node.name} at {world.time}")
        self._world = world
        super().__init__(world, node.name, node.index, dice=dice, clock=copy(node.clock), costs=node.costs)
        self.host = host
        host.transport = host.log_server._transport = self
        host.watcher, host.clock = self, host.clock.over(self.clock)
        self.disk, self.membership, self.keys = node.disk, node.membership, node.keys
        self.core, self.look, self.upward = node.core, node.look, node.upward
        self.inbox.extend(node.inbox)
        self.pause()

    def crash(self, *, thorough: bool = False) -> None:
        """Its process ends; the disk has another owner and stays powered."""
        self.host = None
        self.inbox.clear()
        self._world.nodes.pop(self.name + OLD, None)
        self._world.twins.pop(self.name, None)

    def _guard(self, step: Callable[[], object]) -> None:
        try:
            step()
        except TurnLost as lost:
            if isinstance(lost.__cause__, Violation):
                raise lost.__cause__ from None
            if not isinstance(lost.__cause__, JournalFenced):
                self.world.broken(self, lost)
            self.crash()


def take_over(world: World, node: Node) -> StaleProcess | None:
    """Starts another process of this node on its disk, while the first sleeps. Returns None if the node is
    not running, or has an old process or a twin already."""
    host = node.host
    if (
        host is None
        or not node.honest
        or node.armed
        or node.name in world.twins
        or isinstance(node, StaleProcess)
    ):
        return None
    stale = StaleProcess(world, node, host)
    node.leave()
    world.nodes[node.name + OLD] = stale
    world.twins[node.name] = node.name + OLD
    world.start(node)
    return stale
