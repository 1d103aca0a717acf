"""How a node that slept through epochs comes to the newest one without replaying their log. Pure.

It asks its peers for what proves the ends of epochs and follows the chain from its own (R16, R23, R35). Where
that leads to an epoch where it is a member under its own key, and far ahead of its log, it goes on there: a
core of that epoch starts over the old log, gives no vote, and takes the state of a stable checkpoint, as any
member does that lags. A node that lags a little fetches the log instead, epoch by epoch, and one that is no
member any more always does: if it crossed before and still waits for a state, it goes back to its log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tickets.proof import decode_certificate
from tickets.proof.handover import chain_through, crossed, handover_certificate
from validators import canonical
from validators.consensus import handover
from validators.consensus.effects import ALL, Reason, Record, Send, StateRecord
from validators.consensus.membership import Membership
from validators.consensus.messages import Answer, Query
from validators.consensus.succession import EPOCH
from validators.genesis import Genesis, cluster_id
from validators.handovers import HANDOVERS, HandOvers, read_answer
from validators.probes import probe
from validators.wire import ED25519, Scheme, link_frame

if TYPE_CHECKING:
    from validators.consensus.application import Application

__all__ = ["Crossing"]

ASK_EVERY = 2_000_000_000
"""Nanoseconds between two questions, each to all peers: an answer is empty but when it matters."""


class Crossing:
    """One per host. `name`, `keys`: this node's id and every key that it may sign with; `far`: sequences
    behind from which on a state is better than the log; `patience`: nanoseconds without progress after which
    it is anyway."""

    def __init__(
        self,
        genesis: Genesis,
        present: Membership,
        *,
        name: str,
        keys: Sequence[bytes],
        far: int,
        patience: int,
        scheme: Scheme = ED25519,
    ) -> None:
        self._genesis = genesis
        self._present = present
        self._own = [(name, key) for key in keys]
        self._far = far
        self._patience = patience
        self._scheme = scheme
        self._chain = chain_through(genesis, cluster_id(genesis), (), scheme)
        self._newest = present
        self._log = present
        """The epoch in which the own log ends."""
        self._shown: list[StateRecord] = []
        """What proves the way from the present epoch to the newest one."""
        self._number = 0
        self._ask_at = 0
        self._executed = -1
        self._moved = 0
        """When this node last executed something, received some of a state, or learned that it sleeps."""
        self._by_log_until = 0
        """It came back to its log: a state is not sought before, however far it lags."""

    def begin(self, application: Application, kept: HandOvers, now: int) -> None:
        """The application's rows are loaded: it knows the epochs up to where its log ends. If this node
        crossed before and has no state of the present epoch yet, `kept` leads on to it; beyond it, if it went
        back."""
        known: list[Membership] = []
        while len(known) <= self._present.epoch and (epoch := application.epoch(len(known))) is not None:
            known.append(epoch)
        cluster = cluster_id(self._genesis)
        self._chain = chain_through(self._genesis, cluster, tuple(known), self._scheme)
        self._log = newest = known[-1]
        while newest.epoch < self._present.epoch or kept.find(newest.epoch):
            certificate = handover_certificate(kept.find(newest.epoch), cluster)
            self._chain, newest = crossed(self._chain, newest, certificate)
        self._newest = newest
        self._number = max(0, now)  # no answer to a former life is taken for one to this
        self._moved = self._ask_at = now
        self._by_log_until = now + self._patience if newest.epoch > self._present.epoch else now

    def deadline(self) -> int:
        """Monotonic nanoseconds of the next question."""
        return self._ask_at

    def ask(self, executed: int, now: int) -> list[Send]:
        """The next question, when it is time."""
        if executed != self._executed:
            self._executed, self._moved = executed, now
        if now < self._ask_at:
            return []
        if now > self._ask_at + 2 * ASK_EVERY:
            self._moved = now  # this process was paused (R31)
        self._ask_at = now + ASK_EVERY
        self._number += 1
        question = Query(self._number, HANDOVERS, (str(self._newest.epoch),))
        return [Send(ALL, link_frame(question))]

    def hear(self, answer: Answer) -> Reason | None:
        """What a peer shows, as far as it proves something; why the rest of it does not count."""
        if answer.number != self._number:
            return Reason.NOT_ASKED
        if answer.code:
            return None
        asleep = self._newest.epoch > self._present.epoch
        try:
            for data in read_answer(answer.text):
                certificate = handover_certificate(data, self._chain.cluster)
                if decode_certificate(certificate).epoch < self._newest.epoch:
                    continue  # another peer showed it before
                self._chain, following = crossed(self._chain, self._newest, certificate)
                self._shown.append(StateRecord(handover.record_name(self._newest.epoch), data))
                self._newest = following
                if not asleep:
                    asleep, self._moved = True, self._ask_at
        except ValueError:
            probe("crossing.shown_what_proves_nothing")
            return Reason.BAD_PROOF
        return None

    def arrived(self, executed: int, now: int, *, receiving: bool) -> tuple[Membership, list[Record]] | None:
        """The epoch to go on in, and what must be durable for it; None while the present one is better.
        `receiving`: a state is on its way in."""
        if receiving:
            self._moved = now
        newest = self._newest
        lag = newest.after - executed
        if lag <= 0 or newest == self._present == self._log:
            return None  # nowhere to go back to: this first epoch begins behind another cluster's log (R11)
        stuck = now >= self._moved + self._patience
        if newest.epoch == self._present.epoch:
            return self._back() if stuck else None
        if not any((member.id, member.public_key) in self._own for member in newest.members):
            # Nobody gives a state to who is no member.
            return self._back() if executed < self._present.after else None
        if not stuck and (lag <= self._far or now < self._by_log_until):
            return None
        probe("crossing.goes_on_in_a_later_epoch")
        return newest, [*self._shown, StateRecord(EPOCH, canonical.encode(newest))]

    def _back(self) -> tuple[Membership, list[Record]]:
        """The epoch of the own log. Nothing was said in the one that is left: it had no state of it."""
        probe("crossing.goes_back_to_its_log")
        return self._log, [*self._shown, StateRecord(EPOCH, canonical.encode(self._log))]
