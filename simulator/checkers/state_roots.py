"""Do equal logs give equal states, on replicas and on learners, restarted or not? (R24, R28, P8)"""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from simulator.checkers.base import Checker
from simulator.checkers.history import History
from simulator.node import Node
from simulator.world import World


class StateRoots(Checker):
    """Compares the CHECKPOINTs of honest members as they are sent, and all states at the end."""

    name = "state-roots"
    kinds = frozenset({m.Checkpoint})

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self._history = history
        self._roots: dict[int, tuple[bytes, bytes, int]] = {}

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Checker."""
        if not node.honest:
            return
        said = self.world.frame_cache.read(frame)[1]
        if not node.said(said):
            return
        claim = (said.state_root, said.log_root, said.timestamp)
        if self._roots.setdefault(said.sequence, claim) != claim:
            self.fail(f"{node.name} differs from another replica after {said.sequence}")
        if self._history.roots.get(said.sequence) != said.state_root:
            self.fail(f"{node.name} has not the state that the log gives after {said.sequence}")

    def finish(self) -> None:
        """See Checker."""
        states: dict[int, tuple[str, bytes]] = {}
        for node in self.world.nodes.values():
            if node.honest and node.host is not None:
                root = node.host.application.root()
                first = states.setdefault(node.host.executed, (node.name, root))
                if first[1] != root:
                    self.fail(f"{first[0]} and {node.name} differ after {node.host.executed}")
