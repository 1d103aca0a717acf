"""Serves the own state to members and followers that lag, while execution continues (R23, R25, R45).

A core offers its state as of a stable checkpoint: the application froze it when that sequence was executed,
and keeps it readable while execution continues. One state is served at a time, to everybody who asks. It is
released when nobody has asked for a while, when it is old, or when it holds too much memory. Answers are
small and spaced, so that serving never delays votes; followers get theirs only while no member waits, and
fewer while entries are executed.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus.application import Application, Item
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.ledger_tail import Base, LedgerTail
from dtvn.protocol.consensus.messages import FetchGroups, FetchSnapshot, Groups, Snapshot
from dtvn.protocol.consensus.outbox import Outbox
from dtvn.protocol.consensus.signer import Signer
from dtvn.protocol.consensus.state import StableCheckpoint
from dtvn.protocol.consensus.transfer import parts
from dtvn.protocol.consensus.verified import Peer, Verified

MILLISECOND = 1_000_000
ANSWER_GAP = 10 * MILLISECOND
"""Minimum nanoseconds between two answers with groups, to any members. An answer takes about 2 ms, so a
member that serves its state keeps 80 % of its time for other work (R23: the other members' throughput stays
above 70 %)."""
FOLLOWER_GAP = 20 * MILLISECOND
"""The same between two answers to followers (processes that are no members): a tenth of the time at most. A
member that executes nothing answers them as often as members."""
QUIET_AFTER = 100 * MILLISECOND
"""Nanoseconds without a newly executed sequence after which a core counts as one that executes nothing. What
comes then waits for one answer at most."""
FOLLOWERS_MAX = 16
"""Maximum followers that are served, or wait, at once; at most FOLLOWERS_SHARE of them of one principal.
Further ones are not answered: they ask another peer, and again after a second."""
FOLLOWERS_SHARE = 4
TURN = 60_000 * MILLISECOND
"""Nanoseconds for which a follower is sure to keep its place. Afterwards one that finds none gets that of the
follower that has had one longest: of its own principal if that has its share, else of that with the most."""
ANSWER_BYTES = 128 * 1024
"""Maximum bytes of an answer, unless its first group or part alone is larger."""
GROUP_BYTES_MAX = 9 * 1024 * 1024
"""Maximum bytes of a group, or a part of one, that is sent: a larger one does not fit a frame. The list of a
group of 290,000 leaves would be larger."""
OFFER_GAP = 100 * MILLISECOND
"""Minimum nanoseconds between two offers to the same member."""
IDLE_MAX = 5_000 * MILLISECOND
"""Nanoseconds without a question after which the served state is released."""
FRESH_AFTER = 1_000 * MILLISECOND
"""Nanoseconds without a question after which a requester no longer keeps a newer state from being served."""
AGE_MAX = 60_000 * MILLISECOND
"""Maximum nanoseconds for which a state is served while a newer one is wanted."""


Requester = int | Peer
"""A member, by its index, or the connection of a follower."""


class Server(Protocol):
    """What a core gives to the serving of its state."""

    config: Config
    signer: Signer
    application: Application
    now: Now
    outbox: Outbox
    checkpoint: StableCheckpoint

    @property
    def executed(self) -> int:
        """The last executed sequence."""

    @property
    def stable(self) -> int:
        """The sequence of the stable checkpoint."""

    @property
    def base(self) -> Base | None:
        """The newest entry and the frontier of the log below it."""


class Serving:
    """Owns the state that is served, the requesters that want one, and their open questions."""

    def __init__(self, state: Server) -> None:
        self.state = state
        self._busy: dict[Requester, int] = {}
        """Requester -> monotonic time when it was offered the served state or last asked for part of it."""
        self._base: Base | None = None
        """The newest frozen state's entry and the frontier of the log below it, or None."""
        self._offer: tuple[int, bytes] | None = None
        """(sequence, Snapshot frame) of the state that is served, or None."""
        self._made = 0
        """Monotonic time when that offer was made."""
        self._asked = 0
        """Monotonic time of the newest question for that state."""
        self._wanting: dict[Requester, int] = {}
        """Requester -> the sequence above which it wants a state; answered at the next stable checkpoint."""
        self._questions: dict[Requester, FetchGroups] = {}
        """The newest unanswered question of each requester."""
        self._answered = 0
        self._answered_follower = 0
        """When the newest answer to a follower was sent."""
        self._seen = -1
        """The last executed sequence, as far as was looked."""
        self._moved = 0
        """When that rose."""
        self._offered: dict[Requester, int] = {}
        """Requester -> when it was last sent an offer."""
        self._followers: dict[Peer, int] = {}
        """Follower -> when it last asked."""
        self._since: dict[Peer, int] = {}
        """Follower -> when it got its place; the longest one first."""

    def restore(self, tail: LedgerTail) -> None:
        """Prepares the state that ended the epoch before for serving, if no later sequence was executed."""
        state = self.state
        found = epoch_change_proof.read(tail.states, state.config.epoch - 1)
        if found is None or not found.entry.sequence == state.executed == state.stable:
            return
        state.application.freeze(state.executed)
        self._base = Base(found.entry, found.peaks)

    # --- what can be served ---------------------------------------------------------------------------

    def on_frozen(self, sequence: int) -> None:
        """Remembers the state that the application froze at `sequence`, if it is the newest entry's."""
        base = self.state.base
        self._base = base if base is not None and base.entry.sequence == sequence else None

    def on_stable(self, sequence: int) -> None:
        """Offers the state of a new stable checkpoint to those that wait for one."""
        wanting, self._wanting = self._wanting, {}
        for requester, above in wanting.items():
            if not self._give(requester, above):
                self._wanting[requester] = above

    def on_fetch_snapshot(self, verified: Verified[FetchSnapshot]) -> None:
        """Offers a state to a core that lags too far for the log, now or at the next stable checkpoint."""
        message = verified.message
        if message.epoch != self.state.config.epoch:
            return
        if message.above > self.state.executed + self.state.config.watermark_span:
            return  # no checkpoint of the near future is above it
        requester = _requester(verified.peer)
        if isinstance(requester, Peer) and not self._has_room(requester):
            return
        if not self._give(requester, message.above):
            self._wanting[requester] = message.above

    def _has_room(self, follower: Peer) -> bool:
        """Whether a follower may be served too. Those that asked nothing for a while count no more."""
        now = self.state.now.monotonic
        for gone in [other for other, at in self._followers.items() if now >= at + IDLE_MAX]:
            self._end(gone)
        if follower not in self._followers:
            held = Counter(other.name for other in self._followers)
            own = held[follower.name] >= FOLLOWERS_SHARE
            if own or len(self._followers) >= FOLLOWERS_MAX:
                name = follower.name if own else held.most_common(1)[0][0]
                longest = next(other for other in self._since if other.name == name)
                if now < self._since[longest] + TURN:
                    return False
                self._end(longest)
                if self._offer is not None:  # it asks others at once
                    self._send(longest, self.state.signer.link(Groups(self._offer[0], ())))
            self._since[follower] = now
        self._followers[follower] = now
        return True

    def _end(self, follower: Peer) -> None:
        """Frees a follower's place."""
        for table in (
            self._followers, self._since, self._busy, self._wanting, self._questions, self._offered
        ):  # fmt: skip
            table.pop(follower, None)

    def _give(self, requester: Requester, above: int) -> bool:
        """Offers the served state if it is above a sequence; returns False if it is not."""
        self._refresh(requester, above)
        if self._offer is None or self._offer[0] <= above:
            return False
        now = self.state.now.monotonic
        self._busy[requester] = now
        last = self._offered.get(requester)
        if last is None or now >= last + OFFER_GAP:
            self._offered[requester] = now
            self._send(requester, self._offer[1])
        return True

    def _send(self, requester: Requester, frame: bytes) -> None:
        if isinstance(requester, Peer):
            self.state.outbox.answer(requester, frame)
        else:
            self.state.outbox.send(requester, frame)

    def _refresh(self, member: Requester, above: int) -> None:
        """Serves the newest stable state instead of an older one, if nobody is fetching the older one, or
        only this one is and it does not help it. Others lose a state that they are fetching only once it is
        as old as AGE_MAX; followers do at once if a member asks."""
        state = self.state
        now = state.now.monotonic
        base = self._base
        certificate = state.checkpoint.certificate
        if base is None or certificate is None or certificate.sequence != base.entry.sequence:
            return
        if self._offer is not None:
            fresh = {other for other, at in self._busy.items() if now < at + FRESH_AFTER}
            if not isinstance(member, Peer):
                fresh = {other for other in fresh if not isinstance(other, Peer)}
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
        """Answers a requester's newest question, at once or a little later."""
        requester = _requester(verified.peer)
        if isinstance(requester, Peer):
            if requester not in self._busy:
                return  # it was offered no state that is served now
            self._followers[requester] = self.state.now.monotonic
        self._questions.pop(requester, None)
        self._questions[requester] = verified.message
        self._answer()

    def tick(self) -> None:
        """Sends the next answer, and releases a state that nobody has asked for lately."""
        self._answer()
        if self._offer is not None and self.state.now.monotonic >= self._asked + IDLE_MAX:
            self._let_go()

    def deadline(self) -> int | None:
        """Monotonic time of the next answer or of the release of the served state; None without either."""
        if self._questions:
            return self._next_answer()
        return None if self._offer is None else self._asked + IDLE_MAX

    def shift(self, gap: int) -> None:
        """Moves all times by a pause of this process (R31)."""
        self._asked += gap
        self._made += gap
        self._moved += gap
        self._busy = {requester: at + gap for requester, at in self._busy.items()}
        self._followers = {follower: at + gap for follower, at in self._followers.items()}
        self._since = {follower: at + gap for follower, at in self._since.items()}

    def _next_answer(self) -> int:
        """Monotonic time of the next answer, if there is a question."""
        state = self.state
        if state.executed != self._seen:
            self._seen, self._moved = state.executed, state.now.monotonic
        quiet = state.now.monotonic >= self._moved + QUIET_AFTER
        if quiet or any(not isinstance(requester, Peer) for requester in self._questions):
            return self._answered + ANSWER_GAP
        return max(self._answered + ANSWER_GAP, self._answered_follower + FOLLOWER_GAP)

    def _answer(self) -> None:
        now = self.state.now.monotonic
        if not self._questions or now < self._next_answer():
            return
        members = (requester for requester in self._questions if not isinstance(requester, Peer))
        requester = next(members, next(iter(self._questions)))
        self._answered = now
        if isinstance(requester, Peer):
            self._answered_follower = now
        question = self._questions.pop(requester)
        answer = Groups(question.sequence, self._read(requester, question))
        self._send(requester, self.state.signer.link(answer))

    def _read(self, requester: Requester, question: FetchGroups) -> tuple[tuple[int, tuple[Item, ...]], ...]:
        state = self.state
        if self._offer is None or self._offer[0] != question.sequence:
            return ()
        self._asked = self._busy[requester] = state.now.monotonic
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


def _requester(peer: Peer) -> Requester:
    return peer if peer.member is None else peer.member
