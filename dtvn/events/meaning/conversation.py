"""The messages and the state that the official client 1.0 has after the events of a stream.

Read in the client's source (`apply/default.ts`) and compared with it on recordings (tests/events/meaning).
Metadata and encrypted values are left out: they mean something to agents and providers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dtvn.events.meaning.entries import Call, Entry, entry_of
from dtvn.events.meaning.followed import ACTIVITY_BYTES, Followed, Room
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s

_HISTORY = "@ag-ui/client"
"""Key of a snapshot's metadata in which `authoritativeActivityTypes` may stand."""


class Conversation:
    """What a new client has: first nothing, and the state {}."""

    def __init__(self) -> None:
        self.state = Followed(b"{}")
        self._room = Room(ACTIVITY_BYTES)
        self._groups: list[list[Entry]] = []
        """All messages in their order: each with the tool messages that follow it. A result is added to the
        group of the message that called, so that its place needs no search."""
        self._named: dict[str, Entry] = {}
        """Id -> the first message that has it."""
        self._calls: dict[str, tuple[Entry, Call]] = {}
        """Id -> the first call that has it, and its message."""

    @property
    def entries(self) -> list[Entry]:
        """All messages in their order."""
        return [entry for group in self._groups for entry in group]

    def take(self, event: s.Event) -> None:
        """Apply an event that is no chunk. Raises an error of NOT_JSON for a value that cannot be read."""
        method = _METHODS.get(type(event))
        if method is not None:
            method(self, event)

    def call(self, identifier: str) -> Call | None:
        """The first call of this id."""
        found = self._calls.get(identifier)
        return None if found is None else found[1]

    # --- messages --------------------------------------------------------------------------------

    def _add(self, entry: Entry, group: int | None = None) -> Entry:
        """Add a message at the end, or at the end of this group."""
        if group is None:
            if entry.role != "tool" or not self._groups:
                self._groups.append([])
            group = len(self._groups) - 1
        entry.place = group, len(self._groups[group])
        self._groups[group].append(entry)
        first = self._named.get(entry.id)
        if first is None or entry.place < first.place:
            self._named[entry.id] = entry
        for call in entry.calls or ():
            self._calls.setdefault(call.id, (entry, call))
        return entry

    def _replace(self, entries: list[Entry]) -> None:
        """Have these messages instead."""
        self._groups, self._named, self._calls = [], {}, {}
        for entry in entries:
            self._add(entry)

    def text_start(self, event: s.TextMessageStart) -> None:
        if event.message_id not in self._named:
            role = event.role or "assistant"
            self._add(Entry(event.message_id, role, [], name=event.name, owner=_owner(event)))

    def reasoning_start(self, event: s.ReasoningMessageStart) -> None:
        if event.message_id not in self._named:
            self._add(Entry(event.message_id, "reasoning", [], owner=_owner(event)))

    def content(self, event: s.TextMessageContent | s.ReasoningMessageContent) -> None:
        entry = self._named.get(event.message_id)
        if entry is not None and entry.role != "activity":
            entry.append(event.delta)

    def messages_snapshot(self, event: s.MessagesSnapshot) -> None:
        """Replace what the snapshot names, add what is new, and keep of the rest only what a server may not
        know: activities and reasoning."""
        given = {message.id: entry_of(message, self._room) for message in event.messages}
        activities, reasoning = _owned(event)

        def stays(entry: Entry) -> bool:
            if entry.role == "activity":
                return activities is not None and entry.kind not in activities
            return entry.role == "reasoning" and not reasoning

        before = self.entries
        kept = [given.get(entry.id, entry) for entry in before if entry.id in given or stays(entry)]
        known = {entry.id for entry in kept}
        self._replace(kept + [given[message.id] for message in event.messages if message.id not in known])
        for entry in before:
            if entry.activity is not None and (entry.id in given or not stays(entry)):
                entry.activity.leave()

    def run_started(self, event: s.RunStarted) -> None:
        if event.input is None:
            return
        if event.input.state is not None:
            self.state = Followed(bytes(event.input.state))
        for message in event.input.messages:
            if message.id not in self._named:
                self._add(entry_of(message, self._room))

    # --- calls -----------------------------------------------------------------------------------

    def call_start(self, event: s.ToolCallStart) -> None:
        known = self.call(event.tool_call_id)
        if known is not None:
            known.name = event.tool_call_name
            return
        parent = self._named.get(event.parent_message_id or "")
        if parent is None or parent.role != "assistant":
            taken = parent is not None or not event.parent_message_id
            identifier = event.tool_call_id if taken else event.parent_message_id or ""
            parent = self._add(Entry(identifier, "assistant", owner=_owner(event)))
        call = Call(event.tool_call_id, event.tool_call_name, [])
        if parent.calls is None:
            parent.calls = []
        parent.calls.append(call)
        self._calls[event.tool_call_id] = parent, call

    def call_arguments(self, event: s.ToolCallArgs) -> None:
        if (call := self.call(event.tool_call_id)) is not None:
            call.arguments.append(event.delta)

    def result(self, event: s.ToolCallResult) -> None:
        """A result stands behind those of the message that called."""
        made = Entry(event.message_id, "tool", call_id=event.tool_call_id, owner=_owner(event))
        made.fill(event.content)
        found = self._calls.get(event.tool_call_id)
        if found is None:
            self._add(made)
            return
        self._add(made, found[0].place[0])

    # --- state and activities --------------------------------------------------------------------

    def state_snapshot(self, event: s.StateSnapshot) -> None:
        self.state = Followed(bytes(event.snapshot))

    def state_delta(self, event: s.StateDelta) -> None:
        self.state.apply(event.delta)

    def activity_snapshot(self, event: s.ActivitySnapshot) -> None:
        known = self._named.get(event.message_id)
        if known is not None and event.replace is False:
            return
        made = known or self._add(Entry(event.message_id, "activity"))
        regroup = made.role == "tool" or bool(made.calls)
        content = msgspec.json.encode(event.content)
        made.become_activity(event.activity_type, content, _owner(event), self._room)
        if regroup:
            made.calls = None
            self._replace(self.entries)

    def activity_delta(self, event: s.ActivityDelta) -> None:
        entry = self._named.get(event.message_id)
        if entry is None or entry.activity is None:
            return
        if entry.activity.apply(event.patch):
            entry.kind = event.activity_type


_METHODS: dict[type[s.Event], Callable[[Conversation, Any], None]] = {
    s.RunStarted: Conversation.run_started,
    s.TextMessageStart: Conversation.text_start,
    s.TextMessageContent: Conversation.content,
    s.ReasoningMessageStart: Conversation.reasoning_start,
    s.ReasoningMessageContent: Conversation.content,
    s.MessagesSnapshot: Conversation.messages_snapshot,
    s.ToolCallStart: Conversation.call_start,
    s.ToolCallArgs: Conversation.call_arguments,
    s.ToolCallResult: Conversation.result,
    s.StateSnapshot: Conversation.state_snapshot,
    s.StateDelta: Conversation.state_delta,
    s.ActivitySnapshot: Conversation.activity_snapshot,
    s.ActivityDelta: Conversation.activity_delta,
}


def _owner(event: s.Attributed) -> str | None:
    return event.subagent_run_id or None


def _owned(event: s.MessagesSnapshot) -> tuple[frozenset[str] | None, bool]:
    """(types of activities that the snapshot has all of, whether it has all reasoning); None: all types."""
    reasoning = any(isinstance(message, m.ReasoningMessage) for message in event.messages)
    inferred = any(isinstance(message, m.ActivityMessage) for message in event.messages)
    raw = (event.metadata or {}).get(_HISTORY)
    if raw is None:
        return None if inferred else frozenset(), reasoning
    value = msgspec.json.decode(raw)
    if not isinstance(value, dict):
        return frozenset(), reasoning
    if "authoritativeActivityTypes" not in value:
        return None if inferred else frozenset(), reasoning
    types = value["authoritativeActivityTypes"]
    if types is None:
        return None, reasoning
    listed = isinstance(types, list) and all(isinstance(each, str) for each in types)
    return frozenset(types if listed else ()), reasoning
