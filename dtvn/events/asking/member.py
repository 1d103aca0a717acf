"""The member's side: judges events that gateways ask about, a little in each turn, and signs a turn's votes.

Judging is no part of consensus: it stores nothing, and its work in one turn of a node is bounded in time,
questions and bytes, so that the votes of consensus wait at most for that. Each principal has a queue, and
queues are served in turn; what does not fit is dropped, and gateways ask again.

Who may ask: a principal that may record verdicts in some event (`record`, formerly `operate`). An answer
shows nothing of the cluster's state, but it takes a member's time and signature, so a principal that could
not use it gets none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from dtvn.events.asking.forms import (
    ANSWERED_MAX,
    ASKS_BYTES_MAX,
    VERSION,
    Answers,
    Asked,
    Asks,
    FormError,
    decode_asks,
)
from dtvn.events.asking.known_states import KnownStates
from dtvn.events.judging import TURN_VOTES_MAX, Abstains, Abstention, Vote, cast_vote, sign_turn
from dtvn.events.rules import Limits
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.host.rate_limiter import RateLimiter
from dtvn.protocol.scheme import ED25519, Scheme

ASKING = ("record", "operate")
"""Capabilities that permit recording verdicts: with one of them, in any event, a principal may ask."""
TURN_TIME = 2_000_000
"""Nanoseconds of judging in one turn of a node; a question that is under way then is still finished."""
TURN_QUESTIONS = 1_024
TURN_BYTES = 1024 * 1024
"""Bytes of questions in one turn; the question that exceeds them is still judged. A vote takes less than
twice the bytes of its question, so the votes of a turn stay below TURN_BYTES_MAX."""
QUESTION_BYTES, EVENT_BYTES = 512, 32
"""Bytes counted for each question and for each event, besides the text of the events."""
WAITING_BYTES_MAX = 8 * 1024 * 1024
WAITING_FRAMES_MAX = 256
"""Limits of the queue of one principal: bytes, and frames, of up to ASKS_MAX questions each."""
ASKERS_MAX = 256
"""Most principals with queued questions."""
USELESS_PER_SECOND, USELESS_BURST = 512, 8_192
"""Rate limit, by principal, of questions that get no vote. After a member's restart an honest gateway sends
one for each of its runs, because the member has lost their states."""


class Member(msgspec.Struct, frozen=True):
    """Identity and signing key of a member in one epoch."""

    cluster: bytes
    epoch: int
    index: int
    secret: bytes
    scheme: Scheme = ED25519


class _Waiting:
    """Queued frames of one principal, and the questions left of the frame that is being judged."""

    __slots__ = ("begun", "bytes", "frames")

    def __init__(self) -> None:
        self.frames: deque[tuple[Peer, bytes]] = deque()
        self.bytes = 0
        self.begun: deque[tuple[Peer, Asked]] = deque()


class MemberJudge:
    """See ports.Judge. `may_ask`: whether the principal with this wire name may ask now."""

    def __init__(self, member: Member, may_ask: Callable[[str], bool], limits: Limits | None = None) -> None:
        self._member = member
        self._may_ask = may_ask
        self._states = KnownStates(limits or Limits())
        self._useless = RateLimiter(per_second=USELESS_PER_SECOND, burst=USELESS_BURST)
        self._waiting: dict[str, _Waiting] = {}
        """Queue by principal, in the order in which they are served."""
        self._votes: dict[Peer, list[Vote]] = {}
        self._abstentions: dict[Peer, list[tuple[int, Abstention]]] = {}
        self.votes = 0
        """Number of votes given."""
        self.abstentions = 0

    @property
    def waiting(self) -> bool:
        """Whether a question waits."""
        return bool(self._waiting)

    def put(self, peer: Peer, body: bytes, now: int) -> Reason | None:
        """See ports.Judge."""
        if len(body) > ASKS_BYTES_MAX:
            return Reason.TOO_LARGE
        if peer.member is not None:
            return Reason.WRONG_KIND
        if not self._useless.allows(peer.name, now):
            return Reason.BUSY
        queue = self._waiting.get(peer.name)
        if queue is None:
            if len(self._waiting) >= ASKERS_MAX:
                return Reason.BUSY
            queue = self._waiting[peer.name] = _Waiting()
        if len(queue.frames) >= WAITING_FRAMES_MAX or queue.bytes + len(body) > WAITING_BYTES_MAX:
            return Reason.BUSY
        queue.frames.append((peer, body))
        queue.bytes += len(body)
        return None

    def turn(self, clock: Callable[[], int]) -> tuple[list[tuple[Peer, bytes]], list[Peer]]:
        """See ports.Judge."""
        now = clock()
        until, questions, room = now + TURN_TIME, TURN_QUESTIONS, TURN_BYTES
        malformed: list[Peer] = []
        while self._waiting and questions > 0 and room > 0 and clock() < until:
            name = next(iter(self._waiting))
            queue = self._waiting.pop(name)
            if not queue.begun:
                peer, body = queue.frames.popleft()
                queue.bytes -= len(body)
                try:
                    self._begin(queue, peer, decode_asks(body))
                except FormError:
                    malformed.append(peer)
                    room -= len(body)
            if queue.begun:
                questions -= 1
                room -= self._answer(queue)
            if queue.begun or queue.frames:
                self._waiting[name] = queue
        for peer, abstentions in self._abstentions.items():
            self._useless.consume(peer.name, len(abstentions), now)
        return self._said(), malformed

    def _begin(self, queue: _Waiting, peer: Peer, asks: Asks) -> None:
        if not self._may_ask(peer.name):
            self._abstain(peer, asks.asks, Abstention.NOT_PERMITTED)
        elif asks.epoch != self._member.epoch:
            self._abstain(peer, asks.asks, Abstention.OTHER_EPOCH)
        else:
            queue.begun.extend((peer, asked) for asked in asks.asks)

    def _answer(self, queue: _Waiting) -> int:
        """Judge a principal's next question: note a vote or an abstention. Returns its approximate size in
        bytes."""
        peer, asked = queue.begun.popleft()
        try:
            vote = self._vote(asked)
        except Abstains as abstains:
            self._abstain(peer, (asked,), abstains.reason)
        except Exception:  # noqa: BLE001 what hostile events break must not end the node
            self._abstain(peer, (asked,), Abstention.FAILED)
        else:
            self.votes += 1
            self._votes.setdefault(peer, []).append(vote)
        return QUESTION_BYTES + sum(EVENT_BYTES + len(text) for _salt, text in asked.events)

    def _vote(self, asked: Asked) -> Vote:
        run = self._states.take(asked.question, asked.state)
        vote = cast_vote(asked.question, asked.chunk(), run)
        self._states.put(run)
        return vote

    def _abstain(self, peer: Peer, asks: tuple[Asked, ...], reason: Abstention) -> None:
        self.abstentions += len(asks)
        self._abstentions.setdefault(peer, []).extend((asked.number, reason) for asked in asks)

    def _said(self) -> list[tuple[Peer, bytes]]:
        """Take this turn's answers as (connection, body of a Judged): one body for each connection, more if
        votes or abstentions exceed the limits of one."""
        said = []
        for peer in [*self._votes, *(peer for peer in self._abstentions if peer not in self._votes)]:
            votes, abstentions = self._votes.get(peer, []), self._abstentions.get(peer, [])
            while votes or abstentions:
                said.append((peer, self._signed(votes[:TURN_VOTES_MAX], abstentions[:ANSWERED_MAX])))
                votes, abstentions = votes[TURN_VOTES_MAX:], abstentions[ANSWERED_MAX:]
        self._votes.clear()
        self._abstentions.clear()
        return said

    def _signed(self, votes: list[Vote], abstentions: list[tuple[int, Abstention]]) -> bytes:
        own = self._member
        turn = b""
        if votes:
            turn = sign_turn(
                votes,
                cluster=own.cluster,
                epoch=own.epoch,
                member=own.index,
                secret=own.secret,
                scheme=own.scheme,
            )
        return canonical.encode(Answers(VERSION, own.epoch, turn, tuple(abstentions)))
