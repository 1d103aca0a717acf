"""Shapes inside events of AG-UI 1.0: messages, content parts, patches, outcomes, the input of a run.

They take exactly what the protocol describes, and refuse any other field; `tolerance` reads the rest. Fields
have their wire names in camelCase (`message_id` is `messageId`). Values that the protocol does not look into
stay undecoded (`msgspec.Raw`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, TypeVar

from msgspec import Meta, Raw, Struct, field

SAFE_INTEGER = 2**53 - 1
"""The largest integer that survives JSON numbers on every client."""
# A whole number is written 12 or 12.0.
Whole = (
    Annotated[int, Meta(ge=-SAFE_INTEGER, le=SAFE_INTEGER)]
    | Annotated[float, Meta(ge=-float(SAFE_INTEGER), le=float(SAFE_INTEGER), multiple_of=1)]
)
Count = (
    Annotated[int, Meta(ge=0, le=SAFE_INTEGER)]
    | Annotated[float, Meta(ge=0, le=float(SAFE_INTEGER), multiple_of=1)]
)
Pointer = Annotated[str, Meta(pattern=r"^(?:/(?:[^/~]++|~[01])*+)*+\Z")]
"""A JSON Pointer (RFC 6901); the empty one names the whole document. Possessive: it never backtracks."""
Open = dict[str, Raw]
"""An object with any keys."""
_Value = TypeVar("_Value")
# A field that may be absent, which reads None. On the wire it is never null: type checkers alone see that.
if TYPE_CHECKING:
    Maybe: TypeAlias = _Value | None
else:
    Maybe = Annotated[_Value, "may be absent"]


class Shape(Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    """What every nested shape shares: wire names in camelCase."""


class TextPart(Shape, tag_field="type", tag="text", frozen=True):
    text: str
    id: Maybe[str] = None
    metadata: Maybe[Raw] = None


class DataSource(Shape, tag_field="type", tag="data", frozen=True):
    value: str
    mime_type: str


class UrlSource(Shape, tag_field="type", tag="url", frozen=True):
    value: str
    mime_type: Maybe[str] = None


class FileSource(Shape, tag_field="type", tag="file", frozen=True):
    value: str
    provider: Maybe[str] = None
    mime_type: Maybe[str] = None


class MediaPart(Shape, tag_field="type", frozen=True):
    source: DataSource | UrlSource | FileSource
    id: Maybe[str] = None
    metadata: Maybe[Raw] = None


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
    type: Literal["function"]
    encrypted_value: Maybe[str] = None
    metadata: Maybe[Open] = None


class MessageShape(Shape, tag_field="role", kw_only=True, frozen=True):
    id: str
    subagent_run_id: Maybe[str] = None
    metadata: Maybe[Open] = None


class SealedMessage(MessageShape, kw_only=True, frozen=True):
    encrypted_value: Maybe[str] = None


class NamedMessage(SealedMessage, kw_only=True, frozen=True):
    name: Maybe[str] = None


class DeveloperMessage(NamedMessage, tag="developer", frozen=True):
    content: str


class SystemMessage(NamedMessage, tag="system", frozen=True):
    content: str


class AssistantMessage(NamedMessage, tag="assistant", frozen=True):
    content: Maybe[str] = None
    tool_calls: Maybe[list[ToolCall]] = None


class UserMessage(NamedMessage, tag="user", frozen=True):
    content: Body


class ToolMessage(SealedMessage, tag="tool", frozen=True):
    content: Body
    tool_call_id: str
    error: Maybe[str] = None


class ActivityMessage(MessageShape, tag="activity", frozen=True):
    activity_type: str
    content: Open


class ReasoningMessage(SealedMessage, tag="reasoning", frozen=True):
    content: str


Message = (
    DeveloperMessage
    | SystemMessage
    | AssistantMessage
    | UserMessage
    | ToolMessage
    | ActivityMessage
    | ReasoningMessage
)


class Operation(Shape, tag_field="op", frozen=True, forbid_unknown_fields=False):
    """Open: RFC 6902 has readers ignore other members."""

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
    message: Maybe[str] = None
    tool_call_id: Maybe[str] = None
    response_schema: Maybe[Open] = None
    expires_at: Maybe[str] = None
    metadata: Maybe[Open] = None
    subagent_run_id: Maybe[str] = None


class Succeeded(Shape, tag_field="type", tag="success", frozen=True):
    pending_tool_call_ids: Maybe[list[str]] = None


class Interrupted(Shape, tag_field="type", tag="interrupt", frozen=True):
    interrupts: Annotated[list[Interrupt], Meta(min_length=1)]


class Cancelled(Shape, tag_field="type", tag="cancelled", frozen=True):
    pass


class SubagentSucceeded(Shape, tag_field="type", tag="success", frozen=True):
    pass


class SubagentSuspended(Shape, tag_field="type", tag="suspended", frozen=True):
    interrupt_ids: Maybe[list[str]] = None


class TokenUsage(Shape, frozen=True):
    provider: Maybe[str] = None
    model: Maybe[str] = None
    input_tokens: Maybe[Count] = None
    output_tokens: Maybe[Count] = None
    total_tokens: Maybe[Count] = None
    reasoning_tokens: Maybe[Count] = None
    cached_input_tokens: Maybe[Count] = None
    cache_write_input_tokens: Maybe[Count] = None


class Tool(Shape, frozen=True):
    name: str
    description: str
    metadata: Maybe[Open] = None
    parameters: Maybe[Raw] = None


class Context(Shape, frozen=True):
    description: str
    value: str


class Resume(Shape, frozen=True):
    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    metadata: Maybe[Open] = None
    payload: Maybe[Raw] = None


class RunInput(Shape, frozen=True):
    """RunAgentInput, as RUN_STARTED may repeat it."""

    thread_id: str
    run_id: str
    messages: list[Message]
    protocol_version: Maybe[str] = None
    parent_run_id: Maybe[str] = None
    tools: Maybe[list[Tool]] = None
    context: Maybe[list[Context]] = None
    resume: Maybe[list[Resume]] = None
    forwarded_props: Maybe[Raw] = None
    state: Maybe[Raw] = None
