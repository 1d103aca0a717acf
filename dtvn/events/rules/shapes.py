"""The 31 events of AG-UI protocol 1.0 as values, one class each, told apart by `type` on the wire."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dtvn.events.rules.messages import (
    Body,
    Cancelled,
    Interrupted,
    Message,
    Open,
    Patch,
    RunInput,
    SubagentSucceeded,
    SubagentSuspended,
    Succeeded,
    Tag,
    TokenUsage,
    Whole,
)

Role = Literal["developer", "system", "assistant", "user"]
Given = str | UnsetType | None
"""A field that may be absent, and whose null the rules of order refuse."""


class Event(Struct, frozen=True, gc=False, rename="camel", tag_field="type", kw_only=True):
    """What all events share. `timestamp` is by convention in milliseconds since 1970; only advice depends on
    it."""

    timestamp: Whole | None = None
    raw_event: Raw | UnsetType = UNSET
    metadata: Open | None = None


class Attributed(Event, kw_only=True, frozen=True):
    """An event that may belong to a subagent."""

    subagent_run_id: Tag = UNSET


class TextMessageStart(Attributed, tag="TEXT_MESSAGE_START", frozen=True):
    message_id: str
    role: Role | None = None
    name: str | None = None


class TextMessageContent(Attributed, tag="TEXT_MESSAGE_CONTENT", frozen=True):
    message_id: str
    delta: str


class TextMessageEnd(Attributed, tag="TEXT_MESSAGE_END", frozen=True):
    message_id: str


class TextMessageChunk(Attributed, tag="TEXT_MESSAGE_CHUNK", frozen=True):
    message_id: str | None = None
    role: Role | None = None
    delta: str | None = None
    name: str | None = None


class ToolCallStart(Attributed, tag="TOOL_CALL_START", frozen=True):
    tool_call_id: str
    tool_call_name: str
    parent_message_id: str | None = None


class ToolCallArgs(Attributed, tag="TOOL_CALL_ARGS", frozen=True):
    tool_call_id: str
    delta: str


class ToolCallEnd(Attributed, tag="TOOL_CALL_END", frozen=True):
    tool_call_id: str


class ToolCallChunk(Attributed, tag="TOOL_CALL_CHUNK", frozen=True):
    tool_call_id: str | None = None
    tool_call_name: str | None = None
    parent_message_id: str | None = None
    delta: str | None = None


class ToolCallResult(Attributed, tag="TOOL_CALL_RESULT", frozen=True):
    message_id: str
    tool_call_id: str
    content: Body
    role: Literal["tool"] | None = None


class StateSnapshot(Attributed, tag="STATE_SNAPSHOT", frozen=True):
    snapshot: Raw


class StateDelta(Attributed, tag="STATE_DELTA", frozen=True):
    delta: Patch


class MessagesSnapshot(Event, tag="MESSAGES_SNAPSHOT", frozen=True):
    messages: list[Message]


class ActivitySnapshot(Attributed, tag="ACTIVITY_SNAPSHOT", frozen=True):
    message_id: str
    activity_type: str
    content: Open
    replace: bool | None = None


class ActivityDelta(Attributed, tag="ACTIVITY_DELTA", frozen=True):
    message_id: str
    activity_type: str
    patch: Patch


class RawEvent(Attributed, tag="RAW", frozen=True):
    event: Raw
    source: str | None = None


class Custom(Attributed, tag="CUSTOM", frozen=True):
    name: str
    value: Raw


class RunStarted(Event, tag="RUN_STARTED", frozen=True):
    thread_id: str
    run_id: str
    protocol_version: str | None = None
    parent_run_id: str | None = None
    input: RunInput | None = None


class RunFinished(Event, tag="RUN_FINISHED", frozen=True):
    thread_id: str
    run_id: str
    outcome: Succeeded | Interrupted | Cancelled | None = None
    usage: list[TokenUsage] | None = None
    result: Raw | UnsetType = UNSET


class RunError(Event, tag="RUN_ERROR", frozen=True):
    message: str
    code: str | None = None
    usage: list[TokenUsage] | None = None


class StepStarted(Attributed, tag="STEP_STARTED", frozen=True):
    step_name: str


class StepFinished(Attributed, tag="STEP_FINISHED", frozen=True):
    step_name: str


class ReasoningStart(Attributed, tag="REASONING_START", frozen=True):
    message_id: str


class ReasoningEnd(Attributed, tag="REASONING_END", frozen=True):
    message_id: str


class ReasoningMessageStart(Attributed, tag="REASONING_MESSAGE_START", frozen=True):
    message_id: str
    role: Literal["reasoning"] = "reasoning"


class ReasoningMessageContent(Attributed, tag="REASONING_MESSAGE_CONTENT", frozen=True):
    message_id: str
    delta: str


class ReasoningMessageEnd(Attributed, tag="REASONING_MESSAGE_END", frozen=True):
    message_id: str


class ReasoningMessageChunk(Attributed, tag="REASONING_MESSAGE_CHUNK", frozen=True):
    message_id: str | None = None
    delta: str | None = None


class ReasoningEncryptedValue(Attributed, tag="REASONING_ENCRYPTED_VALUE", frozen=True):
    subtype: Literal["tool-call", "message"]
    entity_id: str
    encrypted_value: str


class Subagent(Event, kw_only=True, frozen=True):
    """An event about a subagent itself: its tag names the subagent and is required."""

    subagent_run_id: str | None


class SubagentStarted(Subagent, tag="SUBAGENT_STARTED", frozen=True):
    name: str
    description: Given = UNSET
    parent_subagent_run_id: Given = UNSET
    parent_tool_call_id: Given = UNSET
    parent_message_id: Given = UNSET


class SubagentFinished(Subagent, tag="SUBAGENT_FINISHED", frozen=True):
    outcome: SubagentSucceeded | SubagentSuspended | UnsetType | None = UNSET
    result: Raw | UnsetType = UNSET


class SubagentError(Subagent, tag="SUBAGENT_ERROR", frozen=True):
    message: str
    code: Given = UNSET


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
"""JSON bytes -> event; raises msgspec.DecodeError, RecursionError or ValueError."""
