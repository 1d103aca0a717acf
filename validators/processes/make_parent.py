"""Detects a Ctrl-C that was sent to `make` alone.

At a terminal Ctrl-C reaches make and us. A program that signals only the process that it started (make) does
not reach us: on SIGINT GNU make sends nothing to its children and waits for them to end, for ever in our
case. While it waits it no longer catches SIGINT, which /proc shows. And if make was killed, no process
controls this network any more.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

_SIGINT_BIT = 1 << (signal.SIGINT - 1)


def watch() -> Callable[[], bool]:
    """Returns a function: was the make that started us interrupted, or killed?"""
    parent = os.getppid()
    if "MAKELEVEL" not in os.environ or _name(parent) not in {"make", "gmake"}:
        return lambda: False
    return lambda: os.getppid() != parent or _deaf_to_interrupt(parent)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _deaf_to_interrupt(pid: int) -> bool:
    """True when SIGINT is neither caught (make at work) nor ignored (make in the background)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith(("SigCgt:", "SigIgn:")))
    return not any(int(mask, 16) & _SIGINT_BIT for mask in masks.values())
