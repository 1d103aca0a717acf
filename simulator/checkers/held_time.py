"""Is a primary blamed for holding time back exactly where q members see that it does? (R3, R32)"""

from __future__ import annotations

from dtvn.protocol import canonical
from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.causes import HOLDS_TIME
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.wire import Envelope
from simulator.checkers.base import Checker
from simulator.clock import MICROSECOND, SECOND
from simulator.node import Node
from simulator.observers import EXECUTED
from simulator.world import World

HELD = 60 * SECOND // MICROSECOND
"""Microseconds by which log time is then behind q clocks: far more than any delay makes."""
ENTRIES_MAX = 12
"""New entries in a row that may be held back so, over `LASTS`: views change in less."""
LASTS = 20 * SECOND
SAID_FOR = 10 * SECOND
"""How long what a member said of a primary counts at another: five seconds after it arrived, and its way."""


class HeldTime(Checker):
    """Knows the clocks that all honest members go by, and the newest proposal of each view that each has."""

    name = "held-time"
    kinds = frozenset({m.PrePrepare})
    notes = frozenset({EXECUTED, "suspected"})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._newest: dict[tuple[int, int], dict[str, tuple[int, int, int]]] = {}
        """(Epoch, view) -> node -> newest fresh proposal: its sequence, by how much it was behind this node's
        clock as it arrived, microseconds, and by how much that clock was ahead of the true time."""
        self._behind: dict[tuple[int, int], dict[str, int]] = {}
        """(Epoch, view) -> node -> newest world time at which its clock was too far ahead of the newest
        proposal: what it said of that counts for a while."""
        self._highest = 0
        self._held: list[int] = []
        """World times of the newest entries in a row that were held back."""

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Checker."""
        node = self.world.nodes.get(receiver)
        if node is None or not node.honest or node.host is None:
            return
        try:
            envelope = canonical.decode(Envelope, frame)
            said = canonical.decode(m.PrePrepare, envelope.body)
            batch = canonical.decode(m.Batch, envelope.attachment)
        except canonical.CanonicalError:
            return  # without its batch, or a liar's
        if batch.origin_view != said.view:
            return
        clock = node.goes_by().wall // MICROSECOND
        newest = self._newest.setdefault((said.epoch, said.view), {})
        if said.sequence >= newest.get(receiver, (0, 0, 0))[0]:
            newest[receiver] = said.sequence, clock - batch.proposed, self._ahead(node)
            if clock - batch.proposed > self.world.settings.parameters.drift_bound:
                self._behind.setdefault((said.epoch, said.view), {})[receiver] = self.world.time

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if not node.honest or node.index is None or not isinstance(node.core, Replica):
            return
        if isinstance(note, Executed):
            self._goes_on(note)
        elif note.fields["reason"] == HOLDS_TIME:
            self._may_suspect(node, note)

    def _may_suspect(self, node: Node, note: Note) -> None:
        """The primary's own clock may be ahead of its proposals too; liars may say anything."""
        epoch, view = node.membership.epoch, note.fields["view"]
        drift = self.world.settings.parameters.drift_bound
        lately = self._behind.get((epoch, view), {})
        behind = 0
        for name, (_sequence, by, ahead) in self._newest.get((epoch, view), {}).items():
            # Its clock may have been set right before its loop took the proposal from the socket.
            node_now = self.world.nodes.get(name)  # None: its process is gone
            since = 0 if node_now is None else self._ahead(node_now) - ahead
            now = max(by, by + since) > drift
            behind += now or lately.get(name, -SAID_FOR) > self.world.time - SAID_FOR
        liars = sum(not each.honest for each in self.world.nodes.values() if each.index is not None)
        if behind + 1 + liars < self.quorum_in(epoch):
            self.fail(f"{node.name} blames the primary of view {view} for its time; {behind} clocks agree")

    def _ahead(self, node: Node) -> int:
        return (node.goes_by().wall - self.world.time) // MICROSECOND

    def _goes_on(self, note: Executed) -> None:
        if note.entry.sequence <= self._highest:
            return
        self._highest = note.entry.sequence
        clocks = sorted(
            (
                each.goes_by().wall // MICROSECOND
                for each in self.world.honest_members()
                if each.up and not each.paused
            ),
            reverse=True,
        )
        needed = self.quorum_in(note.entry.epoch)
        if len(clocks) < needed or clocks[needed - 1] - note.entry.timestamp < HELD:
            self._held.clear()
            return
        self._held.append(self.world.time)
        if len(self._held) > ENTRIES_MAX and self._held[-1] - self._held[0] > LASTS:
            self.fail(f"log time is held back to {note.entry.timestamp}, and {needed} clocks are ahead of it")
