"""Phase: Ping and Pong: how far members are (R31), and what they hold of this replica's own word (R11).

At start a replica with a past asks everybody for the newest statements under its own key, and gives no
vote before all have shown what they hold, or q members (itself included) have and the others were given
`fetch_retry` to do so too. What was committed with its vote is known to an honest member of any quorum;
what only somebody unreachable heard stays unknown, as R11 has it. A statement that the ledger lacks makes
the replica a follower before it can contradict itself. Without q members nothing could be decided, so
the wait costs a round trip, and a quarter of a second while somebody is down.

Where f = 0 two quorums may share this replica alone, and one member that does not answer may be the only one
that knows its word. Then all others are waited for, whenever a process starts (an empty ledger waits too: a
disk from before the first vote looks like one that was never used) and whenever an epoch begins, for what is
said there nobody can show in the one before. The operator may say instead that the others are gone; that
holds until a checkpoint is stable. Only a core that its own process rebuilds (`Recovery.continued`) does not
ask again, if all had answered the one before it (`HEARD`).

Later Pings only measure. The round trip that counts is the one within which a quorum answers: f liars who
answer late cannot stretch T, and answering early only shortens it to its base.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from validators import quorum
from validators.consensus.certificate import read_checkpoint
from validators.consensus.effects import Reason, StateRecord
from validators.consensus.messages import Ping, Pong
from validators.consensus.needs import Recovery
from validators.consensus.throttle import Throttle
from validators.consensus.verified import Verified
from validators.probes import probe

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["HEARD", "OTHERS_ARE_GONE", "OWN_SHOWN_MAX", "Pinging"]

PING_EVERY = 2_000_000_000
"""Nanoseconds between two Pings; while waiting for answers to the first, `resend_after`."""
OPEN_FOR = 5_000_000_000
"""Nanoseconds for which a Ping may be answered: nobody is so far away that later Pings pass its answer by."""
SAMPLES_KEPT = 8
"""Round trips of one member remembered; their median counts, so one busy turn does not."""
ANSWER_GAP = 20_000_000
"""A member's Pings are answered at most this often, nanoseconds."""
OWN_SHOWN_MAX = 256
"""Statements in one Pong, newest first."""
OTHERS_ARE_GONE = StateRecord("others_are_gone", b"1")
"""The operator's word, in the ledger: members that do not answer are not waited for (R11)."""
HEARD = StateRecord("heard_all", b"1")
"""All others have shown what they hold of this replica's word, to the process that has the ledger open."""


class Pinging:
    """Owns the Pings under way, what they measured, and whether votes wait for the first answers."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self.holding = False
        """Votes wait for the answers of a quorum (R11)."""
        self._asked: dict[int, dict[int, int]] = {}
        """Member -> the Pings it has not answered: number -> monotonic time."""
        self.vouched = False
        """The operator's word counts: see OTHERS_ARE_GONE."""
        self._quorum_suffices = True
        """Some may stay silent; False: all others are waited for."""
        self._heard = False
        """Whether the ledger says `HEARD`."""
        self._awaiting_all = False
        """A quorum has answered, and longer than the silent ones are given; that was said."""
        self._enough_since: int | None = None
        """When a quorum had answered."""
        self._shown: set[int] = set()
        """Members that showed what they hold of this replica."""
        self._trips: dict[int, deque[int]] = {}
        self._number = 0
        self._last = 0
        self._throttle = Throttle(core, ANSWER_GAP)
        self._commits: dict[int, tuple[bytes, ...]] = {}
        """Sequence -> COMMIT frames of executed entries out of the ledger."""

    # --- asking -------------------------------------------------------------------------------------

    def begin(self, recovery: Recovery) -> None:
        """Ask everybody; wait for a quorum if this ledger has a past (an empty one in place of a lost one is
        flagged by its host), and in any case for all others where f = 0 (R11)."""
        core = self.core
        self._commits = {r.entry.sequence: r.commits for r in recovery.entries if r.commits}
        self._number = max(0, core.now.wall)  # no answer to a former life is taken for one to this
        if core.n == 1:
            return
        past = bool(recovery.slots) or bool(recovery.entries) or recovery.checkpoint is not None
        self.vouched = OTHERS_ARE_GONE in recovery.states
        self._heard = HEARD in recovery.states
        if not recovery.continued:
            self._note_heard(heard=False)
        self._quorum_suffices = core.config.f > 0 or self._heard or self.vouched
        self.holding = core.voting and (past or not self._quorum_suffices)
        self._ask()

    def _note_heard(self, *, heard: bool) -> None:
        if self._heard != heard:
            self._heard = heard
            self.core.outbox.persist(HEARD if heard else StateRecord(HEARD.name, b"0"))

    @property
    def awaited(self) -> tuple[int, ...]:
        """Members without whose word no vote is given here (R11)."""
        if not self.holding or self._quorum_suffices:
            return ()
        return tuple(member for member in sorted(self.core.others) if member not in self._shown)

    def on_stable(self) -> None:
        """A checkpoint is stable: what the operator vouched for is over."""
        if self.vouched:
            self.vouched = False
            self.core.outbox.persist(StateRecord(OTHERS_ARE_GONE.name, b"0"))
            self.core.outbox.note("others_are_gone_ended", sequence=self.core.log.stable)

    def _ask(self) -> None:
        core = self.core
        self._number += 1
        self._last = core.now.monotonic
        for member in core.others:
            if self.holding and member in self._shown:
                continue
            since = core.now.monotonic - OPEN_FOR
            unanswered = {n: sent for n, sent in self._asked.get(member, {}).items() if sent >= since}
            self._asked[member] = {**unanswered, self._number: core.now.monotonic}
            mine = member not in self._shown if core.voting else core.returning.asks(member)
            wished = core.returning.wished_view()
            epoch = core.config.epoch
            frame = core.signer.link(Ping(self._number, mine, core.views.view, wished, epoch))
            core.outbox.send(member, frame)

    def tick(self) -> None:
        """Ask again when it is time."""
        self._look()
        if self.core.n > 1 and self.core.now.monotonic >= self._next_ping():
            self._ask()

    def deadline(self) -> int | None:
        """Monotonic time of the next Ping, or of the end of the wait."""
        if self.core.n == 1:
            return None
        due = self._next_ping()
        if self.holding and self._enough_since is not None and not self._awaiting_all:
            due = min(due, self._enough_since + self.core.config.fetch_retry)
        return due

    def _next_ping(self) -> int:
        return self._last + (self.core.config.resend_after if self.holding else PING_EVERY)

    def shift(self, gap: int) -> None:
        """This process was paused: what it asked before measures nothing (R31)."""
        self._asked.clear()

    # --- answering ----------------------------------------------------------------------------------

    def on_ping(self, verified: Verified[Ping]) -> None:
        """A member asks how far it is, and at its start what it said."""
        core = self.core
        member = verified.peer.member
        message = verified.message
        if member is None or not self._throttle.allow(member, b"mine" if message.mine else b"ping"):
            return
        frames = self._shown_to(member, message.view) if message.mine else ()
        stable = core.checkpoints.frames if message.mine else ()
        epoch = core.config.epoch
        answer = Pong(message.number, core.executed, frames, stable, core.views.view, epoch)
        core.outbox.send(member, core.signer.link(answer))
        core.wishes.on_said(member, message.wished if message.epoch == epoch else 0)

    def _shown_to(self, member: int, view: int) -> tuple[bytes, ...]:
        """As much as one message takes; one statement that its ledger lacks is enough."""
        shown: dict[bytes, None] = {}
        room = self.core.config.resend_bytes_max
        for frame in self._said_by(member, view):
            room -= len(frame)
            if (shown and room < 0) or len(shown) >= OWN_SHOWN_MAX:
                break
            shown[frame] = None
        return tuple(shown)

    def _said_by(self, member: int, view: int) -> Iterator[bytes]:
        """Statements of a member that could still matter, the weightiest and newest first. In views
        below its own it can vote no more, whatever its ledger lost."""
        core = self.core
        yield from core.views.said_by(member, view)
        yield from core.checkpoints.said_by(member)
        for sequence in range(core.log.highest, core.log.stable, -1):
            slot = core.log.slots.get(sequence)
            if slot is None or slot.view < view:
                continue
            for tally in (slot.commits, slot.prepares):
                if member in tally.votes:
                    yield tally.votes[member].frame
            if quorum.primary(slot.view, core.n) == member:
                yield from slot.proposals.values()
        for certificate in core.log.certificates.values():
            yield from self._of(member, view, (certificate.proof.pre_prepare, *certificate.proof.prepares))
        for sequence, frames in self._commits.items():
            if sequence > core.log.stable:
                yield from self._of(member, view, frames)

    def _of(self, member: int, view: int, frames: tuple[bytes, ...]) -> Iterator[bytes]:
        for frame in frames:
            message = self.core.signer.open(frame).message
            if message.sender == member and message.view >= view:
                yield frame

    # --- listening ----------------------------------------------------------------------------------

    def refuse_pong(self, message: Pong, member: int | None) -> Reason | None:
        """Cheap refusal (R5): only one answer to the Pings under way."""
        if len(message.frames) > OWN_SHOWN_MAX:
            return Reason.TOO_LARGE
        asked = self._asked.get(member, {}) if member is not None else {}
        return None if message.number in asked else Reason.NOT_ASKED

    def on_pong(self, verified: Verified[Pong]) -> None:
        """A member answered; what it shows under the own key is compared with the ledger."""
        core = self.core
        member = verified.peer.member
        message = verified.message
        reason = self.refuse_pong(message, member)
        if member is None or reason is not None:
            core.outbox.refused(reason or Reason.NOT_ASKED, verified)
            return
        sent = self._asked.pop(member)[message.number]
        self._trips.setdefault(member, deque(maxlen=SAMPLES_KEPT)).append(core.now.monotonic - sent)
        core.suspicion.on_round_trip(self.round_trip())
        for frame in message.frames:
            found = verified.nested.get(frame)
            if found is not None and found.message.sender == core.index:
                core.own.on_own(found)
        if not core.voting:
            core.returning.on_pong(member, verified)
        elif message.checkpoint:
            shown = read_checkpoint(message.checkpoint, verified.nested, core.config)
            if shown is not None and shown.sequence <= core.executed:
                core.checkpoints.adopt(shown)  # or it excludes what is certified here
        core.catch_up.on_said(member, message.executed)
        if message.epoch <= core.config.epoch:  # one that is ahead cannot show here what it heard there
            self._shown.add(member)
        self._look()

    def _look(self) -> None:
        """End the wait when enough have answered."""
        core = self.core
        if not self.holding:
            return
        now = core.now.monotonic
        if self._enough_since is None and len(self._shown) + 1 >= core.q:
            self._enough_since = now
        waited = self._enough_since is not None and now >= self._enough_since + core.config.fetch_retry
        if (waited and self._quorum_suffices) or len(self._shown) + 1 == core.n or not core.voting:
            self.holding = False
            if core.voting and core.config.f == 0:
                self._note_heard(heard=True)
            core.on_free()
        elif waited and not self._awaiting_all:
            self._awaiting_all = True
            probe("pinging.awaits_all")
            names = core.config.members
            core.outbox.note("awaits_all", members=",".join(names[member] for member in self.awaited))

    def round_trip(self) -> int:
        """Within how many nanoseconds a quorum answers; 0 while fewer members were measured."""
        middles = sorted(sorted(trips)[len(trips) // 2] for trips in self._trips.values())
        needed = self.core.q - 1
        return middles[needed - 1] if 0 < needed <= len(middles) else 0

    def shortest(self) -> int:
        """Nanoseconds within which a quorum answered when it was quickest of late; 0 while unknown."""
        quickest = sorted(min(trips) for trips in self._trips.values())
        needed = self.core.q - 1
        return quickest[needed - 1] if 0 < needed <= len(quickest) else 0
