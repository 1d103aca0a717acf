"""Reads with stronger guarantees than the platform's own copy gives (R18).

* quorum: a member returns the ticket with a proof against the state of a stable checkpoint, which q members
  signed. The value is authentic whichever member sent it; it is as recent as that checkpoint. If all members
  have restarted since, none has that state any more: barriers are then ordered up to the next checkpoint.
* linearizable: an ordered barrier first, so that the read sees every operation decided before the request. In
  a Raft cluster nothing is ordered: the leader says what is decided, once a majority has confirmed after the
  request that it leads. Readers that wait at the same time share either.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from functools import lru_cache
from typing import Generic, TypeVar

import msgspec

from dtvn.api.errors import OutcomeUnknown, TicketError, Unavailable
from dtvn.api.ordering import ANSWER_SLACK, Request, decided
from dtvn.gateway import DEFAULT_WAIT, Answered, GatewayClosed, GatewayFace, Overloaded, Result
from dtvn.machine import Barrier, build
from dtvn.proof import Chain, ProofError, barriers, read_stable
from dtvn.proof.barriers import SharedBarriers
from dtvn.proof.reads import proved_ticket
from dtvn.protocol import quorum
from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import READ_INDEX
from dtvn.protocol.quorum import Mode
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.services.epochs import known_chain
from validators.services.network import gateway

BARRIER_WAIT = 3.0
"""Seconds until the platform's copy must have applied a barrier."""
WAIT = 3.0
"""Seconds within which a proof must be found."""
REACH_WAIT = 1.0
"""Seconds for a proof that reaches the sequence that the caller named."""
LEADER_WAIT = 1.0
"""Seconds for the leader's answer."""
ASK_AGAIN = 0.05
"""Seconds until members are asked again: a newer checkpoint may be stable by then."""
ACTOR = "platform"
"""Actor of barriers in the log."""
UNPROVED = "No member proved the ticket's state in time; try again."


class Proved(msgspec.Struct, frozen=True):
    """A ticket as of a stable checkpoint."""

    sequence: int
    ticket: tuple[bytes, bytes] | None
    """Canonical (state, issued); None: there was no such ticket."""


def quorum_read(event: str, ticket: str, *, at_least: int = 0) -> Proved:
    """The ticket as q members signed it, as of the newest checkpoint that a member proves.

    Asks all members and waits for f + 1 valid answers, so that one lagging member does not decide alone. Asks
    again for at most REACH_WAIT seconds while no proof reaches sequence `at_least`. Raises Unavailable when
    no member proves anything, and at once before the cluster's first checkpoint.

    If f + 1 members report that they lost their provable state in a restart, waiting does not help: barriers
    are then ordered until a checkpoint is due, at most one checkpoint interval of them.
    """
    network = gateway()
    try:
        found = barriers.quorum_read(_Reader(network, event, ticket, at_least))
    except barriers.NothingStable as error:
        first = network.present.parameters.checkpoint_interval
        sentence = (
            f"The cluster has no stable checkpoint yet, the first is at sequence {first}: "
            "read=linearizable works, and brings it nearer."
        )
        raise Unavailable(sentence, "no_checkpoint_yet") from error
    if found is None:
        raise Unavailable(UNPROVED)
    return found


class _Reader:
    """A QuorumReader of this cluster; its time limit starts at creation."""

    def __init__(self, network: GatewayFace, event: str, ticket: str, at_least: int) -> None:
        self._network = network
        self._event = event
        self._ticket = ticket
        self._at_least = at_least
        self._begun = time.monotonic()
        self._best: Proved | None = None

    @property
    def present(self) -> Membership:
        """See QuorumReader."""
        return self._network.present

    @property
    def acknowledged(self) -> int:
        """See QuorumReader."""
        return self._network.acknowledged

    def ask(self) -> tuple[Proved | None, Counter[str]]:
        """See QuorumReader: waits for f + 1 proofs, or all answers, or one second."""
        chain, needed = known_chain(), quorum.weak_quorum(len(self.present.members), self.present.mode)
        codes: Counter[str] = Counter()
        wanted = (self._event, self._ticket)
        members = range(len(self.present.members))
        open_ = {self._network.query(index, "proof", wanted, wait=1.0) for index in members}
        found: list[Proved] = []
        while open_ and len(found) < needed:
            done, open_ = wait(open_, timeout=2.0, return_when=FIRST_COMPLETED)
            if not done:
                break
            found += [proved for answer in done if (proved := _check(chain, answer, *wanted)) is not None]
            codes.update(answer.result().code for answer in done if answer.exception() is None)
        for proved in found:
            if self._best is None or proved.sequence > self._best.sequence:
                self._best = proved
        return self._best, codes

    def is_enough(self, shown: Proved) -> bool:
        """See QuorumReader."""
        return shown.sequence >= self._at_least or self._spent() >= REACH_WAIT

    def is_stable(self) -> bool:
        """See QuorumReader; also checks the platform's own copy."""
        return read.newest_checkpoint(LEARNER_ALIAS) is not None

    def order(self) -> int:
        """See QuorumReader; shared with concurrent readers. Raises Unavailable if the barrier is not ordered
        in time: without a quorum, one attempt is enough."""
        try:
            return barrier(WAIT - self._spent())
        except TicketError as error:
            raise Unavailable(UNPROVED) from error

    def is_over(self) -> bool:
        """See QuorumReader."""
        return self._spent() >= WAIT

    def pause(self) -> None:
        """See QuorumReader."""
        time.sleep(ASK_AGAIN)

    def _spent(self) -> float:
        return time.monotonic() - self._begun


def _check(chain: Chain, answer: Future[Answered], event: str, ticket: str) -> Proved | None:
    """One member's answer if its proof verifies, else None."""
    if answer.exception() is not None or answer.result().code:
        return None
    try:
        return Proved(*proved_ticket(answer.result().text, chain, event, ticket, _certificate))
    except ProofError:
        return None


@lru_cache(maxsize=256)
def _certificate(frames: tuple[bytes, ...], chain: Chain) -> CheckpointCertificate:
    """The certificate in CHECKPOINT messages of q members. Cached: members return the same ones for a while,
    and each costs a signature check."""
    return read_stable(frames, chain)


# --- barriers -------------------------------------------------------------------------------------

Outcome = TypeVar("Outcome")


class _Shared(Generic[Outcome]):
    """What readers of this process share (SharedBarriers), one after the other; each reader waits in its own
    thread. `send` has one made, and passes its outcome on."""

    def __init__(self, send: Callable[[Callable[[Outcome | BaseException], None]], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._shared: SharedBarriers[Future[Outcome]] = SharedBarriers()

    def wait(self, patience: float) -> Outcome:
        """The outcome of one that was sent after this call began; raises TimeoutError after `patience`
        seconds."""
        with self._lock:
            mine = self._shared.join(Future)
        self._begin()
        return mine.result(patience)

    def _begin(self) -> None:
        with self._lock:
            mine = self._shared.begin()
        if mine is None:
            return
        try:
            self._send(lambda outcome: self._end(mine, outcome))
        except (TicketError, Overloaded, GatewayClosed) as error:
            self._end(mine, error)

    def _end(self, mine: Future[Outcome], outcome: Outcome | BaseException) -> None:
        with self._lock:
            self._shared.end()
        if isinstance(outcome, BaseException):
            mine.set_exception(outcome)
        else:
            mine.set_result(outcome)
        self._begin()


def _order(end: Callable[[Result | BaseException], None]) -> None:
    """Have an empty operation ordered."""
    network = gateway()
    operation = build(Barrier(), ticket="", actor=ACTOR, entry=network.present.members[0].id)
    outcome = network.submit([operation])
    outcome.add_done_callback(lambda done: end(done.exception() or done.result()[0]))


def _ask_leader(end: Callable[[int | BaseException], None]) -> None:
    """Ask all members what is decided: the leader says it once a majority has confirmed that it leads."""
    network, lock = gateway(), threading.Lock()
    waiting = len(network.present.members)

    def answered(done: Future[Answered]) -> None:
        nonlocal waiting
        answer = done.result()
        with lock:
            over, waiting = waiting <= 0, 0 if not answer.code else waiting - 1
            last = not over and waiting <= 0
        if not over and not answer.code:
            end(int(msgspec.json.decode(answer.text)["sequence"]))
        elif last:
            end(Unavailable("No member leads the cluster at the moment; try again."))

    for index in range(waiting):
        network.query(index, READ_INDEX, wait=LEADER_WAIT).add_done_callback(answered)


_barriers = _Shared(_order)
_rounds = _Shared(_ask_leader)


def barrier(patience: float = DEFAULT_WAIT + ANSWER_SLACK) -> int:
    """Have an empty operation ordered, shared by all readers that wait here; returns its sequence. Raises
    TicketError when the cluster does not answer."""
    try:
        outcome = _barriers.wait(patience)
    except Overloaded as error:
        raise Unavailable("Too many requests are in progress; try again later.") from error
    except (GatewayClosed, CancelledError, TimeoutError) as error:
        raise OutcomeUnknown from error
    return decided(gateway(), Request(Barrier()), outcome).check().result.sequence


def decided_now() -> int:
    """A sequence at or above all that was decided when this call began (R18). Raises TicketError when the
    cluster does not answer."""
    if gateway().present.mode is not Mode.RAFT:
        return barrier()
    until = time.monotonic() + DEFAULT_WAIT
    while True:
        try:
            return _rounds.wait(max(ASK_AGAIN, until - time.monotonic()))
        except (Unavailable, TimeoutError) as error:
            if time.monotonic() >= until:
                raise Unavailable("No member leads the cluster at the moment; try again.") from error
            time.sleep(ASK_AGAIN)
        except GatewayClosed as error:
            raise Unavailable("The platform stops; try again.") from error


def caught_up(at_least: int = 0) -> int:
    """Wait until the platform's copy includes all that is decided now, and `at_least` if that is soon;
    returns the copy's sequence. Raises TicketError when the cluster does not answer or the copy is behind."""
    ordered = decided_now()
    sequence = feed.wait_for(max(ordered, at_least), BARRIER_WAIT)
    if sequence < ordered:
        raise Unavailable("The platform's copy of the log is behind; try again later.")
    return sequence


def _forked() -> None:
    """A forked child starts with its own barriers."""
    global _barriers, _rounds
    _barriers, _rounds = _Shared(_order), _Shared(_ask_leader)


os.register_at_fork(after_in_child=_forked)
