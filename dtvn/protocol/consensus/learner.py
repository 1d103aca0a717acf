"""A learner: a replica that is no member and does not vote, but follows the log and verifies it (R28, R45).

Which peers bring the log, `Sources` decides. The learner executes every batch itself, and accepts only what q
COMMITs of one view or a checkpoint certificate cover; of the requests under them its door checks a sample. If
the certified log or state differs from its own, or holds a request that its principal did not sign, it stops
and raises an alarm. A learner that is new, or further behind than the transfer lag, takes a proved state
instead (transfer.follower); one that has a state serves it, and its host serves its log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.protocol import canonical
from dtvn.protocol.consensus import epoch_change_proof, log_tree
from dtvn.protocol.consensus.application import Application
from dtvn.protocol.consensus.certificate import CheckpointCertificate, read_end, why_refused
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.contradiction import RECORD, REQUEST_OF, Contradiction, content_of, read
from dtvn.protocol.consensus.effects import (
    CheckpointRecord,
    Effects,
    Now,
    Prune,
    Reason,
    StateRecord,
    Successor,
)
from dtvn.protocol.consensus.epoch_change import EPOCH
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.executor import Executor
from dtvn.protocol.consensus.ledger_tail import Base, LedgerTail
from dtvn.protocol.consensus.messages import (
    Announce,
    Answer,
    Entries,
    FetchEntries,
    FetchGroups,
    FetchSnapshot,
    Follow,
    Groups,
    Snapshot,
)
from dtvn.protocol.consensus.outbox import Outbox
from dtvn.protocol.consensus.signer import Signer
from dtvn.protocol.consensus.snapshot import ReplicaSnapshot
from dtvn.protocol.consensus.sources import Sources
from dtvn.protocol.consensus.state import StableCheckpoint, TransferState
from dtvn.protocol.consensus.transfer.entries import ProvedEntry, read_range
from dtvn.protocol.consensus.transfer.follower import FollowerTransfer
from dtvn.protocol.consensus.transfer.serving import Serving
from dtvn.protocol.consensus.verified import Header, Verified, VerifiedBundle

PROOF = 600_000_000
"""Nanoseconds between two requests for a certificate that is missing; half of that if it ends the epoch. A
source sends each certificate unasked only once."""
NEW = 1_000_000_000
"""Nanoseconds for which a new learner asks for a state before it follows the log; they begin anew when a
transfer ends without a state."""
NEW_MAX = 60_000_000_000
"""Nanoseconds after which they do so no more: liars could offer states for ever that never arrive."""
UNSTABLE_MAX = 256
"""Most own states at checkpoints kept until their certificate arrives; the oldest is forgotten first."""
ARCHIVE_PATIENCE = 60_000_000_000
"""Nanoseconds without an entry, though members have more, after which an archive takes a state: by then every
source was asked for the log many times."""


class Learner:
    """Same interface as Replica; a learner has no index (`config.index`).

    `sources` decides which peers bring the log: those with an index below `config.n` are members; of the
    others (members of a later epoch, relays) only what they prove is accepted, and their claims do not count.
    `others`: number of those that can be asked before `links` is called. `archive`: this learner keeps the
    log, and takes a state only if no source has the log any more.
    """

    def __init__(
        self,
        config: Config,
        signer: Signer,
        application: Application,
        sources: Sources,
        *,
        others: int = 0,
        archive: bool = False,
    ) -> None:
        self.config = config
        self.signer = signer
        self.application = application
        self.sources = sources
        self.archive = archive
        self.peers: Sequence[int] = range(config.n + others)
        """The peers that are linked, as far as this learner was told."""
        self.now = Now(0, 0)
        self.outbox = Outbox(alone=False)
        self.executor = Executor(config.epoch, application)
        self.stable = 0
        self.checkpoint = StableCheckpoint(config.base)
        """The certificate of `stable`."""
        self.view = 0
        """View in which the newest entry committed, as far as its COMMITs show."""
        self.vouched = 0
        """Highest sequence that f + 1 members say they have executed (their heads)."""
        self.alarm = ""
        """Why this learner stopped, "" while it runs."""
        self.ends_at: int | None = None
        """The last sequence of this epoch, once it is executed here (R35)."""
        self.over = False
        """Whether a learner of the next epoch, or over an installed state, takes over."""
        self.transfer = TransferState()
        self.receives = FollowerTransfer(self)
        self.serves = Serving(self)
        self._begun: StateRecord | None = None
        """The epoch change proof record that proves the end, once it is stable."""
        self._owing: set[int] = set()
        """Peers that have not answered a request for a certificate."""
        self._proof_at = 0
        self._asked = 0
        """Peer that was asked last for a certificate."""
        self._source: int | None = None
        """The source that was noted last."""
        self._followed_at = 0
        """When this learner last asked its source again because entries were lost."""
        self._new = False
        """Whether its ledger was empty, and it still waits for a state before it asks for the log."""
        self._log_from = self._new_until = 0
        """Until when, and until when at most, but for a transfer that is active then."""
        self._moved = 0
        """When this learner last executed an entry, or learned that it lags."""
        self._heads: dict[int, int] = {}
        """Member -> highest sequence in its heads."""
        self._contents: dict[int, tuple[bytes, bytes, int]] = {}
        self._contradicted_by: set[int] = set()
        self._forged_by: set[int] = set()
        """Members that brought the next entry with a wrong signature of a request."""

    # --- the interface of a core --------------------------------------------------------------------

    @property
    def claim(self) -> tuple[int, int]:
        """It is no member, and claims to be none (CoreFace)."""
        return (0, 0)

    @property
    def leads(self) -> bool:
        """A learner leads nothing (CoreFace)."""
        return False

    @property
    def settled(self) -> bool:
        """Nobody waits for a learner (CoreFace)."""
        return True

    def resign(self, now: Now) -> Effects:
        """It has nothing to hand over (CoreFace)."""
        return Effects()

    @property
    def receiving(self) -> bool:
        """Whether a state transfer to this learner is running."""
        return self.transfer.active

    @property
    def is_behind(self) -> bool:
        """Of use for members only: a learner signs nothing."""
        return False

    def machine_clocks(self, _now: Now) -> tuple[list[int], int]:
        """See CoreFace: nobody goes by a learner's clock, so it follows each step at once."""
        return [], 0

    @property
    def executed(self) -> int:
        """The last executed sequence."""
        return self.executor.executed

    @property
    def base(self) -> Base | None:
        """The newest entry and the frontier of the log below it."""
        return self.executor.base

    @property
    def source(self) -> int | None:
        """The peer that is followed."""
        return self.sources.source

    @property
    def has_reached_epoch(self) -> bool:
        """Whether the own log reaches into this epoch. A learner that missed epochs first fetches a state:
        the log of earlier epochs cannot be read here."""
        return self.executed >= self.config.base

    @property
    def is_new(self) -> bool:
        """Whether its ledger was empty, and it still waits for a state."""
        return self._new and (not self.peers or self.transfer.active or self.now.monotonic < self._log_from)

    def is_stuck(self) -> bool:
        """Whether it has executed nothing for long, though members have more: perhaps no peer has the entries
        any more."""
        patience = ARCHIVE_PATIENCE if self.archive else self.config.transfer_patience
        return self.vouched > self.executed and self.now.monotonic >= self._moved + patience

    def restore(self, tail: LedgerTail, now: Now) -> Effects:
        """Resume from the end of the ledger; the application's rows are already loaded."""
        self.now = now
        for note in self.executor.restore(tail, self.signer):
            self.outbox.executed(note)
        checkpoint = tail.checkpoint
        if checkpoint is not None:
            self.stable = checkpoint.sequence
            content = (checkpoint.state_root, checkpoint.log_root, checkpoint.timestamp)
            self.checkpoint.certificate = CheckpointCertificate(
                self.stable, *content, frames=checkpoint.frames
            )
            mine = (self.application.root(), self.executor.log_root())
            if checkpoint.sequence == self.executed and mine != (checkpoint.state_root, checkpoint.log_root):
                raise InvariantBreach(f"restore: not the state of checkpoint {self.stable}")
        if self.application.membership().epoch > self.config.epoch:
            self.ends_at = self.executed
            self._begun = epoch_change_proof.find(tail.states, self.config.epoch)
        if (found := read(tail.states)) is not None:
            self._stop(found.sentence)
            return self.outbox.take()
        self.receives.restore(tail)
        self.serves.restore(tail)
        self._new = not self.archive and self.config.epoch == 0 and self.executed <= self.config.base
        self._log_from, self._new_until = now.monotonic + NEW, now.monotonic + NEW_MAX
        self._moved = now.monotonic
        self._proof_at = now.monotonic + PROOF
        self._act()
        return self.outbox.take()

    def wants(self, header: Header) -> Reason | None:
        """Why a message is refused: accepted are only ranges of the log with news, from peers that were
        asked, announcements, and what belongs to the transfer of a state. Much of what a learner that lags
        receives was on its way twice."""
        message, peer = header.message, header.peer.member
        kind = type(message)
        if self.alarm or self.over:
            return Reason.NOT_ASKED
        if kind is FetchSnapshot or kind is FetchGroups:
            return None
        if peer is None:
            return Reason.NOT_MEMBER
        if kind is Announce:
            return None
        if kind is Answer:
            asked = self.sources.expects(peer) and message.code == Reason.BUSY
            return None if asked else Reason.NOT_ASKED
        if kind is Snapshot:
            return self.receives.refuse_snapshot(peer)
        if kind is Groups:
            return self.receives.refuse_groups(message, peer)
        if kind is not Entries:
            return Reason.WRONG_KIND
        if not self._expects(peer) or not self.has_reached_epoch:
            return Reason.NOT_ASKED
        return Reason.DECIDED if self._is_known(message) else None

    def on_refused(self, header: Header, reason: Reason) -> Effects:
        """Note that a peer has answered, though with nothing new."""
        peer = header.peer.member
        if reason is Reason.DECIDED and peer is not None:
            self._owing.discard(peer)
            self.sources.brought(peer, 0, self.executed, self.now.monotonic)
        return Effects()

    def wants_within(self, header: Header, kind: type[Any]) -> Reason | None:
        """Always refuses: no message that a learner accepts holds loose statements."""
        return Reason.NOT_ASKED

    def awaits(self, digest: bytes) -> bool:
        """Always False: a learner receives batches inside entries."""
        return False

    def receive(self, verified: Verified[Any], now: Now) -> Effects:
        """Execute the proved part of a range, note what a peer says, or take or give a part of a state."""
        self.now = now
        message, peer = verified.message, verified.peer.member
        if self.alarm or self.over:
            self.outbox.refused(Reason.NOT_ASKED, verified)
        elif type(message) is FetchSnapshot:
            self.serves.on_fetch_snapshot(verified)
        elif type(message) is FetchGroups:
            self.serves.on_fetch_groups(verified)
        elif peer is None:
            self.outbox.refused(Reason.NOT_MEMBER, verified)
        elif type(message) is Announce:
            self._on_announce(verified, peer)
        elif type(message) is Answer:
            self.sources.busy(peer, now.monotonic)
        elif type(message) is Snapshot:
            self.receives.on_snapshot(verified)
        elif type(message) is Groups:
            self.receives.on_groups(verified)
        elif type(message) is not Entries:
            self.outbox.refused(Reason.WRONG_KIND, verified)
        elif not self._expects(peer):
            self.outbox.refused(Reason.NOT_ASKED, verified)
        else:
            self._owing.discard(peer)
            self._on_entries(verified, peer)
        self._act()
        return self.outbox.take()

    def links(self, up: Sequence[int], now: int) -> None:
        """Take note of the peers that are linked now; the process calls it whenever that changes."""
        if not self.peers:
            self._log_from, self._new_until = now + NEW, now + NEW_MAX
        self.peers = tuple(up)
        self._owing.intersection_update(up)
        self.sources.links(up, now)
        self.receives.links(up)

    def _is_known(self, message: Entries) -> bool:
        """Whether a range ends where this log is already, and certifies nothing."""
        entries = message.entries
        return bool(entries) and not message.checkpoint and entries[-1][0].sequence <= self.executor.executed

    def _expects(self, peer: int) -> bool:
        """Whether a peer may send a range now."""
        return peer in self._owing or self.sources.expects(peer)

    def tick(self, now: Now) -> Effects:
        """Do what is due: renew the Follows, ask for certificates, go on with a state."""
        self.now = now
        self._act()
        return self.outbox.take()

    def deadline(self) -> int | None:
        """Monotonic nanoseconds of the next tick; None once stopped."""
        if self.alarm or self.over:
            return None
        times = [self.sources.deadline(), self._proof_at, self.receives.deadline(), self.serves.deadline()]
        times.append(self._log_from if self._new and self.peers and not self.transfer.active else None)
        return min(time for time in times if time is not None)

    def invariants(self) -> None:
        """Raise InvariantBreach if this learner's state is inconsistent."""
        if self.executor.frontier.size != self.executor.executed:
            raise InvariantBreach("learner: the log's tree and its last sequence differ")
        if self.stable > self.executor.executed:
            raise InvariantBreach("learner: a checkpoint is stable that was not executed")

    def snapshot(self) -> ReplicaSnapshot:
        """The state for status pages; fields about voting are empty."""
        executor = self.executor
        return ReplicaSnapshot(
            index=None,
            epoch=self.config.epoch,
            view=self.view,
            changing=False,
            primary=self.view % self.config.n,
            voting=False,
            voting_reason=self.alarm or self._follows(),
            executed=executor.executed,
            stable=self.stable,
            log_root=executor.log_root(),
            timestamp=executor.timestamp,
            head=executor.head,
            pending=0,
            pending_operations=0,
            catching_up_to=0,
            suspicion="",
            suspects=(),
            last_heartbeat=0,
            timeout=0,
            taken_at=self.now.monotonic,
            slots=(),
        )

    def _follows(self) -> str:
        return "follows no peer yet" if self.source is None else f"follows member {self.source}"

    # --- following ----------------------------------------------------------------------------------

    def _act(self) -> None:
        """Do what is due now."""
        if self.alarm or self.over:
            return
        now = self.now.monotonic
        if self._new and self.transfer.active:
            self._log_from = max(self._log_from, min(now + NEW, self._new_until))
        if self._new and not self.is_new:
            self._new = False
            self._follow()
        self.receives.tick()
        if self.over:
            return
        self.serves.tick()
        if now >= self._proof_at:
            self._ask_for_proof()
        if now >= self.sources.deadline():
            self._ask()
        before, self._source = self._source, self.sources.source
        if before is not None and self._source not in (before, None):
            self.outbox.note("source_changed", source=self._source)

    def _ask(self) -> None:
        """Send what `sources` wants sent. While a state is on its way, the log is not wanted."""
        waits = self.transfer.active or self.is_new or not self.has_reached_epoch
        for ask in self.sources.due(self.executed, self.now.monotonic):
            if ask.what != "fetch":
                lazy = ask.what == "lazy" or waits
                self._send(ask.peer, Follow(self.config.epoch, ask.first, lazy))
            elif not waits:
                self._send(ask.peer, FetchEntries(self.config.epoch, ask.first, ask.last))

    def _send(self, peer: int, message: Any) -> None:
        self.outbox.send(peer, self.signer.link(message))

    def _follow(self, *, lazy: bool = False) -> None:
        """Ask the source again from the end of this log on, without waiting for the next renewal."""
        self._followed_at = self.now.monotonic
        if (source := self.sources.source) is not None:
            self._send(source, Follow(self.config.epoch, self.executed + 1, lazy))

    def leave_log(self) -> None:
        """A state is on its way: the source need not push the log."""
        self._follow(lazy=True)

    def ask_for_stable(self) -> None:
        """Ask every peer for its certificate of the checkpoint that is stable here: taking a state would
        hide a fork of the logs."""
        if self.stable > self.config.base:
            for peer in self.peers:
                self._fetch_proof(peer, self.stable)

    def _ask_for_proof(self) -> None:
        """Ask the next peer for the certificate of the newest checkpoint that is not stable here, if there is
        one. For the one that ends the epoch any peer may be the only one left."""
        self._proof_at = self.now.monotonic + (PROOF if self.ends_at is None else PROOF // 2)
        proof = self.ends_at or max(self._contents, default=None)
        if proof is None or not self.peers:
            return
        later = [peer for peer in self.peers if peer > self._asked]
        self._asked = min(later, default=min(self.peers))
        self._fetch_proof(self._asked, proof)

    def _fetch_proof(self, peer: int, sequence: int) -> None:
        self._send(peer, FetchEntries(self.config.epoch, sequence, sequence))
        self._owing.add(peer)

    def _on_announce(self, verified: Verified[Announce], peer: int) -> None:
        """Note how far a peer says it is, and what the members' heads say."""
        for nested in verified.nested.values():
            head = nested.message
            if head.epoch == self.config.epoch and head.sequence > self._heads.get(head.sender, -1):
                self._heads[head.sender] = head.sequence
        if verified.nested:
            self.sources.fresh(self.now.monotonic)
        said = sorted(self._heads.values(), reverse=True)
        if len(said) > self.config.f and said[self.config.f] > self.vouched:
            if self.vouched <= self.executed:
                self._moved = self.now.monotonic
            self.vouched = said[self.config.f]
        if not self.transfer.active:
            self.sources.announced(peer, verified.message.executed, self.now.monotonic)

    def _on_entries(self, verified: Verified[Entries], source: int) -> None:
        found = read_range(verified, self.executor, self.config)
        entries = verified.message.entries
        if entries and entries[0][0].sequence > self.executor.executed + 1:
            self._on_gap()
            return
        if not found.honest:
            self.outbox.refused(Reason.BAD_PROOF, verified)
            self.sources.lied(source, self.now.monotonic)
            return
        for proved in found.proved:
            if self.ends_at is not None:
                break  # void (R35)
            if proved.batch.forged is not None:
                self._on_forged(verified, proved, proved.batch.forged)
                return
            self._execute(proved, source)
            if self.alarm:
                return
        if found.checkpoint is not None:
            self.check_state(found.checkpoint)
        elif not found.proved and verified.message.checkpoint:
            self._on_certificate(verified)
        if entries:
            self.sources.brought(source, len(found.proved), self.executed, self.now.monotonic)
        if found.proved and len(verified.batches) < len(entries):
            self._follow()  # the keys for the rest of the range are now known

    def _on_gap(self) -> None:
        """Entries were lost in transit: follow again from the end of this log, at most once per
        `fetch_retry`."""
        if self.now.monotonic >= self._followed_at + self.config.fetch_retry:
            self._follow()

    def _on_forged(self, verified: Verified[Entries], proved: ProvedEntry, forged: VerifiedBundle) -> None:
        """Refuse an entry with a wrong signature of a request, or stop if only more than f faulty members
        explain it. A batch's digest leaves the signatures out, so one member can alter them, and others may
        have caught up from it. But of the q members that sent COMMIT, the q - f honest ones checked them."""
        config, source = self.config, verified.peer.member
        self.outbox.refused(Reason.BAD_SIGNATURE, verified)
        if source is not None and source < config.n:
            self._forged_by.add(source)
        if len(self._forged_by) > config.n - (config.q - config.f):
            kind = REQUEST_OF + forged.bundle.principal
            commits = () if proved.commits is None else proved.commits.frames
            sequence = proved.entry.sequence
            self._record(Contradiction(1, kind, config.epoch, sequence, (forged.frame,), commits))
        elif source is not None:
            self.sources.lied(source, self.now.monotonic)

    def _execute(self, proved: ProvedEntry, source: int) -> None:
        self._forged_by.clear()
        step = self.executor.execute(proved.batch)
        self._moved = self.now.monotonic
        sequence = step.entry.sequence
        commits: tuple[bytes, ...] = ()
        if proved.commits is not None:
            self.view = proved.commits.view
            commits = proved.commits.frames
        self.outbox.persist(step.record(commits))
        self.outbox.executed(step.note(self.view))
        if (following := self.application.membership()).epoch > self.config.epoch:
            self.ends_at = sequence
            self._begun = epoch_change_proof.begun(step, self.executor, following)
            self.outbox.persist(self._begun)
            self.outbox.note("epoch_ends", sequence=sequence, epoch=self.config.epoch)
        if sequence % self.config.checkpoint_interval == 0 or sequence == self.ends_at:
            root = self.application.freeze(sequence)
            self._contents[sequence] = (root, self.executor.log_root(), self.executor.timestamp)
            self.serves.on_frozen(sequence)
            if len(self._contents) > UNSTABLE_MAX:
                del self._contents[next(iter(self._contents))]
        if step.entry == proved.entry:
            return
        if proved.commits is None:
            self._stop(f"q members certified another entry {sequence} than was executed here")
            return
        # COMMITs bind the batch; its results are the claim of one member until f + 1 claim the same.
        if source < self.config.n:
            self._contradicted_by.add(source)
        self.outbox.note("entry_differs", sequence=sequence, source=source)
        if len(self._contradicted_by) > self.config.f:
            self._stop(f"f + 1 members say that entry {sequence} has other results")
        else:
            self.sources.lied(source, self.now.monotonic)

    # --- checkpoints --------------------------------------------------------------------------------

    def _on_certificate(self, verified: Verified[Entries]) -> None:
        """Check the state against a checkpoint certificate that came without entries."""
        shown = (verified.message.checkpoint, verified.nested, self.config)
        certificate = read_end(*shown)
        if certificate is None:
            self.outbox.refused(why_refused(*shown), verified)
        elif certificate.sequence <= self.executor.executed:
            self.check_state(certificate)

    def _content(self) -> tuple[bytes, bytes, int]:
        root = log_tree.root(self.executor.frontier)
        return (self.application.root(), root, self.executor.timestamp)

    def check_state(self, certificate: CheckpointCertificate) -> None:
        """Compare log root, state root and timestamp with what q members signed."""
        sequence = certificate.sequence
        if sequence <= self.stable:
            known = self.checkpoint.certificate
            if (
                known is not None
                and known.sequence == sequence
                and content_of(known) != content_of(certificate)
            ):
                self._contradicted("checkpoint", certificate)
            return
        mine = self._contents.get(sequence)
        if mine is None and sequence == self.executor.executed:
            mine = self._content()
        if mine is None:
            return
        if mine != content_of(certificate):
            self._contradicted("state", certificate)
            return
        self.stable, self.checkpoint.certificate = sequence, certificate
        self._contents = {s: content for s, content in self._contents.items() if s > sequence}
        self._contradicted_by.clear()
        record = CheckpointRecord(
            epoch=self.config.epoch,
            sequence=sequence,
            state_root=certificate.state_root,
            log_root=certificate.log_root,
            timestamp=certificate.timestamp,
            frames=certificate.frames,
        )
        self.outbox.persist(record)
        self.outbox.persist(Prune(sequence))
        self.outbox.note("checkpoint_stable", sequence=sequence)
        self.serves.on_stable(sequence)
        if sequence == self.ends_at:
            following = self.application.membership()
            proof = epoch_change_proof.sealed(self._begun, certificate.frames)
            if proof is not None:
                self.outbox.persist(proof)
            self.outbox.persist(StateRecord(EPOCH, canonical.encode_trimmed(following)))
            self.outbox.note("epoch_over", sequence=sequence, epoch=self.config.epoch)
            self.outbox.succeed(Successor(following, ()))
            self.over = True

    def _contradicted(self, kind: str, theirs: CheckpointCertificate) -> None:
        known = self.checkpoint.certificate
        mine = () if known is None else known.frames
        self._record(Contradiction(1, kind, self.config.epoch, theirs.sequence, mine, theirs.frames))

    def _record(self, found: Contradiction) -> None:
        """Store a contradiction, as a member does (certificate_comparison), and stop: the alarm persists
        after a restart."""
        self.outbox.persist(StateRecord(RECORD, canonical.encode(found)))
        self._stop(found.sentence)

    def _stop(self, reason: str) -> None:
        self.alarm = reason
        self.outbox.note("alarm", reason=reason, sequence=self.executor.executed)
