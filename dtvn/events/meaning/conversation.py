"""The messages and the state that the official client 1.0 has after the events of a stream.

Read in the client's source (`apply/default.ts`) and compared with it on recordings (tests/events/meaning).
Metadata and encrypted values are left out: they mean something to agents and providers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UnsetType

from dtvn.events.advice import NOT_JSON, Document, TooLarge
from dtvn.events.meaning.entries import STATE_BYTES, Call, Entry, entry_of
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s

_HISTORY = "@ag-ui/client"
"""Key of a snapshot's metadata in which `authoritativeActivityTypes` may stand."""


class NotFollowed(ValueError):
    """A state or an activity above STATE_BYTES, or a value that cannot be read."""


class Conversation:
    """What a new client has: first nothing, and the state {}."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.state = Document(b"{}", STATE_BYTES)
        self._named: dict[str, Entry] = {}
        """Id -> the first message that has it."""
        self._calls: dict[str, tuple[Entry, Call]] = {}

    def take(self, event: s.Event) -> None:
        """Apply an event that is no chunk. Raises NotFollowed."""
        method = _METHODS.get(type(event))
        if method is None:
            return
        try:
            method(self, event)
        except TooLarge:
            raise NotFollowed(f"a state or an activity above {STATE_BYTES} bytes") from None
        except NOT_JSON as error:
            raise NotFollowed(f"a value that cannot be read: {error}") from None

    def call(self, identifier: str) -> Call | None:
        """The first call of this id."""
        found = self._calls.get(identifier)
        return None if found is None else found[1]

    # --- messages --------------------------------------------------------------------------------

    def _add(self, entry: Entry, place: int | None = None) -> Entry:
        self.entries.insert(len(self.entries) if place is None else place, entry)
        if entry.id in self._named:
            self._look()  # the new one may stand before the other
        else:
            self._named[entry.id] = entry
            self._note_calls(entry)
        return entry

    def _look(self) -> None:
        """Find all messages and calls by their ids anew."""
        self._named.clear()
        self._calls.clear()
        for entry in self.entries:
            self._named.setdefault(entry.id, entry)
            self._note_calls(entry)

    def _note_calls(self, entry: Entry) -> None:
        for call in entry.calls or ():
            self._calls.setdefault(call.id, (entry, call))

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
        given = {message.id: entry_of(message) for message in event.messages}
        activities, reasoning = _owned(event)

        def stays(entry: Entry) -> bool:
            if entry.role == "activity":
                return activities is not None and entry.kind not in activities
            return entry.role == "reasoning" and not reasoning

        kept = [given.get(entry.id, entry) for entry in self.entries if entry.id in given or stays(entry)]
        known = {entry.id for entry in kept}
        self.entries = kept + [given[message.id] for message in event.messages if message.id not in known]
        self._look()

    def run_started(self, event: s.RunStarted) -> None:
        if event.input is None:
            return
        if not isinstance(event.input.state, UnsetType):
            self.state = Document(bytes(event.input.state), STATE_BYTES)
        for message in event.input.messages:
            if message.id not in self._named:
                self._add(entry_of(message))

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
        # From the end: it is one of the newest.
        place = next(at for at in reversed(range(len(self.entries))) if self.entries[at] is found[0]) + 1
        while place < len(self.entries) and self.entries[place].role == "tool":
            place += 1
        self._add(made, place)

    # --- state and activities --------------------------------------------------------------------

    def state_snapshot(self, event: s.StateSnapshot) -> None:
        self.state = Document(bytes(event.snapshot), STATE_BYTES)

    def state_delta(self, event: s.StateDelta) -> None:
        self.state.apply(event.delta)  # one that fails is dropped whole

    def activity_snapshot(self, event: s.ActivitySnapshot) -> None:
        known = self._named.get(event.message_id)
        if known is not None and event.replace is False:
            return
        made = known or self._add(Entry(event.message_id, "activity"))
        made.become_activity(event.activity_type, msgspec.json.encode(event.content), _owner(event))
        if made.calls:
            made.calls = None
            self._look()

    def activity_delta(self, event: s.ActivityDelta) -> None:
        entry = self._named.get(event.message_id)
        if entry is None or entry.activity is None:
            return
        if entry.activity.apply(event.patch) is None:
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
