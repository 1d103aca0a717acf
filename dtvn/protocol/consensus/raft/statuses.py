"""Status in a Raft cluster: who is how far, and the CHECKPOINTs that a member lacks (R24, R30).

Heartbeats and lost entries are the leader's (`replication`). A Status tells the rest: how far each member
has executed, that it waits for its vote (R11), and, to members of a later epoch, that it missed the change.
"""

from __future__ import annotations

from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.clocks import SHOWN_FOR
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import Status, SupplyFrames
from dtvn.protocol.consensus.raft.log import RaftLog
from dtvn.protocol.consensus.rejoin_sequences import RejoinSequences
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.retransmission import ROUND, MemberView
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.transfer.catch_up import CatchUp
from dtvn.protocol.consensus.verified import Verified

FRAMES_MAX = 32
"""Most CHECKPOINT frames in one answer."""


class Statuses:
    """Owns the members' Statuses and the time of the next own one."""

    def __init__(
        self,
        state: State,
        policy: Policy,
        log: RaftLog,
        catch_up: CatchUp,
        checkpoints: Checkpoints,
        rejoin_sequences: RejoinSequences,
    ) -> None:
        self.state = state
        self.policy = policy
        self.log = log
        self.catch_up = catch_up
        self.checkpoints = checkpoints
        self.rejoin_sequences = rejoin_sequences
        self.members: dict[int, MemberView] = {}
        self._last_sent = -(1 << 62)

    def say(self) -> None:
        """Sends the own Status to all members."""
        self.state.outbox.broadcast(self._status())
        self._last_sent = self.state.now.monotonic

    def _status(self) -> bytes:
        state = self.state
        clock, behind, own_clock = state.clocks.said(state.views.view)
        status = Status(
            epoch=state.config.epoch,
            sender=state.index,
            view=state.views.view,
            changing=state.views.changing,
            executed=state.executed,
            stable=state.log.stable,
            proposed=self.log.last,
            missing=(),
            voting=state.voting,
            clock=clock,
            behind=behind,
            own_clock=own_clock,
        )
        return state.signer.sign(status)

    def deadline(self) -> int | None:
        """Monotonic time of the next Status; None for a single-member cluster."""
        state = self.state
        if state.n == 1:
            return None
        waits = self.checkpoints.is_due() or state.lag.target() > state.executed or not state.voting
        return self._last_sent + (state.config.heartbeat if waits else state.config.status_idle)

    def tick(self) -> None:
        """Sends the Status, and the waiting requests again, if it is time."""
        due = self.deadline()
        if due is not None and self.state.now.monotonic >= due:
            self.say()

    def refuse(self, message: Status, member: int | None) -> Reason | None:
        """Refuses a Status that did not come over its sender's own link: a relayed one may be old."""
        return None if member == message.sender else Reason.WRONG_KIND

    def on_status(self, verified: Verified[Status]) -> None:
        """Records a member's Status, and answers with the CHECKPOINTs that it lacks."""
        state, message = self.state, verified.message
        if (reason := self.refuse(message, verified.peer.member)) is not None:
            state.outbox.refused(reason, verified)
            return
        member, now = message.sender, state.now.monotonic
        before = self.members.get(member)
        self.members[member] = MemberView(status=message, heard=now)
        state.clocks.show(member, message.clock, message.own_clock)
        state.clocks.note(member, message.view, behind=message.behind)
        if before is None or before.heard < now - SHOWN_FOR:
            self.say()  # it knows no clock of this member that it could propose by (R3)
        self.catch_up.on_said(member, message.executed)
        self.rejoin_sequences.on_said(member, voting=message.voting)
        if not state.throttle.allow(member, ROUND):
            return
        if message.executed < state.executed:
            state.outbox.send(member, self._status())
        frames: list[bytes] = []
        if message.stable < state.log.stable <= message.executed:
            frames += state.checkpoint.frames
        span = state.log.watermark_span
        frames += [
            frame
            for sequence, frame in self.checkpoints.mine.items()
            if message.stable < sequence <= message.executed + span
        ]
        if frames:
            state.outbox.send(member, state.signer.link(SupplyFrames(tuple(frames[:FRAMES_MAX]))))

    def shift(self, gap: int) -> None:
        """Moves the times of received Statuses by a pause of this process (R31)."""
        for known in self.members.values():
            known.heard += gap


class Forwarding:
    """Drops settled requests, and forwards those that wait to the leader again: a forward may be lost."""

    def __init__(self, state: State, policy: Policy) -> None:
        self.state = state
        self.policy = policy
        self._last = 0

    def deadline(self) -> int | None:
        """Monotonic time of the next look at the waiting requests; None if no request waits."""
        oldest = self.policy.oldest_wait()
        half = self.state.timeouts.timeout // 2
        return None if oldest is None else max(oldest, self._last) + half

    def tick(self) -> None:
        """Looks at them if it is time."""
        due = self.deadline()
        if due is not None and self.state.now.monotonic >= due:
            self._last = self.state.now.monotonic
            self.policy.tick()

    def shift(self, gap: int) -> None:
        """Moves the time of the last look by a pause of this process (R31)."""
        self._last += gap
