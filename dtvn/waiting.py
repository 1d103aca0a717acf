"""Polls a condition, or tries an action again, until a deadline passes; says what a command waits for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")
SAID_AFTER = 2.0
"""Seconds after which a command that waits says for what."""


def look_until(look: Callable[[], object], seconds: float, *, pause: float) -> bool:
    """Call `look` now and after every `pause` seconds: True once it returns true, False after `seconds`."""
    until = time.monotonic() + seconds
    while not look():
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
    return True


def try_until(
    act: Callable[[], Result], seconds: float, *, pause: float, again: Callable[[Exception], bool]
) -> Result:
    """Returns the result of `act`, which is called again after `pause` seconds each time it raises something
    for which `again` returns true; after `seconds` the exception is passed on."""
    until = time.monotonic() + seconds
    while True:
        try:
            return act()
        except Exception as error:
            if not again(error) or time.monotonic() >= until:
                raise
        time.sleep(pause)


def to_standard_error(line: str) -> None:
    """Print a line that is no result."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextmanager
def saying_in_silence(
    what: str, *, after: float = SAID_AFTER, say: Callable[[str], object] = to_standard_error
) -> Iterator[Callable[[], None]]:
    """Yields a function for the block to call at every sign of progress. If there was none for `after`
    seconds, `say` is told, by another thread and once until the next, that the block waits for `what`."""
    heard, over = threading.Event(), threading.Event()

    def watch() -> None:
        said = False
        while not over.is_set():
            if heard.wait(None if said else after):
                heard.clear()
                said = False
            else:
                said = True
                say(f"waiting for {what}")

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield heard.set
    finally:
        over.set()
        heard.set()
        watching.join()


@contextmanager
def saying(
    what: str, *, after: float = SAID_AFTER, say: Callable[[str], object] = to_standard_error
) -> Iterator[None]:
    """If the block still runs after `after` seconds, `say` is told, by another thread, that it waits for
    `what`."""
    timer = threading.Timer(after, say, (f"waiting for {what}",))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
