"""The one place where tests pause: between two looks at what they wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_until(look: Callable[[], Found], *, timeout: float, what: str, pause: float = 0.02) -> Found:
    """Look again and again until `look()` is true in the sense of `bool`, and return what it gave.

    Fails with `what` after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(pause)
