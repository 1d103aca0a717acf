"""Leaving a view and entering the next (R29, R33; Castro & Liskov 1999, 4.4).

A replica is either active in `view`, or changing: bound to `view` and waiting for its NEW-VIEW. There are
only two transitions, `leave` (sends a VIEW-CHANGE, durable before it is sent) and `enter` (accepts a NEW-VIEW
that this replica recomputed). Module `suspicion` decides whether to leave.
"""

from __future__ import annotations

from dtvn.protocol import quorum
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.effects import Reason, SlotRecord
from dtvn.protocol.consensus.events import BadNewView, EnteredView, LeftView, Listener, ViewChangeCounted
from dtvn.protocol.consensus.messages import (
    NULL_BATCH_DIGEST,
    FetchViewChange,
    NewView,
    PrePrepare,
    ViewChange,
)
from dtvn.protocol.consensus.new_view import CheckedViewChange, Plan, check_view_change, plan, proposals
from dtvn.protocol.consensus.ordering import Ordering
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.probes import probe

FOLLOWED = "f + 1 members left"
"""Reason of a replica that leaves a view because f + 1 members left it."""


class ViewChanging:
    """Writes `state.views`; owns the VIEW-CHANGEs of a NEW-VIEW that waits for them."""

    def __init__(
        self,
        state: State,
        checkpoints: Checkpoints,
        ordering: Ordering,
        emit: Listener,
    ) -> None:
        self.state = state
        self.checkpoints = checkpoints
        self.ordering = ordering
        self._emit = emit
        self.views = state.views
        self.proofs: dict[bytes, bytes] = {}
        """Digest -> frame of the VIEW-CHANGEs that the NEW-VIEW names, for members that lack them."""
        self._previous: dict[int, CheckedViewChange] = {}
        """Member -> its VIEW-CHANGE before the newest, which a NEW-VIEW may still name."""
        self._extra: dict[bytes, CheckedViewChange] = {}
        """Digest -> VIEW-CHANGE, fetched because a NEW-VIEW names it and it is not the one held."""
        self._waiting: dict[int, Verified[NewView]] = {}
        """Sender -> NEW-VIEW of which some VIEW-CHANGEs have not arrived."""

    # --- leaving ------------------------------------------------------------------------------------

    def leave(self, next_view: int, reason: str) -> None:
        """Leaves the current view for `next_view`: sends a VIEW-CHANGE, durable first. No vote below
        `next_view` follows (R6, R29)."""
        state = self.state
        if self.views.ended or next_view <= self.views.view or not state.may_sign_votes:
            return
        left_view, had_entered = self.views.view, not self.views.changing
        self.views.become_changing(next_view)
        self.views.promised = next_view
        self.views.new_view = b""
        message = ViewChange(
            epoch=state.config.epoch,
            sender=state.index,
            view=next_view,
            checkpoint=state.checkpoint.frames,
            prepared=tuple(
                state.log.certificates[sequence].proof for sequence in sorted(state.log.certificates)
            ),
        )
        frame = state.signer.sign(message)
        state.outbox.persist(SlotRecord(state.config.epoch, next_view, 0, "view_change", (frame,)))
        state.outbox.broadcast(frame)
        state.outbox.note("left_view", view=next_view, reason=reason)
        if message.prepared:
            probe("views.left_with_prepared")
        if reason == FOLLOWED:
            probe("views.followed_a_weak_quorum")
        self._emit(LeftView(left_view, had_entered))
        self.accept(check_own_view_change(state, frame))

    # --- VIEW-CHANGE --------------------------------------------------------------------------------

    def refuse_view_change(self, message: ViewChange, digest: bytes | None) -> Reason | None:
        """Returns why to refuse a VIEW-CHANGE before its signature is checked, or None (R5). One that was
        asked for by digest is always accepted; while one is asked for, so is any of unknown digest."""
        config = self.state.config
        if len(message.prepared) > config.watermark_span or len(message.checkpoint) > config.n:
            return Reason.TOO_LARGE
        fetches = self.state.view_change_fetches
        if digest in fetches if digest is not None else len(fetches) > 0:
            return None
        if not self.views.is_ahead(message.view):
            return Reason.OLD_VIEW
        known = self.views.view_changes.get(message.sender)
        if known is None or message.view > known.view:
            return None
        if message.view < known.view:
            return Reason.OLD_VIEW
        if known.digest == digest or self.state.evidence.known("view_change", message):
            return Reason.SECOND_MESSAGE
        return None

    def on_view_change(self, verified: Verified[ViewChange]) -> None:
        """Handles a member's VIEW-CHANGE: the member left every view below the message's."""
        message = verified.message
        state = self.state
        if (reason := self.refuse_view_change(message, verified.body_digest)) is not None:
            state.outbox.refused(reason, verified)
            return
        change = check_view_change(verified, state.config)
        if change is None:
            state.view_change_fetches.got(verified.body_digest)
            probe("views.bad_view_change")
            state.evidence.note_single("bad_view_change", verified)
            state.outbox.refused(Reason.BAD_PROOF, verified)
            return
        if change.checkpoint is not None:
            self.checkpoints.adopt(change.checkpoint)
        if change.digest in state.view_change_fetches:
            state.view_change_fetches.got(change.digest)
            self._extra[change.digest] = change
            self._retry_waiting()
        if not self.views.is_ahead(change.view):
            return
        known = self.views.view_changes.get(change.sender)
        if known is not None and known.view == change.view and known.digest != change.digest:
            state.evidence.note_double("view_change", verified, known.frame)
            return
        if known is None or change.view > known.view:
            self.accept(change)

    def accept(self, change: CheckedViewChange) -> None:
        """Counts a VIEW-CHANGE. Then follows f + 1 of them to a higher view, or sends the NEW-VIEW if this
        replica is the primary and has q."""
        known = self.views.view_changes.get(change.sender)
        if known is not None:
            self._previous[change.sender] = known
        self.views.view_changes[change.sender] = change
        self._retry_waiting()
        self._emit(ViewChangeCounted())
        self._send_new_view_if_ready()

    def recheck(self) -> None:
        """Repeats the checks that were skipped while this replica could not sign votes."""
        self._retry_waiting()
        self._emit(ViewChangeCounted())
        self._send_new_view_if_ready()

    def said_by(self, member: int, view: int) -> list[bytes]:
        """VIEW-CHANGEs of a member above `view`, and its NEW-VIEW of `view` or above: a member that restored
        only its VIEW-CHANGE for a view may have lost its NEW-VIEW of it."""
        changes = [self.views.view_changes.get(member), self._previous.get(member)]
        frames = [change.frame for change in changes if change is not None and change.view > view]
        if self.views.view >= view and self.views.new_view and self.views.primary == member:
            frames.append(self.views.new_view)
        if self.views.view > view:
            named = (self.state.signer.open(frame) for frame in self.proofs.values())
            frames += [each.frame for each in named if each.message.sender == member]
        return frames

    def joined_view(self) -> int | None:
        """The highest view above the own one for which f + 1 members left, at least one of them honest; or
        None."""
        views = sorted((change.view for change in self.views.view_changes.values()), reverse=True)
        weak = self.state.config.f + 1
        if len(views) < weak or views[weak - 1] <= self.views.view:
            return None
        return views[weak - 1]

    def supporters(self, view: int) -> int:
        """Number of members that are bound to `view` or a higher one."""
        return sum(change.view >= view for change in self.views.view_changes.values())

    # --- NEW-VIEW -----------------------------------------------------------------------------------

    def _send_new_view_if_ready(self) -> None:
        """Sends the NEW-VIEW if this replica is the primary of the view being entered and has q VIEW-CHANGEs
        for it."""
        state = self.state
        if not self.views.changing or self.views.primary != state.index or not state.may_sign_votes:
            return
        changes = [change for change in self.views.view_changes.values() if change.view == self.views.view]
        if len(changes) < state.q:
            return
        changes.sort(key=lambda change: change.sender != state.index)  # the NEW-VIEW names the own one
        used = sorted(changes[: state.q], key=lambda change: change.sender)
        found = plan(used)
        probe("views.led")
        epoch, view = state.config.epoch, self.views.view
        frames = []
        for proposal in proposals(found, epoch=epoch, view=view, members=state.n):
            self._cast(proposal.sequence, proposal.digest)
            frames.append(state.signer.sign(proposal))
        message = NewView(
            epoch=epoch,
            sender=state.index,
            view=view,
            view_changes=tuple((change.sender, change.digest) for change in used),
            proposals=tuple(frames),
        )
        frame = state.signer.sign(message)
        state.outbox.broadcast(frame)
        self.enter(frame, message, used)

    def _cast(self, sequence: int, digest: bytes) -> None:
        """Records the own vote that a PRE-PREPARE inside an own NEW-VIEW is (R7)."""
        self.state.own_votes.cast(view=self.views.view, sequence=sequence, phase="pre_prepare", digest=digest)

    def refuse_new_view(self, message: NewView) -> Reason | None:
        """Returns why to refuse a NEW-VIEW before its signature is checked, or None (R5)."""
        state = self.state
        config = state.config
        if len(message.view_changes) > config.n or len(message.proposals) > config.watermark_span:
            return Reason.TOO_LARGE
        if not self.views.is_ahead(message.view):
            return Reason.OLD_VIEW
        if message.sender != quorum.primary(message.view, state.n):
            return Reason.NOT_PRIMARY
        waiting = self._waiting.get(message.sender)
        if waiting is not None and waiting.message.view > message.view:
            return Reason.OLD_VIEW
        return None

    def on_new_view(self, verified: Verified[NewView]) -> None:
        """Handles the NEW-VIEW of a higher view's primary, which waits for all VIEW-CHANGEs that it names."""
        message = verified.message
        state = self.state
        if (reason := self.refuse_new_view(message)) is not None:
            state.outbox.refused(reason, verified)
            return
        senders = [sender for sender, _digest in message.view_changes]
        if len(senders) != state.q or senders != sorted(set(senders)):
            self._convict(verified)
            return
        self._waiting[message.sender] = verified
        self._drop_fetches()
        self._try(verified)

    def _drop_fetches(self) -> None:
        """Stops asking for VIEW-CHANGEs that no waiting NEW-VIEW names: a liar's digests must not pile up."""
        named = {
            digest for verified in self._waiting.values() for _sender, digest in verified.message.view_changes
        }
        self.state.view_change_fetches.keep_only(named)
        self._extra = {digest: change for digest, change in self._extra.items() if digest in named}

    def _retry_waiting(self) -> None:
        if self.views.ended:
            return
        for verified in list(self._waiting.values()):
            self._try(verified)

    def _try(self, verified: Verified[NewView]) -> None:
        """Enters the view if all VIEW-CHANGEs have arrived and the NEW-VIEW's proposals follow from them."""
        message = verified.message
        state = self.state
        if not self.views.is_ahead(message.view):
            self._waiting.pop(message.sender, None)
            self._drop_fetches()
            return
        used: list[CheckedViewChange] = []
        missing: list[bytes] = []
        for sender, digest in message.view_changes:
            change = self._find(sender, digest)
            if change is None:
                missing.append(digest)
            elif change.view != message.view or change.sender != sender:
                self._convict(verified, (change.frame,))
                return
            else:
                used.append(change)
        if missing:
            probe("views.new_view_lacks_view_changes")
            source = verified.peer.member
            first = [message.sender] if source is None else [source, message.sender]
            for digest in missing:
                state.view_change_fetches.ask(digest, 0, first)
            return
        config = state.config
        expected = proposals(plan(used), epoch=config.epoch, view=message.view, members=config.n)
        if _proposals_in(verified) != expected:
            self._convict(verified, tuple(change.frame for change in used))
            return
        self.enter(verified.frame, message, used)

    def _find(self, sender: int, digest: bytes) -> CheckedViewChange | None:
        for table in (self.views.view_changes, self._previous):
            change = table.get(sender)
            if change is not None and change.digest == digest:
                return change
        return self._extra.get(digest)

    def _convict(self, verified: Verified[NewView], view_changes: tuple[bytes, ...] = ()) -> None:
        """Refuses a wrong NEW-VIEW and records it as evidence. `view_changes`: those from which it does not
        follow."""
        probe("views.bad_new_view")
        self._waiting.pop(verified.message.sender, None)
        self._drop_fetches()
        self.state.evidence.note_single("bad_new_view", verified, view_changes)
        self.state.outbox.refused(Reason.BAD_PROOF, verified)
        self._emit(BadNewView(verified.message.view))

    # --- entering -----------------------------------------------------------------------------------

    def enter(self, frame: bytes, message: NewView, used: list[CheckedViewChange]) -> None:
        """Enters a new view, which is durable before the first vote in it (R6)."""
        state = self.state
        left = state.log.leave_view()
        self._become_active(frame, message, used)
        epoch = state.config.epoch
        frames = (frame, *(change.frame for change in used))
        state.outbox.persist(SlotRecord(epoch, self.views.view, 0, "new_view", frames))
        state.outbox.persist(SlotRecord(epoch, self.views.view, 0, "view", ()))
        found = plan(used)
        state.outbox.note(
            "entered_view", view=self.views.view, base=found.base, start=self.views.reproposed_up_to
        )
        _mark(found)
        if found.checkpoint is not None:
            self.checkpoints.adopt(found.checkpoint)
        needed = {digest for sequence, digest in found.digests if sequence > state.log.stable}
        needed -= set(state.log.digests.values())
        for digest, holders in found.holders:
            if digest in needed and digest not in state.bodies:
                state.batch_fetches.ask(digest, self.views.reproposed_up_to, holders)
        self._emit(EnteredView(left))

    def _become_active(self, frame: bytes, message: NewView, used: list[CheckedViewChange]) -> None:
        found = plan(used)
        self.views.become_normal(message.view)
        self.views.reproposed_up_to = found.digests[-1][0] if found.digests else found.base
        self.views.reproposed = {
            sequence: (digest, proposal)
            for (sequence, digest), proposal in zip(found.digests, message.proposals, strict=True)
        }
        self.views.new_view = frame
        self.proofs = {change.digest: change.frame for change in used}
        self.views.view_changes = {
            s: c for s, c in self.views.view_changes.items() if c.view > self.views.view
        }
        self._previous = {s: c for s, c in self._previous.items() if c.view > self.views.view}
        self._waiting = {s: v for s, v in self._waiting.items() if v.message.view > self.views.view}
        self._drop_fetches()

    def install_reproposed(self) -> None:
        """Reproposes the batches that the NEW-VIEW demands, as far as the window reaches."""
        if self.views.changing:
            return
        for sequence, (digest, frame) in self.views.reproposed.items():
            if self.state.log.inside(sequence):
                self.ordering.repropose(sequence, digest, frame)

    def restore_active(self, frame: bytes, view_changes: tuple[bytes, ...]) -> None:
        """Restores the view that was entered last, from its NEW-VIEW and VIEW-CHANGEs in the ledger (R7)."""
        message: NewView = self.state.signer.open(frame).message
        used = [check_own_view_change(self.state, each) for each in view_changes]
        self._become_active(frame, message, used)
        if message.sender == self.state.index:
            for sequence, (digest, _frame) in self.views.reproposed.items():
                self._cast(sequence, digest)

    def restore_changing(self, frame: bytes) -> None:
        """Restores the binding of an own VIEW-CHANGE that is newer than any view entered (R29)."""
        change = check_own_view_change(self.state, frame)
        self.views.become_changing(change.view)
        self.views.new_view = b""
        self.views.view_changes[self.state.index] = change

    def restore_promise(self, view: int) -> None:
        """Restores the highest view of an own VIEW-CHANGE (R29)."""
        self.views.promised = view

    def on_fetch(self, verified: Verified[FetchViewChange]) -> None:
        """Sends a member a VIEW-CHANGE that it lacks and a NEW-VIEW names (R33)."""
        state = self.state
        member = verified.peer.member
        digest = verified.message.digest
        frame = self.proofs.get(digest)
        if frame is None:
            held = [*self.views.view_changes.values(), *self._previous.values(), *self._extra.values()]
            frame = next((change.frame for change in held if change.digest == digest), None)
        if frame is not None and member is not None and state.throttle.allow(member, digest):
            state.outbox.send(member, frame)


def check_own_view_change(state: State, frame: bytes) -> CheckedViewChange:
    """Reads a VIEW-CHANGE of the own ledger or one just signed, whose proofs were checked before. Raises
    InvariantBreach if one of them does not hold."""
    change = check_view_change(state.signer.open(frame), state.config)
    if change is None:
        raise state.breach("a VIEW-CHANGE of the own ledger proves nothing")
    return change


def _proposals_in(verified: Verified[NewView]) -> tuple[PrePrepare, ...]:
    """The verified PRE-PREPAREs inside a NEW-VIEW, in order."""
    found = (verified.nested.get(frame) for frame in verified.message.proposals)
    return tuple(each.message for each in found if each is not None)


def _mark(found: Plan) -> None:
    if found.digests:
        probe("views.reproposed_batch")
    if any(digest == NULL_BATCH_DIGEST for _sequence, digest in found.digests):
        probe("views.null_request")
    if found.base:
        probe("views.started_from_checkpoint")
