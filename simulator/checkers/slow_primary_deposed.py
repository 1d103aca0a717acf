"""Is a primary that proposes just before the view timeout deposed? (R32; P21)"""

from __future__ import annotations

from collections import deque
from functools import cached_property

from dtvn.protocol import quorum
from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus.causes import SLOW
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.consensus.messages import UNOPENED, Bundle
from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.observers import EXECUTED
from simulator.world import World

Request = tuple[str, int, int, int]
"""Principal, session and number of a request."""
MICROSECOND = 1_000
INTERVAL = 100_000 * MICROSECOND
"""Length of one observation: all batches that arrive within it count as one (decision 0097)."""
OBSERVATIONS = 8
USUAL = 1.2
"""Multiple of the world's T: only members whose own timeout is at most this much longer are asked."""
ENDURED_MAX = 2
"""Multiple of T for which a quorum may have a cause to suspect: time for eight SUSPECTs of each member."""


class SlowPrimaryDeposed(Checker):
    """Checks only the clear case: a single liar, which is a slow primary, and a quorum of honest members each
    of which saw what decisions 0045 and 0097 call slow. Requests that clients send to the primary alone are
    invisible to the others. A second deposition may have to wait for 30 s, so only its first view counts."""

    name = "slow-primary-deposed"
    notes = frozenset({EXECUTED, "suspected"})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._timeout = world.settings.parameters.view_timeout * MICROSECOND
        self._view = -1
        self._members: dict[str, _Member] = {}
        self._since: int | None = None
        """World time since when a quorum has had a cause to suspect."""
        self._over = False
        """Another member was found slow."""

    @cached_property
    def _slow_primary(self) -> Node | None:
        """The only liar, if it is a slow primary; the liars are fixed before the first turn."""
        liars = [node for node in self.world.nodes.values() if not node.honest]
        return liars[0] if len(liars) == 1 and getattr(liars[0].send_hook, "slow", False) else None

    def turning(self, node: Node) -> None:
        """See Observer: requests that arrived in earlier turns are now waiting."""
        if self._slow_primary is None or not node.honest or not isinstance(node.core, Replica):
            return
        member = self._members.get(node.name)
        if member is None or member.core is not node.core or node.slept[1] == self.world.time:
            member = self._members[node.name] = _Member(node.core)  # sleep is no suspicion cause (R31)
        member.look()

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        slow, member = self._slow_primary, self._members.get(node.name)
        if slow is None or member is None or node.index is None or len(self.world.epochs) > 1:
            return
        view = note.view if isinstance(note, Executed) else note.fields["view"]
        led = quorum.primary(view, self.world.members) == slow.index
        if isinstance(note, Note):
            self._over = self._over or (note.fields["reason"] == SLOW and not led)
        elif led and not self._over and self._view in (-1, view):
            self._view = view
            member.hear(note, self.world.time)
            if member.core.state.timeouts.timeout > USUAL * self._timeout:
                member.waits.clear()
            self._judge(slow)

    def _judge(self, slow: Node) -> None:
        now, wait_max = self.world.time, int(USUAL * self._timeout / 4)
        lately = now - ENDURED_MAX * self._timeout
        known = self._members.values()
        accusing = sum(each.heard_at >= lately and each.has_cause(wait_max) for each in known)
        if accusing < quorum.quorum(self.world.members, self.world.mode):
            self._since = None
        elif self._since is None:
            self._since = now
        elif self._since < lately:
            self.fail(f"{slow.name} still leads view {self._view}, and a quorum saw that it is slow (R32)")


class _Member:
    """An honest member's observations of the primary since its last start: a plain account of what it should
    have judged. Times are in nanoseconds of its own clock."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self.waits: deque[int] = deque(maxlen=OBSERVATIONS)
        """Waits of requests from arrival to PRE-PREPARE: the shortest of each interval."""
        self.heard_at = 0
        """World time of the newest one."""
        self._commits: deque[int] = deque(maxlen=OBSERVATIONS)
        self._since = 0
        self._arrived: dict[Request, int] = {}
        """Time of the turn in which each waiting request arrived."""
        self._calm: dict[Request, int] = {}
        """Those of `_arrived` that found less than a full batch before them."""

    def look(self) -> None:
        """A turn begins: record the waiting requests, as every policy shows them."""
        policy, now = self.core.policy, self.core.state.now.monotonic
        waiting = [_request(each.bundle) for each in policy.waiting() if each.bundle.session != UNOPENED]
        few = policy.size()[1] < self.core.config.batch_operations_max
        self._arrived = {key: self._arrived.get(key, now) for key in waiting}
        self._calm = {key: at for key, at in self._arrived.items() if few or key in self._calm}

    def hear(self, note: Executed, time: int) -> None:
        """A batch was executed in the turn that began last."""
        slot = self.core.state.log.slots.get(note.entry.sequence)
        if slot is None or slot.reproposed or not slot.proposals:
            return
        now = self.core.state.now.monotonic
        self._commits.append(now - slot.opened)
        keys = [_request(each) for each, _first, _outcomes in note.bundles]
        arrived = [self._calm[key] for key in keys if key in self._calm]
        if not arrived:
            return
        self.heard_at = time
        wait = slot.opened - min(arrived)
        if self.waits and now - self._since < INTERVAL:
            self.waits[-1] = min(self.waits[-1], wait)
        else:
            self._since = now
            self.waits.append(wait)

    def has_cause(self, wait_max: int) -> bool:
        """Whether the member should suspect the primary: it is free to, and not catching up (R11, R30)."""
        if (
            len(self.waits) < OBSERVATIONS
            or not self.core.state.may_sign_votes
            or self.core.state.is_catching_up
        ):
            return False
        return _median(self.waits) > max(wait_max, 4 * _median(self._commits))


def _request(bundle: Bundle) -> Request:
    return (bundle.principal, *bundle.session, bundle.number)


def _median(values: deque[int]) -> int:
    return sorted(values)[len(values) // 2]
