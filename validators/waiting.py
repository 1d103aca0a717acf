"""Waiting, for a while and no longer, until something that others bring about is so."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["look_until"]


def look_until(look: Callable[[], object], seconds: float, *, pause: float) -> bool:
    """Look, and again after each `pause`, until `look` finds it so (True) or `seconds` are over (False)."""
    until = time.monotonic() + seconds
    while not look():
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
    return True
