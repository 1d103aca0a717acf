"""Runs of agent events told whole: pieces, votes, records, figures and evidence, with members that lie or
are gone."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from dtvn.events.config import Algorithm
from dtvn.gateway import Judged, Recorded, Result, RunPlace
from dtvn.gateway.event_records import EVERY
from dtvn.gateway.events import OpenRun
from dtvn.machine.reasons import RUN_REFUSED
from dtvn.protocol.genesis import CAPABILITIES
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import CLOSE, END, OPEN, RUN, START, TEXT, falsely
from tests.gateway.wording import Wording, fixed_clock
from tests.golden import Compare, Telling
from tests.host.support import make_genesis

GOLDEN = Path(__file__).parent / "golden"


class Story(Telling):
    """A gateway without a network, and all that it answers about runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, members: int = 4) -> None:
        self.clock = fixed_clock(monkeypatch)
        self.gateway = FakeGateway(make_genesis(members, capabilities=CAPABILITIES), principal="gateway")
        self.events = self.gateway.events
        self.events.on_evidence = lambda: self.say("  evidence has grown")
        self.words = Wording()
        super().__init__()
        self.salts = 0

    def begin(self, thread: str, run: str, **more: Any) -> OpenRun:
        begun = self.events.begin(thread, run, on_recorded=self.recorded, **more)
        self.say(f"begin {thread} {run} {self.words(more)}: {begun.algorithm} at {begun.position}")
        return begun

    def recorded(self, each: Recorded) -> None:
        self.say(f"  recorded {self.words(each)}")

    def judge(
        self, run: OpenRun, *texts: bytes, wait: float = 2.0, salts: list[bytes] | None = None
    ) -> Future[Judged]:
        """Has these judged, with salts of their own."""
        if salts is None:
            salts = [(self.salts + place).to_bytes(16, "big") for place in range(len(texts))]
            self.salts += len(texts)
        self.say(f"judge {run.run}: {len(texts)} from {texts[0][:40].decode()}")
        future = run.judge(texts, salts=salts, wait=wait)
        if future.done():
            self.tell(future.result())
        return future

    def tell(self, judged: Judged) -> None:
        self.say(
            f"  {judged.verdict} of {judged.run} by {judged.algorithm} at {judged.position}, certified "
            f"{judged.certified} partial {judged.partial} failure {judged.failure} refusal {judged.refusal}"
        )
        for piece in judged.pieces:
            self.say(f"    piece {', '.join(self.words.fields(piece)[:-4])}")
            self.say(
                f"      quorum {piece.quorum} believable {piece.believable} named {dict(piece.refusals)}"
            )
            self.say(f"      {self.words(piece.members)}")
        for violation in judged.violations:
            self.say(f"    here {self.words(violation)}")

    def end(self, run: OpenRun) -> None:
        end = run.end(wait=3.0).result(0)
        self.say(f"end {run.run}: {end.code!r} refusal {end.refusal} {self.words(end.place)}")

    def standing(self) -> None:
        figures = self.events.figures()
        self.say(f"live {self.events.live()} offered {self.words(self.events.offered())}")
        self.say(f"  figures {self.words(figures)}")
        for member in self.gateway.present.members:
            asked, lost = figures.asked(member.id), figures.failed(member.id)
            self.say(f"  {member.id} asked {asked} failed {lost}")
        for evidence in self.events.evidence():
            self.say(f"  evidence {self.words(evidence)}")
        judges = [(judge.votes, judge.abstentions) for judge in self.events.judges]
        self.say(f"  votes and abstentions {judges}, time {self.events.time / 1e9:g} s")

    def raises(self, what: Any, *given: Any, **more: Any) -> None:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - its name and sentence are told
            what(*given, **more)
        self.say(f"raises {self.words(raised.value)[:300]}")


def test_honest_runs(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each algorithm, refused events, several pieces, records once a second, places."""
    story = Story(monkeypatch)
    for name, promise in story.events.promises().items():
        story.say(f"promise {name}: {story.words(promise)}")
    for algorithm in (None, Algorithm.MAJORITY, Algorithm.UNANIMOUS, Algorithm.PBFT):
        story.say(f"rule {algorithm}: {story.words(story.events.rule(algorithm))}")
    story.chapter("A run by each algorithm, with a refused event")
    for algorithm in (Algorithm.MAJORITY, Algorithm.UNANIMOUS, Algorithm.PBFT):
        run = story.begin("thread", algorithm.value, algorithm=algorithm)
        story.judge(run, START, TEXT)
        story.judge(run, OPEN, b"not json", b'{"type":"UNHEARD_OF"}')
        story.end(run)
    story.chapter("Unknown types are dropped; the log is left alone")
    run = story.begin("other", "r", drop_unknown=True, recorded=False, actor="proxy", event="agents")
    story.judge(run, START, b'{"type":"UNHEARD_OF"}')
    story.end(run)
    _records(story)
    _places(story)
    story.standing()
    golden(GOLDEN / "honest-runs.txt", story.text)


def _records(story: Story) -> None:
    story.chapter("Small chunks are recorded once a second as one, large ones alone")
    run = story.begin("records", "r", event="agents")
    for text in RUN[:3]:
        story.judge(run, text)
    story.events.time += EVERY
    story.events.attend()
    story.judge(run, *[TEXT] * 300)
    story.judge(run, CLOSE)
    story.say(f"place {story.words(run.place)}")
    story.judge(run, END)
    story.end(run)


def _places(story: Story) -> None:
    story.chapter("Another process continues a run, or records it a second time")
    first = story.begin("places", "r")
    story.judge(first, *RUN[:2])
    story.end(first)
    second = story.begin("places", "r", place=first.place, recorded=False)
    story.judge(second, *RUN[2:])
    story.end(second)
    again = story.begin("places", "r")
    story.judge(again, *RUN)
    story.end(again)
    story.raises(story.events.begin, "places", "x", place=RunPlace(0, b"\x00", bytes(32)))


def test_runs_among_liars(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """False votes of one and of two members, both ways, changed bytes, members that are gone."""
    story = Story(monkeypatch)
    for title, members, more in (
        ("One member lies", (1,), {}),
        ("Two members lie alike", (1, 3), {}),
        ("Two members refuse the second event", (0, 2), {"errors": ((1, "NOT_SO"),)}),
        ("One member votes both ways", (3,), {"also_honest": True}),
    ):
        story.chapter(title)
        falsely(story.gateway, *members, **more)  # type: ignore[arg-type]
        for algorithm in (Algorithm.MAJORITY, Algorithm.UNANIMOUS, Algorithm.PBFT):
            run = story.begin(title, algorithm.value, algorithm=algorithm)
            story.judge(run, START, OPEN, TEXT)
            story.end(run)
    _junk(story)
    _gone(story)
    story.standing()
    golden(GOLDEN / "lied-runs.txt", story.text)


def _junk(story: Story) -> None:
    story.chapter("A member answers with changed bytes")

    def changed(member: int, body: bytes) -> list[bytes]:
        return [body] if member else [body[:40] + bytes([body[40] ^ 1]) + body[41:], b"", body[:-1]]

    story.events.changed = changed
    for algorithm in (Algorithm.UNANIMOUS, Algorithm.PBFT):
        run = story.begin("junk", algorithm.value, algorithm=algorithm)
        story.judge(run, START, wait=0.3)
        story.end(run)
    story.events.changed = lambda _member, body: [body]


def _gone(story: Story) -> None:
    story.chapter("Members are gone, and come back")
    run = story.begin("gone", "r", event="agents")
    for gone in ({3}, {1, 2}, {0, 1, 2, 3}, {0}):
        story.events.down = frozenset(gone)
        story.say(f"down {sorted(gone)}")
        story.judge(run, START if run.position == 0 else TEXT, OPEN)
    story.events.down = frozenset()
    story.chapter("The same salts a second time, with another vote of a member")
    salts = [bytes(16), b"\x01" * 16]
    other = story.begin("gone", "s")
    story.events.down = frozenset({2, 3})
    story.judge(other, START, OPEN, salts=salts)
    story.events.down = frozenset()
    falsely(story.gateway, 1)
    story.judge(other, START, OPEN, salts=salts)
    story.events.changed = lambda _member, body: [body]
    story.end(other)
    story.chapter("A member without the state")
    lost = FakeGateway(story.gateway.genesis, principal="gateway").events.judges[2]
    story.events.judges[2] = lost
    story.judge(run, TEXT, CLOSE)
    story.say(f"  the new judge voted {lost.votes}, abstained {lost.abstentions}")
    story.end(run)


def test_records_in_trouble(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes of records that are lost, refused, passing; what is refused at once; what is closed."""
    story = Story(monkeypatch)
    _lost(story)
    _outcomes(story)
    _refused(story)
    story.standing()
    story.chapter("The gateway closes")
    run = story.begin("closes", "r")
    story.events.rests = True
    waiting = story.judge(run, START)
    ended = run.end()
    story.gateway.close()
    for future in (waiting, ended):
        story.say(f"  {story.words(future.exception(0))}")
    story.raises(run.judge, [OPEN])
    story.raises(story.events.begin, "t", "r")
    golden(GOLDEN / "record-trouble.txt", story.text)


def _lost(story: Story) -> None:
    story.chapter("Outcomes are lost, or nothing can be sent")
    run = story.begin("lost", "r")
    story.gateway.mute = True
    story.judge(run, START, OPEN, *[TEXT] * 300)
    story.events.time += EVERY
    story.events.attend()
    story.gateway.mute = False
    story.judge(run, CLOSE)
    story.end(run)
    run = story.begin("lost", "s")
    story.gateway.quorum = False
    story.judge(run, START)
    story.events.time += EVERY
    story.events.attend()
    story.gateway.quorum = True
    story.end(run)
    for trouble in ("mute", "full"):
        run = story.begin("lost", trouble)
        story.judge(run, START)
        setattr(story.gateway, trouble, True)
        story.end(run)
        setattr(story.gateway, trouble, False)


def _outcomes(story: Story) -> None:
    story.chapter("Each outcome of a record")
    submit = story.gateway.submit
    for code in (
        "busy",
        "expired",
        "too_far_ahead",
        "wrong_epoch",
        "not_next",
        "not_permitted",
        "full",
        "malformed",
    ):
        answers = [code]

        def answered(
            operations: Any, *, wait: float = 5.0, answers: list[str] = answers
        ) -> Future[tuple[Result, ...]]:
            if not answers:
                return submit(operations, wait=wait)
            future: Future[tuple[Result, ...]] = Future()
            future.set_result((Result(answers.pop()),) * len(operations))
            return future

        run = story.begin("outcomes", code)
        story.judge(run, START, OPEN)
        story.gateway.submit = answered  # type: ignore[method-assign]
        story.events._submit_operations = answered
        story.events.time += EVERY
        story.events.attend()
        story.judge(run, CLOSE)
        story.end(run)
        story.say(f"  final {code in RUN_REFUSED}")
    story.events._submit_operations = submit


def _refused(story: Story) -> None:
    story.chapter("What cannot be judged is refused at once")
    events = story.events
    story.raises(events.begin, "thread", "run", algorithm=Algorithm.RAFT)
    for names in (("", "run"), ("thread", ""), ("t" * 1_025, "run"), ("thread", "r" * 1_025)):
        story.raises(events.begin, *names)
    run = story.begin("t" * 3, "run")
    story.raises(events.begin, "t" * 3, "run")
    for texts in ([], [START] * 4_097, [b"x" * (1024 * 1024 + 1)]):
        story.raises(run.judge, texts)
    for salts in ([b"short"], [bytes(16)] * 2):
        story.raises(run.judge, [START], salts=salts)
    story.judge(run, START, b"x" * (1024 * 1024))
    story.end(run)
    story.raises(run.judge, [START])
    story.say(f"the same end: {run.end() is run.end()}")
