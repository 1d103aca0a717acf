"""Serves the own state to members that lag, while execution continues (R23, R25).

A replica offers its state as of a stable checkpoint: the application froze it when that sequence was
executed, and keeps it readable while execution continues. One state is served at a time, to every member
that asks. It is released when no member has asked for a while, when it is old, or when it holds too much
memory. Answers are small and spaced, so that serving never delays votes.
"""

from __future__ import annotations

from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus.application import Item
from dtvn.protocol.consensus.ledger_tail import Base, LedgerTail
from dtvn.protocol.consensus.messages import FetchGroups, FetchSnapshot, Groups, Snapshot
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.throttle import Throttle
from dtvn.protocol.consensus.transfer import parts
from dtvn.protocol.consensus.verified import Verified

MILLISECOND = 1_000_000
ANSWER_GAP = 10 * MILLISECOND
"""Minimum nanoseconds between two answers with groups, to any members. An answer takes about 2 ms, so a
member that serves its state keeps 80 % of its time for other work (R23: the other members' throughput stays
above 70 %)."""
ANSWER_BYTES = 128 * 1024
"""Maximum bytes of an answer, unless its first group or part alone is larger."""
GROUP_BYTES_MAX = 9 * 1024 * 1024
"""Maximum bytes of a group, or a part of one, that is sent: a larger one does not fit a frame. The list of a
group of 290,000 leaves would be larger."""
OFFER_GAP = 100 * MILLISECOND
"""Minimum nanoseconds between two offers to the same member."""
IDLE_MAX = 5_000 * MILLISECOND
"""Nanoseconds without a question from any member after which the served state is released."""
FRESH_AFTER = 1_000 * MILLISECOND
"""Nanoseconds without a question after which a member no longer keeps a newer state from being served."""
AGE_MAX = 60_000 * MILLISECOND
"""Maximum nanoseconds for which a state is served while a newer one is wanted."""


class Serving:
    """Owns the state that is served, the members that want one, and their open questions."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._busy: dict[int, int] = {}
        """Member -> monotonic time when it was offered the served state or last asked for part of it."""
        self._base: Base | None = None
        """The newest frozen state's entry and the frontier of the log below it, or None."""
        self._offer: tuple[int, bytes] | None = None
        """(sequence, Snapshot frame) of the state that is served, or None."""
        self._made = 0
        """Monotonic time when that offer was made."""
        self._asked = 0
        """Monotonic time of the newest question for that state."""
        self._wanting: dict[int, int] = {}
        """Member -> the sequence above which it wants a state; answered at the next stable checkpoint."""
        self._questions: dict[int, FetchGroups] = {}
        """The newest unanswered question of each member."""
        self._answered = 0
        self._offers = Throttle(state, OFFER_GAP)

    def restore(self, tail: LedgerTail) -> None:
        """Prepares the state that ended the epoch before for serving, if no later sequence was executed."""
        state = self.state
        found = epoch_change_proof.read(tail.states, state.config.epoch - 1)
        if found is None or not found.entry.sequence == state.executed == state.log.stable:
            return
        state.application.freeze(state.executed)
        self._base = Base(found.entry, found.peaks)

    # --- what can be served ---------------------------------------------------------------------------

    def on_frozen(self, sequence: int) -> None:
        """Remembers the state that the application froze at `sequence`, if it is the newest entry's."""
        base = self.state.executor.base
        self._base = base if base is not None and base.entry.sequence == sequence else None

    def on_stable(self, sequence: int) -> None:
        """Offers the state of a new stable checkpoint to the members that wait for one."""
        wanting, self._wanting = self._wanting, {}
        for member, above in wanting.items():
            if not self._give(member, above):
                self._wanting[member] = above

    def on_fetch_snapshot(self, verified: Verified[FetchSnapshot]) -> None:
        """Offers a state to a member that lags too far for the log, now or at the next stable checkpoint."""
        member = verified.peer.member
        message = verified.message
        if member is None or message.epoch != self.state.config.epoch:
            return
        if message.above > self.state.executed + self.state.config.watermark_span:
            return  # no checkpoint of the near future is above it
        if not self._give(member, message.above):
            self._wanting[member] = message.above

    def _give(self, member: int, above: int) -> bool:
        """Offers a member the served state if it is above a sequence; returns False if it is not."""
        self._refresh(member, above)
        if self._offer is None or self._offer[0] <= above:
            return False
        self._busy[member] = self.state.now.monotonic
        if self._offers.allow(member, b"offer"):
            self.state.outbox.send(member, self._offer[1])
        return True

    def _refresh(self, member: int, above: int) -> None:
        """Serves the newest stable state instead of an older one, if no member is fetching the older one, or
        only this member is and it does not help it. Other members lose a state that they are fetching only
        once it is as old as AGE_MAX."""
        state = self.state
        now = state.now.monotonic
        base = self._base
        certificate = state.checkpoint.certificate
        if base is None or certificate is None or certificate.sequence != base.entry.sequence:
            return
        if self._offer is not None:
            fresh = {other for other, at in self._busy.items() if now < at + FRESH_AFTER}
            busy = bool(fresh - {member}) or (member in fresh and self._offer[0] > above)
            if self._offer[0] >= certificate.sequence or (busy and now < self._made + AGE_MAX):
                return
        manifest = state.application.pin(certificate.sequence)
        if manifest is None:
            return
        # Members of the epoch before signed its last checkpoint; a member of this epoch has the proof of it.
        snapshot = Snapshot(state.checkpoint.frames, base.entry, base.peaks, manifest)
        self._offer = certificate.sequence, state.signer.link(snapshot)
        self._made = self._asked = now
        self._busy.clear()

    # --- giving it ------------------------------------------------------------------------------------

    def on_fetch_groups(self, verified: Verified[FetchGroups]) -> None:
        """Answers a member's newest question, at once or a little later."""
        member = verified.peer.member
        if member is None:
            return
        self._questions.pop(member, None)
        self._questions[member] = verified.message
        self._answer()

    def tick(self) -> None:
        """Sends the next answer, and releases a state that no member has asked for lately."""
        self._answer()
        if self._offer is not None and self.state.now.monotonic >= self._asked + IDLE_MAX:
            self._let_go()

    def deadline(self) -> int | None:
        """Monotonic time of the next answer or of the release of the served state; None without either."""
        if self._questions:
            return self._answered + ANSWER_GAP
        return None if self._offer is None else self._asked + IDLE_MAX

    def shift(self, gap: int) -> None:
        """Moves all times by a pause of this process (R31)."""
        self._asked += gap
        self._made += gap
        self._busy = {member: at + gap for member, at in self._busy.items()}

    def _answer(self) -> None:
        now = self.state.now.monotonic
        if not self._questions or now < self._answered + ANSWER_GAP:
            return
        self._answered = now
        member = next(iter(self._questions))
        question = self._questions.pop(member)
        answer = Groups(question.sequence, self._read(member, question))
        self.state.outbox.send(member, self.state.signer.link(answer))

    def _read(self, member: int, question: FetchGroups) -> tuple[tuple[int, tuple[Item, ...]], ...]:
        state = self.state
        if self._offer is None or self._offer[0] != question.sequence:
            return ()
        self._asked = self._busy[member] = state.now.monotonic
        found: list[tuple[int, tuple[Item, ...]]] = []
        room = ANSWER_BYTES
        for number in parts.read(question.groups):
            items = state.application.read_pinned(number)
            if items is None:
                self._let_go()  # the application released it, since it held too much memory
                return ()
            size = sum(len(part) + 8 for item in items for part in item)
            if size > GROUP_BYTES_MAX:
                state.outbox.note("group_too_large", group=parts.group_of(number), size=size)
                continue
            if found and size > room:
                break
            if items:
                found.append((number, items))
            # Sorting a large group takes long: one per answer, so that votes are handled in between.
            room -= room if parts.is_list(items) else size
        return tuple(found)

    def _let_go(self) -> None:
        self._offer = None
        self._busy.clear()
        self.state.application.release()
