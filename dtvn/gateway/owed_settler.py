"""The thread that has owed runs judged, one after the other, at a bounded pace."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from dtvn.gateway.events_face import RunIsLive
from dtvn.gateway.owed_queue import OwedQueue

LOOK = 0.2
"""Seconds between two looks whether a quorum is reached, while something is owed."""
PACE = 0.05
"""Least seconds between two owed runs: what happens now comes first."""
AGAIN_MAX = 30.0
"""Most seconds until a run is tried again that got no verdict; the pause doubles from LOOK."""

logger = logging.getLogger(__name__)


class Settler:
    """Runs `settle` for the waiting runs of a queue, in order, in a thread that lives while some wait."""

    def __init__(
        self,
        queue: OwedQueue,
        reaches_quorum: Callable[[], bool],
        settle: Callable[[int], bool],
        on_all_settled: Callable[[], None],
    ) -> None:
        """`settle`: has the run with this id judged; returns whether it waits no more, and raises what ended
        the attempt. `on_all_settled`: called in the thread each time that the last one was settled."""
        self._queue = queue
        self._reaches_quorum = reaches_quorum
        self._settle = settle
        self._on_all_settled = on_all_settled
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
        try:
            while not self._stopping:
                self._woken.wait(pause)
                self._woken.clear()
                if not self._stopping:
                    pause = self._turn()
        except Exception:
            logger.exception("owed runs are not judged any more until this validator is started again")
        finally:
            self._end()

    def _end(self) -> None:
        for asked in self._asked.values():
            _tell(asked, TimeoutError("the validator was stopped"))
        with suppress(InvalidStateError):
            self.ended.set_result(None)

    def _turn(self) -> float | None:
        """Try one run. Returns the seconds until the next; None: until something is owed."""
        with self._guard:
            number = next(iter(self._asked), 0)
            asked = self._asked.pop(number, None)
        if not number:
            owed = self._queue.next(self._after)
            if owed is None:
                self._after = 0
                return LOOK if self._queue.counts().runs else None
            number = owed.id
        return self._try(number, asked)

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
        if not self._queue.counts().runs:
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
