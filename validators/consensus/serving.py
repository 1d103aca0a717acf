"""Phase: giving the own state to members that lag, without standing still for it (R23, R25).

A state is offered as of a stable checkpoint: the application froze it when its sequence was executed, and
keeps it readable while execution goes on. One state is served at a time, to whoever asks; it is let go
when nobody asked for a while, when it is old, or when it keeps too much alive. Answers are small and
spaced: what members fetch never holds up votes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from validators.consensus import handover, parts
from validators.consensus.application import Item
from validators.consensus.messages import FetchGroups, FetchSnapshot, Groups, Snapshot
from validators.consensus.needs import Base, Recovery
from validators.consensus.throttle import Throttle
from validators.consensus.verified import Verified

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["Serving"]

MILLISECOND = 1_000_000
ANSWER_GAP = 10 * MILLISECOND
"""Between two answers with groups, whoever asked: one takes about two milliseconds, so a member that serves
its state keeps four fifths of its time (R23: the others' throughput stays above 70 %)."""
ANSWER_BYTES = 128 * 1024
"""Of an answer, unless its first group, or part of one, alone is larger."""
GROUP_BYTES_MAX = 9 * 1024 * 1024
"""What is larger fits no frame and is not sent: the list of a group of 290,000 leaves."""
OFFER_GAP = 100 * MILLISECOND
"""Between two offers to one member."""
IDLE_MAX = 5_000 * MILLISECOND
"""A state nobody asked for so long is let go, and makes room for a newer one after ..."""
FRESH_AFTER = 1_000 * MILLISECOND
"""... so long without a question."""
AGE_MAX = 60_000 * MILLISECOND
"""A state is served at most so long while newer ones are wanted."""


class Serving:
    """Owns the state that is served, who wants one, and what they asked for."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self._busy: dict[int, int] = {}
        """Member -> when it was offered the state that is served, or last asked for some of it."""
        self._base: Base | None = None
        """What was frozen last: the entry of its sequence and the log below it."""
        self._offer: tuple[int, bytes] | None = None
        """(sequence, Snapshot frame) of the state that is served."""
        self._made = 0
        self._asked = 0
        self._wanting: dict[int, int] = {}
        """Member -> sequence above which it wants a state; answered at the next stable checkpoint."""
        self._questions: dict[int, FetchGroups] = {}
        """The newest question of each member."""
        self._answered = 0
        self._offers = Throttle(core, OFFER_GAP)

    def restore(self, recovery: Recovery) -> None:
        """In an epoch that has just begun, the state that ended the one before is what can be served."""
        core = self.core
        found = handover.read(recovery.states, core.config.epoch - 1)
        if found is None or not found.entry.sequence == core.executed == core.log.stable:
            return
        core.application.freeze(core.executed)
        self._base = Base(found.entry, found.peaks)

    # --- what can be served ---------------------------------------------------------------------------

    def on_frozen(self, sequence: int) -> None:
        """The application froze the state after the newest entry."""
        base = self.core.execution.executor.base
        self._base = base if base is not None and base.entry.sequence == sequence else None

    def on_stable(self, sequence: int) -> None:
        """A checkpoint is stable: offer it to those who wait."""
        wanting, self._wanting = self._wanting, {}
        for member, above in wanting.items():
            if not self._give(member, above):
                self._wanting[member] = above

    def on_fetch_snapshot(self, verified: Verified[FetchSnapshot]) -> None:
        """A member lags too far to be helped by the log."""
        member = verified.peer.member
        message = verified.message
        if member is None or message.epoch != self.core.config.epoch:
            return
        if message.above > self.core.executed + self.core.config.reach:
            return  # no checkpoint of the near future meets it, and nothing is kept for a far one
        if not self._give(member, message.above):
            self._wanting[member] = message.above

    def _give(self, member: int, above: int) -> bool:
        """Offer a state above a sequence, if there is one."""
        self._refresh(member, above)
        if self._offer is None or self._offer[0] <= above:
            return False
        self._busy[member] = self.core.now.monotonic
        if self._offers.allow(member, b"offer"):
            self.core.outbox.send(member, self._offer[1])
        return True

    def _refresh(self, member: int, above: int) -> None:
        """Serve the newest stable state instead of an older one that nobody is busy with, or only this
        member, whom it does not help. From others it takes none, unless that is as old as AGE_MAX."""
        core = self.core
        now = core.now.monotonic
        base = self._base
        certificate = core.checkpoints.certificate
        if base is None or certificate is None or certificate.sequence != base.entry.sequence:
            return
        if self._offer is not None:
            fresh = {other for other, at in self._busy.items() if now < at + FRESH_AFTER}
            busy = bool(fresh - {member}) or (member in fresh and self._offer[0] > above)
            if self._offer[0] >= certificate.sequence or (busy and now < self._made + AGE_MAX):
                return
        manifest = core.application.pin(certificate.sequence)
        if manifest is None:
            return
        # What ended the epoch before is signed by others; who asks in this one has the proof of it.
        snapshot = Snapshot(core.checkpoints.frames, base.entry, base.peaks, manifest)
        self._offer = certificate.sequence, core.signer.link(snapshot)
        self._made = self._asked = now
        self._busy.clear()

    # --- giving it ------------------------------------------------------------------------------------

    def on_fetch_groups(self, verified: Verified[FetchGroups]) -> None:
        """Answered at once or a little later, the newest question of each member."""
        member = verified.peer.member
        if member is None:
            return
        self._questions.pop(member, None)
        self._questions[member] = verified.message
        self._answer()

    def tick(self) -> None:
        """Give the next answer; let go what nobody wants."""
        self._answer()
        if self._offer is not None and self.core.now.monotonic >= self._asked + IDLE_MAX:
            self._let_go()

    def deadline(self) -> int | None:
        """Monotonic time of the next answer, or of the end of what is served."""
        if self._questions:
            return self._answered + ANSWER_GAP
        return None if self._offer is None else self._asked + IDLE_MAX

    def shift(self, gap: int) -> None:
        """This process was paused (R31)."""
        self._asked += gap
        self._made += gap
        self._busy = {member: at + gap for member, at in self._busy.items()}

    def _answer(self) -> None:
        now = self.core.now.monotonic
        if not self._questions or now < self._answered + ANSWER_GAP:
            return
        self._answered = now
        member = next(iter(self._questions))
        question = self._questions.pop(member)
        answer = Groups(question.sequence, self._read(member, question))
        self.core.outbox.send(member, self.core.signer.link(answer))

    def _read(self, member: int, question: FetchGroups) -> tuple[tuple[int, tuple[Item, ...]], ...]:
        core = self.core
        if self._offer is None or self._offer[0] != question.sequence:
            return ()
        self._asked = self._busy[member] = core.now.monotonic
        found: list[tuple[int, tuple[Item, ...]]] = []
        room = ANSWER_BYTES
        for number in parts.read(question.groups):
            items = core.application.read_pinned(number)
            if items is None:
                self._let_go()  # the application keeps it no longer: it had grown too large
                return ()
            size = sum(len(part) + 8 for item in items for part in item)
            if size > GROUP_BYTES_MAX:
                core.outbox.note("group_too_large", group=parts.group_of(number), size=size)
                continue
            if found and size > room:
                break
            if items:
                found.append((number, items))
            # To put a large group in order takes long: one at a time, and votes in between.
            room -= room if parts.is_list(items) else size
        return tuple(found)

    def _let_go(self) -> None:
        self._offer = None
        self._busy.clear()
        self.core.application.release()
