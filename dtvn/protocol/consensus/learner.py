"""A learner: a replica that is no member and does not vote, but follows the log and verifies it (R28).

It asks one member, the source, to send each new entry (Follow, renewed), executes every batch itself, and
accepts only what q COMMITs of one view or a checkpoint certificate cover; of the requests under them its
door checks a sample. Periodically it probes another
member for the next entries: if these bring more entries than the source has brought since the last probe,
the learner changes its source. A single additional entry proves nothing: under load every probe wins by
milliseconds. If the certified log or state differs from its own, or holds a request that its principal did
not sign, the learner stops and raises an alarm.
"""

from __future__ import annotations

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
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.messages import Answer, Entries, FetchEntries, Follow
from dtvn.protocol.consensus.outbox import Outbox
from dtvn.protocol.consensus.signer import Signer
from dtvn.protocol.consensus.snapshot import ReplicaSnapshot
from dtvn.protocol.consensus.transfer.entries import ProvedEntry, read_range
from dtvn.protocol.consensus.verified import Header, Verified, VerifiedBundle

RENEW = 1_000_000_000
"""Nanoseconds between two Follows; each is valid for three seconds."""
PROBE = 300_000_000
"""Nanoseconds between two probes of members other than the source."""
PROBE_ENTRIES = 16
"""Entries requested in a probe. A source that holds entries back must bring this number between two probes
to be kept, so this is the lowest rate to which it can slow the learner down."""
OVERTAKEN_MAX = 3
"""Entries in a row that others brought while the source brought fewer, until the source is changed."""
UNSTABLE_MAX = 256
"""Most own states at checkpoints kept until their certificate arrives; the oldest is forgotten first."""


class Learner:
    """Same interface as Replica; a learner has no index (`config.index`).

    `others`: number of members of a later epoch that can be asked too, with indices from n on, since perhaps
    no member of this epoch is left, or none under its old key. Only what they prove is accepted; their
    unproved claims do not count.
    """

    def __init__(self, config: Config, signer: Signer, application: Application, *, others: int = 0) -> None:
        self.config = config
        self.sources = config.n + others
        self.signer = signer
        self.application = application
        self.now = Now(0, 0)
        self.outbox = Outbox(alone=False)
        self.executor = Executor(config.epoch, application)
        self.stable = 0
        self._certified: CheckpointCertificate | None = None
        """The certificate of `stable`."""
        self.view = 0
        """View in which the newest entry committed, as far as its COMMITs show."""
        self.source = 0
        """Member that is followed."""
        self.alarm = ""
        """Why this learner stopped, "" while it runs."""
        self.ends_at: int | None = None
        """The last sequence of this epoch, once it is executed here (R35)."""
        self.over = False
        """Whether the end is stable: a learner of the next epoch takes over."""
        self._begun: StateRecord | None = None
        """The epoch change proof record that proves the end, once it is stable."""
        self._probed = 0
        """Member probed last."""
        self._owing: set[int] = set()
        """Members that have not answered a request."""
        self._brought = 0
        """Entries of the source that were executed since another member last brought any."""
        self._overtaken = 0
        """Entries that others brought, while each time the source had brought fewer."""
        self._turned_away = 0
        """Sources that refused this learner for lack of a place since `_turned_away_at`."""
        self._turned_away_at = -RENEW
        self._renew_at = 0
        self._probe_at = 0
        self._proof_next = False
        """Whether the next probe is for the newest checkpoint that is not stable here, if there is one."""
        self._contents: dict[int, tuple[bytes, bytes, int]] = {}
        self._contradicted_by: set[int] = set()
        self._forged_by: set[int] = set()
        """Members that brought the next entry with a wrong signature of a request."""

    # --- the interface of a core --------------------------------------------------------------------

    receiving = False
    """A learner never receives a state: it follows the log, however long that is."""

    def restore(self, tail: LedgerTail, now: Now) -> Effects:
        """Resume from the end of the ledger; the application's rows are already loaded."""
        self.now = now
        for note in self.executor.restore(tail, self.signer):
            self.outbox.executed(note)
        checkpoint = tail.checkpoint
        if checkpoint is not None:
            self.stable = checkpoint.sequence
            content = (checkpoint.state_root, checkpoint.log_root, checkpoint.timestamp)
            self._certified = CheckpointCertificate(self.stable, *content, frames=checkpoint.frames)
            mine = (self.application.root(), self.executor.log_root())
            if checkpoint.sequence == self.executor.executed and mine != (
                checkpoint.state_root,
                checkpoint.log_root,
            ):
                raise InvariantBreach(f"restore: not the state of checkpoint {self.stable}")
        if self.application.membership().epoch > self.config.epoch:
            self.ends_at = self.executor.executed
            self._begun = epoch_change_proof.find(tail.states, self.config.epoch)
        if (found := read(tail.states)) is not None:
            self._stop(found.sentence)
            return self.outbox.take()
        self._follow()
        self._probe_at = now.monotonic + PROBE
        return self.outbox.take()

    def wants(self, header: Header) -> Reason | None:
        """Why a message is refused: only ranges of the log with news are accepted, from the source or from
        a member that was asked, and the source's answer that it is busy. Much of what a learner that lags
        receives was on its way twice."""
        if self.alarm or self.over:
            return Reason.NOT_ASKED
        if type(header.message) is Answer:
            asked = header.peer.member == self.source and header.message.code == Reason.BUSY
            return None if asked else Reason.NOT_ASKED
        if type(header.message) is not Entries:
            return Reason.WRONG_KIND
        if not self._expects(header.peer.member):
            return Reason.NOT_ASKED
        return Reason.DECIDED if self._is_known(header.message) else None

    def on_refused(self, header: Header, reason: Reason) -> Effects:
        """Note that a member has answered, though with nothing new."""
        if reason is Reason.DECIDED and header.peer.member is not None:
            self._owing.discard(header.peer.member)
        return Effects()

    def wants_within(self, header: Header, kind: type[Any]) -> Reason | None:
        """Always refuses: no message that a learner accepts holds loose statements."""
        return Reason.NOT_ASKED

    def awaits(self, digest: bytes) -> bool:
        """Always False: a learner receives batches inside entries."""
        return False

    def receive(self, verified: Verified[Any], now: Now) -> Effects:
        """Execute the proved part of a range, or follow another member if the source is busy."""
        self.now = now
        message = verified.message
        source = verified.peer.member
        if self.alarm or self.over or source is None or not self._expects(source):
            self.outbox.refused(Reason.NOT_ASKED, verified)
        elif type(message) is Answer and message.code == Reason.BUSY and source == self.source:
            self._on_busy(source)
        elif type(message) is Entries:
            self._owing.discard(source)
            self._on_entries(verified, source)
        else:
            self.outbox.refused(Reason.WRONG_KIND, verified)
        return self.outbox.take()

    def _is_known(self, message: Entries) -> bool:
        """Whether a range ends where this log is already, and certifies nothing."""
        entries = message.entries
        return bool(entries) and not message.checkpoint and entries[-1][0].sequence <= self.executor.executed

    def _expects(self, member: int | None) -> bool:
        """Whether a member may send a range now."""
        return member == self.source or member in self._owing

    def tick(self, now: Now) -> Effects:
        """Renew the Follow and probe another member when due."""
        self.now = now
        if not self.alarm:
            if now.monotonic >= self._renew_at:
                self._follow()
            if now.monotonic >= self._probe_at:
                self._probe()
        return self.outbox.take()

    def deadline(self) -> int | None:
        """Monotonic nanoseconds of the next request; None once stopped."""
        return None if self.alarm else min(self._renew_at, self._probe_at)

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
            voting_reason=self.alarm or f"follows member {self.source}",
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
            members=(),
        )

    # --- following ----------------------------------------------------------------------------------

    def _follow(self) -> None:
        message = Follow(self.config.epoch, self.executor.executed + 1)
        self.outbox.send(self.source, self.signer.link(message))
        self._renew_at = self.now.monotonic + RENEW

    def _probe(self) -> None:
        """Request the next entries from the next other member; one that has them while the source is silent
        becomes the source. Every second probe requests the certificate of the newest checkpoint that is not
        stable here, since the source sends each certificate unasked only once. For the certificate that ends
        the epoch the source is probed too: it may be the only member left."""
        ended = self.ends_at is not None
        self._probe_at = self.now.monotonic + PROBE
        if self.sources == 1 and not ended:
            return
        self._probed = (self._probed + 1) % self.sources
        if self._probed == self.source and not ended:
            self._probed = (self._probed + 1) % self.sources
        first = self.executor.executed + 1
        last = first + PROBE_ENTRIES - 1
        self._proof_next = not self._proof_next
        lacking = max(self._contents, default=None) if self._proof_next else None
        if (proof := self.ends_at or lacking) is not None:
            first = last = proof  # only its certificate is missing
        message = FetchEntries(self.config.epoch, first, last)
        self.outbox.send(self._probed, self.signer.link(message))
        self._owing.add(self._probed)

    def _switch(self, member: int, reason: str) -> None:
        if member != self.source:
            self.outbox.note("source_changed", source=member, reason=reason)
        self.source = member
        self._brought = self._overtaken = 0
        self._follow()

    def _on_busy(self, source: int) -> None:
        """The source has no place for this learner: try the next member by index. The addresses in the answer
        are ignored, as only one member claims them. If no member has a place, the learner keeps asking at a
        low rate, and waits for its turn."""
        if self.now.monotonic >= self._turned_away_at + RENEW:
            self._turned_away, self._turned_away_at = 0, self.now.monotonic
        self._turned_away += 1
        following = (source + 1) % self.sources
        if self._turned_away < self.sources:
            self._switch(following, "is busy")
        elif following != source:
            self.source = following

    def _on_entries(self, verified: Verified[Entries], source: int) -> None:
        found = read_range(verified, self.executor, self.config)
        entries = verified.message.entries
        if entries and entries[0][0].sequence > self.executor.executed + 1:
            self._on_gap()
            return
        if not found.honest:
            self.outbox.refused(Reason.BAD_PROOF, verified)
            if source == self.source:
                self._switch((source + 1) % self.sources, "sent what proves nothing")
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
            self._check_state(found.checkpoint)
        elif not found.proved and verified.message.checkpoint:
            self._on_certificate(verified)
        if source == self.source:
            self._brought += len(found.proved)
        elif found.proved and source not in self._contradicted_by:
            self._note_overtaking(len(found.proved))
        if self._overtaken >= OVERTAKEN_MAX:
            self._switch(source, "had more than the source")
        elif found.proved and len(verified.batches) < len(entries):
            self._follow()  # the keys for the rest of the range are now known

    def _note_overtaking(self, brought: int) -> None:
        """Note the number of entries that another member brought before the source."""
        self._overtaken = self._overtaken + brought if self._brought < brought else 0
        self._brought = 0

    def _on_gap(self) -> None:
        """Entries were lost in transit: follow again from the end of this log, at most once per
        `fetch_retry`."""
        since = self._renew_at - RENEW
        if self.now.monotonic >= since + self.config.fetch_retry:
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
        elif source == self.source:
            self._switch((source + 1) % self.sources, "sent a wrong signature")

    def _execute(self, proved: ProvedEntry, source: int) -> None:
        self._forged_by.clear()
        step = self.executor.execute(proved.batch)
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
            self._contents[sequence] = self._content()
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
        elif source == self.source:
            self._switch((source + 1) % self.sources, "claims other results")

    # --- checkpoints --------------------------------------------------------------------------------

    def _on_certificate(self, verified: Verified[Entries]) -> None:
        """Check the state against a checkpoint certificate that came without entries."""
        shown = (verified.message.checkpoint, verified.nested, self.config)
        certificate = read_end(*shown)
        if certificate is None:
            self.outbox.refused(why_refused(*shown), verified)
        elif certificate.sequence <= self.executor.executed:
            self._check_state(certificate)

    def _content(self) -> tuple[bytes, bytes, int]:
        root = log_tree.root(self.executor.frontier)
        return (self.application.root(), root, self.executor.timestamp)

    def _check_state(self, certificate: CheckpointCertificate) -> None:
        """Compare log root, state root and timestamp with what q members signed."""
        sequence = certificate.sequence
        if sequence <= self.stable:
            known = self._certified
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
        self.stable, self._certified = sequence, certificate
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
        if sequence == self.ends_at:
            following = self.application.membership()
            proof = epoch_change_proof.sealed(self._begun, certificate.frames)
            if proof is not None:
                self.outbox.persist(proof)
            self.outbox.persist(StateRecord(EPOCH, canonical.encode(following)))
            self.outbox.note("epoch_over", sequence=sequence, epoch=self.config.epoch)
            self.outbox.succeed(Successor(following, ()))
            self.over = True

    def _contradicted(self, kind: str, theirs: CheckpointCertificate) -> None:
        mine = () if self._certified is None else self._certified.frames
        self._record(Contradiction(1, kind, self.config.epoch, theirs.sequence, mine, theirs.frames))

    def _record(self, found: Contradiction) -> None:
        """Store a contradiction, as a member does (certificate_comparison), and stop: the alarm persists
        after a restart."""
        self.outbox.persist(StateRecord(RECORD, canonical.encode(found)))
        self._stop(found.sentence)

    def _stop(self, reason: str) -> None:
        self.alarm = reason
        self.outbox.note("alarm", reason=reason, sequence=self.executor.executed)
