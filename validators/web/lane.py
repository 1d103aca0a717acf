"""Calls that seldom wait run in one thread; while that one waits, another takes over.

Threads that compute at the same time share the interpreter's lock: eight of them answer no more reads than
one, with 17 switches a read instead of two and a third more processor time. For the same reason the event
loop is woken once for the results of calls in a row: when no call is left, or when the thread waits.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

STALLED = 0.005
"""Seconds without the end of a call after which another thread takes over from one that did not
`step_aside`, if calls wait."""

_own = threading.local()
"""`turn`: the lane that this thread leads, and the number of its turn."""


class Lane:
    """At most `threads_max` threads, of which one leads: it makes the calls in order. A thread whose turn is
    over makes no call after its present one (one that waits for a call makes that) before its next turn."""

    def __init__(self, threads_max: int, name: str) -> None:
        self._threads_max = threads_max
        self._name = name
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._turns: SimpleQueue[int] = SimpleQueue()
        """At most one, for the thread that leads next."""
        self._lock = threading.Lock()
        self._turn = self._threads = self._parked = 0
        self._ended = 0
        """Changes with the end of each call."""
        self._watched = False
        self._results = _Results(None)

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Make the call in a context of its own: a thread keeps nothing of a request. For the event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._results.loop:
            self._results = _Results(loop)
        future: asyncio.Future[Any] = loop.create_future()
        if not self._threads:
            self.pass_on(self._turn)
        self._calls.put(_Call(self._results, future, function, arguments))
        if not self._watched:
            self._watch(loop)
        return future

    def pass_on(self, turn: int) -> None:
        """Let another thread lead, unless this turn is over anyway."""
        self._results.tell()
        with self._lock:
            if turn != self._turn:
                return
            self._turn += 1
            self._turns.put(self._turn)
            if self._parked:
                self._parked -= 1
            elif self._threads < self._threads_max:
                name = f"{self._name}_{self._threads}"
                self._threads += 1
                threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            turn = self._turns.get()
            _own.turn = self, turn
            while turn == self._turn:
                self._calls.get().make()
                self._ended += 1
                if self._calls.empty() or turn != self._turn:
                    self._results.tell()
            with self._lock:
                self._parked += 1

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watched = True
        loop.call_later(STALLED, self._look, loop, self._turn, self._ended)

    def _look(self, loop: asyncio.AbstractEventLoop, turn: int, ended: int) -> None:
        self._watched = False
        # Read first: if a thread takes the last call meanwhile, only another look delivers the result before.
        waits = not self._calls.empty()
        self._results.deliver()
        if waits:
            if ended == self._ended:
                self.pass_on(turn)
            self._watch(loop)


def step_aside() -> None:
    """Called before a wait for others: if this thread leads a lane, another one does so from now on."""
    lane, turn = getattr(_own, "turn", (None, 0))
    if lane is not None:
        lane.pass_on(turn)


class _Results:
    """Carries results from threads into an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self._ended: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._told = False

    def put(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._ended.append((future, result, error))

    def tell(self) -> None:
        """Wake the loop if there are results. While calls wait, `Lane._look` delivers them too."""
        if self._ended and not self._told and self.loop is not None:
            self._told = True
            self.loop.call_soon_threadsafe(self.deliver)

    def deliver(self) -> None:
        """Set the futures whose calls have ended. Called in the event loop."""
        self._told = False  # first: a result that comes later wakes the loop again
        while self._ended:
            future, result, error = self._ended.popleft()
            if future.cancelled():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


class _Call:
    """A call, and where its result goes."""

    def __init__(
        self,
        results: _Results,
        future: asyncio.Future[Any],
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> None:
        self._results = results
        self._future = future
        self._function = function
        self._arguments = arguments
        self._context = contextvars.copy_context()

    def make(self) -> None:
        if self._future.cancelled():
            return
        result, failure = None, None
        try:
            result = self._context.run(self._function, *self._arguments)
        except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
            failure = error
        self._results.put(self._future, result, failure)
