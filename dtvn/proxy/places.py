"""Where, in the stream that a client has got so far, an event of the proxy may stand.

This follows what clients do, not the rules: a client drops events of unknown types, and reads on after events
that only the rules refuse, such as a text cut within a character. An event of the proxy outside a run, or
within a message that is built of chunks, would end the client's run (@ag-ui/client 1.0.0, verify.ts and
transform.ts).
"""

from __future__ import annotations

import json

import msgspec
from msgspec import Struct

from dtvn.events.rules import TYPES
from dtvn.proxy.media import begun_type

_STARTS, _ERROR = "RUN_STARTED", "RUN_ERROR"
_ENDS = {"RUN_FINISHED", _ERROR}
_CHUNKS = {"TEXT_MESSAGE_CHUNK", "TOOL_CALL_CHUNK", "REASONING_MESSAGE_CHUNK"}
# What ends every message that is built of chunks, and what ends none; all else ends its agent's own.
_CLOSES_ALL = {_STARTS, "MESSAGES_SNAPSHOT", *_ENDS}
_CLOSES_NONE = {
    "RAW",
    "ACTIVITY_SNAPSHOT",
    "ACTIVITY_DELTA",
    "REASONING_ENCRYPTED_VALUE",
    "SUBAGENT_STARTED",
    "SUBAGENT_FINISHED",
    "SUBAGENT_ERROR",
}


class Place:
    """The end of what the client has got."""

    def __init__(self) -> None:
        self.in_run = False
        """Whether a run has begun and not ended."""
        self.errored = False
        """Whether the last run ended with RUN_ERROR, after which a client takes nothing but RUN_STARTED."""
        self.torn = False
        """Whether some clients see no boundary between events here: many take only LF for the end of a
        line."""
        self._chunks = False
        """Whether a message of the parent agent, of whom the proxy's events are, may be built of chunks."""

    @property
    def free(self) -> bool:
        """Whether an event of the proxy may stand here."""
        return self.in_run and not self._chunks and not self.torn

    def take(
        self, raw: bytes, text: bytes | None, *, accepted: bool = True, longest: int | None = None
    ) -> bool:
        """Add `raw`, the bytes up to the end of the event `text`, None for no event. `accepted`: by the
        rules; what they refuse ends no message for sure. `longest`: a longer text was cut. Returns whether
        this event ends a run."""
        if text is None:
            self.torn = self.torn and not raw.endswith(b"\n\n")
            return False
        cut = longest is not None and len(text) > longest
        event = _Event(begun_type(text) or _UNREAD) if cut else _read(text)
        self.torn = event is None and b"\r" in raw
        if event is None:
            return False
        ends = self.in_run and event.type in _ENDS
        self._follow(event, accepted)
        return ends

    def _follow(self, event: _Event, accepted: bool) -> None:
        kind = event.type
        if kind in _CLOSES_ALL:
            self._chunks = False
        elif kind in TYPES and kind not in _CLOSES_NONE and event.subagent_run_id is None:
            self._chunks = kind in _CHUNKS or (self._chunks and not accepted)
        if kind == _STARTS or kind in _ENDS:
            self.in_run = kind == _STARTS
            self.errored = kind == _ERROR
        elif kind == _UNREAD:
            self.in_run = False


class _Event(Struct, rename="camel"):
    type: str
    subagent_run_id: object = None


_event = msgspec.json.Decoder(_Event)
_UNREAD = ""
"""The type of an event that a client may read, but that is too long or nested too deep to be read here: the
run may have ended."""


def _read(text: bytes) -> _Event | None:
    """The event as JavaScript reads it, which takes halves of characters too; None for what no client can
    read."""
    try:
        return _event.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        return msgspec.convert(json.loads(text.decode(errors="replace"), parse_int=float), _Event)
    except RecursionError:
        return _Event(_UNREAD)
    except (msgspec.MsgspecError, ValueError):
        return None
