"""A collector told whole: what it sends to whom and when, what it believes, and how each call ends."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from dtvn.gateway import OperationTooLarge, Overloaded, collector
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import decode_envelope, encode_envelope, link_frame
from tests.gateway.support import SECOND, operation
from tests.gateway.telling import TellingDesk
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"


def test_a_conversation(golden: Compare) -> None:
    """Sessions, bundles, resending, silence, refusals, questions and a lost quorum, step by step."""
    desk = TellingDesk("A conversation")
    _opening(desk)
    _liars(desk)
    _hints(desk)
    _questions(desk)
    _lost(desk)
    golden(GOLDEN / "conversation.txt", "\n".join(desk.lines) + "\n")


def _opening(desk: TellingDesk) -> None:
    desk.chapter("A session is opened, on the second attempt")
    desk.call(operation("A", nonce=b"n1"), operation("B"))
    desk.call(operation("C", valid=0), wait=2 * SECOND)
    desk.wait(1_500)
    desk.honest(desk.flying[0], members=(1, 3))
    desk.honest(*desk.flying[1:])
    desk.standing()
    desk.chapter("Undated operations, several calls, one bundle each while few are in flight")
    undated = m.Operation("validate", "default", "U", "gate", "r1", 0, b"", b"")
    for number in range(6):
        desk.call(undated if number == 2 else operation(f"D{number}"), wait=(number + 1) * SECOND)
    desk.honest(*desk.flying[-4:-2], members=(0, 2))
    desk.wait(250)
    desk.honest(desk.flying[-1])
    desk.wait(6_000)
    desk.standing()
    desk.wait(31_000)
    desk.call(operation("late"))
    desk.honest(desk.flying[-1])
    desk.honest(desk.flying[-1])


def _liars(desk: TellingDesk) -> None:
    desk.chapter("Members lie, repeat and send junk")
    members = desk.members
    desk.call(operation("L1"), operation("L2"))
    (item,) = desk.order(desk.flying[-1])
    desk.hear(1, "another outcome", members.forged(1, item, "expired"))
    desk.hear(0, "the truth", members.reply(0, item))
    desk.hear(0, "the truth again", members.reply(0, item))
    desk.hear(
        3,
        "another member's receipt",
        members.reply(3, item, receipt=members.receipt(3, item.entry, key_of=1)),
    )
    desk.hear(3, "a wrong path", members.reply(3, item, path=((True, bytes(32)),)))
    desk.hear(3, "too few outcomes", members.reply(3, item, outcomes=item.outcomes[:1]))
    desk.hear(3, "another request", members.reply(3, item, request=bytes(32)))
    for name, junk in (
        ("nothing", b""),
        ("junk", b"\xc1\xff"),
        ("a query", link_frame(m.Query(1, "status", ()))),
    ):
        desk.hear(2, name, junk)
    desk.hear(1, "a repeat", members.repeat(1, item))
    desk.hear(2, "a repeat with other codes", members.repeat(2, item, codes=("ok", "busy")))
    desk.hear(3, "a repeat of another sequence", members.repeat(3, item, sequence=99))
    desk.standing()
    desk.hear(2, "a repeat", members.repeat(2, item))
    desk.hear(2, "judged", link_frame(m.Judged(b"verdicts")))
    desk.standing()


def _hints(desk: TellingDesk) -> None:
    desk.chapter("Members hint at why nothing is ordered")
    members = desk.members
    for code in (Reason.BUSY, Reason.EXPIRED, Reason.UNKNOWN_SESSION, Reason.TOO_LARGE, Reason.DECIDED):
        desk.call(operation(f"H-{code.value}", nonce=b"h"), operation(f"I-{code.value}"))
        frame = desk.flying[-1]
        time = members.log_time + 20_000_000 if code is Reason.EXPIRED else 0
        for member in (0, 2, 3):
            frame_of = members.busy(frame, code.value, 400, time + member)
            desk.hear(member, f"busy {code.value}", frame_of)
        desk.wait(700)
    desk.standing()
    desk.wait(16_000)
    desk.standing()


def _status(desk: TellingDesk, member: int, fields: object, number: int) -> None:
    text = fields if isinstance(fields, str) else json.dumps(fields)
    desk.hear(member, f"answer {number} {text[:60]}", link_frame(m.Answer(number, "", text)))


def _newest_polls(desk: TellingDesk) -> dict[int, int]:
    """Member -> number of the newest status question to it."""
    desk.collector.tick(desk.now)
    found = {}
    for to, frame in desk.collector.take(desk.now).send:
        message = decode_envelope(frame)[1]
        if isinstance(message, m.Query):
            found[to] = message.number
            desk.lines.append(f"  to [{to}]: query {message.number} {message.what}")
    return found


def _questions(desk: TellingDesk) -> None:
    desk.chapter("Statuses, and questions of callers")
    desk.elapsed += SECOND
    polls = _newest_polls(desk)
    _status(desk, 0, {"view": 2, "sequence": 40, "epoch": 0}, polls[0])
    _status(desk, 1, {"view": 3, "sequence": -1}, polls[1])
    _status(desk, 2, {"view": "5", "sequence": 41}, polls[2])
    _status(desk, 3, "[1]", polls[3])
    desk.standing()
    desk.elapsed += SECOND
    polls = _newest_polls(desk)
    _status(desk, 1, {"view": 1, "sequence": 44}, polls[1])
    _status(desk, 3, {"view": 9, "sequence": 45}, polls[0])
    _status(desk, 3, {"view": 2, "sequence": 45, "text": "x" * 70_000}, polls[3])
    desk.standing()
    for member, what in ((0, "ticket"), (1, "tickets"), (2, "log")):
        number = desk.collector.ask(member, what, ("T-1", str(member)), desk.now, wait=(member + 1) * SECOND)
        desk.step(f"ask {member} {what}: {number}")
    desk.settle()
    desk.hear(1, "the answer to another's question", link_frame(m.Answer(number, "", "{}")))
    desk.hear(2, "an answer", link_frame(m.Answer(number, "not_found", "{}")))
    desk.hear(2, "the same again", link_frame(m.Answer(number, "", "{}")))
    desk.connect(0, 2, 3)
    desk.wait(1_100)
    desk.connect(0, 1, 2, 3)
    desk.standing()


def _lost(desk: TellingDesk) -> None:
    desk.chapter("The quorum is lost: what was sent is unknown, what was not did not happen")
    desk.call(operation("Q1", nonce=b"q1"), wait=4 * SECOND)
    desk.connect(2, 3)
    desk.call(operation("Q2"), wait=8 * SECOND)
    desk.standing()
    desk.wait(2_999)
    desk.wait(1)
    desk.call(operation("Q3"))
    desk.wait(2_000)
    desk.connect(1, 2, 3)
    desk.call(operation("Q4"), operation("Q5"))
    desk.wait(800)
    desk.honest(*desk.flying[-2:])
    desk.standing()
    desk.chapter("Members hold certificates that contradict each other")
    desk.elapsed += SECOND
    polls = _newest_polls(desk)
    for member in (1, 3):
        _status(desk, member, {"view": 2, "sequence": 50, "contradiction": True}, polls[member])
    desk.call(operation("Q6"))
    desk.standing()


def test_limits(golden: Compare) -> None:
    """Large calls, many calls, too large ones; a session whose numbers run out; numbers in flight."""
    desk = TellingDesk("Limits")
    desk.opened()
    desk.chapter("A long call is split, in order")
    desk.call(*(operation(f"S-{number}") for number in range(2_003)), wait=20 * SECOND)
    for _part in range(3):
        desk.honest(desk.flying[-1])
    desk.chapter("Large operations")
    large = m.Operation("validate", "default", "X", "gate", "r0", 0, b"", bytes(300_000))
    desk.call(large, large, large, wait=20 * SECOND)
    for _part in range(3):
        desk.honest(desk.flying[-1])
    for operations in ((m.Operation("validate", "default", "X", "gate", "r0", 0, b"", bytes(600_000)),), ()):
        with pytest.raises((OperationTooLarge, ValueError)) as refused:
            desk.collector.submit(operations, desk.now, wait=SECOND)
        desk.step(f"refused {type(refused.value).__name__}: {refused.value}")
    with pytest.raises(Overloaded) as overloaded:
        desk.collector.submit((operation(),) * 50_001, desk.now, wait=SECOND)
    desk.step(f"refused Overloaded: {overloaded.value}")
    desk.chapter("A change of the members goes alone")
    change = m.Operation("reconfigure", "", "", "boss", "", 0, b"c", b"")
    for each in (
        operation("before"),
        operation("b2"),
        operation("b3"),
        operation("b4"),
        change,
        operation("after"),
    ):
        desk.call(each)
    desk.call(operation("last"), wait=SECOND)
    for _round in range(4):
        desk.honest(*desk.flying[-4:])
    desk.chapter("The key changes")
    desk.call(operation("old", nonce=b"o"), operation("key"))
    desk.collector.held = True
    desk.call(operation("waits", nonce=b"w"))
    desk.collector.rekey("gateway#1", desk.members.paper.signer("gateway"), desk.now)
    desk.settle()
    desk.honest(desk.flying[-1])
    desk.wait(20_000)
    desk.standing()
    golden(GOLDEN / "limits.txt", "\n".join(desk.lines) + "\n")


@pytest.mark.parametrize(
    ("seed", "count", "mode"), [(1, 4, Mode.PBFT), (2, 7, Mode.PBFT), (3, 3, Mode.PBFT), (4, 5, Mode.RAFT)]
)
def test_an_eventful_hour(golden: Compare, seed: int, count: int, mode: Mode) -> None:
    """What happens is drawn: calls, silence, lies of at most f members, lost links, lost sessions."""
    desk = TellingDesk("An eventful hour", count, mode)
    drawn = random.Random(seed)
    for number in range(90):
        _drawn_step(desk, drawn, number)
    desk.connect(*range(count))
    desk.wait(15_000)
    desk.standing()
    golden.drawn(GOLDEN / f"eventful-{seed}.txt", "\n".join(desk.lines) + "\n")


def _drawn_step(desk: TellingDesk, drawn: random.Random, number: int) -> None:
    what = drawn.choice(("call", "call", "wait", "answer", "answer", "answer", "some", "lie", "hint", "link"))
    if what == "call":
        nonces = [b"n%d" % number if drawn.random() < 0.5 else b"" for _each in range(drawn.randint(1, 3))]
        calls = [
            operation(f"T{number}-{place}", nonce=nonce, valid=3_600) for place, nonce in enumerate(nonces)
        ]
        desk.call(*calls, wait=drawn.choice((1, 3, 9)) * SECOND)
    elif what == "wait":
        desk.wait(drawn.choice((1, 90, 150, 300, 1_000, 4_000)))
    elif what == "link":
        kept = [member for member in range(desk.members.count) if drawn.random() < 0.85]
        desk.connect(*kept)
    elif desk.flying:
        _drawn_answer(desk, drawn, what)


def _drawn_answer(desk: TellingDesk, drawn: random.Random, what: str) -> None:
    frame = drawn.choice(desk.flying[-5:])
    liar = desk.members.count - 1
    if what == "hint":
        code = drawn.choice((Reason.BUSY, Reason.UNKNOWN_SESSION, Reason.EXPIRED)).value
        desk.hear(liar, f"busy {code}", desk.members.busy(frame, code, 100))
        return
    (item,) = desk.order(frame)
    if what == "lie":
        desk.hear(liar, "a forged reply", desk.members.forged(liar, item, drawn.choice(("full", "expired"))))
        return
    speakers = [member for member in range(desk.members.count) if what == "answer" or drawn.random() < 0.4]
    for member in speakers:
        repeats = drawn.random() < 0.3
        frame_of = desk.members.repeat(member, item) if repeats else desk.members.reply(member, item)
        desk.hear(member, f"{'repeat' if repeats else 'reply'} {item.entry.sequence}", frame_of)


def test_many_bundles(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles that stay unanswered, up to the most that fly; sessions that are lost one after the other."""
    monkeypatch.setattr(collector, "FLIGHTS_MAX", 3)
    desk = TellingDesk("Many bundles")
    desk.opened()
    desk.chapter("Three fly, and the fourth waits for the end of one")
    for number in range(5):
        desk.call(operation(f"F{number}", valid=600), wait=60 * SECOND)
        desk.wait(1_001)
    desk.standing()
    desk.honest(desk.flying[-1])
    desk.call(operation("F5", nonce=b"f5"), wait=SECOND)
    desk.honest(desk.flying[-3])
    desk.wait(1_001)
    desk.standing()
    desk.chapter("Sessions are lost, and bundles of all of them are heard up to the most")
    for number in range(5):
        desk.call(operation(f"S{number}", nonce=b"s%d" % number, valid=600), wait=90 * SECOND)
        lost = desk.flying[-1]
        for member in (1, 2):
            hint = desk.members.busy(lost, Reason.OUTSIDE_SESSION_WINDOW.value)
            desk.hear(member, "busy outside_session_window", hint)
        desk.wait(1_001)
        desk.honest(desk.flying[-1])
        desk.standing()
    for frame in desk.flying[-12:-1:3]:
        desk.honest(frame, members=(0, 1))
    for name, body in (("reply", m.Reply), ("repeat", m.Repeat), ("busy", m.Busy), ("answer", m.Answer)):
        for junk in (b"\x90", b"\xc1", b""):
            frame = encode_envelope(m.KIND_OF[body], junk, bytes(64))
            desk.hear(3, f"a {name} of other bytes", frame)
    desk.standing()
    desk.wait(12_000)
    desk.standing()
    golden(GOLDEN / "many-bundles.txt", "\n".join(desk.lines) + "\n")
