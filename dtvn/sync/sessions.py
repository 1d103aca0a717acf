"""Exchanges with peers: a store's one face to whatever carries its messages.

`Session` asks one peer; `Sessions` keeps one session a peer at most and answers, for a carrier that only
delivers messages (the overlay). A carrier that can wait for an answer drives a Session itself (the
contract's StateSynchronizer). Strictly question and answer: a message that is lost ends the session, and the
next one goes on from what has arrived.
"""

from __future__ import annotations

from dtvn.sync.exchange import QUESTIONS_MAX, Outcome, Side, answer_to, exchange
from dtvn.sync.messages import Question, SyncError, decode, encode
from dtvn.sync.store import Store

SESSIONS_MAX = 64
IDLE_US = 30 * 1_000_000
"""A session without an answer for so long is over."""


class Session:
    """One exchange, as its asking side."""

    def __init__(self, side: Side, number: int) -> None:
        self.outcome = side.outcome
        self.question: bytes | None = None
        """What to send to the peer; None: the exchange is over."""
        self.asked = side.now
        self._side = side
        self._steps = exchange(side)
        self._number = number
        self._ask(next(self._steps))

    def answered(self, body: bytes, now: int) -> None:
        """The peer's answer; raise SyncError, and end, if it is no answer."""
        envelope = decode(body)
        if not envelope.answer or envelope.number != self._number:
            return  # late, of a question that was given up
        self.outcome.bytes_received += len(body)
        self._side.now = self.asked = now
        self.question = None
        self._number += 1
        try:
            self._ask(self._steps.send(envelope.body))  # type: ignore[arg-type]
        except StopIteration:
            return

    def _ask(self, question: Question) -> None:
        self.outcome.questions += 1
        if self.outcome.questions > QUESTIONS_MAX:
            raise SyncError(f"an exchange of more than {QUESTIONS_MAX} questions")
        self.question = encode(self._number, question, answer=False)
        self.outcome.bytes_sent += len(self.question)


class Sessions:
    """The exchanges of one store with its peers. `batch_size`: most items in a message."""

    def __init__(self, store: Store, batch_size: int = 100) -> None:
        self.store = store
        self._batch_size = batch_size
        self._sessions: dict[bytes, Session] = {}
        self._number = 0

    def open(self, now: int) -> Session:
        """A session whose questions the caller carries. `now`: Unix microseconds."""
        self._number += QUESTIONS_MAX + 1
        return Session(Side(self.store, self._batch_size, now, Outcome()), self._number)

    def answer(self, body: bytes, now: int) -> bytes:
        """The answer to a peer's question; raise SyncError if it is no question."""
        envelope = decode(body)
        if envelope.answer or not isinstance(envelope.body, Question):
            raise SyncError("an answer that nobody asked for")
        found = answer_to(self.store, envelope.body, now, self._batch_size)
        return encode(envelope.number, found, answer=True)

    def begin(self, peer: bytes, now: int) -> list[bytes]:
        """Messages to a peer that begin an exchange; none while one with it runs, or too many do."""
        for other in [each for each, session in self._sessions.items() if session.asked + IDLE_US < now]:
            self._sessions.pop(other)
        if peer in self._sessions or len(self._sessions) >= SESSIONS_MAX:
            return []
        session = self._sessions[peer] = self.open(now)
        return self._go_on(peer, session)

    def receive(self, peer: bytes, body: bytes, now: int) -> list[bytes]:
        """Messages back to the peer that sent this one; raise SyncError if no honest peer sends it."""
        if not decode(body).answer:
            return [self.answer(body, now)]
        session = self._sessions.get(peer)
        if session is None:
            return []  # the answer to a question that was given up
        before = session.question
        try:
            session.answered(body, now)
        except SyncError:
            self._sessions.pop(peer)
            raise
        return [] if session.question is before else self._go_on(peer, session)

    def forget(self, peer: bytes) -> None:
        """The link to a peer is down."""
        self._sessions.pop(peer, None)

    def _go_on(self, peer: bytes, session: Session) -> list[bytes]:
        if session.question is not None:
            return [session.question]
        self._sessions.pop(peer, None)
        return []
