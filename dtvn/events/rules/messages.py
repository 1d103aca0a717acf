"""Shapes inside events of AG-UI 1.0: messages, content parts, patches, outcomes, the input of a run.

Fields have their wire names in camelCase (`message_id` is `messageId`); unknown fields are ignored, as by the
official models. Values that the protocol does not look into stay undecoded (`msgspec.Raw`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

SAFE_INTEGER = 2**53 - 1
"""The largest integer that survives JSON numbers on every client."""
# A whole number as the official models take it: 12, 12.0, "12". One of 16 digits in a string is not above
# 8.9e15.
Whole = (
    Annotated[int, Meta(ge=-SAFE_INTEGER, le=SAFE_INTEGER)]
    | Annotated[float, Meta(ge=-float(SAFE_INTEGER), le=float(SAFE_INTEGER), multiple_of=1)]
    | Annotated[str, Meta(pattern=r"^[+-]?0*([0-9]{1,15}|[1-8][0-9]{15})\Z")]
)
Count = (
    Annotated[int, Meta(ge=0, le=SAFE_INTEGER)]
    | Annotated[float, Meta(ge=0, le=float(SAFE_INTEGER), multiple_of=1)]
    | Annotated[str, Meta(pattern=r"^\+?0*([0-9]{1,15}|[1-8][0-9]{15})\Z")]
)
Pointer = Annotated[str, Meta(pattern=r"^(?:/(?:[^/~]++|~[01])*+)*+\Z")]
"""A JSON Pointer (RFC 6901); the empty one names the whole document. Possessive: it never backtracks."""
Open = dict[str, Raw]
"""An object with any keys."""
Tag = str | UnsetType | None
"""The `subagentRunId` of an event: absent (UNSET) means the parent agent; null is refused by the rules of
order."""


class Shape(Struct, frozen=True, gc=False, rename="camel"):
    """What every nested shape shares: wire names in camelCase."""


class TextPart(Shape, tag_field="type", tag="text", frozen=True):
    text: str
    id: str | None = None


class DataSource(Shape, tag_field="type", tag="data", frozen=True):
    value: str
    mime_type: str


class UrlSource(Shape, tag_field="type", tag="url", frozen=True):
    value: str
    mime_type: str | None = None


class FileSource(Shape, tag_field="type", tag="file", frozen=True):
    value: str
    provider: str | None = None
    mime_type: str | None = None


class MediaPart(Shape, tag_field="type", frozen=True):
    source: DataSource | UrlSource | FileSource
    id: str | None = None


class ImagePart(MediaPart, tag="image", frozen=True):
    pass


class AudioPart(MediaPart, tag="audio", frozen=True):
    pass


class VideoPart(MediaPart, tag="video", frozen=True):
    pass


class DocumentPart(MediaPart, tag="document", frozen=True):
    pass


Part = TextPart | ImagePart | AudioPart | VideoPart | DocumentPart
Body = str | list[Part]
"""Plain text, or parts in their order."""


class Function(Shape, frozen=True):
    name: str
    arguments: str


class ToolCall(Shape, frozen=True):
    id: str
    function: Function
    type: Literal["function"] = "function"
    encrypted_value: str | None = None
    metadata: Open | None = None


class MessageShape(Shape, tag_field="role", kw_only=True, frozen=True):
    id: str
    subagent_run_id: Tag = UNSET
    metadata: Open | None = None


class DeveloperMessage(MessageShape, tag="developer", frozen=True):
    content: str
    name: str | None = None
    encrypted_value: str | None = None


class SystemMessage(MessageShape, tag="system", frozen=True):
    content: str
    name: str | None = None
    encrypted_value: str | None = None


class AssistantMessage(MessageShape, tag="assistant", frozen=True):
    content: str | None = None
    tool_calls: list[ToolCall] | None = None
    name: str | None = None
    encrypted_value: str | None = None


class UserMessage(MessageShape, tag="user", frozen=True):
    content: Body
    name: str | None = None
    encrypted_value: str | None = None


class ToolMessage(MessageShape, tag="tool", frozen=True):
    content: Body
    tool_call_id: str
    error: str | None = None
    encrypted_value: str | None = None


class ActivityMessage(MessageShape, tag="activity", frozen=True):
    activity_type: str
    content: Open


class ReasoningMessage(MessageShape, tag="reasoning", frozen=True):
    content: str
    encrypted_value: str | None = None


Message = (
    DeveloperMessage
    | SystemMessage
    | AssistantMessage
    | UserMessage
    | ToolMessage
    | ActivityMessage
    | ReasoningMessage
)


class Operation(Shape, tag_field="op", frozen=True):
    path: Pointer


class Add(Operation, tag="add", frozen=True):
    value: Raw


class Replace(Operation, tag="replace", frozen=True):
    value: Raw


class Test(Operation, tag="test", frozen=True):
    value: Raw


class Remove(Operation, tag="remove", frozen=True):
    pass


class Move(Operation, tag="move", frozen=True):
    from_: Pointer = field(name="from")


class Copy(Operation, tag="copy", frozen=True):
    from_: Pointer = field(name="from")


Patch = list[Add | Replace | Test | Remove | Move | Copy]
"""A JSON Patch (RFC 6902)."""


class Interrupt(Shape, frozen=True):
    id: str
    reason: str
    message: str | None = None
    tool_call_id: str | None = None
    response_schema: Open | None = None
    expires_at: str | None = None
    metadata: Open | None = None
    subagent_run_id: Tag = UNSET


class Succeeded(Shape, tag_field="type", tag="success", frozen=True):
    pending_tool_call_ids: list[str] | None = None


class Interrupted(Shape, tag_field="type", tag="interrupt", frozen=True):
    interrupts: Annotated[list[Interrupt], Meta(min_length=1)]


class Cancelled(Shape, tag_field="type", tag="cancelled", frozen=True):
    pass


class SubagentSucceeded(Shape, tag_field="type", tag="success", frozen=True):
    interrupt_ids: list[str] | UnsetType | None = UNSET


class SubagentSuspended(Shape, tag_field="type", tag="suspended", frozen=True):
    interrupt_ids: list[str] | UnsetType | None = UNSET


class TokenUsage(Shape, frozen=True):
    provider: str | None = None
    model: str | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    cached_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None


class Tool(Shape, frozen=True):
    name: str
    description: str
    metadata: Open | None = None
    parameters: Raw | UnsetType = UNSET


class Context(Shape, frozen=True):
    description: str
    value: str


class Resume(Shape, frozen=True):
    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    metadata: Open | None = None


class RunInput(Shape, frozen=True):
    """RunAgentInput, as RUN_STARTED may repeat it."""

    thread_id: str
    run_id: str
    messages: list[Message]
    protocol_version: str | None = None
    parent_run_id: str | None = None
    tools: list[Tool] | None = None
    context: list[Context] | None = None
    resume: list[Resume] | None = None
    state: Raw | UnsetType = UNSET
