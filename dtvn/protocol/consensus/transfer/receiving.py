"""A core far behind takes the state of a stable checkpoint instead of replaying the log (R23, R45, P17).

1. It asks all its peers; those that can offer a state, with the q CHECKPOINTs that sign it.
2. Of the proved offers it takes the one that most peers make, the higher one among equals.
3. It fetches the state in groups from all of these peers at once. Each group is checked against the
   manifest, whichever question it answers. A peer that sends a wrong group is not asked again; a peer that is
   late is asked less.
4. The host installs the complete state in one transaction, and the core starts anew from the ledger.

Nothing durable changes before the end, so after a crash the transfer starts over. The manifest has a fixed
size, a group or a part of one at most the frame's, and certificates cannot be forged: a liar can only be
slow. While there is no good offer, the log is fetched as usual.

This is the part that members (transfer.member) and learners (transfer.follower) have in common. A peer is
an index: of a member, or of a relay that a learner is linked to. What proves itself may come from either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import msgspec

from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus.application import Application, Staging
from dtvn.protocol.consensus.certificate import CheckpointCertificate, ends_log, read_checkpoint, why_refused
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.effects import CheckpointRecord, Install, Now, Reason
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.messages import FetchGroups, FetchSnapshot, Groups, Snapshot
from dtvn.protocol.consensus.outbox import Outbox
from dtvn.protocol.consensus.signer import Signer
from dtvn.protocol.consensus.state import TransferState
from dtvn.protocol.consensus.transfer import parts
from dtvn.protocol.consensus.verified import Verified

GROUPS_ASKED = 32
"""Maximum groups, or parts of one, named in one question; a source sends as many of them as fit."""
STRIKES_MAX = 3
"""Questions in a row without a useful answer after which this transfer drops their source."""
ALONE_MAX = 15_000_000_000
"""Nanoseconds after which a transfer from a single source is abandoned and other peers are preferred."""


class _Offer(msgspec.Struct, frozen=True):
    """A proved offer of a state by a member."""

    certificate: CheckpointCertificate
    message: Snapshot
    staging: Staging
    """The place for the state's groups, empty at first."""


class _Source(msgspec.Struct):
    """A member from which the state is fetched."""

    groups: tuple[int, ...] = ()
    """Groups of its newest question, until it is answered."""
    owing: int = 0
    """Questions that it has not answered, however old."""
    patient: bool = False
    """Whether this replica still waits for its answer."""
    due: int = 0
    """Monotonic time when the answer is late, or when the next question may be sent."""
    strikes: int = 0
    """Times in a row that it was late or sent nothing new."""


class Taker(Protocol):
    """What a core gives to the transfer of a state to it."""

    config: Config
    signer: Signer
    application: Application
    now: Now
    outbox: Outbox
    transfer: TransferState

    @property
    def executed(self) -> int:
        """The last executed sequence."""


class Receiving(ABC):
    """Writes `state.transfer`; owns the offers, the target and its sources."""

    def __init__(self, state: Taker) -> None:
        self._core = state
        self._offers: dict[int, _Offer] = {}
        self._seek_at = 0
        self._choose_at: int | None = None
        self._target: _Offer | None = None
        self._begun = 0
        self._sources: dict[int, _Source] = {}
        self._banned: set[int] = set()
        """Peers that sent a wrong offer or group."""
        self._slow: set[int] = set()
        """Peers that were slow sources; others are preferred."""
        self._base: CheckpointCertificate | None = None
        """Certificate of the checkpoint that ended the epoch before, out of the own ledger; or None."""
        self._progress = state.transfer

    # --- what members and learners do differently ---------------------------------------------------

    @abstractmethod
    def wanted(self) -> bool:
        """Whether a state helps this core more than the log."""

    @abstractmethod
    def _ended(self) -> bool:
        """Whether this core takes no state any more, or has nobody to ask."""

    @abstractmethod
    def _peers(self) -> Sequence[int]:
        """The peers to ask."""

    @abstractmethod
    def _least(self) -> int:
        """The sequence at or below which a state does not help."""

    @abstractmethod
    def _on_sought(self) -> None:
        """Offers were asked for."""

    @abstractmethod
    def _on_useless(self, certificate: CheckpointCertificate) -> None:
        """A proved offer is not above the own log."""

    @abstractmethod
    def _on_chosen(self, sequence: int) -> None:
        """The transfer of the proved state at `sequence` begins."""

    @abstractmethod
    def _on_useful(self) -> None:
        """A source brought a part that was missing."""

    @abstractmethod
    def _send_to_all(self, frame: bytes) -> None:
        """Send a question to all peers."""

    @abstractmethod
    def _on_complete(self) -> None:
        """The state is complete, and is about to be installed: this core takes no part any more."""

    @abstractmethod
    def _on_lie(self, peer: int) -> None:
        """A peer sent a wrong offer or group."""

    # --- the ledger ---------------------------------------------------------------------------------

    def restore(self, tail: LedgerTail) -> None:
        """Reads the checkpoint that ended the epoch before, if the ledger has it: a state to fetch."""
        state = self._core
        found = epoch_change_proof.read(tail.states, state.config.epoch - 1)
        if found is None or not found.checkpoint:
            return
        said = state.signer.open(found.checkpoint[0]).message
        content = (said.sequence, said.state_root, said.log_root, said.timestamp)
        self._base = CheckpointCertificate(*content, frames=found.checkpoint)

    # --- seeking and choosing -------------------------------------------------------------------------

    def tick(self) -> None:
        """Handles everything that is due."""
        if self._ended():
            return
        if self._target is not None:
            self._check_target()
            self._ask()
        elif self.wanted():
            self._seek()
        else:
            self._offers.clear()
            self._progress.staging = self._choose_at = None

    def deadline(self) -> int | None:
        """Monotonic time of the next question, or None."""
        if self._ended():
            return None
        if self._target is not None:
            return min(source.due for source in self._sources.values())
        if not self.wanted():
            return None
        return self._seek_at if self._choose_at is None else min(self._seek_at, self._choose_at)

    def links(self, up: Sequence[int]) -> None:
        """Forgets the relays that are not linked any more: their indices are given to others."""

        def stays(peer: int) -> bool:
            return peer < self._core.config.n or peer in up

        self._banned = {peer for peer in self._banned if stays(peer)}
        self._slow = {peer for peer in self._slow if stays(peer)}
        self._offers = {peer: offer for peer, offer in self._offers.items() if stays(peer)}
        self._sources = {peer: source for peer, source in self._sources.items() if stays(peer)}
        if self._target is not None and not self._sources:
            self._abandon("no source is left")

    def shift(self, gap: int) -> None:
        """Moves all times by a pause of this process (R31)."""
        self._begun += gap
        for source in self._sources.values():
            source.due += gap

    def _seek(self) -> None:
        state = self._core
        now = state.now.monotonic
        if self._choose_at is not None and now >= self._choose_at:
            self._choose()
        if self._target is None and now >= self._seek_at:
            self._seek_at = now + state.config.transfer_retry
            if self._too_many_are_banned():
                self._banned.clear()
            self._send_to_all(state.signer.link(FetchSnapshot(state.config.epoch, self._least())))
            self._on_sought()

    def _too_many_are_banned(self) -> bool:
        """Whether more than f members are, which cannot all be liars, or all peers: something else is wrong,
        so this core tries them again."""
        config = self._core.config
        members = sum(peer < config.n for peer in self._banned)
        return members > config.f or self._banned.issuperset(self._peers())

    def refuse_snapshot(self, member: int | None) -> Reason | None:
        """Returns why to refuse an offer, or None: checking its certificate costs q signatures (R5)."""
        welcome = self._target is None and not self._ended() and self.wanted()
        known = member is None or member in self._offers or member in self._banned
        return None if welcome and not known else Reason.NOT_ASKED

    def on_snapshot(self, verified: Verified[Snapshot]) -> None:
        """Records a member's offer of its state, if the certificate proves all of it."""
        state = self._core
        member = verified.peer.member
        if member is None or (reason := self.refuse_snapshot(member)) is not None:
            state.outbox.refused(Reason.NOT_ASKED if member is None else reason or Reason.NOT_ASKED, verified)
            return
        message = verified.message
        certificate = read_checkpoint(message.checkpoint, verified.nested, state.config)
        if certificate is not None and certificate.sequence <= state.executed:
            self._on_useless(certificate)
        if not message.checkpoint:
            certificate = self._base  # members of the epoch before signed it
        staging = None
        if certificate is not None and _fits(certificate, message):
            staging = state.application.staging(message.manifest, certificate.state_root)
        if certificate is None or staging is None:
            why = why_refused(message.checkpoint, verified.nested, state.config)
            if why is Reason.WRONG_EPOCH:
                state.outbox.refused(
                    why, verified
                )  # sent before this replica changed epochs: not a lie (R35)
            else:
                self._ban(member, why, verified)
            return
        if certificate.sequence <= self._least():
            state.outbox.refused(Reason.OUTSIDE_WINDOW, verified)  # proved, but of no use
            return
        self._offers[member] = _Offer(certificate, message, staging)
        if len(self._offers) + len(self._banned) >= len(self._peers()):
            self._choose()
        elif self._choose_at is None:
            self._choose_at = state.now.monotonic + state.config.fetch_retry

    def _choose(self) -> None:
        """Chooses the state offered by the most peers that were not slow before, and starts to fetch it."""
        state = self._core
        self._choose_at = None
        sides: dict[int, list[int]] = {}
        for member, offer in self._offers.items():
            sides.setdefault(offer.certificate.sequence, []).append(member)
        if not sides:
            return
        sequence = max(sides, key=lambda s: (sum(m not in self._slow for m in sides[s]), s))
        offer = self._offers[sides[sequence][0]]
        if self._progress.staging is not None:
            offer.staging.adopt(self._progress.staging)
        self._progress.staging = offer.staging
        self._target = offer
        self._progress.sequence = sequence
        self._begun = state.now.monotonic
        self._sources = {member: _Source(due=state.now.monotonic) for member in sides[sequence]}
        self._offers.clear()
        self._on_chosen(sequence)
        state.outbox.note("transfer_began", sequence=sequence, sources=sorted(self._sources))
        self._ask()

    # --- fetching -------------------------------------------------------------------------------------

    def _check_target(self) -> None:
        """Abandons a target whose only source is slow."""
        state = self._core
        if (
            len(self._sources) == 1
            and len(self._peers()) > 1
            and state.now.monotonic > self._begun + ALONE_MAX
        ):
            self._slow |= set(self._sources)
            self._abandon("slow")

    def _ask(self) -> None:
        """Sends the next question to each source that is free. Completes the transfer if nothing is missing,
        or abandons it if the log has overtaken the target or no source is left."""
        state = self._core
        target, staging = self._target, self._progress.staging
        if target is None or staging is None:
            return
        if target.certificate.sequence <= state.executed:
            self._abandon("overtaken")
            return
        if not staging.missing:
            self._complete(target, staging)
            return
        now = state.now.monotonic
        for member, source in list(self._sources.items()):
            if source.patient and now >= source.due:
                self._strike(member, source)
        under_way = {group for source in self._sources.values() for group in source.groups}
        for member, source in self._sources.items():
            if source.patient or now < source.due:
                continue
            chosen = parts.some(staging.missing, under_way, GROUPS_ASKED)
            # If only groups asked of other sources are missing, ask this one for them too.
            source.groups = chosen or parts.some(staging.missing, set(), GROUPS_ASKED)
            under_way.update(source.groups)
            source.owing += 1
            source.patient = True
            source.due = now + state.config.transfer_retry
            question = FetchGroups(target.certificate.sequence, parts.spell(source.groups))
            state.outbox.send(member, state.signer.link(question))
        if not self._sources:
            self._abandon("no source is left")

    def _strike(self, member: int, source: _Source) -> None:
        state = self._core
        source.patient = False
        source.strikes += 1
        source.due = state.now.monotonic + source.strikes * state.config.transfer_retry
        if source.strikes >= STRIKES_MAX:
            self._slow.add(member)
            del self._sources[member]
            state.outbox.note("source_left", member=member, reason="slow")

    def refuse_groups(self, message: Groups, member: int | None) -> Reason | None:
        """Returns why to refuse an answer, or None: each question to a member has one answer (R5)."""
        source = self._sources.get(member) if member is not None else None
        if source is None or self._target is None or not source.owing:
            return Reason.NOT_ASKED
        return None if message.sequence == self._target.certificate.sequence else Reason.NOT_ASKED

    def on_groups(self, verified: Verified[Groups]) -> None:
        """Adds the groups of an answer to the state. A source that sends a wrong one is banned."""
        state = self._core
        member = verified.peer.member
        message = verified.message
        reason = self.refuse_groups(message, member)
        if member is None or reason is not None or self._progress.staging is None:
            state.outbox.refused(reason or Reason.NOT_ASKED, verified)
            return
        source = self._sources[member]
        source.owing -= 1
        # Groups that this source was asked for count even if another source was quicker, as a liar could be.
        new = any(n in self._progress.staging.missing or n in source.groups for n, _items in message.groups)
        if not message.groups:
            del self._sources[member]
            state.outbox.note("source_left", member=member, reason="serves it no longer")
        elif not all(self._progress.staging.add(number, items) for number, items in message.groups):
            self._ban(member, Reason.BAD_CHUNK, verified)
        elif new:
            source.groups, source.patient, source.due, source.strikes = (), False, state.now.monotonic, 0
            self._on_useful()
        else:
            self._strike(member, source)
        self._ask()

    def _ban(self, member: int, reason: Reason, verified: Verified[Snapshot] | Verified[Groups]) -> None:
        """Bans a member as a source for this process, and notes it for the operator."""
        state = self._core
        self._banned.add(member)
        self._sources.pop(member, None)
        self._on_lie(member)
        state.outbox.refused(reason, verified)
        state.outbox.note("poisoned", member=member, reason=reason.value)

    def _abandon(self, reason: str) -> None:
        """Ends the transfer. Groups received are kept: the next target has most of them in common."""
        state = self._core
        state.outbox.note("transfer_ended", reason=reason)
        self._target = None
        self._progress.sequence = 0
        self._sources = {}
        self._seek_at = state.now.monotonic

    def _complete(self, target: _Offer, staging: Staging) -> None:
        state = self._core
        certificate = target.certificate
        record = CheckpointRecord(
            epoch=state.config.epoch - (certificate is self._base),
            sequence=certificate.sequence,
            state_root=certificate.state_root,
            log_root=certificate.log_root,
            timestamp=certificate.timestamp,
            frames=certificate.frames,
        )
        self._on_complete()
        self._target = None
        state.outbox.note("transfer_complete", sequence=certificate.sequence)
        entry, peaks = target.message.entry, target.message.peaks
        state.outbox.install(Install(record, entry, peaks, staging.rows, staging.state))


def _fits(certificate: CheckpointCertificate, message: Snapshot) -> bool:
    """Whether the log that the certificate signs ends with the snapshot's entry."""
    return ends_log(certificate, message.entry, message.peaks)
