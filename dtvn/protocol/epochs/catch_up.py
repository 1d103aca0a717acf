"""Brings a node that missed epochs to the newest one without replaying their log. Pure.

The node asks its peers for the proofs of the ends of epochs and follows the chain from its own (R16, R23,
R35). If the chain leads to an epoch far ahead of its log, it continues there, member or not: a core of that
epoch starts over the old log, does not vote, and fetches the state of a stable checkpoint, as any lagging
member or follower does (R45). A node that lags a little fetches the log instead, epoch by epoch; and so does
one whose peers have no state for it: after a restart of all of them there is none before the next checkpoint,
which may need this node's vote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from dtvn.protocol import canonical
from dtvn.protocol.consensus import EPOCH, epoch_change_proof
from dtvn.protocol.consensus.effects import ALL, Reason, Record, Send, StateRecord
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Answer, Query
from dtvn.protocol.epochs.proofs import EPOCH_CHANGES, EpochChangeProofs, read_answer
from dtvn.protocol.probes import probe
from dtvn.protocol.wire import link_frame

if TYPE_CHECKING:
    from dtvn.protocol.consensus.application import Application

ASK_EVERY = 2_000_000_000
"""Nanoseconds between two queries, each to all peers; most answers are empty."""


class EpochProofs(Protocol):
    """A verifier of the ends of epochs, one after the other (dtvn.proof.epoch_chain.EpochChain)."""

    @property
    def present(self) -> Membership:
        """The newest proved epoch."""

    def take(self, epoch_change_proof: bytes) -> object:
        """Advance to the epoch that an encoded EpochChangeProof begins. Raises ValueError if it is no valid
        proof."""


class EpochCatchUp:
    """Leads one host through missed epochs. `follow`: makes EpochProofs that continue after the last of the
    known epochs, which it gets genesis first. `far`: lag in sequences above which a state is better than the
    log; `patience`: nanoseconds without progress after which a state is better at any lag."""

    def __init__(
        self,
        present: Membership,
        follow: Callable[[Sequence[Membership]], EpochProofs],
        *,
        far: int,
        patience: int,
    ) -> None:
        self._present = present
        self._follow = follow
        self._far = far
        self._patience = patience
        self._proofs: EpochProofs
        self._newest = present
        self._log = present
        """The epoch in which this node's log ends."""
        self._shown: list[StateRecord] = []
        """The proofs that lead from the present epoch to the newest one."""
        self._number = 0
        self._ask_at = 0
        self._executed = -1
        self._moved = 0
        """When this node last executed an entry, received a part of a state, or learned of a later epoch."""
        self._by_log_until = 0
        """After the node went back to its log, it seeks no state before this time, at any lag."""

    def begin(self, application: Application, kept: EpochChangeProofs, now: int) -> None:
        """Start, after the application's rows were loaded: they hold the epochs up to the end of the log. If
        this node skipped epochs before and has no state of the present epoch yet, the proofs in `kept` lead
        to that epoch; if it returned to its log, they lead beyond it."""
        known: list[Membership] = []
        while len(known) <= self._present.epoch and (epoch := application.epoch(len(known))) is not None:
            known.append(epoch)
        self._proofs = self._follow(known)
        self._log = newest = known[-1]
        while newest.epoch < self._present.epoch or kept.find(newest.epoch):
            self._proofs.take(kept.find(newest.epoch))
            newest = self._proofs.present
        self._newest = newest
        self._number = max(0, now)  # answers to queries from before a restart do not match
        self._moved = self._ask_at = now
        self._by_log_until = now + self._patience if newest.epoch > self._present.epoch else now

    def deadline(self) -> int:
        """Monotonic nanoseconds of the next query."""
        return self._ask_at

    def ask(self, executed: int, now: int, is_current: Callable[[], bool]) -> list[Send]:
        """The next query to all peers, if it is due. `is_current`: whether members of the present epoch have
        just said that this node has all of the log; then there is no later epoch to ask for."""
        if executed != self._executed:
            self._executed, self._moved = executed, now
        if now < self._ask_at:
            return []
        if now > self._ask_at + 2 * ASK_EVERY:
            self._moved = now  # this process was paused (R31)
        self._ask_at = now + ASK_EVERY
        if is_current():
            return []
        self._number += 1
        question = Query(self._number, EPOCH_CHANGES, (str(self._newest.epoch),))
        return [Send(ALL, link_frame(question))]

    def hear(self, answer: Answer) -> Reason | None:
        """Follow the proofs in a peer's answer, as far as they are valid; returns why the rest is refused."""
        if answer.number != self._number:
            return Reason.NOT_ASKED
        if answer.code:
            return None
        asleep = self._newest.epoch > self._present.epoch
        try:
            for data in read_answer(answer.text):
                if (
                    canonical.decode(epoch_change_proof.EpochChangeProof, data).entry.epoch
                    < self._newest.epoch
                ):
                    continue  # another peer sent it before
                self._proofs.take(data)
                self._shown.append(StateRecord(epoch_change_proof.record_name(self._newest.epoch), data))
                self._newest = self._proofs.present
                if not asleep:
                    asleep, self._moved = True, self._ask_at
        except ValueError:
            probe("epoch_catch_up.bad_proof")
            return Reason.BAD_PROOF
        return None

    def arrived(self, executed: int, now: int, *, receiving: bool) -> tuple[Membership, list[Record]] | None:
        """The epoch to continue in, and the records to persist for it; None while the present one is better.
        `receiving`: whether a state is being received."""
        if receiving:
            self._moved = now
        newest = self._newest
        lag = newest.after - executed
        if lag <= 0 or newest == self._present == self._log:
            return None  # nowhere to go back to: this first epoch begins after another cluster's log (R11)
        stuck = now >= self._moved + self._patience
        if newest.epoch == self._present.epoch:
            return self._without_state() if stuck else None
        if not stuck and (lag <= self._far or now < self._by_log_until):
            return None
        probe("epoch_catch_up.in_a_later_epoch")
        return newest, [*self._shown, StateRecord(EPOCH, canonical.encode_trimmed(newest))]

    def _without_state(self) -> tuple[Membership, list[Record]]:
        """The epoch of this node's log, whose entries may be had where no state is, and the records to
        persist. The node sent no vote in the epoch that it leaves, as it had no state of it."""
        probe("epoch_catch_up.no_state_to_be_had")
        return self._log, [*self._shown, StateRecord(EPOCH, canonical.encode_trimmed(self._log))]
