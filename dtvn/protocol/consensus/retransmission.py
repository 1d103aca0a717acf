"""Sends Status, and retransmits what the Status of a member shows it lacks (R30, P6, P13).

The primary's Status every heartbeat is its sign of life. Other members send theirs as often while something
is incomplete, else once a second. A replica that holds what a member lacks sends the stored bytes again,
limited in amount and rate.
"""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.clocks import SHOWN_FOR
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.log import Slot
from dtvn.protocol.consensus.messages import Status, SupplyFrames
from dtvn.protocol.consensus.rejoin_sequences import RejoinSequences
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.suspicion import Suspicion
from dtvn.protocol.consensus.transfer.catch_up import CatchUp
from dtvn.protocol.consensus.verified import Verified

MISSING_MAX = 32
"""Maximum sequences named in one Status (messages.Status)."""
ATTACHED_BYTES_MAX = 16 * 1024
"""A batch up to this size in bytes is sent again with its PRE-PREPARE; a larger one is fetched by digest."""
RELAYS = 4
"""Number of members that, in rotation, relay other members' frames to a member that lacks them. Only one of
them relays batches."""
LARGE = 16 * 1024
"""A VIEW-CHANGE waits one more interval before it is sent again for each part of this size, in bytes."""
ROUND = b"status"
"""Throttle key for answers to a Status."""
SUPPLIED_MAX = 256
"""Maximum frames in one SupplyFrames; the rest follows on the next Status."""


class MemberView(msgspec.Struct):
    """The last Status of a member."""

    status: Status
    heard: int
    """Monotonic nanoseconds when it was received."""
    rounds: int = 0
    """Answers given to the member: rotates the duty of relaying other members' frames."""


class Retransmission:
    """Owns the members' Statuses and the time of the next own one."""

    def __init__(
        self,
        state: State,
        policy: Policy,
        catch_up: CatchUp,
        checkpoints: Checkpoints,
        rejoin_sequences: RejoinSequences,
        suspicion: Suspicion,
    ) -> None:
        self.state = state
        self.policy = policy
        self.catch_up = catch_up
        self.checkpoints = checkpoints
        self.rejoin_sequences = rejoin_sequences
        self.suspicion = suspicion
        self.members: dict[int, MemberView] = {}
        self._last_sent = -(1 << 62)
        self._noticed: dict[int, int] = {}
        """Sequence without a slot -> monotonic time when this replica noticed that it lacks it."""

    # --- telling ------------------------------------------------------------------------------------

    def say(self) -> None:
        """Sends this replica's Status to all members."""
        state = self.state
        state.outbox.broadcast(self._status())
        self._last_sent = state.now.monotonic

    def _status(self) -> bytes:
        state = self.state
        views = state.views
        clock, behind, own_clock = state.clocks.said(views.view)
        status = Status(
            epoch=state.config.epoch,
            sender=state.index,
            view=views.view,
            changing=views.changing,
            executed=state.executed,
            stable=state.log.stable,
            proposed=max(state.log.highest, state.executed),
            missing=self.missing(),
            voting=state.voting,
            clock=clock,
            behind=behind and not views.changing,
            own_clock=own_clock,
        )
        return state.signer.sign(status)

    def missing(self) -> tuple[int, ...]:
        """Open sequences that should have been executed by now, oldest first."""
        state = self.state
        now = state.now.monotonic
        highest = self._highest_known()
        found: list[int] = []
        self._noticed = {s: t for s, t in self._noticed.items() if state.executed < s <= highest}
        for sequence in range(state.executed + 1, highest + 1):
            slot = state.log.slots.get(sequence)
            since = slot.opened if slot is not None else self._noticed.setdefault(sequence, now)
            if now >= since + state.config.resend_after:
                found.append(sequence)
                if len(found) >= MISSING_MAX:
                    break
        return tuple(found)

    def _highest_known(self) -> int:
        """The highest open sequence of this view that this replica knows of."""
        state = self.state
        highest = max(state.log.highest, state.views.reproposed_up_to)
        primary = self.members.get(state.views.primary)
        if primary is not None and primary.status.view == state.views.view:
            highest = max(highest, primary.status.proposed)
        return min(highest, state.log.stable + state.log.watermark_span)

    def is_incomplete(self) -> bool:
        """Whether this replica waits for something that other members might supply."""
        state = self.state
        return (
            self.policy.oldest_wait() is not None
            or state.views.changing
            or self._highest_known() > state.executed
            or state.lag.target() > state.executed
            or self.checkpoints.is_due()
        )

    def period(self) -> int:
        """Nanoseconds between two Statuses at present."""
        config = self.state.config
        if self.state.is_primary or self.is_incomplete():
            return config.heartbeat
        return config.status_idle

    def deadline(self) -> int | None:
        """Monotonic time of the next Status; None for a single-member cluster."""
        if self.state.n == 1:
            return None
        return self._last_sent + self.period()

    def tick(self) -> None:
        """Sends the Status if it is due."""
        due = self.deadline()
        if due is not None and self.state.now.monotonic >= due:
            self.say()

    # --- listening ----------------------------------------------------------------------------------

    def refuse_status(self, message: Status, member: int | None) -> Reason | None:
        """Refuses a Status that did not come over its sender's own link: a relayed one may be old."""
        return None if member == message.sender else Reason.WRONG_KIND

    def on_status(self, verified: Verified[Status]) -> None:
        """Records a member's Status and answers with what the member lacks."""
        message = verified.message
        state = self.state
        if (reason := self.refuse_status(message, verified.peer.member)) is not None:
            state.outbox.refused(reason, verified)
            return
        now = state.now.monotonic
        member = message.sender
        before = self._heard()
        known = self.members.get(member)
        returned = known is None or known.heard < now - SHOWN_FOR
        if known is None:
            known = self.members[member] = MemberView(status=message, heard=now)
        known.heard = now
        state.clocks.show(member, message.clock, message.own_clock)
        state.clocks.note(member, message.view, behind=message.behind)
        if returned:
            self.say()  # it knows no clock of this replica that it could propose by (R3)
        if before + 1 < state.q <= self._heard() + 1:
            self.suspicion.on_quorum_returned()
        known.status = message
        if message.view == state.views.view and member == state.views.primary and message.voting:
            self.suspicion.on_primary_heard()
            for sequence in range(state.executed + 1, self._highest_known() + 1):
                self._noticed.setdefault(sequence, now)
        self.catch_up.on_said(member, message.executed)
        self.rejoin_sequences.on_said(member, voting=message.voting)
        if state.throttle.allow(member, ROUND):
            known.rounds += 1
            if message.executed < state.executed:
                state.outbox.send(member, self._status())  # the member may not know yet how far it lags
            self._remind(member, message)
            self._supply(member, known)

    def _heard(self) -> int:
        """Number of other members whose Status arrived within the last 2 `timeout_base` + `status_idle`."""
        config = self.state.config
        since = self.state.now.monotonic - 2 * config.timeout_base - config.status_idle
        return sum(known.heard >= since for known in self.members.values())

    def _remind(self, member: int, status: Status) -> None:
        """Shows a member its own statements beyond the progress that its Status claims, so that it stops
        voting (R11)."""
        state = self.state
        if not status.voting or status.changing:
            return
        frames: list[bytes] = []
        proposed = max(status.proposed, status.executed)
        for sequence in range(state.log.stable + 1, state.log.highest + 1):
            slot = state.log.slots.get(sequence)
            if slot is None or slot.view < status.view:
                continue
            if slot.view > status.view or sequence > proposed:
                for tally in (slot.prepares, slot.commits):
                    if member in tally.votes:
                        frames.append(tally.votes[member].frame)
        if status.executed < state.log.stable:
            frames += self.checkpoints.said_by(member)
        if frames:
            state.outbox.send(member, state.signer.link(SupplyFrames(tuple(frames[:SUPPLIED_MAX]))))

    def _supply(self, member: int, known: MemberView) -> None:
        status = known.status
        state = self.state
        views = state.views
        turn = (state.index - known.rounds) % state.n
        duty = turn < RELAYS
        if status.view < views.view or (status.view == views.view and status.changing):
            if views.new_view:
                state.outbox.send(member, views.new_view)
            elif views.changing:
                self._supply_view_changes(member, duty=duty)
        frames = self._checkpoint_frames(status)
        if status.view == views.view and not status.changing and not views.changing:
            room = state.config.resend_bytes_max
            for sequence in status.missing[:MISSING_MAX]:
                slot = state.log.slots.get(sequence)
                if slot is None or slot.view != views.view or room <= 0:
                    continue
                whole = state.is_primary or turn == 0
                room -= self._supply_slot(member, slot, frames, duty=duty or whole, whole=whole)
        if frames:
            frames = list(dict.fromkeys(frames))[:SUPPLIED_MAX]
            state.outbox.send(member, state.signer.link(SupplyFrames(tuple(frames))))

    def _supply_view_changes(self, member: int, *, duty: bool) -> None:
        """Sends the own VIEW-CHANGE and, on duty, those of other members and their SUSPECTs, since their
        links to this member may be down."""
        state = self.state
        if duty:
            suspects = self.suspicion.heard_for(state.views.view)
            if suspects:
                state.outbox.send(member, state.signer.link(SupplyFrames(suspects)))
        for change in state.views.view_changes.values():
            if change.view != state.views.view or change.sender == member:
                continue
            relayed = change.sender != state.index
            if relayed and not duty:
                continue
            parts = len(change.frame) // LARGE + (1 if relayed else 0)
            if state.throttle.allow(member, change.digest, parts):
                state.outbox.send(member, change.frame)

    def _checkpoint_frames(self, status: Status) -> list[bytes]:
        state = self.state
        frames: list[bytes] = []
        if status.stable < state.log.stable <= status.executed:
            frames += state.checkpoint.frames
        for sequence, frame in self.checkpoints.mine.items():
            if status.stable < sequence <= status.executed + state.log.watermark_span:
                frames.append(frame)
        return frames[:MISSING_MAX]

    def _supply_slot(self, member: int, slot: Slot, frames: list[bytes], *, duty: bool, whole: bool) -> int:
        """Sends a slot's proposal and adds its votes to `frames`; returns their bytes. `duty`: relays other
        members' frames too; `whole`: with the batch, if it is small."""
        state = self.state
        sent = 0
        if duty and slot.digest is not None:
            frame = slot.proposals[slot.digest]
            batch = state.bodies.get(slot.digest)
            if whole and batch is not None and 0 < len(batch.body) <= ATTACHED_BYTES_MAX:
                frame = state.signer.attach(frame, batch.body)
            state.outbox.send(member, frame)
            sent += len(frame)
        own = [frame for frame in (slot.my_prepare, slot.my_commit) if frame is not None]
        if duty:
            own += [vote.frame for vote in slot.prepares.votes.values()]
            own += [vote.frame for vote in slot.commits.votes.values()]
        else:
            # The member's own votes, which it may have lost with its disk (R11).
            for tally in (slot.prepares, slot.commits):
                if member in tally.votes:
                    own.append(tally.votes[member].frame)
        frames += own
        return sent + sum(len(frame) for frame in own)

    def shift(self, gap: int) -> None:
        """Moves the times of received Statuses by a pause of this process (R31)."""
        for known in self.members.values():
            known.heard += gap
