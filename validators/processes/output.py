"""Lines for an operator, on a stream that may not be read any more: Ctrl-S, a pager, a full pipe.

A process that waited for a reader would block the network, and its shutdown. So one thread writes, all others
only queue, and lines that exceed the queue are counted instead of kept.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import threading
from collections import deque
from typing import TextIO

__all__ = ["Output", "complain"]

WAITING_BYTES_MAX = 4 * 1024 * 1024
"""Size of unread lines: some 40,000 of them."""
FINISH_PATIENCE = 0.5
"""Seconds for the last lines of a process. A reader that reads at all has them in milliseconds."""
PASSING = frozenset({errno.ENOSPC, errno.EDQUOT})
"""A full disk loses this line, and perhaps takes the next; any other error means that there is no reader."""


class Output:
    """Prints lines, each with the name of its source, in the order of the calls. Thread-safe, and never
    blocks.

    Writes to the descriptor and bypasses Python's own buffer: a thread that hangs in the buffer keeps the
    interpreter from ending.
    """

    def __init__(self, width: int, stream: TextIO | None) -> None:
        self._width = width
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._descriptor = descriptor_of(stream)
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        """The first of them is being written."""
        self._waiting_bytes = 0
        self._lost = 0
        """Lines lost since the queue was full. No line is accepted until it is empty again: one gap, not
        many."""
        self._nobody_reads = self._descriptor < 0
        self._writer: threading.Thread | None = None

    def say(self, name: str, text: str) -> None:
        self.line(f"{name:<{self._width}} | {text}")

    def line(self, text: str) -> None:
        """One line, unchanged."""
        content = f"{text}\n".encode(self._encoding, "backslashreplace")
        with self._changed:
            if self._nobody_reads:
                return
            if self._lost or self._waiting_bytes + len(content) > WAITING_BYTES_MAX:
                self._lost += 1
            else:
                self._queue(content)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="output", daemon=True)
                self._writer.start()
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait briefly until all lines are written: the process is about to end."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._waiting or self._lost), FINISH_PATIENCE)

    def _queue(self, content: bytes) -> None:
        self._waiting.append(content)
        self._waiting_bytes += len(content)

    def _write(self) -> None:
        while not self._nobody_reads:
            line = self._next()
            nobody_reads = False
            try:
                write_whole(self._descriptor, line)
            except OSError as error:
                nobody_reads = error.errno not in PASSING
            self._written(nobody_reads)

    def _next(self) -> bytes:
        """The next line; it stays in the queue until it is written."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._lost)
            if not self._waiting:
                lines = "1 line is" if self._lost == 1 else f"{self._lost:,} lines are"
                note = f"{'up':<{self._width}} | {lines} not shown here: nobody read for too long\n"
                self._queue(note.encode(self._encoding))
                self._lost = 0
            return self._waiting[0]

    def _written(self, nobody_reads: bool) -> None:
        with self._changed:
            self._waiting_bytes -= len(self._waiting.popleft())
            if nobody_reads:  # `make up | head`: the network continues without output
                self._nobody_reads = True
                self._waiting.clear()
                self._lost = 0
            self._changed.notify_all()


def complain(text: str) -> None:
    """A command's last message, on standard error, which may be the same full pipe."""
    errors = Output(0, sys.stderr)
    errors.line(text)
    errors.finish()


def descriptor_of(stream: TextIO | None) -> int:
    """The stream's descriptor; -1 if there is no stream, as with `make up >&-`: its number may belong to any
    file by now."""
    try:
        return -1 if stream is None else stream.fileno()
    except (OSError, ValueError):
        return -1


def write_whole(descriptor: int, content: bytes) -> None:
    """Write all of the content, however long that takes; raise OSError."""
    while content:
        try:
            content = content[os.write(descriptor, content) :]
        except BlockingIOError:  # another process set the shared terminal or pipe to non-blocking
            select.select([], [descriptor], [])
