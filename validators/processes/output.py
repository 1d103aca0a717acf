"""Lines for people, on a stream that they may have stopped reading: Ctrl-S, a pager, a full pipe.

Whoever waited for a reader would hold up the network, and its end. So one thread writes, everybody else
only queues, and what is too much for the queue is counted instead of kept.
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
"""Of lines that nobody has read: some 40,000 of them."""
FINISH_PATIENCE = 0.5
"""Seconds for the last lines of a process. Who reads at all has them in milliseconds."""
PASSING = frozenset({errno.ENOSPC, errno.EDQUOT})
"""A full disk takes this line no more, and perhaps the next; after any other error nobody reads."""


class Output:
    """Lines: who says it, then what, in the order in which they were said. Safe from several threads, and
    waits for nobody.

    Writes to the descriptor, past Python's own buffer: a thread that hangs in that one keeps the
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
        """Lines since the queue was full. Until it is empty again no line is taken: one gap, not many."""
        self._nobody_reads = self._descriptor < 0
        self._writer: threading.Thread | None = None

    def say(self, name: str, text: str) -> None:
        self.line(f"{name:<{self._width}} | {text}")

    def line(self, text: str) -> None:
        """One line as it stands."""
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
        """Wait, not for long, until all is written: the process is about to end."""
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
        """The line whose turn it is; it stays in the queue until it is written."""
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
            if nobody_reads:  # `make up | head`: the network goes on in silence
                self._nobody_reads = True
                self._waiting.clear()
                self._lost = 0
            self._changed.notify_all()


def complain(text: str) -> None:
    """A command's last words, on standard error: that may be the same pipe, and as full."""
    errors = Output(0, sys.stderr)
    errors.line(text)
    errors.finish()


def descriptor_of(stream: TextIO | None) -> int:
    """-1 where there is none, as with `make up >&-`: its number may be that of any file by now."""
    try:
        return -1 if stream is None else stream.fileno()
    except (OSError, ValueError):
        return -1


def write_whole(descriptor: int, content: bytes) -> None:
    """Write all of it, however long that takes; raise OSError."""
    while content:
        try:
            content = content[os.write(descriptor, content) :]
        except BlockingIOError:  # somebody who has the same terminal or pipe wants it so
            select.select([], [descriptor], [])
