"""The main loop around a process that does what a script says: every call that it makes, in order, when turns
are lost, the disk is full, certificates exclude each other, epochs end and starts fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtvn.ledger import LedgerBusy, LedgerError, LedgerUnreachable
from dtvn.node import run
from dtvn.node.heart import Heart
from dtvn.node.options import StartError
from dtvn.node.process import Process
from dtvn.protocol.consensus import InvariantBreach
from dtvn.protocol.consensus.effects import Successor
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.host import INBOUND_MAX, EpochOver, Halted, Installed, TurnLost
from dtvn.protocol.host.ports import JournalError, JournalFenced, JournalFull
from tests.golden import Compare, Telling
from tests.host.support import make_genesis

GOLDEN = Path(__file__).parent / "golden"
SECOND = 1_000_000_000
Did = int | BaseException
"""What a turn does: the messages that it takes, or what it raises."""


def lost(cause: BaseException, text: str = "the turn was lost") -> TurnLost:
    made = TurnLost(text)
    made.__cause__ = cause
    return made


def over() -> TurnLost:
    return lost(EpochOver(Successor(founding(make_genesis(4)), ("inherited",))))  # type: ignore[arg-type]


class Lines(logging.Handler):
    def __init__(self, play: Play) -> None:
        super().__init__()
        self._play = play

    def emit(self, record: logging.LogRecord) -> None:
        trace = " with its traceback" if record.exc_info else ""
        self._play.say(f"log {record.levelname}: {record.getMessage()}{trace}")


class Play(Telling):
    """A process, its parts and the clock, as the loop sees them."""

    def __init__(self, *turns: Did, starts: tuple[BaseException | None, ...] = ()) -> None:
        super().__init__()
        self.now = 100 * SECOND
        self.turns = iter(turns)
        self.starts = iter(starts)
        self.waits: list[float] = []
        """Seconds that each wait takes; the last one for ever."""
        self.room: Iterator[bool] = iter(())
        self.wake: int | None = None
        self.stopped = False
        self.executed = 7
        self.disk_full = False
        self.halted = ""
        self.logger = logging.Logger("loop", logging.INFO)
        self.logger.addHandler(Lines(self))
        self.journal = SimpleNamespace(alive=None)
        self.links = SimpleNamespace(wait=self._wait)
        self.host = SimpleNamespace(
            wake_at=lambda: self.wake, turn=self._turn, stand_by=lambda: self.say("stands by")
        )
        self.ledger = SimpleNamespace(
            maintain=lambda: self.say("maintains the ledger"),
            check_older=lambda: self.say("checks the ledger"),
            takes_writes=self._takes_writes,
        )

    def _wait(self, timeout: int) -> None:
        seconds = self.waits.pop(0) if self.waits else timeout / 1e9
        self.now += int(seconds * 1e9)
        self.say(f"waits {timeout / 1e6:g} ms; it is {self.now / 1e9:g}")

    def _turn(self) -> int:
        did = next(self.turns, None)
        if did is None:
            self.stopped = True
            did = 0
        self.say(f"turn: {did!r}")
        if isinstance(did, BaseException):
            raise did
        return did

    def _takes_writes(self) -> bool:
        found = next(self.room, True)
        self.say(f"takes writes: {found}")
        return bool(found)

    def start(self) -> None:
        self.say("starts")
        if (error := next(self.starts, None)) is not None:
            raise error

    def restart(self) -> None:
        self.say("starts anew")
        if (error := next(self.starts, None)) is not None:
            raise error

    def introduce(self) -> None:
        self.say("introduces itself")

    def brief(self) -> dict[str, Any]:
        return {"disk_full": self.disk_full, "halted": self.halted}

    def give_way(self) -> None:
        self.say("gives way")

    def publish(self) -> None:
        self.say("publishes")

    def refresh(self) -> None:
        self.say("refreshes")

    def hand_over(self) -> Any:
        self.say("hands over")
        return SimpleNamespace(close=lambda: self.say("closes what was carried"))

    def close(self) -> None:
        self.say("closes")


@pytest.fixture(autouse=True)
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Play]:
    """Makes the play of the one process of a test; the clock is its."""

    def make(*turns: Did, starts: tuple[BaseException | None, ...] = ()) -> Play:
        made = Play(*turns, starts=starts)
        monkeypatch.setattr(run, "time", SimpleNamespace(monotonic_ns=lambda: made.now))
        return made

    return make


def looped(told: Telling, title: str, made: Play, *, carried: bool = False, stop_after: int = 0) -> None:
    """Run the loop, and tell all of it; `stop_after`: it is asked to stop when asked so often."""
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return made.stopped or bool(stop_after and asked >= stop_after)

    heart = Heart(lambda report: made.say(f"beats {dict(report)}"), now=lambda: made.now)
    loop = run.Loop(cast(Process, made), should_stop, heart, carried=carried)
    made.say(f"the journal's alive is the heart's: {made.journal.alive == heart.alive}")
    code = loop.run()
    made.say(f"exit {code}, successor {loop.successor and loop.successor.bundles}")
    told.chapter(title)
    told.lines += made.lines


def test_turns(golden: Compare, play: Callable[..., Play]) -> None:
    told = Telling()
    made = play(0, 5, INBOUND_MAX, INBOUND_MAX - 1, 0, 0)
    made.waits = [0.05, 0.1, 0.2, 1.2, 0.0]
    looped(told, "Turns, idle and busy", made)
    made = play(0, 3, 0)
    made.wake = made.now + SECOND // 10
    looped(told, "A deadline is near, then past", made)
    made = play(INBOUND_MAX, 5, 5, 0, 0, 0, 0)
    made.waits = [10, 9, 1, 1, 250, 40, 1]
    looped(told, "Maintenance waits for idle turns", made, carried=True)
    golden(GOLDEN / "loop-turns.txt", told.text)


def test_lost_turns(golden: Compare, play: Callable[..., Play]) -> None:
    told = Telling()
    bug = lost(RuntimeError("a bug"))
    looped(told, "A step raised", play(1, bug, 1))
    looped(told, "Four times within a minute", play(bug, bug, bug, bug))
    made = play(bug, bug, bug, bug, 0)
    made.waits = [0, 30, 29, 1]
    looped(told, "Four times in a minute and a moment", made)
    looped(told, "An invariant is broken", play(lost(InvariantBreach("votes contradict"))))
    looped(told, "A snapshot was installed", play(lost(Installed(40)), 0))
    looped(told, "A write failed", play(lost(JournalError("The disk failed."))))
    looped(told, "Another process owns the ledger", play(lost(JournalFenced("Fenced."))))
    looped(told, "The epoch is over", play(over()))
    looped(told, "At the start it is over", play(starts=(over(),)), carried=True)
    looped(told, "The start fails", play(starts=(lost(JournalError("Damaged.")),)))
    looped(told, "Another process owns it", play(starts=(lost(JournalFenced("Fenced.")),)))
    looped(told, "The start raises", play(starts=(lost(RuntimeError("a bug")),)))
    looped(told, "The start finds another error", play(starts=(JournalError("Cannot be read."),)))
    looped(told, "The second start raises", play(bug, 0, starts=(None, lost(RuntimeError("again")))))
    golden(GOLDEN / "loop-lost-turns.txt", told.text)


def test_only_reports(golden: Compare, play: Callable[..., Play]) -> None:
    told = Telling()
    made = play(lost(JournalFull("No space left.")), 0)
    made.room = iter((False, True))
    looped(told, "The disk is full for two seconds", made)
    looped(told, "It is asked to stop meanwhile", play(lost(JournalFull("No space left."))), stop_after=9)
    looped(told, "Full at the start", play(0, starts=(lost(JournalFull("No space left.")),)))
    looped(told, "Full when it starts anew", play(JournalFull("Not read."), 0))
    looped(told, "It stands", play(lost(Halted("two commits differ"))), stop_after=9)
    looped(told, "At the start", play(starts=(lost(Halted("two commits differ")),)), stop_after=4)
    golden(GOLDEN / "loop-only-reports.txt", told.text)


# --- one process after the other -------------------------------------------------------------------


def lived(told: Telling, title: str, made: Play, *builds: Any, stop: bool = False) -> None:
    """Processes of one life after the other: each is built, or that fails."""
    parts = iter(builds)

    def build(inherited: Any, carried: Any) -> Any:
        made.say(f"builds with {inherited}, carried {carried is not None}")
        part = next(parts)
        if isinstance(part, BaseException):
            raise part
        made.turns, made.starts, made.stopped = iter(part), iter(()), False
        return made

    def once_free(inherited: Any, carried: Any) -> Any:
        return run._once_free(lambda: build(inherited, carried), 0, lambda: stop)

    made.say(f"exit {run._live(once_free, lambda: made.stopped, None, made.logger)}")
    told.chapter(title)
    told.lines += made.lines


def test_lives(golden: Compare, play: Callable[..., Play], monkeypatch: pytest.MonkeyPatch) -> None:
    told = Telling()
    lived(told, "Two epochs, then it stops", play(), (0, over()), (over(),), (0,))
    lived(told, "The second process cannot be built", play(), (over(),), StartError("No port."))
    for error in (
        StartError("No key."),
        LedgerError("Foreign."),
        LedgerUnreachable("No answer."),
        LedgerBusy("Held."),
        JournalFull("No space."),
        JournalError("Damaged."),
    ):
        lived(told, f"It cannot be built: {type(error).__name__}", play(), error)
    lived(told, "Told to stop while it waits for the ledger", play(), LedgerBusy("Held."), stop=True)
    made = play()

    def close() -> None:
        made.say("closes")
        raise lost(JournalFull("No space left."), "rows")

    monkeypatch.setattr(made, "close", close)
    lived(told, "Its rows cannot be written at its end", made, (0,))
    with pytest.raises(KeyError):
        lived(told, "A mistake", play(), (over(),), KeyError("x"))
    golden(GOLDEN / "loop-lives.txt", told.text)
