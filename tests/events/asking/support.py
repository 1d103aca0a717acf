"""Questions of one gateway to one member, and what the member's answers hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dtvn.events.asking import Member, MemberJudge
from dtvn.events.asking.forms import VERSION, Answers, Asked, Asks, decode_answers
from dtvn.events.judging import Abstention, Event, MemberVote, Question, RunPoint, event_digest, open_turn
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits
from dtvn.protocol import canonical
from dtvn.protocol.consensus.verified import Peer
from tests.events.judging.support import CLUSTER, electorate, keys

EPOCH = 3
GATEWAY = Peer("gateway", None, b"1")
STARTED = b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}'
OPENED = b'{"type":"TEXT_MESSAGE_START","messageId":"m","role":"assistant"}'
FRESH = RuledRun(Limits())


def judge(may_ask: Callable[[str], bool] = lambda _name: True, index: int = 0) -> MemberJudge:
    return MemberJudge(Member(CLUSTER, EPOCH, index, keys(index)[1]), may_ask)


def question(run: RuledRun, events: Sequence[Event], name: str = "r", position: int = 0) -> Question:
    point = RunPoint("t", name, position, run.state_digest(), run.rules_digest())
    return point.question([event_digest(event) for event in events])


def asked(*texts: bytes, number: int = 1, run: RuledRun = FRESH, state: bytes = b"") -> Asked:
    """A question about these events where `run` stands."""
    events = [Event(bytes(16), text) for text in texts or (STARTED,)]
    pairs = tuple((event.salt, event.text) for event in events)
    return Asked(number, question(run, events, f"r{number}"), pairs, state)


def body(*asks: Asked, epoch: int = EPOCH, version: int = VERSION) -> bytes:
    return canonical.encode(Asks(version, epoch, asks))


def answers(said: MemberJudge, clock: Callable[[], int] = lambda: 0) -> list[Answers]:
    return [decode_answers(each) for _peer, each in said.turn(clock)[0]]


def votes(answer: Answers, index: int = 0) -> list[MemberVote]:
    return open_turn(answer.turn, electorate(4, EPOCH), index)


def abstained(*asks: Asked, said: MemberJudge | None = None, **form: int) -> list[Abstention]:
    """Why a member gives no votes on these."""
    said = said or judge()
    assert said.put(GATEWAY, body(*asks, **form), 0) is None
    (answer,) = answers(said)
    assert answer.turn == b""
    return [reason for _number, reason in answer.abstentions]
