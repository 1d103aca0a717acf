"""A run that is interrupted (Ctrl-C, SIGTERM) leaves no process, port or folder: fixtures end what they
began, and what is left of it is killed."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Generator

import psutil
import pytest

ENDING = 60
"""Seconds that the end of an interrupted run may take."""


def pytest_configure() -> None:
    # A shell starts what it puts in the background deaf to Ctrl-C, and `make` would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def pytest_keyboard_interrupt() -> None:
    """A second signal, as xdist sends it, would leave half of it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN it is not inherited
    faulthandler.dump_traceback_later(ENDING, exit=True)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(exitstatus: int) -> Generator[None, object, object]:
    if exitstatus != pytest.ExitCode.INTERRUPTED:
        return (yield)
    own = psutil.Process()
    started = own.children(recursive=True)  # xdist's workers may be gone before what they started
    try:
        return (yield)
    except KeyError:  # of pytest's own tmp_path, where a test was interrupted in its setup
        return None
    finally:
        left = {*started, *own.children(recursive=True)}
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=5)
