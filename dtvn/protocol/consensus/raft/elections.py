"""Leader election (Ongaro & Ousterhout 2014, 5.2, 5.4.1; pre-vote and check-quorum: Ongaro 2014, 9.6, 6.2).

Term t belongs to member t mod n (R44), so a term has one candidate, and a vote for a term is a vote for its
owner. A view of the rest of the core is a term: *changing* means that its leader is not known yet. Term 0
begins with its owner as leader, without an election; a member that restarts never leads a term again.
"""

from __future__ import annotations

from collections.abc import Set

from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.adapted_timeout import AdaptedTimeout
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.events import EnteredView, LeftView, Listener
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.messages import RequestVote, RequestVoteResult
from dtvn.protocol.consensus.raft.log import RaftLog
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.probes import probe

TERM = "raft_term"
"""Name of the state record with (epoch, term)."""


class Elections:
    """Writes the term (`state.views`), and owns the votes that this member was granted."""

    def __init__(self, state: State, log: RaftLog, doubted: Set[int], emit: Listener) -> None:
        """`doubted`: members whose votes and answers do not count (`starts`)."""
        self.state = state
        self.log = log
        self._doubted = doubted
        self._emit = emit
        self.heard = 0
        """Monotonic nanoseconds when the leader of this term was last heard."""
        self._waits_since = 0
        """When the leader was last heard, or this member last campaigned or voted."""
        self._answers: dict[int, int] = {}
        """Member -> when it last answered this leader."""
        self._granted: dict[bool, set[int]] = {True: set(), False: set()}
        """Whether of a pre-vote -> members that granted it."""
        self._adapted = AdaptedTimeout()
        self._campaigns = 0
        self._shown: set[int] = set()
        """Members whose term was shown since the start."""
        self._may_lead_first_term = False

    # --- the term -----------------------------------------------------------------------------------

    def restore(self, tail: LedgerTail) -> None:
        """Resumes in the term that the ledger names, without knowing its leader."""
        state = self.state
        self.heard = self._waits_since = state.now.monotonic
        term, began = 0, False
        for record in tail.states:
            if record.name == TERM:
                epoch, known = canonical.decode(tuple[int, int], record.value)
                began = epoch == state.config.epoch
                term = known if began else 0
        began = began or self.log.last > state.config.base
        self._may_lead_first_term = term == 0 and state.is_primary and not began
        if term:
            state.views.become_changing(term)
        elif state.is_primary and began:
            self.adopt(1)

    def begin(self) -> None:
        """Leads term 0, if it is this member's and has not begun. Called when this member may vote."""
        self._waits_since = self.state.now.monotonic
        if self._may_lead_first_term and self.leads:
            self._may_lead_first_term = False
            self._keep_term(0)
            self._lead()

    @property
    def leads(self) -> bool:
        """Whether this member is the leader of its term."""
        return self.state.is_primary and self.state.may_vote(self.state.views.view)

    def adopt(self, term: int) -> None:
        """Moves to a higher term, durably, whose leader is not known yet. A core that has ended, perhaps in
        the middle of a page of entries, stays where it is."""
        state = self.state
        if term <= state.views.view or state.views.ended:
            return
        left, entered = state.views.view, not state.views.changing
        self._may_lead_first_term = False
        state.views.become_changing(term)
        self._granted = {True: set(), False: set()}
        self._keep_term(term)
        state.outbox.note("term", term=term)
        self._emit(LeftView(left, entered))

    def on_shown(self, member: int, term: int) -> None:
        """A member's first answer since the start names its term: in one of them this member may have voted
        or led before its disk was lost, so it goes on above them all."""
        if member not in self._shown:
            self._shown.add(member)
            self.adopt(term)

    @property
    def knows_terms(self) -> bool:
        """Whether a majority's terms were shown since the start."""
        return len(self._shown) + 1 >= self.state.q

    def _keep_term(self, term: int) -> None:
        state = self.state
        state.outbox.persist(StateRecord(TERM, canonical.encode((state.config.epoch, term))))

    def follow(self, term: int) -> None:
        """The leader of `term` spoke."""
        self.adopt(term)
        self.heard = self._waits_since = self.state.now.monotonic
        if self.state.views.changing:
            self._enter(term)

    def _enter(self, term: int) -> None:
        state = self.state
        state.views.become_normal(term)
        state.outbox.note("entered_view", view=term)
        self._emit(EnteredView(()))

    # --- timers -------------------------------------------------------------------------------------

    @property
    def patience(self) -> int:
        """Nanoseconds without a leader before this member campaigns: T to 2 T, another at each member and
        after each campaign."""
        state = self.state
        drawn = canonical.digest(b"%d/%d/%d" % (state.index, state.views.view, self._campaigns))
        base = state.timeouts.timeout
        return base + int.from_bytes(drawn[:4], "big") * base // (1 << 32)

    def deadline(self) -> int | None:
        """Monotonic time of the next campaign, or of stepping down; None without a vote."""
        state = self.state
        if not state.may_sign_votes:
            return None
        if self.leads:
            return self._quorum_lost_at()
        return self._waits_since + (self.patience if state.n > 1 else 0)

    def _quorum_lost_at(self) -> int | None:
        """When a quorum will have been silent for 2 T (check-quorum)."""
        state = self.state
        if state.q == 1:
            return None
        newest = sorted((self._answers.get(member, 0) for member in state.others), reverse=True)
        return newest[state.q - 2] + 2 * state.timeouts.timeout

    def on_answer(self, member: int, clock: int) -> None:
        """A follower answered this leader, and showed its clock."""
        self.state.clocks.show(member, clock)
        if member not in self._doubted:
            self._answers[member] = self.state.now.monotonic

    def tick(self) -> None:
        """Campaigns, or steps down as a leader that a quorum does not answer."""
        state = self.state
        due = self.deadline()
        if due is None or state.now.monotonic < due:
            return
        if self.leads:
            self._step_down()
            return
        self._campaigns += 1
        self._waits_since = state.now.monotonic
        self._granted[False] = set()  # of a term that nobody won: a voter may have lost its disk since
        self._ask(self._next_own_term(), pre=True)

    def _step_down(self) -> None:
        state = self.state
        probe("raft.leader_without_quorum")
        state.outbox.note("stepped_down", term=state.views.view)
        self.adopt(state.views.view + 1)
        self._waits_since = state.now.monotonic

    def shift(self, gap: int) -> None:
        """Moves all times by a pause of this process (R31)."""
        self.heard += gap
        self._waits_since += gap
        self._answers = {member: at + gap for member, at in self._answers.items()}

    def on_round_trip(self, nanoseconds: int) -> None:
        """Records the time within which a quorum answers (pinging; R31)."""
        self._adapted.on_round_trip(nanoseconds)
        self.state.timeouts.base = self._adapted.base(self.state.config)

    def on_late(self, nanoseconds: int) -> None:
        """Records by how much a tick was late (R31)."""
        if self._adapted.on_late(nanoseconds, self.state.timeouts.base):
            self.state.timeouts.base = self._adapted.base(self.state.config)

    # --- campaigning --------------------------------------------------------------------------------

    def _next_own_term(self) -> int:
        """The lowest term above the present one that belongs to this member."""
        state = self.state
        term = state.views.view + 1
        return term + (state.index - term) % state.n

    def campaign_now(self) -> None:
        """Campaigns without asking first whether it would be elected: the leader hands over."""
        term = self._next_own_term()
        self._campaigns += 1
        self._waits_since = self.state.now.monotonic
        self.adopt(term)
        self._ask(term, pre=False, transfer=True)

    def _ask(self, term: int, *, pre: bool, transfer: bool = False) -> None:
        state, log = self.state, self.log
        self._granted[pre] = {state.index}
        last_term = log.own_term(log.last) or 0
        epoch, clock = state.config.epoch, max(0, state.now.wall // 1_000)
        message = RequestVote(epoch, term, log.last, last_term, state.executed, pre, clock, transfer)
        state.outbox.broadcast(state.signer.link(message))
        self._count(term, pre=pre)

    def on_request_vote(self, verified: Verified[RequestVote]) -> None:
        """Votes for the owner of a term at most once in it: it can ask for no other's."""
        message, member = verified.message, verified.peer.member
        state = self.state
        if member is None or member != quorum.primary(message.term, state.n) or not state.may_sign_votes:
            return
        if member in self._doubted:
            return  # its vote for itself does not count, either
        wanted = message.transfer or not self._hears_a_leader()
        if not message.pre and message.term > state.views.view and wanted:
            self.adopt(message.term)
        grant = self._would_vote(message)
        if grant and not message.pre:
            self._waits_since = state.now.monotonic
        answer = RequestVoteResult(state.config.epoch, message.term, message.pre, grant, state.views.view)
        state.outbox.send(member, state.signer.link(answer))

    def _would_vote(self, message: RequestVote) -> bool:
        view, changing = self.state.views.view, self.state.views.changing
        if message.term < view or (message.term == view and not changing) or self._hears_a_leader():
            return False
        return self.log.is_as_new(message.last_term, message.last, message.executed)

    def _hears_a_leader(self) -> bool:
        """Whether a leader is heard, which no candidate disturbs (6): one that was cut off, say."""
        state = self.state
        if self.leads:
            return True
        return not state.views.changing and state.now.monotonic < self.heard + state.timeouts.timeout

    def on_vote(self, verified: Verified[RequestVoteResult]) -> None:
        """Counts a granted vote; a higher term of the voter is adopted, or no campaign would ever pass it."""
        message, member = verified.message, verified.peer.member
        if member is None:
            return
        if message.current > self.state.views.view and not message.granted:
            self.adopt(message.current)
        if message.granted and member not in self._doubted:
            expected = self._next_own_term() if message.pre else self.state.views.view
            if message.term == expected and self._granted[message.pre]:
                self._granted[message.pre].add(member)
                self._count(message.term, pre=message.pre)

    def _count(self, term: int, *, pre: bool) -> None:
        state = self.state
        if len(self._granted[pre]) < state.q or not state.may_sign_votes:
            return
        if pre:
            self.adopt(term)
            self._ask(term, pre=False)
        elif state.views.changing and state.is_primary:
            probe("raft.elected")
            self._lead()

    def _lead(self) -> None:
        state = self.state
        self._answers = dict.fromkeys(state.others, state.now.monotonic)
        self.heard = self._waits_since = state.now.monotonic
        if state.views.changing:
            self._enter(state.views.view)
        else:
            self._emit(EnteredView(()))  # term 0
