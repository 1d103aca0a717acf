"""Polls a condition until it holds or a deadline passes."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["look_until"]


def look_until(look: Callable[[], object], seconds: float, *, pause: float) -> bool:
    """Call `look` now and after every `pause` seconds: True once it returns true, False after `seconds`."""
    until = time.monotonic() + seconds
    while not look():
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
    return True
