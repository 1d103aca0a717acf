"""Does a member leave a view only with others, and blame no primary for its own sleep? (R29, R31; P13)"""

from __future__ import annotations

from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.causes import AMPLIFIED, NO_NEW_VIEW, NO_PROGRESS, RETURNING, SILENT
from dtvn.protocol.consensus.effects import Executed, Note, Reason
from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.observers import EXECUTED
from simulator.world import World

MICROSECOND = 1_000
BLAMELESS = frozenset({AMPLIFIED, RETURNING})
"""Causes of a suspicion that do not accuse the primary."""
ENDINGS = frozenset({"suspicion_expired", "left_view", "entered_view"})
"""Notes after which a member no longer suspects the primary."""


class NoSpuriousViewChange(Checker):
    """Records every SUSPECT and VIEW-CHANGE ever sent; a VIEW-CHANGE must rest on q of them, the member's own
    included, or on f + 1 members that left already."""

    name = "no-spurious-view-change"
    kinds = frozenset({m.Suspect, m.ViewChange})
    notes = ENDINGS | {EXECUTED, "suspected"}

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._suspected: dict[tuple[int, int], int] = {}
        """(Epoch, member) -> highest view that its SUSPECTs ever asked for."""
        self._left: dict[tuple[int, int], int] = {}
        """(Epoch, member) -> highest view for which it ever sent VIEW-CHANGE."""
        self._suspecting: dict[str, int | None] = {}
        """Node -> world time until which it suspected the primary; None: it does now."""
        self._waited: dict[str, dict[str, int]] = {}
        """Node -> cause -> how long the node had waited, awake, before it last fell asleep, in nanoseconds
        of its own clock."""
        self._withheld: dict[str, dict[int, int]] = {}
        """Node -> sequence -> view of the proposals from which it withheld its PREPARE for their time when it
        last fell asleep."""
        self._executed: dict[str, int] = {}
        """Node -> the last sequence that it had executed when it emitted the note at hand. Its core is seen
        only before and after a turn, in which it may execute, leave views and enter others."""
        self._timeout = world.settings.parameters.view_timeout * MICROSECOND

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Checker."""
        try:
            message = self.world.frame_cache.read(frame)[1]
        except canonical.CanonicalError:
            return  # sent by a byte corrupter
        sender, view = (message.epoch, message.sender), message.view
        if type(message) is m.Suspect:
            self._suspected[sender] = max(view, self._suspected.get(sender, 0))
            return
        if node.honest and node.said(message) and view > self._left.get(sender, 0):
            self._may_leave(node, message)
        self._left[sender] = max(view, self._left.get(sender, 0))

    def _may_leave(self, node: Node, message: m.ViewChange) -> None:
        epoch, own, view = message.epoch, message.sender, message.view
        members, mode = len(self.world.epochs[epoch].members), self.world.mode
        left = {who for (era, who), there in self._left.items() if era == epoch and there >= view}
        left.discard(own)
        if len(left) >= quorum.weak_quorum(members, mode):
            return
        wanting = {who for (era, who), there in self._suspected.items() if era == epoch and there >= view}
        if len(wanting | left | {own}) < quorum.quorum(members, mode):
            self.fail(
                f"{node.name} leaves for view {view}; only {sorted(wanting | left)} ever wanted it (R29)"
            )

    def started(self, node: Node) -> None:
        """See Observer: a restarted node suspects no primary."""
        self._suspecting[node.name] = 0

    def turning(self, node: Node) -> None:
        """See Observer: when a node wakes up, its core is still as it was when the node fell asleep."""
        if node.slept[1] == self.world.time and node.honest and isinstance(node.core, Replica):
            self._waited[node.name] = _waits(node.core)
            self._withheld[node.name] = _withheld_for_time(node.core)
            self._executed[node.name] = node.core.executed

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if isinstance(note, Executed):
            self._executed[node.name] = note.entry.sequence
            return
        if not node.honest or node.index is None:
            return
        if note.kind in ENDINGS:
            if self._suspecting.get(node.name, 0) is None:
                self._suspecting[node.name] = self.world.time
        elif note.kind == "suspected":
            self._may_suspect(node, note)
            self._suspecting[node.name] = None

    def _may_suspect(self, node: Node, note: Note) -> None:
        asleep, awake = node.slept
        until = self._suspecting.get(node.name, 0)
        if until is None or until >= awake:
            return  # it suspected before it slept, and what was overdue then still is
        long = awake - asleep > 2 * self._timeout
        # A wait that was nearly over when the node fell asleep may end soon after it wakes, but not at that
        # instant.
        reason = note.fields["reason"]
        if not long or reason in BLAMELESS or self.world.time != awake:
            return
        views = node.core.state.views
        if reason == NO_NEW_VIEW and node.core.rejoin_views.waits(views.primary):
            return  # a member without a vote leads no view, however long the others wait
        if reason == NO_PROGRESS and self._withholds_next(node.name, note.fields["view"]):
            return  # it blames what was proposed, and no silence: sleep excuses no time (R3)
        # Unless it had waited long enough before: what it receives on waking may shorten T (a stable
        # checkpoint ends the doubling, R31), or free a member that could not suspect yet (R11).
        waited = self._waited.get(node.name, {}).get(reason, 0)
        if waited < node.core.state.timeouts.timeout:
            self.fail(f"{node.name} woke up and blames the primary at once: {note.fields} (R31)")

    def _withholds_next(self, name: str, view: int) -> bool:
        """Whether a node that woke up and suspects `view` had withheld its PREPARE from the next sequence of
        that view before it slept: a pause does not move that clock (decision 0310)."""
        return self._withheld.get(name, {}).get(self._executed.get(name, 0) + 1) == view


def _withheld_for_time(core: Replica) -> dict[int, int]:
    return {
        slot.sequence: slot.view
        for slot in core.state.log.unexecuted(core.executed)
        if slot.abstain_reason is Reason.BAD_TIMESTAMP
    }


def _waits(core: Replica) -> dict[str, int]:
    """Time that a replica had waited for its primary at its last step, by the suspicion cause that each
    wait may become."""
    last = core.state.now.monotonic
    progress, new_view = core.suspicion.progress_due(0), core.suspicion.new_view_due(0)
    return {
        SILENT: last - core.suspicion.primary_heard,
        NO_PROGRESS: 0 if progress is None else last - progress,
        NO_NEW_VIEW: 0 if new_view is None else last - new_view,
    }
