"""Prints lines for an operator, each with the name of its source, never interleaved, in the order of the
calls."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any, TextIO

import msgspec

from dtvn.node.json_lines import utc


class Output:
    """Prints lines. Thread-safe. A line that cannot be written is lost: after `make up | head` the network
    continues without output. Writes to the descriptor, since Python's own buffer would be flushed, and fail,
    at the end of the process.
    """

    def __init__(self, width: int, stream: TextIO | None) -> None:
        self._width = width
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._descriptor = descriptor_of(stream)
        self._lock = threading.Lock()

    def say(self, name: str, text: str) -> None:
        """One line of the source `name`."""
        self.line(f"{name:<{self._width}} | {text}")

    def line(self, text: str) -> None:
        """One line, unchanged."""
        content = f"{text}\n".encode(self._encoding, "backslashreplace")
        with self._lock, suppress(OSError):
            os.write(self._descriptor, content)


class JsonOutput(Output):
    """Prints one JSON object per line, with its source as `process`: a line that is one already gets that
    member; any other text, such as a traceback of a library, becomes the `message` of one."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(0, stream)

    def say(self, name: str, text: str) -> None:
        """One line of the source `name`."""
        try:
            told = msgspec.json.decode(text, type=dict[str, Any]) if text.startswith("{") else None
        except msgspec.MsgspecError:
            told = None
        self.line(_object(name, told or _message("info", text)))


def refuse(command: str, text: str) -> None:
    """Say on standard error, in one line, why a command ends; as an object where the log is JSON."""
    # Read here: the refusal may be that of the setting itself.
    json = os.environ.get("DTVN_LOG_FORMAT") == "json"
    line = _object(command, _message("error", text)) if json else f"{command}: {text}"
    Output(0, sys.stderr).line(line)


def _message(level: str, text: str) -> dict[str, Any]:
    return {"time": utc(time.time()), "level": level, "message": text}


def _object(process: str, told: dict[str, Any]) -> str:
    return msgspec.json.encode({"process": process, **told}).decode()


def descriptor_of(stream: TextIO | None) -> int:
    """The stream's descriptor; -1, which takes no line, if there is no stream, as with `make up >&-`: its
    number may belong to any file by now."""
    try:
        return -1 if stream is None else stream.fileno()
    except (OSError, ValueError):
        return -1
