"""Phase: a replica far behind takes the state of a stable checkpoint instead of replaying the log (R23,
PITFALLS row 17).

1. It asks everybody; whoever can offers a state with the q CHECKPOINTs that sign it.
2. Of the offers that are proved it takes the one that most members offer, the higher one among equals.
3. It fetches the state in groups from all of these members at once. Each group proves itself, whichever
   question it answers; who sends a wrong one is not asked again, who is late is asked less.
4. What is complete is installed by the host in one transaction, and the core starts anew from the ledger.

Nothing durable changes before the end, so a crash on the way only begins it again. The manifest has a fixed
size, a group or a part of one at most the frame's, and certificates cannot be invented: a liar can be slow,
no more. While no offer is good the log is fetched as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from validators.consensus import handover, parts
from validators.consensus.application import Staging
from validators.consensus.certificate import CheckpointCertificate, ends_log, read_checkpoint, why_refused
from validators.consensus.effects import CheckpointRecord, Install, Reason
from validators.consensus.messages import FetchGroups, FetchSnapshot, Groups, Snapshot
from validators.consensus.needs import Recovery
from validators.consensus.verified import Verified

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["Transfer"]

GROUPS_ASKED = 32
"""Groups, or parts of one, named in one question; a source sends as many of them as fit."""
STRIKES_MAX = 3
"""Questions in a row that may bring nothing before this transfer goes on without their source."""
ALONE_MAX = 15_000_000_000
"""Nanoseconds for which one source alone is believed to be doing its best; then others are preferred."""


class _Offer(msgspec.Struct, frozen=True):
    """A state somebody offers, proved."""

    certificate: CheckpointCertificate
    message: Snapshot
    staging: Staging
    """Empty."""


class _Source(msgspec.Struct):
    """A member that state is fetched from."""

    groups: tuple[int, ...] = ()
    """Asked for last and not here, late or not."""
    owing: int = 0
    """Questions that it has not answered, however long ago they were put."""
    patient: bool = False
    """Its answer is waited for."""
    due: int = 0
    """When the answer is late, or when the next question may be put."""
    strikes: int = 0
    """Times in a row that it was late or brought nothing new."""


class Transfer:
    """Owns the offers, the state on its way in, and its sources."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self._offers: dict[int, _Offer] = {}
        self._seek_at = 0
        self._choose_at: int | None = None
        self._target: _Offer | None = None
        self._begun = 0
        self._sources: dict[int, _Source] = {}
        self._staging: Staging | None = None
        """Of the target, or what an abandoned one left."""
        self._banned: set[int] = set()
        """Members that sent what was wrong."""
        self._slow: set[int] = set()
        self._base: CheckpointCertificate | None = None
        """Of what ended the epoch before, as the own ledger proves it."""
        self.done = False
        """Everything is here: the host installs it at the end of the turn, and nothing else counts."""

    def restore(self, recovery: Recovery) -> None:
        """The ledger may hold what ended the epoch before: its state is one to begin with."""
        core = self.core
        found = handover.read(recovery.states, core.config.epoch - 1)
        if found is None or not found.checkpoint:
            return
        said = core.signer.open(found.checkpoint[0]).message
        content = (said.sequence, said.state_root, said.log_root, said.timestamp)
        self._base = CheckpointCertificate(*content, frames=found.checkpoint)

    @property
    def active(self) -> bool:
        """Whether a state is on its way in: the log need not be fetched meanwhile."""
        return self._target is not None or self.done

    def wanted(self) -> bool:
        """Whether this replica is better helped by a state than by the log."""
        core = self.core
        if not core.arrived:
            return True
        lag = core.catch_up.target() - core.executed
        return lag > self._far() or (lag > 0 and core.catch_up.is_stuck())

    def _far(self) -> int:
        """Sequences behind from which on a state is sooner here than the log. A large state takes as long to
        install as the others take for thousands of sequences: who has just done it must not do it again."""
        core = self.core
        return max(core.config.transfer_lag, core.application.size() // core.config.transfer_tickets)

    # --- seeking and choosing -------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at every clock."""
        if self.done or self.core.n == 1:
            return
        if self._target is not None:
            self._check_target()
            self._ask()
        elif self.wanted():
            self._seek()
        else:
            self._offers.clear()
            self._staging = self._choose_at = None

    def deadline(self) -> int | None:
        """Monotonic time of the next question."""
        if self.done or self.core.n == 1:
            return None
        if self._target is not None:
            return min(source.due for source in self._sources.values())
        if not self.wanted():
            return None
        return self._seek_at if self._choose_at is None else min(self._seek_at, self._choose_at)

    def shift(self, gap: int) -> None:
        """This process was paused (R31)."""
        self._begun += gap
        for source in self._sources.values():
            source.due += gap

    def _seek(self) -> None:
        core = self.core
        now = core.now.monotonic
        if self._choose_at is not None and now >= self._choose_at:
            self._choose()
        if self._target is None and now >= self._seek_at:
            self._seek_at = now + core.config.transfer_retry
            if len(self._banned) > core.config.f:
                self._banned.clear()  # more than can be lying: something else is wrong, try again
            core.outbox.broadcast(core.signer.link(FetchSnapshot(core.config.epoch, self._least())))
            for member in core.others:
                core.contradictions.ask(member)  # a state that is taken would hide that the logs have forked

    def _least(self) -> int:
        """A state at or below this sequence does not help."""
        core = self.core
        if not core.arrived:
            return core.config.base - 1
        return core.executed if core.catch_up.is_stuck() else core.executed + self._far() // 2

    def refuse_snapshot(self, member: int | None) -> Reason | None:
        """Cheap refusal (R5): verifying a certificate costs q signatures."""
        welcome = self._target is None and not self.done and self.wanted()
        known = member is None or member in self._offers or member in self._banned
        return None if welcome and not known else Reason.NOT_ASKED

    def on_snapshot(self, verified: Verified[Snapshot]) -> None:
        """A member offers its state; nothing of it counts that the certificate does not cover."""
        core = self.core
        member = verified.peer.member
        if member is None or (reason := self.refuse_snapshot(member)) is not None:
            core.outbox.refused(Reason.NOT_ASKED if member is None else reason or Reason.NOT_ASKED, verified)
            return
        message = verified.message
        certificate = read_checkpoint(message.checkpoint, verified.nested, core.config)
        if certificate is not None and certificate.sequence <= core.executed:
            core.checkpoints.adopt(certificate)  # of no use as a state, but it may not be the own one
        if not message.checkpoint:
            certificate = self._base  # others than the members of this epoch signed it
        staging = None
        if certificate is not None and _fits(certificate, message):
            staging = core.application.staging(message.manifest, certificate.state_root)
        if certificate is None or staging is None:
            why = why_refused(message.checkpoint, verified.nested, core.config)
            if why is Reason.WRONG_EPOCH:
                core.outbox.refused(why, verified)  # on its way while this replica went on: nobody lied (R35)
            else:
                self._ban(member, why, verified)
            return
        if certificate.sequence <= self._least():
            core.outbox.refused(Reason.OUTSIDE_WINDOW, verified)  # proved, but of no use
            return
        self._offers[member] = _Offer(certificate, message, staging)
        if len(self._offers) + len(self._banned) >= len(core.others):
            self._choose()
        elif self._choose_at is None:
            self._choose_at = core.now.monotonic + core.config.fetch_retry

    def _choose(self) -> None:
        """The state that most members offer that were not slow before."""
        core = self.core
        self._choose_at = None
        sides: dict[int, list[int]] = {}
        for member, offer in self._offers.items():
            sides.setdefault(offer.certificate.sequence, []).append(member)
        if not sides:
            return
        sequence = max(sides, key=lambda s: (sum(m not in self._slow for m in sides[s]), s))
        offer = self._offers[sides[sequence][0]]
        if self._staging is not None:
            offer.staging.adopt(self._staging)
        self._staging = offer.staging
        self._target = offer
        self._begun = core.now.monotonic
        self._sources = {member: _Source(due=core.now.monotonic) for member in sides[sequence]}
        self._offers.clear()
        core.catch_up.on_certified(sequence)
        core.outbox.note("transfer_began", sequence=sequence, sources=sorted(self._sources))
        self._ask()

    # --- fetching -------------------------------------------------------------------------------------

    def _check_target(self) -> None:
        """Give a target up that was overtaken, or whose only source takes its time."""
        core = self.core
        if len(self._sources) == 1 and core.n > 2 and core.now.monotonic > self._begun + ALONE_MAX:
            self._slow |= set(self._sources)
            self._abandon("slow")

    def _ask(self) -> None:
        """Put the next question to each source that owes none."""
        core = self.core
        target, staging = self._target, self._staging
        if target is None or staging is None:
            return
        if target.certificate.sequence <= core.executed:
            self._abandon("overtaken")
            return
        if not staging.missing:
            self._complete(target, staging)
            return
        now = core.now.monotonic
        for member, source in list(self._sources.items()):
            if source.patient and now >= source.due:
                self._strike(member, source)
        under_way = {group for source in self._sources.values() for group in source.groups}
        for member, source in self._sources.items():
            if source.patient or now < source.due:
                continue
            chosen = parts.some(staging.missing, under_way, GROUPS_ASKED)
            # Nothing is left but what others owe: the slowest of them is not waited for.
            source.groups = chosen or parts.some(staging.missing, set(), GROUPS_ASKED)
            under_way.update(source.groups)
            source.owing += 1
            source.patient = True
            source.due = now + core.config.transfer_retry
            question = FetchGroups(target.certificate.sequence, parts.spell(source.groups))
            core.outbox.send(member, core.signer.link(question))
        if not self._sources:
            self._abandon("no source is left")

    def _strike(self, member: int, source: _Source) -> None:
        core = self.core
        source.patient = False
        source.strikes += 1
        source.due = core.now.monotonic + source.strikes * core.config.transfer_retry
        if source.strikes >= STRIKES_MAX:
            self._slow.add(member)
            del self._sources[member]
            core.outbox.note("source_left", member=member, reason="slow")

    def refuse_groups(self, message: Groups, member: int | None) -> Reason | None:
        """Cheap refusal (R5): one answer to each question that this member was asked."""
        source = self._sources.get(member) if member is not None else None
        if source is None or self._target is None or not source.owing:
            return Reason.NOT_ASKED
        return None if message.sequence == self._target.certificate.sequence else Reason.NOT_ASKED

    def on_groups(self, verified: Verified[Groups]) -> None:
        """Groups of the state; a wrong one ends it with this source."""
        core = self.core
        member = verified.peer.member
        message = verified.message
        reason = self.refuse_groups(message, member)
        if member is None or reason is not None or self._staging is None:
            core.outbox.refused(reason or Reason.NOT_ASKED, verified)
            return
        source = self._sources[member]
        source.owing -= 1
        # What it was asked is no less an answer because others were quicker: a liar could be, by a leaf.
        new = any(n in self._staging.missing or n in source.groups for n, _items in message.groups)
        if not message.groups:
            del self._sources[member]
            core.outbox.note("source_left", member=member, reason="serves it no longer")
        elif not all(self._staging.add(number, items) for number, items in message.groups):
            self._ban(member, Reason.BAD_CHUNK, verified)
        elif new:
            source.groups, source.patient, source.due, source.strikes = (), False, core.now.monotonic, 0
            core.catch_up.held_until = core.now.monotonic + 2 * core.suspicion.timeout
        else:
            self._strike(member, source)
        self._ask()

    def _ban(self, member: int, reason: Reason, verified: Verified[Snapshot] | Verified[Groups]) -> None:
        """Not asked again by this process; counted against it, and told to people."""
        core = self.core
        self._banned.add(member)
        self._sources.pop(member, None)
        core.outbox.refused(reason, verified)
        core.outbox.note("poisoned", member=member, reason=reason.value)

    def _abandon(self, reason: str) -> None:
        """Groups that proved right are kept: the next target has most of them in common."""
        core = self.core
        core.outbox.note("transfer_ended", reason=reason)
        self._target = None
        self._sources = {}
        self._seek_at = core.now.monotonic

    def _complete(self, target: _Offer, staging: Staging) -> None:
        core = self.core
        certificate = target.certificate
        record = CheckpointRecord(
            epoch=core.config.epoch - (certificate is self._base),
            sequence=certificate.sequence,
            state_root=certificate.state_root,
            log_root=certificate.log_root,
            timestamp=certificate.timestamp,
            frames=certificate.frames,
        )
        self.done = True
        self._target = None
        core.outbox.note("transfer_complete", sequence=certificate.sequence)
        core.outbox.install(Install(record, target.message.entry, target.message.peaks, staging.rows))


def _fits(certificate: CheckpointCertificate, message: Snapshot) -> bool:
    """Whether the log that q members signed ends with this entry."""
    return ends_log(certificate, message.entry, message.peaks)
