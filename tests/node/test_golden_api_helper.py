"""The node's side of its API, around a helper that does what a script says: ports, messages, silences, ends
and restarts, and what the node and its operators hear of them."""

from __future__ import annotations

import errno
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtvn.node import api_helper
from dtvn.node.api_channel import Answered, Counted, Message, Setup, Status
from dtvn.node.api_helper import ApiHelper, RestartPause
from dtvn.node.options import ApiOptions, StartError
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"
SERVED = Counted((), 1)


class Lines(logging.Handler):
    def __init__(self, play: Play) -> None:
        super().__init__()
        self._play = play

    def emit(self, record: logging.LogRecord) -> None:
        self._play.say(f"log {record.levelname}: {record.getMessage()}")


class Process:
    """A helper's process, which ends with a code, or only when it is killed."""

    def __init__(self, play: Play, code: int, *, hangs: bool) -> None:
        self._play, self._code, self._hangs = play, code, hangs
        self.ended = False

    def poll(self) -> int | None:
        return self._code if self.ended else None

    def wait(self, timeout: float | None = None) -> int:
        self._play.say(f"waits {timeout} s for its end")
        if self._hangs:
            raise subprocess.TimeoutExpired("helper", timeout or 0)
        self.ended = True
        return self._code

    def kill(self) -> None:
        self._play.say("kills the helper")
        self._code, self._hangs, self.ended = -9, False, True


class Channel:
    """The node's end, over which a helper says what a script holds, None for a silence."""

    def __init__(self, play: Play, said: Iterator[Message | float | None]) -> None:
        self._play, self._said = play, said

    def send(self, message: Message) -> bool:
        what = message.fields if isinstance(message, Status) else ""
        self._play.say(f"sends {type(message).__name__} {what}".rstrip())
        return True

    def listen(self, patience: float) -> Iterator[Message | None]:
        self._play.say(f"listens, {patience:g} s at a time")
        for said in self._said:
            if isinstance(said, float):
                self._play.now += said
                continue
            yield said
            self._play.say(f"heard {'nothing' if said is None else 'of the helper'}; {self._play.figures()}")

    def close(self) -> None:
        self._play.say("closes the channel")


class Play(Telling):
    """A port that is taken or free, helpers that are started one after the other, and the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.now = 1_000.0
        self.ports: Iterator[Any] = iter(())
        self.helpers: Iterator[tuple[int, bool, list[Any]] | OSError] = iter(())
        self.logger = logging.Logger("api", logging.INFO)
        self.logger.addHandler(Lines(self))
        self.api: ApiHelper
        self.hung_up = False
        self._ends: list[Channel] = []
        thread = SimpleNamespace(
            start=lambda: self.say("its thread starts"),
            join=lambda seconds: self.say(f"waits {seconds} s for its thread"),
        )
        threading = SimpleNamespace(
            Lock=api_helper.threading.Lock,  # type: ignore[attr-defined]
            Event=lambda: self._event(),
            Thread=lambda **_named: thread,
        )
        monkeypatch.setattr(api_helper, "threading", threading)
        monkeypatch.setattr(api_helper, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(api_helper, "_listen", self._listen)
        monkeypatch.setattr(api_helper, "start_helper", self._start)
        monkeypatch.setattr(api_helper, "Channel", lambda end: (end.close(), self._ends.pop(0))[1])

    def _event(self) -> Any:
        is_set = [False]

        def wait(seconds: float) -> bool:
            self.say(f"pauses {seconds:g} s")
            self.now += seconds
            return is_set[0]

        def close() -> None:
            is_set[0] = True

        return SimpleNamespace(wait=wait, set=close, is_set=lambda: is_set[0])

    def _listen(self, options: ApiOptions, wait: float) -> Any:
        self.say(f"listens on {options.host}:{options.port}, waits {wait:g} s")
        found = next(self.ports)
        if isinstance(found, OSError):
            raise StartError(f"Cannot serve the API: {found.strerror}.") from found
        return SimpleNamespace(getsockname=lambda: found, close=self._close_listener)

    def _close_listener(self) -> None:
        self.say("closes the port")

    def _start(self, _theirs: Any, _listener: Any) -> Process:
        assert isinstance(self._next, tuple)
        code, hangs, _said = self._next
        self.say("starts a helper")
        return Process(self, code, hangs=hangs)

    def figures(self) -> str:
        api = self.api
        return f"trouble {api.trouble!r}, {api.figures.sockets._value.get():g} sockets"

    def begin(self, *ports: Any, needed: bool = False, port: int = 80) -> None:
        self.ports = iter(ports)
        setup = Setup("node0", "folder", "ledger", "", "", ApiOptions(port, needed=needed))
        self.api = ApiHelper(setup, self.logger)
        self.say(f"address {self.api.address}, trouble {self.api.trouble!r}")

    def run(self, *helpers: tuple[int, bool, list[Any]] | OSError) -> None:
        """One life of its thread; it is asked to close when no helper is left."""
        self._next: tuple[int, bool, list[Any]] | OSError
        left = iter(helpers)
        real = self.api._run

        def run() -> int:
            following = next(left, None)
            if following is None:
                self.api._closing.set()
                self._next = (0, False, [])
            else:
                self._next = following
            if isinstance(self._next, OSError):
                raise self._next
            self._ends = [Channel(self, iter(self._next[2]))]
            return real()

        self.api._run = run  # type: ignore[method-assign]
        self.api._keep()

    def counted(self) -> None:
        for family in self.api.figures.registry.collect():
            for sample in family.samples:
                if not sample.name.endswith(("_created", "_bucket")):
                    self.say(f"  {sample.name}{{{','.join(sample.labels.values())}}} {sample.value:g}")


def test_a_helpers_lives(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    play = Play(monkeypatch)
    taken, other = OSError(errno.EADDRINUSE, "Address in use"), OSError(errno.EACCES, "Not allowed")
    play.chapter("Its port is taken at first")
    play.begin(taken, taken, other, ("::1", 81, 0, 0))
    play.api.publish({"view": 1})
    play.run(
        (0, False, [None, SERVED, None, None, None, None, None, Counted((), 2), 70.0]),
        (-15, False, [SERVED]),
        (1, False, []),
        (-9, True, [SERVED, *([None] * 10)]),
        OSError(errno.EMFILE, "Too many open files"),
        (3, False, [None] * 61),
    )
    play.chapter("It answers, and says what went wrong")
    play.begin(("127.0.0.1", 82))
    answers = (
        Answered("GET", "/health", 200, 0.25, "/health"),
        Answered("BREW", "/api/v1/tickets/{id}", 500, 1.5, "/api/v1/tickets/T", unforeseen=True),
        Answered("POST", "/api/v1/tickets/validate", 409, 0.1, "/x", nonce="n", sequence=7),
    )
    play.run((0, False, [Counted(answers, 3, 2), Counted((), 1, 1)]))
    play.counted()
    golden(GOLDEN / "api-helper.txt", play.text)


def test_a_helpers_end(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    play = Play(monkeypatch)
    play.chapter("A port that the operator asked for is needed")
    try:
        play.begin(OSError(errno.EADDRINUSE, "Address in use"), needed=True)
    except StartError as error:
        play.say(f"! {error}")
    play.begin(("127.0.0.1", 82), needed=True)
    play.chapter("It is asked to end, and does within three seconds")
    process = Process(play, 0, hangs=False)
    play.api._process, play.api._channel = cast(Any, process), cast(Any, Channel(play, iter(())))
    play.api.publish({"view": 2})
    for seconds in (0.0, 1.0, 2.0, 0.5):
        play.now += seconds
        play.say(f"drained {play.api.drained()}")
    play.now = 1_000.0
    process.ended = True
    play.say(f"drained {play.api.drained()}")
    play.api.close()
    play.chapter("It is ended at once")
    play.begin(("127.0.0.1", 82))
    play.api._process = cast(Any, Process(play, 0, hangs=True))
    play.api.close()
    play.chapter("It never began")
    play.begin(OSError(errno.EADDRINUSE, "Address in use"))
    play.say(f"drained {play.api.drained()}")
    play.api.close()
    play.run()
    play.chapter("Pauses before restarts")
    for steps in (
        [(1.0, False)] * 11,
        [(1.0, True)] * 5,
        [(1.0, False), (59.9, False), (60.0, False), (1.0, False), (1.0, True), (1.0, False)],
    ):
        pause = RestartPause()
        play.say(f"{[round(pause.after(lived, served=served), 3) for lived, served in steps]}")
    golden(GOLDEN / "api-helper-ends.txt", play.text)
