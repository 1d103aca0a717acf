"""Polls a condition, or tries an action again, until a deadline passes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


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
