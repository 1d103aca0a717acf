"""The log of a node in the format of the Go DTVN's supervisor: its last lines, each with the stream it would
have gone to.

A requested start begins the shown log anew; a restart after a crash does not, so that the lines
before the crash can be seen. The node itself writes the file, which is rotated (dtvn.node.logs) and keeps all
lines; this module only reads it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from dtvn.node.layout import ClusterFolder
from dtvn.node.logs import BEGUN

LINES_MAX = 1_000
READ_AT_ONCE = 65_536
LINE_CHARACTERS_MAX = 4_096
FRESH_BYTES_MAX = 262_144
"""Most bytes read per call; the rest of what was written since the previous call is skipped."""

_LEVEL = re.compile(r"\S+Z (DEBUG|INFO) ")
"""Lines with these levels count as stdout; more severe ones, and the lines that follow them, as stderr."""
_BEGUN = re.compile(rf"\S+Z INFO +{BEGUN}")


def log_file(node_id: str) -> Path:
    """A node's log file; raise ValueError if the name is not a node id."""
    return ClusterFolder(settings.DATA).node(node_id).log / "node.log"


def last_lines(node_id: str, count: int) -> list[str]:
    """The newest `count` lines since its start, oldest first, beginning with "[stdout] " or "[stderr] "."""
    path = log_file(node_id)
    lines: list[str] = []
    for file in (path, path.with_name(f"{path.name}.1")):
        if len(lines) < count:
            lines = [*_end_of(file, count - len(lines)), *lines]
    begun = (place for place in reversed(range(len(lines))) if _BEGUN.fullmatch(lines[place]))
    lines = lines[next(begun, 0) :]
    return [f"[{'stdout' if _LEVEL.match(line) else 'stderr'}] {line}" for line in lines]


def _end_of(path: Path, count: int) -> list[str]:
    """The last `count` lines of a file, read backwards."""
    blocks: list[bytes] = []
    try:
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            found = 0
            while position and found <= count:
                size = min(READ_AT_ONCE, position)
                position = file.seek(position - size)
                blocks.append(file.read(size))
                found += blocks[-1].count(b"\n")
    except OSError:
        return []
    return list(_lines(b"".join(reversed(blocks))))[-count:]


def _lines(content: bytes) -> Iterator[str]:
    for line in content.decode("utf-8", "replace").split("\n"):
        if text := line.rstrip():
            yield text[:LINE_CHARACTERS_MAX]


class Tail:
    """Follows the lines that a node writes: from now on or, if `whole`, from the beginning of its file."""

    def __init__(self, path: Path, *, whole: bool = False) -> None:
        self._path = path
        self._inode, self._position = (0, 0) if whole else self._inode_and_size()

    def fresh(self) -> list[str]:
        """Complete lines written since the last call. A rotated file is read from its start."""
        inode, size = self._inode_and_size()
        if inode != self._inode or size < self._position:
            self._inode, self._position = inode, 0
        if size == self._position:
            return []
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                content = file.read(FRESH_BYTES_MAX)
        except OSError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._position += len(whole) if whole else (len(content) if len(content) == FRESH_BYTES_MAX else 0)
        return list(_lines(whole))

    def _inode_and_size(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return 0, 0
        return found.st_ino, found.st_size
