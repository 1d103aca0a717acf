"""One stream of events, judged one event at a time: shape, then chunks, then order. A refused event changes
no state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dtvn.events.rules import shapes as s
from dtvn.events.rules.chunks import CHUNKS, Expansion, ending, expand
from dtvn.events.rules.decoding import (
    BadShape,
    Read,
    not_utf8,
    over_bounds,
    read,
    without_shape,
)
from dtvn.events.rules.limits import SCAN_FROM, Limits
from dtvn.events.rules.older import Older
from dtvn.events.rules.ordering import RULES, guard, still_open
from dtvn.events.rules.shapes import decode_event
from dtvn.events.rules.state import Phase, RunState
from dtvn.events.rules.tolerance import HOLD_OPAQUE, NOT_DECODED, Deviation, Reader, Reading, opaque_null
from dtvn.events.rules.versions import is_newer
from dtvn.events.rules.violation import Refusal, Violation, error, warning


class Verdict(Struct, frozen=True):
    """What the rules say of one event: whether it is accepted, and which rules it breaks.

    If an event is both out of order and malformed, both are reported; the first is the verdict's `code`.
    """

    accepted: bool
    violations: tuple[Violation, ...] = ()

    @property
    def code(self) -> str | None:
        """The rule that refused the event; None if it was accepted."""
        return None if self.accepted else self.violations[0].code


ACCEPTED = Verdict(True)


def refused(index: int, code: str, message: str) -> Verdict:
    """A verdict from outside this stream: the rule `code` refuses the event at `index`."""
    return Verdict(False, (error(index, Refusal(code, message)),))


_LATER = Refusal("", "Guard and lanes are asked first.")


def _later(state: RunState, event: s.Event) -> Refusal | None:
    return _LATER


def _any(state: RunState, event: s.Event) -> Refusal | None:
    return None


# Tables from each kind of event to its rule. One look-up and one call for an event keep the rate high.
_Rules = dict[type[s.Event], Callable[[RunState, Any], Refusal | None]]
_NONE: _Rules = dict.fromkeys(RULES, _later)
"""Every kind goes through `_judged`."""
_UNORDERED: _Rules = dict.fromkeys(RULES, _any)
"""Every kind may come."""
_AT_ONCE: _Rules = RULES | dict.fromkeys((*CHUNKS, s.RunStarted, s.RunFinished, s.RunError), _later)
"""Within a run without open lanes most kinds are decided by their rule alone."""


class Stream:
    """The rules over one stream of events, which may hold several runs one after the other.

    `reading` says how an event is taken that is not exactly of the protocol. By that of the Python models,
    `drop_unknown` skips events of unknown type with a warning, and `accept_0x` judges events of 0.x as what
    the official client 1.0 converts them to; the client's own reading does both. `shape` false judges order
    alone: missing and invalid fields are filled with empty values. `order` false judges the shape of each
    event alone, and keeps no state. After each event `event` is its value, None if its shape was wrong.
    """

    __slots__ = (
        "_at_once",
        "_declared",
        "_older",
        "drop_unknown",
        "event",
        "expansion",
        "index",
        "limits",
        "order",
        "reading",
        "shape",
        "state",
    )

    def __init__(
        self,
        limits: Limits | None = None,
        state: RunState | None = None,
        *,
        reading: Reading = Reading.MODELS,
        drop_unknown: bool = False,
        shape: bool = True,
        order: bool = True,
        accept_0x: bool = False,
    ) -> None:
        self.limits = limits or Limits()
        self.state = state or RunState(self.limits)
        self.reading = reading if shape else Reading.MODELS
        self.drop_unknown = drop_unknown or reading is Reading.CLIENT
        self.shape = shape
        self.order = order
        self.index = 0
        self.event: s.Event | None = None
        self._older = Older() if accept_0x or reading is Reading.CLIENT else None
        self._declared = ""
        """The version that the present run declares, if it is newer than what is known here."""
        self.expansion: tuple[int, tuple[s.Event, ...]] = (-1, ())
        """The last event that stood for others, being a chunk or the end of chunks: its index, and these."""
        self._look()

    def feed(self, data: bytes) -> Verdict:
        """Judge the JSON text of the next event and, if it is accepted, advance the state."""
        index = self.index
        self.index = index + 1
        if len(data) > SCAN_FROM or not data.isascii():
            bounded = over_bounds(data, self.limits)
            if bounded is not None:
                self.event = None
                return Verdict(False, (error(index, bounded),))
            if (byte := not_utf8(data)) is not None:
                return self._not_utf8(index, data, byte)
        try:
            event = decode_event(data)
        except NOT_DECODED:
            return self._read(index, data)
        may_hold = event.raw_event is not None or type(event) in HOLD_OPAQUE
        if may_hold and data.find(b"null") >= 0 and opaque_null(event):
            return self._read(index, data)
        self.event = event
        refusal = self._at_once[type(event)](self.state, event)
        if refusal is None:
            return ACCEPTED
        if refusal is _LATER:
            return self._judged(index, event)
        return Verdict(False, (error(index, refusal),))

    def pass_over(self, count: int, data: bytes) -> None:
        """Count events that need no judging: each is like the last one, which was accepted, and changes no
        state. `data`: the JSON text of the last of them, at which the stream stands then."""
        self.index += count
        self.event = decode_event(data)

    @property
    def parts(self) -> tuple[s.Event, ...]:
        """What the last event, which was accepted, stands for: itself, unless it is a chunk or ends
        chunks."""
        index, parts = self.expansion
        if index == self.index - 1:
            return parts
        return () if self.event is None else (self.event,)

    def end(self) -> tuple[Violation, ...]:
        """At the end of the stream: a warning if a run has not ended."""
        if self.state.phase is not Phase.ACTIVE:
            return ()
        said = " ".join(["The stream ends within a run.", *(said for _, said in still_open(self.state))])
        return (warning(max(self.index - 1, 0), "STREAM_NOT_TERMINATED", None, said),)

    def _judged(self, index: int, event: s.Event) -> Verdict:
        """Judge a decoded event by all rules: phase guard, chunks and lanes, then the rule of its kind."""
        state, kind = self.state, type(event)
        refusal = guard(state.phase, kind)
        if refusal is None:
            whole = not state.lanes and kind not in CHUNKS
            refusal = RULES[kind](state, event) if whole else self._expanded(event)
        if refusal is not None:
            return Verdict(False, (error(index, refusal),))
        self._look()
        if kind is s.RunStarted:
            self._declare(event)
        return ACCEPTED

    def _declare(self, event: s.Event) -> None:
        declared = event.protocol_version if isinstance(event, s.RunStarted) else None
        self._declared = declared if declared is not None and is_newer(declared) else ""

    def _look(self) -> None:
        """Set `_at_once` to the rules that decide alone: all of _AT_ONCE within a run without lanes, else
        none."""
        if not self.order:
            self._at_once = _UNORDERED
            return
        state = self.state
        self._at_once = _AT_ONCE if state.phase is Phase.ACTIVE and not state.lanes else _NONE

    def _expanded(self, event: s.Event) -> Refusal | None:
        """Judge the events that `event` expands to: the ends of lanes that it closes, then its own. Accepts
        all of them and updates the lanes, or returns a Refusal and changes nothing."""
        state = self.state
        expansion = expand(state.lanes, event, self.limits.id_characters)
        if isinstance(expansion, Refusal):
            return expansion
        done: list[s.Event] = []
        closed = [(lane, ending(lane)) for lane in expansion.closed]
        refusal: Refusal | None = None
        for part in (*(end for _, end in closed), *expansion.events):
            refusal = RULES[type(part)](state, part)
            if refusal is None:
                done.append(part)
            elif isinstance(event, s.RunError):
                refusal = None  # it may come whatever is open, also a lane whose message has ended
            else:
                break
        if refusal is not None:
            self._reopen(done)
            return refusal
        self._follow(expansion)
        if done != [event]:
            self.expansion = self.index - 1, tuple(done)
        return None

    def _reopen(self, done: list[s.Event]) -> None:
        """Undo the accepted ends of lanes after a later part was refused. Only ends can precede the refused
        part: content is never refused after its own start, whose owner it has."""
        for part in done:
            if isinstance(part, s.TextMessageEnd):
                self.state.messages.add(part.message_id)
            elif isinstance(part, s.ToolCallEnd):
                self.state.calls.add(part.tool_call_id)
            elif isinstance(part, s.ReasoningMessageEnd):
                self.state.reasoning.add(part.message_id)
            else:
                raise AssertionError(f"{type(part).__name__} was accepted before a part of it was refused")

    def _follow(self, expansion: Expansion) -> None:
        lanes = self.state.lanes
        for lane in expansion.closed:
            lanes.pop(lane.owner, None)
        if expansion.opened is not None:
            lanes[expansion.opened.owner] = expansion.opened

    def _not_utf8(self, index: int, data: bytes, byte: int) -> Verdict:
        said = f"Byte {byte} is not UTF-8."
        if self.reading is Reading.MODELS:
            self.event = None
            return Verdict(False, (error(index, Refusal("NOT_JSON", said)),))
        verdict = self._read(index, data.decode(errors="replace").encode())
        shown = warning(index, "NOT_UTF8", None, f"{said} Clients show \ufffd in its place.")
        return Verdict(verdict.accepted, (*verdict.violations, shown))

    def _read(self, index: int, data: bytes) -> Verdict:
        """Judge an event as a reader takes it; warnings say what it changed."""
        reader = Reader(self.reading, converts=self._older is not None)
        found = read(data, reader, self._older, self.state)
        said = tuple(self._said(index, each) for each in found.said)
        self.event = found.event
        if found.bad is not None:
            verdict = self._malformed(index, found, found.bad)
        elif found.event is None or not self.order:
            verdict = ACCEPTED
        else:
            verdict = self._judged(index, found.event)
        return Verdict(verdict.accepted, (*verdict.violations, *said)) if said else verdict

    def _said(self, index: int, deviation: Deviation) -> Violation:
        said = warning(index, deviation.code, deviation.field, deviation.message)
        if deviation.code in _OF_A_VERSION and self._declared:
            cure = f"Nothing to remove if protocol {self._declared} has it, which this run declares."
            return replace(said, suggestion=cure)
        return said if deviation.suggestion is None else replace(said, suggestion=deviation.suggestion)

    def _malformed(self, index: int, found: Read, bad: BadShape) -> Verdict:
        code = bad.refusal.code
        if not self.shape and bad.kind is not None and code in _OF_SHAPE:
            filled = without_shape(found.text, bad.kind)
            if filled is not None:
                self.event = filled
                return self._judged(index, filled) if self.order else ACCEPTED
        if self.drop_unknown and bad.kind is None and code in ("UNKNOWN_EVENT_TYPE", "PROTOCOL_0X"):
            dropped = Deviation(code, bad.refusal.field, bad.refusal.message)
            return Verdict(True, (self._said(index, dropped),))
        shaped = error(index, bad.refusal, bad.suggestion)
        named = bad.kind is not None and code != "NOT_JSON" and bad.refusal.field != "type"
        late = guard(self.state.phase, bad.kind) if named and self.order else None
        return Verdict(False, (shaped,) if late is None else (error(index, late), shaped))


_OF_SHAPE = ("FIELD_MISSING", "FIELD_INVALID")
_OF_A_VERSION = ("UNKNOWN_FIELD", "UNKNOWN_MEMBER", "UNKNOWN_EVENT_TYPE")
