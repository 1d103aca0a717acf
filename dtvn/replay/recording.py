"""The runs of a recorded stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

_ENDS = ("RUN_FINISHED", "RUN_ERROR")


class Recorded(Struct, frozen=True):
    """An event: its JSON text on one line, and its `timestamp` in milliseconds, None without one."""

    text: bytes
    kind: str
    timestamp: float | None


class _Head(Struct):
    type: Any = None
    timestamp: Any = None


_head = msgspec.json.Decoder(_Head)


def runs_of(texts: Iterable[bytes]) -> list[list[Recorded]]:
    """The runs of these events. A RUN_STARTED behind the end of a run begins the next one; what else stands
    there belongs to the run that ended."""
    runs: list[list[Recorded]] = []
    ended = True
    for text in texts:
        event = _recorded(text)
        if not runs or (ended and event.kind == "RUN_STARTED"):
            runs.append([])
            ended = False
        runs[-1].append(event)
        ended = ended or event.kind in _ENDS
    return runs


def _recorded(text: bytes) -> Recorded:
    # Line ends stand between the tokens of a JSON text only, and would end a line of data.
    line = text.replace(b"\r", b" ").replace(b"\n", b" ")
    try:
        head = _head.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Recorded(line, "", None)
    kind, time = head.type, head.timestamp
    is_time = isinstance(time, int | float) and not isinstance(time, bool)
    return Recorded(line, kind if isinstance(kind, str) else "", time if is_time else None)


def has_times(runs: Sequence[Sequence[Recorded]]) -> bool:
    """Whether there are two times between which a replay can wait."""
    return any(sum(event.timestamp is not None for event in run) > 1 for run in runs)
