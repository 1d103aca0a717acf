"""The parts of a collector, each told alone: connections, sessions, calls that wait, questions, estimates."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from dtvn.gateway import Completed, OperationTooLarge, Overloaded, Result
from dtvn.gateway.calls import Part, Queue
from dtvn.gateway.log_clock import LogClock
from dtvn.gateway.questions import REST_AFTER, STATUS_EVERY, Questions
from dtvn.gateway.reach import QUORUM_GRACE, Reach
from dtvn.gateway.round_trips import Latencies, Views
from dtvn.gateway.sessions import REOPEN_AFTER, SESSION_REST, Sessions
from dtvn.machine import reasons
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.sessions import WINDOW
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire.envelope import decode_envelope
from tests.gateway.support import CLIENT, MILLISECOND, SECOND, START, operation
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"


def at(elapsed: int) -> Now:
    """So many nanoseconds after the beginning."""
    return Now(monotonic=SECOND + elapsed, wall=START + elapsed)


# --- connections ------------------------------------------------------------------------------------


def test_reach(golden: Compare) -> None:
    told = Telling()
    for members, mode in ((4, Mode.PBFT), (5, Mode.RAFT)):
        told.chapter(f"{members} members, {mode.value}")
        reach = Reach(members, mode)
        for elapsed, connected in (
            (0, None),
            (QUORUM_GRACE - 1, None),
            (QUORUM_GRACE, None),
            (QUORUM_GRACE, {0, 1}),
            (QUORUM_GRACE + 5, {0, 1, 3}),
            (QUORUM_GRACE + 6, {1, 3, 2}),
            (QUORUM_GRACE + 9, {1}),
            (2 * QUORUM_GRACE, {2}),
            (2 * QUORUM_GRACE + 8, set()),
            (2 * QUORUM_GRACE + 9, None),
            (2 * QUORUM_GRACE + 10, {0, 1, 2, 3}),
            (4 * QUORUM_GRACE, None),
            (4 * QUORUM_GRACE, set()),
            (5 * QUORUM_GRACE, None),
        ):
            if connected is not None:
                lost, found = reach.change(frozenset(connected), elapsed)
                told.say(
                    f"{elapsed} connected {sorted(connected)}: lost {sorted(lost)} found {sorted(found)}"
                )
            due = reach.due()
            told.say(f"{elapsed} quorum {reach.has_quorum} due {due} lacks {reach.lacks(elapsed)}")
    golden(GOLDEN / "reach.txt", told.text)


# --- sessions ---------------------------------------------------------------------------------------


class ToldSessions(Telling):
    """The sessions of a principal, and all that they answer."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = Sessions("gateway", CLIENT)
        self.elapsed = 0

    def after(self, elapsed: int, what: str = "", *given: object) -> None:
        """Time goes by, something is noted, and everything is asked."""
        self.elapsed += elapsed
        now = at(self.elapsed)
        if what:
            more = (now,) if what in ("opened", "executed") else ()
            getattr(self.sessions, what)(*given, *more)
        session = self.sessions.usable(now)
        deadline = self.sessions.deadline()
        due = "never" if deadline is None else f"{(deadline - SECOND) / MILLISECOND:g}"
        usable = session and (
            f"{session.key} used {(session.used_at - SECOND) / MILLISECOND:g} next {session.next_number} "
            f"flying {len(session.pending)} from {next(iter(session.pending), None)}"
        )
        self.say(f"{self.elapsed / MILLISECOND:g} ms {what} {list(given)}: usable {usable} due {due}")

    def opens(self, elapsed: int = 0, request: bytes = b"") -> None:
        """A session is to be opened, by a bundle with this digest."""
        self.elapsed += elapsed
        made = self.sessions.to_open(at(self.elapsed))
        self.say(
            f"{self.elapsed / MILLISECOND:g} ms open: {made and (made.kind, made.actor, made.nonce.hex())}"
        )
        if request:
            self.sessions.opening(request)

    def takes(self, count: int = 1) -> None:
        """Numbers are taken."""
        session = self.sessions.usable(at(self.elapsed))
        assert session is not None
        for _number in range(count):
            told = session.take_number()
        self.say(f"  takes {count}, the last {told}, full {session.full}")


def test_sessions(golden: Compare) -> None:
    told = ToldSessions()
    told.chapter("Attempts, a second apart but once after a wrong date")
    told.after(0)
    told.opens(request=b"one")
    told.opens(REOPEN_AFTER)
    told.after(0, "ended", b"other", (0, 0), 0)
    told.after(0, "ended", b"one", (0, 0), 0)
    told.opens(request=b"two")
    told.after(MILLISECOND, "misdated", b"one")
    told.after(0, "misdated", b"two")
    told.after(0, "ended", b"two", (0, 0), 0)
    told.opens(request=b"three")
    told.after(MILLISECOND, "misdated", b"three")
    told.after(0, "ended", b"three", (0, 0), 0)
    told.opens(REOPEN_AFTER - MILLISECOND - 1)
    told.opens(1, request=b"four")
    told.after(MILLISECOND, "opened", b"three", (9, 9))
    told.after(MILLISECOND, "opened", b"four", (40, 2))
    told.after(0, "ended", b"four", (0, 0), 0)
    told.chapter("Numbers, in flight and done")
    told.takes(3)
    told.after(0, "ended", b"x", (40, 2), 1)
    told.after(0, "ended", b"x", (40, 1), 0)
    told.takes()
    told.after(0, "ended", b"x", (40, 2), 0)
    told.takes()
    told.after(SESSION_REST)
    told.after(0, "executed", (40, 1))
    for number in (2, 3, 4):
        told.after(0, "ended", b"x", (40, 2), number)
    told.chapter("A rest, an eviction, and a full window")
    for request, sequence in ((b"five", 50), (b"six", 60), (b"seven", 70)):
        told.opens(REOPEN_AFTER, request=request)
        told.after(0, "opened", request, (sequence, 0))
        told.after(0, "ended", request, (0, 0), 0)
        told.after(SESSION_REST - 1)
        told.after(0, "executed", (sequence, 0))
        told.after(SESSION_REST - 1)
        if sequence == 60:
            told.after(0, "leave", (50, 0))
            told.after(0, "leave", (60, 0))
    told.takes(WINDOW - 1)
    told.after(0, "ended", b"x", (70, 0), 5)
    told.takes()
    told.after(0)
    told.after(0, "misdated", b"seven")
    golden(GOLDEN / "sessions.txt", told.text)


# --- calls that wait --------------------------------------------------------------------------------

CODES = ("ok", "ok", "ok", "already_validated", "expired", "too_far_ahead", "busy", "wrong_epoch", "full")


class DrawnQueue(Telling):
    """A queue of calls to which things happen."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.drawn = random.Random(seed)
        self.queue = Queue(operations_max=40, bytes_max=4_000)
        self.flying: list[Part] = []
        self.left: list[Part] = []
        """Parts that were put back, whose answers may still come."""

    def step(self, now: int) -> None:
        what = self.drawn.choice(
            ("add", "gather", "gather", "settle", "settle", "settle", "back", "give", "time", "size")
        )
        getattr(self, f"_{what}")(now)
        unsent = [call.number for call in self.queue.unsent()]
        self.say(f"  waiting {len(self.queue)} unsent {unsent} due {self.queue.deadline()}")

    def _add(self, now: int) -> None:
        kind = "reconfigure" if self.drawn.random() < 0.1 else "validate"
        count = 1 if kind == "reconfigure" else self.drawn.choice((1, 1, 2, 5, 12))
        operations = tuple(
            operation(f"T{now}-{place}", kind=kind, valid=self.drawn.choice((9, 9, -START // SECOND)))
            for place in range(count)
        )
        try:
            call = self.queue.add(operations, now + self.drawn.choice((10, 60, 200)))
        except (Overloaded, OperationTooLarge) as error:
            self.say(f"{now} {count} refused: {type(error).__name__} {error}")
        else:
            self.say(f"{now} call {call.number} of {count}, {call.size} bytes, alone {call.alone}")

    def _gather(self, now: int) -> None:
        parts = self.queue.gather(self.drawn.choice((2, 6, 20)))
        self.flying += parts
        self.say(f"{now} gathered {[(p.call.number, p.start, p.count, p.sent) for p in parts]}")

    def _settle(self, now: int) -> None:
        parts = self.flying if self.drawn.random() < 0.8 or not self.left else self.left
        if parts:
            part = parts.pop(self.drawn.randrange(len(parts)))
            likely = CODES if self.drawn.random() < 0.5 else CODES[:3]
            codes = [self.drawn.choice(likely) for _operation in range(part.count)]
            done = self.queue.settle(part, [Result(code) for code in codes])
            self.say(f"{now} settled {part.call.number} from {part.start}: {codes}")
            self._completed(done)

    def _back(self, now: int) -> None:
        if self.flying:
            part = self.flying.pop(0)
            self.left.append(part)
            self.queue.put_back(part)
            self.say(f"{now} put back {part.call.number} from {part.start}")

    def _give(self, now: int) -> None:
        if self.flying and self.drawn.random() < 0.4:
            part = self.flying.pop(0)
            self.say(f"{now} given up {part.call.number}")
            code = (reasons.CLUSTER_CONTRADICTION,) if self.drawn.random() < 0.5 else ()
            self._completed(self.queue.give_up(part.call, *code))

    def _time(self, now: int) -> None:
        self.say(f"{now} overdue")
        for done in self.queue.overdue(now):
            self._completed(done)

    def _size(self, now: int) -> None:
        if self.drawn.random() < 0.3:
            size = self.drawn.choice((150, 400, 4_000))
            self.queue.resize(size)
            self.say(f"{now} a bundle holds {size} bytes")

    def _completed(self, done: Completed | None) -> None:
        if done is not None:
            self.say(f"  completed {done.call}: {[result.code for result in done.results]}")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_calls_that_wait(golden: Compare, seed: int) -> None:
    told = DrawnQueue(seed)
    for now in range(400):
        told.step(now)
    golden.drawn(GOLDEN / f"calls-{seed}.txt", told.text)


# --- questions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_questions_as_they_come(golden: Compare, seed: int) -> None:
    told, drawn = Telling(), random.Random(seed)
    questions = Questions(3, first=7, poll_at_rest=5 * STATUS_EVERY)
    open_to: list[tuple[int, int]] = []
    now = 0
    for _step in range(250):
        now += drawn.choice((1, STATUS_EVERY // 10, STATUS_EVERY // 2, STATUS_EVERY, REST_AFTER // 4))
        members = frozenset(member for member in range(3) if drawn.random() < 0.8)
        what = drawn.choice(("poll", "poll", "urgent", "ask", "answer", "answer", "answer", "end", "links"))
        told.say(f"{now / MILLISECOND:g} ms {what}")
        if what in ("poll", "urgent"):
            for member, frame in questions.poll(members, now, urgent=what == "urgent"):
                query = canonical.decode(m.Query, decode_envelope(frame)[0].body)
                told.say(f"  to {member}: {query}")
                open_to.append((member, query.number))
        elif what == "ask":
            asked = drawn.randrange(3)
            number, frame = questions.ask(asked, "ticket", ("a",), now, drawn.choice((1, 3)) * SECOND)
            told.say(f"  to {asked}: {number} {decode_envelope(frame)[1]}")
            open_to.append((asked, number))
        elif what == "answer" and open_to:
            member, number = open_to.pop(drawn.randrange(len(open_to)))
            said = m.Answer(number, drawn.choice(("", "", "", "busy")), _status_text(drawn))
            told.say(f"  {member} answers {said}: {questions.on_answer(member, canonical.encode(said), now)}")
        elif what == "end":
            told.say(f"  over: {questions.overdue(now)}")
        elif what == "links" and drawn.random() < 0.4:
            told.say(f"  lost {sorted(members)}: {questions.lost(members)}")
            questions.found(members)
        told.say(f"  due {questions.deadline() / MILLISECOND:g} ms polled {questions.polled}")
        for statuses in (questions.statuses, questions.settled):
            told.say(f"  {[msgspec.structs.astuple(status) for status in statuses]}")
    golden.drawn(GOLDEN / f"questions-{seed}.txt", told.text)


def _status_text(drawn: random.Random) -> str:
    values: tuple[Callable[[], object], ...] = (
        lambda: drawn.randrange(9),
        lambda: -1,
        lambda: True,
        lambda: "3",
        lambda: 1 << 63,
        lambda: (1 << 63) - 1,
    )
    fields = {name: drawn.choice(values)() for name in ("view", "sequence", "voting") if drawn.random() < 0.8}
    return drawn.choice(("", "[1]", "{")) if drawn.random() < 0.1 else msgspec.json.encode(fields).decode()


# --- estimates --------------------------------------------------------------------------------------


def test_estimates(golden: Compare) -> None:
    """Round trips, the believed view, log time: they decide when and where frames are sent."""
    told = Telling()
    told.chapter("Round trips")
    latencies = Latencies()
    drawn = random.Random(5)
    for number in range(330):
        if number % 31 == 0:
            pauses = [latencies.next_timeout(pause * MILLISECOND) for pause in (0, 150, 900)]
            told.say(f"{number}: first {latencies.first_timeout()} next {pauses}")
        latencies.add(drawn.choice((5, 20, 60)) * MILLISECOND if number < 250 else 300 * MILLISECOND)
    told.chapter("Views")
    for members, mode in ((4, Mode.PBFT), (7, Mode.PBFT), (5, Mode.RAFT)):
        views = Views(members, mode)
        for member, view in ((0, 3), (1, 2), (0, 1), (2, 9), (3, 2), (1, 6)):
            views.says(member, view)
            told.say(f"{members}: {member} says {view}, believed {views.believed()} by {views.primary()}")
    told.chapter("Log time")
    clock = LogClock()
    steps = ((0, 0), (SECOND, 0), (2 * SECOND, 5_000_000), (3 * SECOND, 4_000_000), (9, 7_000_000))
    for elapsed, verified in steps:
        if verified:
            clock.verified(verified, at(elapsed))
        now = at(elapsed + 10)
        ends = [clock.until(now, wait) for wait in (-5, 0, SECOND, 10_000 * SECOND)]
        left = [clock.left(now, until) for until in (0, 6_000_000, ends[1])]
        told.say(f"{elapsed}: newest {clock.newest} reads {clock.read(now)} until {ends} left {left}")
    golden(GOLDEN / "estimates.txt", told.text)
