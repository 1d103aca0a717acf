"""Which run an event begins."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct


class Run(Struct, frozen=True, rename="camel"):
    """A run, by the names that its agent gave it."""

    thread_id: str
    run_id: str


class _Typed(Struct, rename="camel"):
    type: str


class _Started(Struct, rename="camel"):
    type: Literal["RUN_STARTED"]
    thread_id: str
    run_id: str


_typed = msgspec.json.Decoder(_Typed)
_started = msgspec.json.Decoder(_Started)


def started_run(text: bytes) -> Run | None:
    """The run that an event of this JSON text begins; None for other events and other bytes."""
    try:
        found = _started.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return Run(found.thread_id, found.run_id)


def begins_stream(text: bytes) -> bool:
    """Whether an event of this JSON text may be the first of a stream."""
    try:
        return _typed.decode(text).type in ("RUN_STARTED", "RUN_ERROR")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
