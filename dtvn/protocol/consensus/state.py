"""The state of a replica, made of parts. All subprotocols may read them; each is written by one (WRITERS),
or, of the tables that several fill or prune, each field or method by those that SHARED names.

`tests/consensus/test_one_writer.py` holds both tables against the code. `str(state)` says it in a line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from dtvn.protocol import quorum
from dtvn.protocol.consensus.application import Application, Staging
from dtvn.protocol.consensus.bodies import Bodies
from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.consensus.clocks import Clocks
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.context import Context
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.evidence import Evidence
from dtvn.protocol.consensus.executor import Executor
from dtvn.protocol.consensus.fetching import Fetching
from dtvn.protocol.consensus.future import Future
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.log import Log, Slot
from dtvn.protocol.consensus.messages import FetchBatch, FetchViewChange
from dtvn.protocol.consensus.modes import ViewStatus, VotingRight
from dtvn.protocol.consensus.new_view import CheckedViewChange
from dtvn.protocol.consensus.own_votes import OwnVotes
from dtvn.protocol.consensus.signer import Signer
from dtvn.protocol.consensus.throttle import Throttle
from dtvn.protocol.consensus.verified import VerifiedBundle

WRITERS = {
    "voting_right": "voting",
    "views": "view_change",
    "checkpoint": "checkpoint",
    "timeouts": "suspicion",
    "lag": "catch_up",
    "transfer": "receiving",
}
"""Part of the state -> module of the subprotocol that writes it. Only `views.become_ended` has other
callers too (tests/consensus/test_modes.py): the end of the epoch, a received state, a contradiction."""

SHARED = {
    "log.open": {"ordering", "restore"},
    "round_trips.add": {"pinging"},
    "log.on_executed": {"execution", "restore"},
    "log.leave_view": {"view_change"},
    "log.decisions": {"ordering"},
    "log.late": {"ordering"},
    "log.certificates": {"ordering", "restore"},
    "slot.place": {"ordering", "restore"},
    "slot.proposals": {"restore"},
    "slot.digest": {"ordering", "restore"},
    "slot.reproposed": {"ordering"},
    "slot.abstain_reason": {"ordering"},
    "slot.withheld_at": {"ordering"},
    "slot.prepares": {"ordering", "restore"},
    "slot.commits": {"ordering", "restore"},
    "slot.prepared": {"ordering", "restore"},
    "slot.durable_digest": {"ordering", "restore"},
    "slot.my_prepare": {"ordering", "restore"},
    "slot.my_commit": {"ordering", "restore"},
    "log.prune": {"replica", "restore"},
    "own_votes.cast": {"ordering", "restore", "view_change"},
    "own_votes.prune": {"replica"},
    "bodies.add": {"ordering", "restore"},
    "bodies.leave_view": {"state"},
    "bodies.prune": {"replica"},
    "executor.execute": {"execution", "learner"},
    "executor.restore": {"restore", "learner"},
    "batch_fetches.ask": {"ordering", "execution", "view_change"},
    "batch_fetches.got": {"ordering"},
    "batch_fetches.keep_only": {"state"},
    "batch_fetches.prune": {"replica"},
    "view_change_fetches.ask": {"view_change"},
    "view_change_fetches.got": {"view_change"},
    "view_change_fetches.keep_only": {"view_change"},
    "future.add": {"ordering"},
    "future.take": {"replica"},
    "clocks.show": {"pinging", "retransmission"},
    "clocks.awaited_until": {"proposing"},
    "clocks.judge": {"ordering"},
    "clocks.note": {"retransmission"},
    "throttle.allow": {"certificate_comparison", "retransmission", "supplying", "view_change"},
    "evidence.note_double": {"certificate_comparison", "checkpoint", "ordering", "view_change"},
    "evidence.note_single": {"view_change"},
}
"""Table, and the field or method that changes it -> the modules that do. A row that is not here is written
by no subprotocol. `restore` fills them before the first message, from the ledger; `replica` prunes them at a
stable checkpoint, and takes what waited for a view as it enters it. Six have a second writer besides:

own_votes      the PRE-PREPAREs in a NEW-VIEW are votes too, and view_change signs them (4.4 of the paper)
batch_fetches  each subprotocol asks for the bodies that it misses; no digest is asked for twice
throttle       limits all answers to a member together, whichever subprotocol gives them
evidence       each subprotocol finds the contradictions of its own messages; the first report counts
executor       a learner is another core, and has its own
clocks         members show theirs in Statuses, and at the start in the answers to Pings
"""


class ViewState(ViewStatus):
    """The view this replica is in, or is bound to while it waits for the NEW-VIEW (R29, R33)."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self._members = members
        self.promised = 0
        """Highest view of an own VIEW-CHANGE: this replica never votes below it (R29)."""
        self.reproposed_up_to = 0
        """Highest sequence that the NEW-VIEW demands; new proposals are above it."""
        self.reproposed: dict[int, tuple[bytes, bytes]] = {}
        """Sequence -> (digest, PRE-PREPARE frame) in the NEW-VIEW."""
        self.new_view: bytes = b""
        """Frame of the NEW-VIEW of `view`; b"" in view 0 or while changing."""
        self.view_changes: dict[int, CheckedViewChange] = {}
        """Member -> its newest VIEW-CHANGE, above the view entered last."""

    @property
    def primary(self) -> int:
        """Primary of the current view."""
        return quorum.primary(self.view, self._members)


class StableCheckpoint:
    """The stable checkpoint (R24)."""

    def __init__(self, base: int) -> None:
        self._base = base
        self.certificate: CheckpointCertificate | None = None
        """The certificate for `log.stable`; None at the sequence with which genesis begins."""

    @property
    def frames(self) -> tuple[bytes, ...]:
        """The q CHECKPOINT frames of the stable checkpoint; () at the base of the epoch: the members of the
        previous epoch signed that one, and all members of this epoch know it."""
        if self.certificate is None or self.certificate.sequence <= self._base:
            return ()
        return self.certificate.frames


class Timeouts:
    """T, after which waiting becomes a cause for suspicion (R31)."""

    def __init__(self, config: Config) -> None:
        self._most = config.timeout_max
        self.base = config.timeout_base
        """T without doubling, nanoseconds."""
        self.failures = 0
        """View changes that count towards T since the last stable checkpoint. T doubles with each after the
        first."""

    @property
    def timeout(self) -> int:
        """T in nanoseconds, doubled for each failed view change after the first, capped."""
        if self.failures <= 1:
            return self.base
        doubled = self.base << min(max(0, self.failures - 1), 8)
        return min(doubled, max(self._most, self.base))


class Lag:
    """Lag of this replica behind the members, as far as it knows (R23, R30)."""

    def __init__(self, base: int) -> None:
        self._base = base
        self.certified = 0
        """Highest sequence that a checkpoint certificate covers."""
        self.vouched = 0
        """Highest sequence that f + 1 members report as executed."""
        self.heard: dict[int, int] = {}
        """Member -> monotonic time when it last said how far it is; empty at start."""
        self.since: int | None = None
        """Monotonic time since when this replica lags; None if it does not."""
        self.held_until = 0
        """While catching up, suspect no primary before this monotonic time."""

    def target(self) -> int:
        """Highest sequence that some honest member has certainly executed; at least the base of the epoch,
        which was executed before the epoch began."""
        return max(self.certified, self.vouched, self._base)


class TransferState:
    """The state that is received from other members, and what is still missing of it (R23)."""

    __slots__ = ("sequence", "staging")

    def __init__(self) -> None:
        self.sequence = 0
        """Sequence of the state that is being fetched, or is complete; 0 outside of a transfer."""
        self.staging: Staging | None = None
        """Its groups received so far, or those of an abandoned state."""

    @property
    def active(self) -> bool:
        """Whether a state is being fetched, or is complete, so that the log need not be fetched."""
        return self.sequence > 0

    def __str__(self) -> str:
        missing = 0 if self.staging is None else len(self.staging.missing)
        return f"receiving the state at {self.sequence}, {missing} groups missing"


SAMPLES_KEPT = 8
"""Newest round trips kept of each member. Their median is used, so that one slow answer changes nothing."""
LATENESS_KEPT = 32
"""Answers of each member of which it is remembered whether they came late: a minute's."""
LATE = 180_000_000
"""Nanoseconds beyond the usual round trip from which an answer is late; a lost segment is sent again after
200 ms at the least."""


class RoundTrips:
    """Round trips to the members, as Pings measured them."""

    def __init__(self, quorum_size: int) -> None:
        self._others = quorum_size - 1
        self.trips: dict[int, deque[int]] = {}
        """Member -> its newest round trips, nanoseconds."""
        self._late: dict[int, deque[bool]] = {}
        """Member -> whether its newest answers came late."""

    def add(self, member: int, trip: int) -> None:
        """A Ping to a member was answered after `trip` nanoseconds."""
        usual = self.of_member(member)
        self._late.setdefault(member, deque(maxlen=LATENESS_KEPT)).append(
            usual > 0 and trip > usual + max(LATE, usual // 2)
        )
        self.trips.setdefault(member, deque(maxlen=SAMPLES_KEPT)).append(trip)

    def late(self, member: int) -> float:
        """The share of a member's newest answers that came late: as a segment does that was sent again."""
        answers = self._late.get(member, ())
        return sum(answers) / LATENESS_KEPT

    def of_member(self, member: int) -> int:
        """The median of a member's newest round trips, nanoseconds; 0 before the first."""
        trips = sorted(self.trips.get(member, ()))
        return trips[len(trips) // 2] if trips else 0

    def of_quorum(self) -> int:
        """Nanoseconds within which a quorum answers; 0 while too few members were measured."""
        return self._needed(sorted(map(self.of_member, self.trips)))

    def shortest(self) -> int:
        """Nanoseconds within which a quorum answered at its quickest, over the newest round trips of each
        member; 0 while too few members were measured."""
        return self._needed(sorted(min(trips) for trips in self.trips.values()))

    def _needed(self, ascending: list[int]) -> int:
        return ascending[self._others - 1] if 0 < self._others <= len(ascending) else 0


class State(Context):
    """Everything that the subprotocols of one replica share for one epoch."""

    def __init__(self, config: Config, signer: Signer, application: Application, *, voting: bool) -> None:
        if config.index is None:
            raise ValueError("a replica is a member; a learner has no index")
        super().__init__(config.index, config.n)
        self.config = config
        self.q = config.q
        self.signer = signer
        self.application = application
        self.executor = Executor(config.epoch, application)
        self.voting_right = VotingRight(voting=voting)
        self.views = ViewState(config.n)
        self.checkpoint = StableCheckpoint(config.base)
        self.timeouts = Timeouts(config)
        self.lag = Lag(config.base)
        self.transfer = TransferState()
        self.round_trips = RoundTrips(config.q)
        self.clocks = Clocks(self, config)
        self._has_reached_epoch = False
        self._make_tables()

    def _make_tables(self) -> None:
        config, signer = self.config, self.signer
        self.log = Log(window=config.window, watermark_span=config.watermark_span)
        self.bodies = Bodies(config.bodies_bytes_max)
        self.own_votes = OwnVotes()
        self.future = Future(
            members=config.n,
            frames_max=config.future_frames_max,
            bytes_max=config.future_bytes_max,
        )
        self.throttle = Throttle(self, config.resend_after)
        self.evidence = Evidence(self.outbox)
        self.batch_fetches = self._fetching(
            lambda digest: signer.link(FetchBatch(digest)), 4 * config.watermark_span
        )
        self.view_change_fetches = self._fetching(
            lambda digest: signer.link(FetchViewChange(digest)), config.n * config.q
        )

    def _fetching(self, make: Callable[[bytes], bytes], fetches_max: int) -> Fetching:
        config = self.config
        return Fetching(
            self, make, fetches_max=fetches_max, delay=config.fetch_delay, retry=config.resend_after
        )

    @property
    def voting(self) -> bool:
        """Whether this replica has a vote."""
        return self.voting_right.mode != "none"

    @property
    def executed(self) -> int:
        """The last executed sequence."""
        return self.executor.executed

    @property
    def stable(self) -> int:
        """The sequence of the stable checkpoint."""
        return self.log.stable

    @property
    def base(self) -> Base | None:
        """The newest executed entry and the frontier of the log below it; None before the first one."""
        return self.executor.base

    @property
    def has_reached_epoch(self) -> bool:
        """Whether the own log reaches into this epoch. A replica that missed epochs first fetches a state."""
        if not self._has_reached_epoch:
            self._has_reached_epoch = self.executor.executed >= self.config.base
        return self._has_reached_epoch

    @property
    def is_primary(self) -> bool:
        """Whether this replica is the primary of its view."""
        return self.views.view % self.n == self.index

    def may_vote(self, view: int) -> bool:
        """Whether this replica may vote in `view` now."""
        return self.may_sign_votes and view == self.views.view and not self.views.changing

    @property
    def may_sign_votes(self) -> bool:
        """Whether this replica may sign votes at all: it has a vote, the members have shown it its earlier
        statements (R11), and it has a state of this epoch. `may_vote` asks for an active view besides."""
        return self.voting_right.mode == "voting" and self.has_reached_epoch

    @property
    def is_catching_up(self) -> bool:
        """Whether this replica knows that it lags and still makes progress at catching up (R30)."""
        if not self.has_reached_epoch:
            return True
        return self.lag.since is not None and self.now.monotonic < self.lag.held_until

    def leave_slots(self, left: Sequence[Slot]) -> list[VerifiedBundle]:
        """Forgets the batches of a left view that the new one does not need; returns the requests in slots
        that the new view dropped (R33)."""
        reproposed = {digest for digest, _frame in self.views.reproposed.values()}
        decided = {certificate.digest for certificate in self.log.decisions.values()}
        self.batch_fetches.keep_only(reproposed | decided)
        bundles: list[VerifiedBundle] = []
        for slot in left:
            for digest in slot.proposals:
                batch = self.bodies.get(digest)
                if batch is not None and digest not in reproposed and slot.sequence > self.executed:
                    bundles += batch.bundles
        certified = {certificate.digest for certificate in self.log.certificates.values()}
        needed = reproposed | decided | certified | set(self.log.digests.values())
        self.bodies.leave_view(needed, self.own_votes.digests("prepare"))
        return bundles

    def __str__(self) -> str:
        views, vote = self.views, self.voting_right
        why = f" ({vote.reason})" if vote.reason else ""
        return (
            f"member {self.index} of {self.n}, epoch {self.config.epoch}: {views}, vote {vote.mode}{why}; "
            f"executed {self.executed}, stable {self.log.stable}, {len(self.log.slots)} open slots; "
            f"T {self.timeouts.timeout // 1_000_000} ms; lag to {self.lag.target()}"
            f"{f'; {self.transfer}' if self.transfer.active else ''}"
        )

    def breach(self, text: str) -> InvariantBreach:
        """An InvariantBreach that names the member, view and sequence."""
        return InvariantBreach(f"member {self.index} view {self.views.view} sequence {self.executed}: {text}")
