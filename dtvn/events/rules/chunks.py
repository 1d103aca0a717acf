"""Chunks: the shorthand for start, content and end, expanded before the rules of order run.

Each owner (the parent agent or a subagent) has one lane, which holds the stream that its chunks build now.
`expand` only plans; the lanes change once the planned events are accepted.
"""

from __future__ import annotations

from msgspec import Struct

from dtvn.events.rules import shapes as s
from dtvn.events.rules.items import mismatch
from dtvn.events.rules.state import Kind, Lane, Owner
from dtvn.events.rules.violation import Refusal, quoted

Lanes = dict[Owner, Lane]
Chunk = s.TextMessageChunk | s.ToolCallChunk | s.ReasoningMessageChunk
CHUNKS: dict[type[s.Event], Kind] = {
    s.TextMessageChunk: Kind.TEXT,
    s.ToolCallChunk: Kind.TOOL,
    s.ReasoningMessageChunk: Kind.REASONING,
}
_WHAT = {Kind.TEXT: "Message", Kind.TOOL: "Tool call", Kind.REASONING: "Reasoning message"}
_ID = {Kind.TEXT: "messageId", Kind.TOOL: "toolCallId", Kind.REASONING: "messageId"}
_CLOSES_NONE = {s.RawEvent, s.ActivitySnapshot, s.ActivityDelta, s.ReasoningEncryptedValue, s.SubagentStarted}
_CLOSES_ALL = {s.RunStarted, s.RunFinished, s.RunError, s.MessagesSnapshot}


class Expansion(Struct, frozen=True):
    """What an event stands for: `closed` lanes end first, `opened` is the lane that then begins, `events`
    follow in their order (for an event that is no chunk, itself)."""

    closed: tuple[Lane, ...]
    events: tuple[s.Event, ...]
    opened: Lane | None = None


def ending(lane: Lane) -> s.Event:
    """The end event of a lane's stream."""
    if lane.kind is Kind.TEXT:
        return s.TextMessageEnd(message_id=lane.id, subagent_run_id=lane.owner)
    if lane.kind is Kind.TOOL:
        return s.ToolCallEnd(tool_call_id=lane.id, subagent_run_id=lane.owner)
    return s.ReasoningMessageEnd(message_id=lane.id, subagent_run_id=lane.owner)


def expand(lanes: Lanes, event: s.Event, id_characters: int) -> Expansion | Refusal:
    """The plan for `event` while these lanes are open, or the reason to refuse it. `id_characters`: longest
    id or name."""
    kind = CHUNKS.get(type(event))
    if kind is None:
        return Expansion(_closed_by(lanes, event), (event,))
    if not isinstance(event, Chunk):
        raise TypeError(f"{type(event).__name__} in the table of chunks")
    tag = event.subagent_run_id
    identifier = event.tool_call_id if isinstance(event, s.ToolCallChunk) else event.message_id
    owner = _lane_of(lanes, kind, identifier, tag)
    if isinstance(owner, Refusal):
        return owner
    lane = lanes.get(owner)
    if lane is not None and lane.kind is kind and identifier in (None, lane.id):
        return _conflict(lane, event) or Expansion((), _content(lane, event))
    return _opened(event, kind, owner, lane, id_characters)


def _closed_by(lanes: Lanes, event: s.Event) -> tuple[Lane, ...]:
    kind = type(event)
    if kind in _CLOSES_ALL:
        return tuple(lanes.values())
    if kind in _CLOSES_NONE or not isinstance(event, s.Attributed | s.Subagent):
        return ()
    tag = event.subagent_run_id
    lane = lanes.get(tag if isinstance(tag, str) else None)
    return (lane,) if lane is not None else ()


def _lane_of(lanes: Lanes, kind: Kind, identifier: str | None, tag: Owner) -> Owner | Refusal:
    """Owner of the lane that a chunk belongs to: the lane with its id, else its tag, else the parent agent if
    the chunk has an id or the parent's lane builds this kind, else the only subagent whose lane does. Returns
    a Refusal if id and tag disagree, or if several subagents qualify."""
    if identifier is not None:
        for lane in lanes.values():
            if lane.kind is kind and lane.id == identifier:
                if isinstance(tag, str) and tag != lane.owner:
                    return mismatch(_WHAT[kind], identifier, lane.owner, tag)
                return lane.owner
    if isinstance(tag, str):
        return tag
    parent = lanes.get(None)
    if identifier is not None or (parent is not None and parent.kind is kind):
        return None
    candidates = [lane.owner for lane in lanes.values() if lane.kind is kind]
    if len(candidates) > 1:
        what = _WHAT[kind].lower()
        said = f"{len(candidates)} agents have an open {what}; the chunk names neither id nor agent."
        return Refusal("CHUNK_AMBIGUOUS", said, _ID[kind])
    return candidates[0] if candidates else None


def _conflict(lane: Lane, event: Chunk) -> Refusal | None:
    """Returns a Refusal if the chunk repeats a field with another value than the lane's first chunk gave
    it."""
    pairs: tuple[tuple[str, str | None, str | None], ...] = ()
    if isinstance(event, s.TextMessageChunk):
        pairs = (("role", event.role, lane.role), ("name", event.name, lane.name))
    elif isinstance(event, s.ToolCallChunk):
        name, parent = event.tool_call_name, event.parent_message_id
        pairs = (("toolCallName", name, lane.name), ("parentMessageId", parent, lane.parent))
    for field, now, first in pairs:
        if now is not None and now != first:
            before = quoted(first) if first is not None else "absent"
            said = f"{field} is {quoted(now)}; in the first chunk of {quoted(lane.id)} it was {before}."
            return Refusal("CHUNK_FIELD_CONFLICT", said, field)
    return None


def _opened(
    event: Chunk, kind: Kind, owner: Owner, replaced: Lane | None, id_characters: int
) -> Expansion | Refusal:
    field = _ID[kind]
    closed = (replaced,) if replaced is not None else ()
    role, name, parent = None, None, None
    start: s.Event
    if isinstance(event, s.ToolCallChunk):
        if event.tool_call_id is None:
            return Refusal("CHUNK_MISSING_ID", f"The first chunk of a tool call has no {field}.", field)
        if event.tool_call_name is None:
            said = f"The first chunk of tool call {quoted(event.tool_call_id)} has no toolCallName."
            return Refusal("CHUNK_MISSING_NAME", said, "toolCallName")
        identifier, name, parent = event.tool_call_id, event.tool_call_name, event.parent_message_id
        start = s.ToolCallStart(identifier, name, parent, subagent_run_id=owner)
    else:
        if event.message_id is None:
            return Refusal("CHUNK_MISSING_ID", f"The first chunk of a message has no {field}.", field)
        identifier = event.message_id
        if isinstance(event, s.TextMessageChunk):
            role, name = event.role or "assistant", event.name
            start = s.TextMessageStart(identifier, event.role or "assistant", name, subagent_run_id=owner)
        else:
            start = s.ReasoningMessageStart(identifier, "reasoning", subagent_run_id=owner)
    if max(len(text) for text in (identifier, name or "", parent or "")) > id_characters:
        return Refusal("ID_TOO_LONG", f"An id or name has more than {id_characters} characters.", field)
    lane = Lane(owner, kind, identifier, role, name, parent)
    return Expansion(closed, (start, *_content(lane, event)), lane)


def _content(lane: Lane, event: Chunk) -> tuple[s.Event, ...]:
    """The content event of a chunk, if it carries anything."""
    if event.delta is None and event.raw_event is None:
        return ()
    delta = event.delta or ""
    if lane.kind is Kind.TEXT:
        return (s.TextMessageContent(lane.id, delta, subagent_run_id=lane.owner),)
    if lane.kind is Kind.TOOL:
        return (s.ToolCallArgs(lane.id, delta, subagent_run_id=lane.owner),)
    return (s.ReasoningMessageContent(lane.id, delta, subagent_run_id=lane.owner),)
