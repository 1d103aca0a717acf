"""What runs in threads of this process ends with its test: a node that is left keeps its whole world."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol, TypeVar

import pytest
from asgiref.sync import SyncToAsync

ENDING = 10.0
"""Seconds that the threads of a test that was told to end may take."""


LIFELONG = (
    "asyncio_",
    "events",
    "export_",
    "feed-progress",
    "hashing_",
    "metrics_",
    "read_",
    "reader_",
    "write_",
    "writer_",
)
"""Names of threads that a process of the web or of a node's API makes once, and keeps idle for its life: the
sweeper of runs, the listener to the learner, the pools, those of an event loop for names of hosts."""


OF_LIBRARIES = ("(run_event_loop)",)
"""Ends of names of threads that a library keeps as long as its object: py_mini_racer's, of a script."""


class Living(Protocol):
    """A node, or another thing with threads of its own."""

    def start(self) -> object: ...
    def end(self) -> object: ...


One = TypeVar("One", bound=Living)


class Start(Protocol):
    """Starts one, which ends with the test, even one that fails; returns it."""

    def __call__(self, one: One) -> One: ...


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    """A thread that outlives its test keeps what it works on; without the collector everything stays."""
    before = set(threading.enumerate())
    yield
    collects = gc.isenabled()
    gc.enable()  # only this test fails
    assert collects, "the garbage collector was left off"
    assert not _left_running(before)


@pytest.fixture
def started() -> Iterator[Start]:
    """See Start."""
    with ExitStack() as ends:

        def start(one: One) -> One:
            ends.callback(one.end)
            one.start()
            return one

        yield start


def _left_running(before: set[threading.Thread]) -> list[threading.Thread]:
    """Threads that were not there before, and do not end by themselves in a moment."""
    kept = SyncToAsync.single_thread_executor._threads  # Django's, for the life of the process
    fresh = [
        thread
        for thread in threading.enumerate()
        if thread not in before
        and thread not in kept
        and not thread.name.startswith(LIFELONG)
        and not thread.name.endswith(OF_LIBRARIES)
    ]
    if any(thread.is_alive() for thread in fresh):
        gc.collect()  # the threads of an executor end with it
    until = time.monotonic() + ENDING
    for thread in fresh:
        thread.join(max(0.0, until - time.monotonic()))
    return [thread for thread in fresh if thread.is_alive()]
