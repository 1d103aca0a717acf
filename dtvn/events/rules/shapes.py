"""The 31 events of AG-UI protocol 1.0 as values, one class each, told apart by `type` on the wire."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
from msgspec import Raw, Struct

from dtvn.events.rules.messages import (
    Body,
    Cancelled,
    Interrupted,
    Maybe,
    Message,
    Open,
    Patch,
    RunInput,
    SubagentSucceeded,
    SubagentSuspended,
    Succeeded,
    TokenUsage,
    Whole,
)

Role = Literal["developer", "system", "assistant", "user"]


class Event(
    Struct,
    frozen=True,
    gc=False,
    rename="camel",
    tag_field="type",
    kw_only=True,
    forbid_unknown_fields=True,
):
    """What all events share. `timestamp` is by convention in milliseconds since 1970; only advice depends on
    it."""

    timestamp: Maybe[Whole] = None
    raw_event: Maybe[Raw] = None
    metadata: Maybe[Open] = None


class Attributed(Event, kw_only=True, frozen=True):
    """An event that may belong to a subagent."""

    subagent_run_id: Maybe[str] = None


class OfMessage(Attributed, frozen=True):
    """An event of one message."""

    message_id: str


class OfCall(Attributed, frozen=True):
    """An event of one tool call."""

    tool_call_id: str


class OfStep(Attributed, frozen=True):
    """An event of one step."""

    step_name: str


class TextMessageStart(OfMessage, tag="TEXT_MESSAGE_START", frozen=True):
    role: Maybe[Role] = None
    name: Maybe[str] = None


class TextMessageContent(OfMessage, tag="TEXT_MESSAGE_CONTENT", frozen=True):
    delta: str


class TextMessageEnd(OfMessage, tag="TEXT_MESSAGE_END", frozen=True):
    pass


class TextMessageChunk(Attributed, tag="TEXT_MESSAGE_CHUNK", frozen=True):
    message_id: Maybe[str] = None
    role: Maybe[Role] = None
    delta: Maybe[str] = None
    name: Maybe[str] = None


class ToolCallStart(OfCall, tag="TOOL_CALL_START", frozen=True):
    tool_call_name: str
    parent_message_id: Maybe[str] = None


class ToolCallArgs(OfCall, tag="TOOL_CALL_ARGS", frozen=True):
    delta: str


class ToolCallEnd(OfCall, tag="TOOL_CALL_END", frozen=True):
    pass


class ToolCallChunk(Attributed, tag="TOOL_CALL_CHUNK", frozen=True):
    tool_call_id: Maybe[str] = None
    tool_call_name: Maybe[str] = None
    parent_message_id: Maybe[str] = None
    delta: Maybe[str] = None


class ToolCallResult(OfMessage, tag="TOOL_CALL_RESULT", frozen=True):
    tool_call_id: str
    content: Body
    role: Maybe[Literal["tool"]] = None


class StateSnapshot(Attributed, tag="STATE_SNAPSHOT", frozen=True):
    snapshot: Raw


class StateDelta(Attributed, tag="STATE_DELTA", frozen=True):
    delta: Patch


class MessagesSnapshot(Event, tag="MESSAGES_SNAPSHOT", frozen=True):
    messages: list[Message]


class ActivitySnapshot(OfMessage, tag="ACTIVITY_SNAPSHOT", frozen=True):
    activity_type: str
    content: Open
    replace: Maybe[bool] = None


class ActivityDelta(OfMessage, tag="ACTIVITY_DELTA", frozen=True):
    activity_type: str
    patch: Patch


class RawEvent(Attributed, tag="RAW", frozen=True):
    event: Raw
    source: Maybe[str] = None


class Custom(Attributed, tag="CUSTOM", frozen=True):
    name: str
    value: Raw


class RunStarted(Event, tag="RUN_STARTED", frozen=True):
    thread_id: str
    run_id: str
    protocol_version: Maybe[str] = None
    parent_run_id: Maybe[str] = None
    input: Maybe[RunInput] = None


class RunFinished(Event, tag="RUN_FINISHED", frozen=True):
    thread_id: str
    run_id: str
    outcome: Maybe[Succeeded | Interrupted | Cancelled] = None
    usage: Maybe[list[TokenUsage]] = None
    result: Maybe[Raw] = None


class RunError(Event, tag="RUN_ERROR", frozen=True):
    message: str
    code: Maybe[str] = None
    usage: Maybe[list[TokenUsage]] = None


class StepStarted(OfStep, tag="STEP_STARTED", frozen=True):
    pass


class StepFinished(OfStep, tag="STEP_FINISHED", frozen=True):
    pass


class ReasoningStart(OfMessage, tag="REASONING_START", frozen=True):
    pass


class ReasoningEnd(OfMessage, tag="REASONING_END", frozen=True):
    pass


class ReasoningMessageStart(OfMessage, tag="REASONING_MESSAGE_START", frozen=True):
    role: Literal["reasoning"]


class ReasoningMessageContent(OfMessage, tag="REASONING_MESSAGE_CONTENT", frozen=True):
    delta: str


class ReasoningMessageEnd(OfMessage, tag="REASONING_MESSAGE_END", frozen=True):
    pass


class ReasoningMessageChunk(Attributed, tag="REASONING_MESSAGE_CHUNK", frozen=True):
    message_id: Maybe[str] = None
    delta: Maybe[str] = None


class ReasoningEncryptedValue(Attributed, tag="REASONING_ENCRYPTED_VALUE", frozen=True):
    subtype: Literal["tool-call", "message"]
    entity_id: str
    encrypted_value: str


class Subagent(Event, kw_only=True, frozen=True):
    """An event about a subagent itself: its tag names the subagent and is required."""

    subagent_run_id: str


class SubagentStarted(Subagent, tag="SUBAGENT_STARTED", frozen=True):
    name: str
    description: Maybe[str] = None
    parent_subagent_run_id: Maybe[str] = None
    parent_tool_call_id: Maybe[str] = None
    parent_message_id: Maybe[str] = None


class SubagentFinished(Subagent, tag="SUBAGENT_FINISHED", frozen=True):
    outcome: Maybe[SubagentSucceeded | SubagentSuspended] = None
    result: Maybe[Raw] = None


class SubagentError(Subagent, tag="SUBAGENT_ERROR", frozen=True):
    message: str
    code: Maybe[str] = None


AnyEvent = (
    TextMessageStart
    | TextMessageContent
    | TextMessageEnd
    | TextMessageChunk
    | ToolCallStart
    | ToolCallArgs
    | ToolCallEnd
    | ToolCallChunk
    | ToolCallResult
    | StateSnapshot
    | StateDelta
    | MessagesSnapshot
    | ActivitySnapshot
    | ActivityDelta
    | RawEvent
    | Custom
    | RunStarted
    | RunFinished
    | RunError
    | StepStarted
    | StepFinished
    | ReasoningStart
    | ReasoningEnd
    | ReasoningMessageStart
    | ReasoningMessageContent
    | ReasoningMessageEnd
    | ReasoningMessageChunk
    | ReasoningEncryptedValue
    | SubagentStarted
    | SubagentFinished
    | SubagentError
)
TYPES: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyEvent)}
"""Wire name -> class."""
NAMES: dict[type[Event], str] = {kind: name for name, kind in TYPES.items()}
"""Class -> wire name."""
decode_event = msgspec.json.Decoder(AnyEvent).decode
"""JSON bytes of exactly what the protocol describes -> event; raises msgspec.DecodeError, RecursionError or
ValueError."""
