"""Ping and Pong measure round trips (R31) and recover this replica's own earlier statements (R11).

At start a replica whose ledger is not empty asks every member for the newest statements under its own key.
It casts no vote until all members have answered, or until q members (itself included) have answered and the
others had another `fetch_retry` to do so. Any quorum has an honest member that knows what was committed with
this replica's vote; a statement that only an unreachable member received stays unknown, as R11 allows. A
statement that the ledger lacks makes the replica a follower before it can contradict itself. Without q
members nothing could be decided anyway, so the wait costs one round trip, and a quarter of a second while a
member is down.

Under Raft nothing waits: the ledger was compared with its witness (R44, `raft.starts`).

Where f = 0 under PBFT two quorums may have only this replica in common, and a member that does not answer may
be the only one that knows its statements. Then the replica waits for all other members, at every process
start (with an empty ledger too: a disk restored from before the first vote looks like an unused one) and at
the start of every epoch, since a member still in the epoch before cannot show statements of the new one. The
answer of a member that lost its own ledger does not count (`Pong.remembers`): then only the operator can end
the wait, by declaring that the others are gone; the declaration holds until a checkpoint is stable. Only a
core that its own process rebuilds (`LedgerTail.continued`) does not ask again, if all members had answered
the core before it (`HEARD`).

Later Pings only measure. The round trip used for T is the time within which a quorum answers: f liars that
answer late cannot raise T, and early answers only lower it to its base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from dtvn.protocol.consensus.certificate import read_checkpoint
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.effects import Reason, StateRecord
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.messages import Ping, Pong
from dtvn.protocol.consensus.rejoin import Rejoin
from dtvn.protocol.consensus.self_messages import SelfMessageGuard
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.throttle import Throttle
from dtvn.protocol.consensus.transfer.catch_up import CatchUp
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.consensus.voting import Voting
from dtvn.protocol.probes import probe

PING_EVERY = 2_000_000_000
"""Nanoseconds between two Pings. While votes wait for the first answers, or a proposal for members' clocks,
the interval is `resend_after`."""
OPEN_FOR = 5_000_000_000
"""Nanoseconds for which an answer to a Ping is accepted, more than any member's round trip takes. It covers
later Pings, so that they do not make a slow answer invalid."""
EAGER = 20
"""Pings of a start that waits for nothing which follow each other at `resend_after`: links are being made."""
ANSWER_GAP = 20_000_000
"""Minimum nanoseconds between two answers to Pings of the same member."""
OWN_SHOWN_MAX = 256
"""Maximum statements in one Pong, newest first."""
OTHERS_ARE_GONE = StateRecord("others_are_gone", b"1")
"""The operator's declaration, kept in the ledger: do not wait for members that do not answer (R11)."""
HEARD = StateRecord("heard_all", b"1")
"""All other members have shown this replica's statements to the process that has the ledger open."""


class Statements(Protocol):
    """What this replica holds of the others' statements, and is bound to by its own."""

    def begin(self, tail: LedgerTail) -> None:
        """Takes the COMMITs of executed entries from the ledger."""

    def said_by(self, member: int, view: int) -> Iterator[bytes]:
        """Yields a member's statements that may still bind it, the most binding and newest first. `view`:
        what the member says it is bound to."""

    def bound_to(self) -> int:
        """The view below which no statement binds this replica any more."""


class Pinging:
    """Owns the unanswered Pings, the measured round trips, and whether votes wait for the first answers."""

    def __init__(
        self,
        state: State,
        catch_up: CatchUp,
        checkpoints: Checkpoints,
        rejoin: Rejoin,
        self_messages: SelfMessageGuard,
        statements: Statements,
        voting: Voting,
        on_round_trip: Callable[[int], None],
        on_wished: Callable[[int, int], None],
        *,
        waits: bool = True,
    ) -> None:
        """`on_round_trip` is told the time in which a quorum answers; `on_wished` the view in which a member
        may vote again (R11), 0 if it waits for none. `waits`: votes wait for the first answers."""
        self._waits = waits
        self.state = state
        self.catch_up = catch_up
        self.checkpoints = checkpoints
        self.rejoin = rejoin
        self.self_messages = self_messages
        self.statements = statements
        self.voting = voting
        self._on_round_trip = on_round_trip
        self._on_wished = on_wished
        self._asked: dict[int, dict[int, int]] = {}
        """Member -> the Pings it has not answered: number -> monotonic time."""
        self.vouched = False
        """Whether the operator's declaration is in force: see OTHERS_ARE_GONE."""
        self._quorum_suffices = True
        """Whether the answers of a quorum end the wait; False: all other members must answer."""
        self._heard = False
        """Whether the ledger says `HEARD`."""
        self._awaiting_all = False
        """Whether a note has named the members that still have not answered `fetch_retry` after a quorum."""
        self._enough_since: int | None = None
        """Monotonic time when a quorum had answered, or None."""
        self._shown: set[int] = set()
        """Members that showed the statements they hold of this replica."""
        self._number = self._asks = 0
        self._last = 0
        self._throttle = Throttle(state, ANSWER_GAP)

    # --- asking -------------------------------------------------------------------------------------

    def begin(self, tail: LedgerTail) -> None:
        """Asks all members. Votes then wait for a quorum if the ledger is not empty (the host flags an empty
        ledger that replaces a lost one), and for all other members in any case where f = 0 (R11)."""
        state = self.state
        self.statements.begin(tail)
        self._number = max(0, state.now.wall)  # no answer to an earlier process is accepted by this one
        if state.n == 1:
            return
        if not self._waits:
            self.ask()
            return
        past = bool(tail.slots) or bool(tail.entries) or tail.checkpoint is not None
        self.vouched = OTHERS_ARE_GONE in tail.states
        self._heard = HEARD in tail.states
        if not tail.continued:
            self._note_heard(heard=False)
        self._quorum_suffices = state.config.f > 0 or self._heard or self.vouched
        if state.voting and (past or not self._quorum_suffices):
            self.voting.hold()
        self.ask()

    def _note_heard(self, *, heard: bool) -> None:
        if self._heard != heard:
            self._heard = heard
            self.state.outbox.persist(HEARD if heard else StateRecord(HEARD.name, b"0"))

    @property
    def awaited(self) -> tuple[int, ...]:
        """Members whose answers this replica needs before it casts a vote (R11)."""
        if not self.state.voting_right.holding or self._quorum_suffices:
            return ()
        return tuple(member for member in sorted(self.state.others) if member not in self._shown)

    def on_stable(self) -> None:
        """Ends the operator's declaration, since a checkpoint is stable."""
        if self.vouched:
            self.vouched = False
            self.state.outbox.persist(StateRecord(OTHERS_ARE_GONE.name, b"0"))
            self.state.outbox.note("others_are_gone_ended", sequence=self.state.log.stable)

    def ask(self) -> None:
        """Sends a Ping to each other member that has to answer."""
        state = self.state
        self._number += 1
        self._asks += 1
        self._last = state.now.monotonic
        for member in state.others:
            if self.state.voting_right.holding and member in self._shown:
                continue
            since = state.now.monotonic - OPEN_FOR
            unanswered = {n: sent for n, sent in self._asked.get(member, {}).items() if sent >= since}
            self._asked[member] = {**unanswered, self._number: state.now.monotonic}
            mine = member not in self._shown if state.voting else self.rejoin.asks(member)
            view = self.rejoin.requested_view()
            epoch = state.config.epoch
            voting = state.voting or self._waits
            ping = Ping(self._number, mine, self.statements.bound_to(), view, epoch, voting)
            state.outbox.send(member, state.signer.link(ping))

    def tick(self) -> None:
        """Asks again when the interval has passed."""
        self._look()
        if self.state.n > 1 and self.state.now.monotonic >= self._next_ping():
            self.ask()

    def deadline(self) -> int | None:
        """Monotonic time of the next Ping or of the end of the wait; None for a single-member cluster."""
        if self.state.n == 1:
            return None
        due = self._next_ping()
        if self.state.voting_right.holding and self._enough_since is not None and not self._awaiting_all:
            due = min(due, self._enough_since + self.state.config.fetch_retry)
        return due

    def _next_ping(self) -> int:
        eager = not self._waits and self._asks < EAGER and len(self._shown) + 1 < self.state.n
        urgent = eager or self.state.voting_right.holding or self.state.clocks.are_wanted
        return self._last + (self.state.config.resend_after if urgent else PING_EVERY)

    def shift(self, gap: int) -> None:
        """Discards the unanswered Pings after a pause of this process: their round trips would include it
        (R31)."""
        self._asked.clear()

    # --- answering ----------------------------------------------------------------------------------

    def on_ping(self, verified: Verified[Ping]) -> None:
        """Answers a member that measures its round trip and, at its start, asks for its own statements."""
        state = self.state
        member = verified.peer.member
        message = verified.message
        if member is None or not self._throttle.allow(member, b"mine" if message.mine else b"ping"):
            return
        frames = self._shown_to(member, message.view) if message.mine else ()
        stable = state.checkpoint.frames if message.mine else ()
        epoch = state.config.epoch
        remembers = state.voting or state.config.f > 0
        answer = Pong(
            message.number,
            state.executed,
            frames,
            stable,
            state.views.view,
            epoch,
            remembers,
            state.clocks.shown,
        )
        state.outbox.send(member, state.signer.link(answer))
        self._on_wished(member, message.wished if message.epoch == epoch else 0)

    def _shown_to(self, member: int, view: int) -> tuple[bytes, ...]:
        """The member's statements that fit into one message. One that its ledger lacks is enough for it."""
        shown: dict[bytes, None] = {}
        room = self.state.config.resend_bytes_max
        for frame in self.statements.said_by(member, view):
            room -= len(frame)
            if (shown and room < 0) or len(shown) >= OWN_SHOWN_MAX:
                break
            shown[frame] = None
        return tuple(shown)

    # --- listening ----------------------------------------------------------------------------------

    def refuse_pong(self, message: Pong, member: int | None) -> Reason | None:
        """Returns why to refuse a Pong, or None: only one answer to each unanswered Ping is accepted (R5)."""
        if len(message.frames) > OWN_SHOWN_MAX:
            return Reason.TOO_LARGE
        asked = self._asked.get(member, {}) if member is not None else {}
        return None if message.number in asked else Reason.NOT_ASKED

    def on_pong(self, verified: Verified[Pong]) -> None:
        """Handles a member's answer and compares the statements under the own key with the ledger."""
        state = self.state
        member = verified.peer.member
        message = verified.message
        reason = self.refuse_pong(message, member)
        if member is None or reason is not None:
            state.outbox.refused(reason or Reason.NOT_ASKED, verified)
            return
        state.clocks.show(member, message.clock)
        sent = self._asked.pop(member)[message.number]
        state.round_trips.add(member, state.now.monotonic - sent)
        self._on_round_trip(state.round_trips.of_quorum())
        for frame in message.frames:
            found = verified.nested.get(frame)
            if found is not None and found.message.sender == state.index:
                self.self_messages.on_own(found)
        if not state.voting:
            self.rejoin.on_pong(member, verified)
        elif message.checkpoint:
            shown = read_checkpoint(message.checkpoint, verified.nested, state.config)
            if shown is not None and shown.sequence <= state.executed:
                self.checkpoints.adopt(shown)  # unless it contradicts a checkpoint held here
        self.catch_up.on_said(member, message.executed)
        # A member in a later epoch cannot show its messages here, and one that lost its ledger has forgotten
        # them, so its answer is no answer.
        if message.epoch <= state.config.epoch and message.remembers:
            self._shown.add(member)
        self._look()

    def _look(self) -> None:
        """Ends the wait when enough members have answered."""
        state = self.state
        if not self.state.voting_right.holding:
            return
        now = state.now.monotonic
        if self._enough_since is None and len(self._shown) + 1 >= state.q:
            self._enough_since = now
        waited = self._enough_since is not None and now >= self._enough_since + state.config.fetch_retry
        if (waited and self._quorum_suffices) or len(self._shown) + 1 == state.n:
            if state.config.f == 0:
                self._note_heard(heard=True)
            self.voting.release()
        elif waited and not self._awaiting_all:
            self._awaiting_all = True
            probe("pinging.awaits_all")
            names = state.config.members
            state.outbox.note("awaits_all", members=",".join(names[member] for member in self.awaited))
