"""The thread that has owed runs judged, one after the other, at a bounded pace: of a program, whose runs are
in a queue of its own, and of a web process, whose runs are rows that others write too."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Protocol

from dtvn.gateway.events_face import RunIsLive

LOOK = 0.2
"""Seconds between two looks whether a quorum is reached, while something is owed."""
IDLE = 1.0
"""The same, where others may add runs, while none waits."""
PACE = 0.1
"""Least seconds between two owed runs: what happens now comes first."""
AGAIN_MAX = 30.0
"""Most seconds until a run is tried again that got no verdict; the pause doubles from LOOK."""

logger = logging.getLogger(__name__)


class OwedStore(Protocol):
    """Runs for which the members owe a judgement, by ids that grow in the order in which they came."""

    @property
    def shared(self) -> bool:
        """Whether other processes add runs too, so that it must be looked into."""

    def next_waiting(self, after: int) -> int | None:
        """The first waiting run with an id above `after`; None without one."""

    def has_waiting(self) -> bool:
        """Whether any waits."""


class Settler:
    """Runs `settle` for the waiting runs of a store, in order, in a thread that begins with `wake`."""

    def __init__(
        self,
        store: OwedStore,
        reaches_quorum: Callable[[], bool],
        settle: Callable[[int], bool],
        on_all_settled: Callable[[], object] = lambda: None,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        """`settle`: has the run with this id judged; returns whether it waits no more. It raises RunIsLive
        while somebody writes the run, and whatever else ended the attempt. `on_all_settled`: called in the
        thread each time that the last one was settled; `before`: before each turn."""
        self._store = store
        self._reaches_quorum = reaches_quorum
        self._settle = settle
        self._on_all_settled = on_all_settled
        self._before = before
        self._guard = threading.Lock()
        self._woken = threading.Event()
        self._asked: dict[int, Future[bool]] = {}
        """Runs that a caller waits for: they are first."""
        self._after = 0
        """Id of the newest run that was passed over: somebody writes it, or it got no verdict. One that never
        gets one keeps no other waiting."""
        self._pause = LOOK
        self._thread: threading.Thread | None = None
        self._stopping = False
        self.ended: Future[None] = Future()
        """Done when the thread has ended after `stop`."""

    def wake(self) -> None:
        """Something is owed."""
        with self._guard:
            self._woken.set()
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._work, name="owed", daemon=True)
                self._thread.start()

    def hurry(self, number: int) -> Future[bool]:
        """Try this run next; the future has what `settle` returns or raises."""
        with self._guard:
            asked = self._asked.setdefault(number, Future())
        if self._stopping:
            _tell(asked, TimeoutError("the validator was stopped"))
        self.wake()
        return asked

    def stop(self) -> None:
        """End the thread after the run that it is at; see `ended`."""
        with self._guard:
            self._stopping = True
            self._woken.set()
            if self._thread is None:
                self._end()

    def _work(self) -> None:
        pause: float | None = 0.0
        while not self._stopping:
            self._woken.wait(pause)
            self._woken.clear()
            if not self._stopping:
                self._before()
                pause = self.turn()
        self._end()

    def _end(self) -> None:
        for asked in self._asked.values():
            _tell(asked, TimeoutError("the validator was stopped"))
        with suppress(InvalidStateError):
            self.ended.set_result(None)

    def turn(self) -> float | None:
        """Try one run. Returns the seconds until the next; None: until something is owed."""
        with self._guard:
            number = next(iter(self._asked), None)
            asked = None if number is None else self._asked.pop(number)
        try:
            if number is None:
                number = self._store.next_waiting(self._after)
            if number is not None:
                return self._try(number, asked)
            self._after = 0
            if self._store.has_waiting():
                return LOOK
        except Exception:
            logger.exception("owed runs cannot be looked for now")
            return self._longer()
        return IDLE if self._store.shared else None

    def _try(self, number: int, asked: Future[bool] | None) -> float:
        try:
            if not self._reaches_quorum():
                _tell(asked, TimeoutError("too few members are reached to decide"))
                return LOOK
            settled = self._settle(number)
        except RunIsLive as error:
            self._after = number
            _tell(asked, error)
            return PACE
        except Exception as error:  # noqa: BLE001 - whatever it was, this run waits still
            _tell(asked, error)
            logger.info("an owed run was not judged, and is tried again: %s", error)
            self._after = number
            return self._longer()
        if not settled:
            self._after = number
            _tell(asked, False)
            return self._longer()
        self._pause = LOOK
        _tell(asked, True)
        if not self._store.has_waiting():
            self._on_all_settled()
        return PACE

    def _longer(self) -> float:
        pause, self._pause = self._pause, min(2 * self._pause, AGAIN_MAX)
        return pause


def _tell(asked: Future[bool] | None, outcome: bool | Exception) -> None:
    if asked is None:
        return
    with suppress(InvalidStateError):  # given up
        if isinstance(outcome, Exception):
            asked.set_exception(outcome)
        else:
            asked.set_result(outcome)
