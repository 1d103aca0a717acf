"""At most one line a second of one kind: an outage is one trouble, however many requests meet it."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

INTERVAL = 1.0
"""Seconds between two lines of one kind."""
KINDS_MAX = 256
"""Kinds remembered; the one logged longest ago is forgotten first."""
VERDICT = "within_limit"
"""Attribute of a record that was judged, so that all handlers of a record agree."""

Kind = tuple[str, int, str]


class OneLineASecond(logging.Filter):
    """For handlers: drops warnings and errors of a kind that was logged less than INTERVAL ago. The next line
    of that kind ends with the number of lines left out.

    A kind is the logger, the level, and the message before its arguments are put in; of a message that is
    one argument, its first word (the event); of an exception, also its type. Thread-safe.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._lock = threading.Lock()
        self._logged: OrderedDict[Kind, tuple[float, int]] = OrderedDict()
        """Kind -> (time of its last line, lines left out since)."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        if record.levelno < logging.WARNING:
            return True
        if not hasattr(record, VERDICT):
            setattr(record, VERDICT, self._judge(record))
        return bool(getattr(record, VERDICT))

    def _judge(self, record: logging.LogRecord) -> bool:
        kind, now = _kind(record), self._now()
        with self._lock:
            known = self._logged.get(kind)
            if known is not None and now - known[0] < INTERVAL:
                self._logged[kind] = known[0], known[1] + 1
                return False
            self._logged[kind] = now, 0
            self._logged.move_to_end(kind)
            if len(self._logged) > KINDS_MAX:
                self._logged.popitem(last=False)
        if known is not None and known[1]:
            record.msg, record.args = f"{record.getMessage()} ({known[1]} more like it were left out)", None
        return True


def _kind(record: logging.LogRecord) -> Kind:
    text = str(record.msg)
    if text == "%s":
        text = record.getMessage().partition(" ")[0]
    error = record.exc_info[0] if record.exc_info else None
    return record.name, record.levelno, text[:200] + (error.__name__ if error is not None else "")


limit = OneLineASecond()
"""The one limit of a process; every handler has it."""


def shared() -> OneLineASecond:
    """`limit`, for logging's configuration by dictionary."""
    return limit
