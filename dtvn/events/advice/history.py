"""What of a run explains later refusals: what ended where, and what was refused."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from dtvn.events.rules import shapes as s

REMEMBERED = 1024
"""How many ids of each sort are remembered."""
SORTS: dict[str, tuple[str, str, str]] = {
    "TEXT_MESSAGE": ("message", "messageId", "MESSAGE"),
    "TOOL_CALL": ("tool call", "toolCallId", "TOOL_CALL"),
    "REASONING_MESSAGE": ("reasoning message", "messageId", "REASONING_MESSAGE"),
    "REASONING": ("reasoning span", "messageId", "REASONING_SPAN"),
    "STEP": ("step", "stepName", "STEP"),
}
"""Prefix of the type of its events -> what it is, the field of its id, the prefix of its rules."""
_STAGES = ("_START", "_CONTENT", "_ARGS", "_END", "_CHUNK", "_STARTED", "_FINISHED")


class Named(Struct, rename="camel"):
    """The ids of an event, whatever else it is."""

    type: Any = None
    message_id: Any = None
    tool_call_id: Any = None
    step_name: Any = None

    def identifier(self, field: str) -> str | None:
        """The value of `field` if it is a text."""
        values = {"messageId": self.message_id, "toolCallId": self.tool_call_id, "stepName": self.step_name}
        value = values.get(field)
        return value if isinstance(value, str) else None


_named = msgspec.json.Decoder(Named)


def named(data: bytes) -> Named:
    """The type and ids of an event's JSON text, none of other bytes."""
    try:
        return _named.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Named()


def stage_of(kind: object) -> tuple[str, str]:
    """The sort and the stage of a type of events: TOOL_CALL and _ARGS; two empty texts for other types."""
    if isinstance(kind, str):
        for stage in _STAGES:
            sort = kind.removesuffix(stage)
            if sort != kind and sort in SORTS:
                return sort, stage
    return "", ""


_ENDS: dict[type[s.Event], tuple[str, str]] = {
    s.TextMessageEnd: ("TEXT_MESSAGE", "message_id"),
    s.ToolCallEnd: ("TOOL_CALL", "tool_call_id"),
    s.ReasoningMessageEnd: ("REASONING_MESSAGE", "message_id"),
    s.ReasoningEnd: ("REASONING", "message_id"),
    s.StepFinished: ("STEP", "step_name"),
}


_OF_RUNS = {s.RunStarted, s.RunFinished, s.RunError}
NOTED = {*_ENDS, *_OF_RUNS}
"""Kinds of accepted events that the history notes."""


class History:
    """One run, as far as refusals are explained by it."""

    def __init__(self) -> None:
        self.runs = 0
        """How many runs began; a RUN_ERROR outside a run is a run that failed at once."""
        self._in_run = False
        self.clear()

    def clear(self) -> None:
        """Forget the run."""
        self.has_refusal = False
        """Whether an event was refused."""
        self.ended: dict[tuple[str, str], int] = {}
        """(sort, id) -> index of the event that ended it."""
        self.refused: dict[tuple[str, str], None] = {}
        """(sort, id) whose start was refused."""
        self.start_refused = False
        """Whether RUN_STARTED was refused, and no other one came since."""
        self.ends_refused: set[str] = set()
        """Sorts of which an end was refused that names nothing that was open: what was meant stays open."""
        self.finish_refused = False
        """Whether RUN_FINISHED was refused, and the run has not ended since."""

    def accept(self, part: s.Event, index: int) -> None:
        """Note the event at `index`, or a part of what it stands for, which was accepted."""
        kind = type(part)
        if kind in _ENDS:
            sort, attribute = _ENDS[kind]
            self._remember(self.ended, (sort, getattr(part, attribute)), index)
        elif kind in _OF_RUNS:
            self.clear()
            if kind is s.RunStarted or (kind is s.RunError and not self._in_run):
                self.runs += 1
            self._in_run = kind is s.RunStarted

    def refuse(self, given: Named, code: str) -> None:
        """Note a refused event."""
        self.has_refusal = True
        if given.type == "RUN_STARTED":
            self.start_refused = self.start_refused or code != "RUN_ALREADY_ACTIVE"
        elif given.type == "RUN_FINISHED":
            self.finish_refused = True
        sort, stage = stage_of(given.type)
        identifier = given.identifier(SORTS[sort][1]) if sort else None
        if identifier is not None and stage in ("_START", "_STARTED", "_CHUNK"):
            self._remember(self.refused, (sort, identifier), None)
        elif sort and stage in ("_END", "_FINISHED") and (sort, identifier) not in self.ended:
            self.ends_refused.add(sort)

    @staticmethod
    def _remember(known: dict[Any, Any], key: tuple[str, str], value: int | None) -> None:
        known.pop(key, None)
        known[key] = value
        if len(known) > REMEMBERED:
            del known[next(iter(known))]
