"""Log replication and commitment (Ongaro & Ousterhout 2014, 5.3 and 5.4.2; R44).

The leader sends its entries; a follower whose log matches keeps them durably and acknowledges each by a
signed COMMIT of the leader's term, to all. q equal COMMITs decide an entry, and are the proof that
learners, log servers and verifiers read (as those of PBFT). So an entry of an older term, which q members
may hold and a later leader may still replace (figure 8), gets its COMMITs only once an entry of the
leader's own term is decided: the empty one with which every term begins.
"""

from __future__ import annotations

from collections.abc import Set

from dtvn.protocol import quorum
from dtvn.protocol.consensus.certificate import CommitCertificate
from dtvn.protocol.consensus.certificate_comparison import Contradictions
from dtvn.protocol.consensus.effects import Reason, SlotRecord
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.log import Vote
from dtvn.protocol.consensus.messages import AppendEntries, AppendEntriesResult, Commit, SupplyFrames
from dtvn.protocol.consensus.raft.elections import Elections
from dtvn.protocol.consensus.raft.log import RaftLog
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.transfer.catch_up import CatchUp
from dtvn.protocol.consensus.verified import Verified, VerifiedBatch
from dtvn.protocol.probes import probe

ENTRIES_MAX = 64
"""Most entries in one AppendEntries (messages.AppendEntries)."""
FRAMES_MAX = 64
"""Most COMMITs sent again at once."""
COMMIT = "commit"
"""Phase of the record of an own COMMIT."""


class Replication:
    """Owns what each follower has, as the leader knows it, and the COMMITs above the stable checkpoint."""

    def __init__(
        self,
        state: State,
        log: RaftLog,
        elections: Elections,
        epoch_change: EpochChange,
        contradictions: Contradictions,
        doubted: Set[int],
    ) -> None:
        """`doubted`: members whose acknowledgements do not count (`starts`)."""
        self.state = state
        self.log = log
        self.elections = elections
        self.epoch_change = epoch_change
        self.contradictions = contradictions
        self._doubted = doubted
        self._span = state.log.watermark_span
        self.catch_up: CatchUp
        """Set by the replica: catching up needs this object too."""
        self._next: dict[int, int] = {}
        """Follower -> index of the next entry to send it."""
        self._answered: dict[int, tuple[int, int]] = {}
        """Follower -> what it had executed, and up to where its log matched, when it last answered."""
        self._sent: dict[int, int] = {}
        """Follower -> monotonic time of the last AppendEntries to it."""
        self.commits: dict[int, dict[int, tuple[int, Vote]]] = {}
        """Index above the stable checkpoint -> member -> (term, vote) of its newest COMMIT."""
        self._matched = 0
        """Highest index up to which this log equals that of the leader of this term."""
        self._settled = 0
        """Highest index with an entry of this term that is decided."""
        self.round = 0
        """The newest round of this leader (`reads`)."""

    def restore(self, tail: LedgerTail) -> None:
        """Takes the own COMMITs from the ledger: they are never given again for another entry (R7)."""
        state = self.state
        for record in tail.slots:
            if record.phase != COMMIT or record.epoch != state.config.epoch:
                continue
            digest = state.signer.open(record.frames[0]).message.digest
            state.own_votes.cast(view=record.view, sequence=record.sequence, phase=COMMIT, digest=digest)
            mine = self.commits.setdefault(record.sequence, {})
            if state.index not in mine or mine[state.index][0] < record.view:
                mine[state.index] = record.view, Vote(digest, record.frames[0])

    # --- the leader ---------------------------------------------------------------------------------

    def lead(self) -> None:
        """Starts to send as the leader of a term that begins."""
        self._next = dict.fromkeys(self.state.others, self.log.last + 1)
        self._sent = {}
        self._matched = self.log.last

    def propose(self, batch: VerifiedBatch, sequence: int) -> None:
        """Appends the own entry, durably, and sends it."""
        self._append(self.state.views.view, sequence, batch)
        self._judge_time(sequence, batch)
        self._matched = sequence
        self._acknowledge()
        self.send()

    def send(self) -> None:
        """Sends each follower what it lacks, or a heartbeat that is due."""
        for member in self.state.others:
            if self._next.get(member, 0) <= self.log.last or self.state.now.monotonic >= self._due(member):
                self._send_to(member)

    def begin_round(self) -> None:
        """Begins a round: what members answer from now on may show that this leader still is one (R18)."""
        self.round += 1
        self.send_now()

    @property
    def decided(self) -> int:
        """Highest index that is known to be decided."""
        return max(self.state.executed, *self.state.log.decisions, 0)

    def send_now(self) -> None:
        """Sends each follower what it lacks, or a heartbeat, at once."""
        self._sent = {}
        self.send()

    def _due(self, member: int) -> int:
        return self._sent.get(member, -(1 << 62)) + self.state.config.heartbeat

    def deadline(self) -> int | None:
        """Monotonic time of the next heartbeat; None for a follower."""
        if not self.elections.leads or not self._next:
            return None
        return min(map(self._due, self.state.others))

    def tick(self) -> None:
        """Sends the heartbeats that are due."""
        due = self.deadline()
        if due is not None and self.state.now.monotonic >= due:
            self.send()

    def shift(self, gap: int) -> None:
        """Nothing: a heartbeat after a pause is due at once."""

    def _send_to(self, member: int) -> None:
        state, log = self.state, self.log
        previous = self._next.get(member, log.last + 1) - 1
        if previous < log.floor:
            previous = log.last  # it fetches what is not kept here, or a state (catch_up)
        room = state.config.resend_bytes_max
        bodies: list[bytes] = []
        for index in range(previous + 1, log.last + 1):
            batch = log.batch(index)
            room -= len(batch.body) if batch is not None else 0
            if batch is None or len(bodies) == ENTRIES_MAX or (bodies and room < 0):
                break
            bodies.append(batch.body)
        self._next[member] = previous + len(bodies) + 1  # optimistic; a refusal resets it
        self._sent[member] = state.now.monotonic
        message = AppendEntries(
            state.config.epoch,
            state.views.view,
            previous,
            self._own_term(previous),
            tuple(bodies),
            state.executed,
            self.round,
        )
        state.outbox.send(member, state.signer.link(message))

    def _own_term(self, index: int) -> int:
        """The own term of an executed or kept entry, as followers compare it. If it is not known any more,
        the entry was executed before this term began: then this term, which no follower's entry there has, so
        that only one that executed it too goes on from there. Term 0 would be that of another entry."""
        found = self.log.own_term(index)
        return self.state.views.view if found is None else found

    def on_result(self, verified: Verified[AppendEntriesResult]) -> None:
        """Handles a follower's answer: it may be in a later term, or its log may not match."""
        message, member = verified.message, verified.peer.member
        state = self.state
        if member is None:
            return
        self.catch_up.on_said(member, message.executed)
        if message.term > state.views.view:
            probe("raft.follower_in_later_term")
            self.elections.adopt(message.term)
        if message.term != state.views.view or not self.elections.leads:
            return
        self.elections.on_answer(member, message.clock)
        answer = message.executed, message.last
        stuck = message.matches and self._answered.get(member) == answer and message.executed < message.last
        self._answered[member] = answer
        if stuck:
            self._supply_commits(member, message.executed)
        following = min(message.last + 1, self.log.last + 1)
        known = self._next.get(member, 0)
        if message.matches and following >= known:
            return
        # Entries were lost, or its log differs: go on where it ends; at once only if that is further back.
        back = not message.matches and following < known and following > self.log.floor
        if back or state.now.monotonic >= self._resend_at(member):
            self._next[member] = following
            self._send_to(member)

    def _resend_at(self, member: int) -> int:
        return self._sent.get(member, 0) + self.state.config.resend_after

    # --- a follower ---------------------------------------------------------------------------------

    def on_append(self, verified: Verified[AppendEntries]) -> None:
        """Handles the leader's entries or heartbeat."""
        message, member = verified.message, verified.peer.member
        state, log = self.state, self.log
        if member is None or member != quorum.primary(message.term, state.n):
            state.outbox.refused(Reason.NOT_PRIMARY, verified)
            return
        self.catch_up.on_said(member, message.executed)
        if message.term < state.views.view or not state.has_reached_epoch:
            self._answer(member, message, last=state.executed, matches=False)
            return
        self.elections.follow(message.term)
        if not self.elections.knows_terms and log.own_term(state.executed) is None:
            # Its log ends with a snapshot, which names no term: this leader may be an old one. What is
            # decided it fetches (catch_up).
            return
        previous = message.previous
        if not self._is_same(previous, message.previous_term):
            probe("raft.log_differs")
            last = max(state.executed, min(previous - 1, log.last))
            self._answer(member, message, last=last, matches=False)
            return
        index = previous
        for batch in verified.batches:
            if batch is None or not self._take(message.term, index + 1, batch):
                break
            index += 1
        self._matched = max(self._matched, index)
        self._acknowledge()
        if not message.bodies:
            self._supply_commits(member, message.executed)
        self._answer(member, message, last=index, matches=True)

    def _is_same(self, previous: int, own_term: int) -> bool:
        """The consistency check (5.3). What is executed here the leader has: it was decided before its term
        began, or by itself."""
        if previous <= self.state.executed:
            return True
        return previous <= self.log.last and self.log.own_term(previous) == own_term

    def _take(self, term: int, index: int, batch: VerifiedBatch) -> bool:
        """Accepts one entry that follows from what matches; False if there is no room for it yet. An empty
        one, with which a term begins, always has room, or many failed terms could fill the window for
        ever."""
        state, log = self.state, self.log
        if index <= state.executed:
            return True
        mine = log.batch(index)
        if mine is not None and mine.digest == batch.digest:
            return True
        if batch.bundles and not state.log.inside(index):
            probe("raft.outside_window")
            return False
        self._append(term, index, batch)
        if batch.batch.origin_view == term:
            self._judge_time(index, batch)
        return True

    def _judge_time(self, index: int, batch: VerifiedBatch) -> None:
        """A fresh entry may be behind the own clock, which is told; no vote is withheld for it (R3)."""
        state = self.state
        ahead = batch.batch.proposed - state.now.arrival // 1_000
        state.clocks.judge(state.views.view, index, ahead, state.timeouts.timeout)

    def _append(self, term: int, index: int, batch: VerifiedBatch) -> None:
        self.log.write(term, index, batch)
        self.epoch_change.note_body(index, batch)

    def _answer(self, member: int, message: AppendEntries, *, last: int, matches: bool) -> None:
        state = self.state
        epoch, term, clock = state.config.epoch, state.views.view, max(0, state.now.wall // 1_000)
        answer = AppendEntriesResult(epoch, term, matches, last, state.executed, clock, message.round)
        state.outbox.send(member, state.signer.link(answer))

    def _supply_commits(self, member: int, executed: int) -> None:
        """Sends a member again the COMMITs of this term above what it has executed: they may be lost. The one
        that lets older entries be acknowledged comes first."""
        state = self.state
        indexes = range(executed + 1, self._matched + 1)
        frames = [
            vote.frame
            for index in sorted(indexes, key=lambda index: (index != self._settled, index))
            for term, vote in self.commits.get(index, {}).values()
            if term == state.views.view
        ]
        if frames and state.throttle.allow(member, b"commits"):
            state.outbox.send(member, state.signer.link(SupplyFrames(tuple(frames[:FRAMES_MAX]))))

    # --- acknowledging and deciding -----------------------------------------------------------------

    def release(self) -> None:
        """Gives the COMMITs that were held back (R11)."""
        self._acknowledge()

    def _acknowledge(self) -> None:
        """Signs COMMITs for what matches the leader's log: entries of its own term, and older ones below a
        decided one of them; then executes what they decide."""
        state = self.state
        view = state.views.view
        if state.may_vote(view):
            for index in self.log.open_indexes():
                if index > self._matched:
                    break
                if self.log.own_term(index) == view or index < self._settled:
                    self._sign(index)
        self._decide()

    def _sign(self, index: int) -> None:
        state = self.state
        view = state.views.view
        known = self.commits.get(index, {}).get(state.index)
        batch = self.log.batch(index)
        if batch is None or (known is not None and known[0] == view):
            return
        state.own_votes.cast(view=view, sequence=index, phase=COMMIT, digest=batch.digest)
        frame = state.signer.sign(Commit(state.config.epoch, state.index, view, index, batch.digest))
        state.outbox.persist(SlotRecord(state.config.epoch, view, index, COMMIT, (frame,)))
        self.commits.setdefault(index, {})[state.index] = view, Vote(batch.digest, frame)
        state.outbox.broadcast(frame)

    def refuse_commit(self, message: Commit, _member: int | None) -> Reason | None:
        """Returns why to refuse a COMMIT before its signature is checked, or None (R5)."""
        state = self.state
        if not state.log.stable < message.sequence <= max(self.log.last, state.log.stable + self._span):
            return Reason.OUTSIDE_WINDOW
        if message.sender in self._doubted:
            return Reason.FOLLOWER
        known = self.commits.get(message.sequence, {}).get(message.sender)
        if known is None:
            return None
        if known[0] >= message.view:
            return Reason.OLD_VIEW if known[0] > message.view else Reason.SECOND_MESSAGE
        return None

    def on_commit(self, verified: Verified[Commit]) -> None:
        """Counts a member's acknowledgement."""
        message = verified.message
        if (reason := self.refuse_commit(message, verified.peer.member)) is not None:
            self.state.outbox.refused(reason, verified)
            return
        vote = Vote(message.digest, verified.frame)
        self.commits.setdefault(message.sequence, {})[message.sender] = message.view, vote
        self._decide()

    def _decide(self) -> None:
        """Decides entries of this term that q members acknowledged, and so the older ones below (5.4.2)."""
        state = self.state
        view = state.views.view
        for index in self.log.open_indexes():
            if self.log.own_term(index) == view and index > self._settled and self._proof(index) is not None:
                self._settled = index
                self._acknowledge()  # the older entries below it
                return
        for index in self.log.open_indexes():
            if index in state.log.decisions:
                continue
            proof = self._proof(index)
            if proof is None:
                return
            self.contradictions.on_decided(proof)
            state.log.decisions[index] = proof

    def _proof(self, index: int) -> CommitCertificate | None:
        """q COMMITs of one term for the entry that this log holds."""
        batch = self.log.batch(index)
        if batch is None:
            return None
        terms: dict[int, list[bytes]] = {}
        for term, vote in self.commits.get(index, {}).values():
            if vote.digest == batch.digest:
                terms.setdefault(term, []).append(vote.frame)
        for term, frames in terms.items():
            if len(frames) >= self.state.q:
                return CommitCertificate(term, index, batch.digest, tuple(frames[: self.state.q]))
        return None

    # --- others -------------------------------------------------------------------------------------

    def leave_term(self) -> None:
        """A term was left: what matches the next leader's log is not known yet."""
        self._next = {}
        self._matched = self._settled = self.round = 0

    def prune(self, stable: int) -> None:
        """Forgets the COMMITs that a stable checkpoint covers."""
        for index in [index for index in self.commits if index <= stable]:
            del self.commits[index]

    def keep_body(self, batch: VerifiedBatch, sequence: int) -> None:
        """See catch_up.FetchedBatches."""
        self.log.note_fetched(batch, sequence)
        self.state.bodies.add(batch, sequence, self.state.executed)
