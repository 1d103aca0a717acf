"""Ids that name two things at once. Clients keep text, reasoning, activities and results in one list of
messages and find them by id alone, over all runs of a conversation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable

from dtvn.events.advice.said import Said
from dtvn.events.rules import listed, quoted
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s

_ROLES: dict[type[m.Message], str] = {
    m.AssistantMessage: "assistant",
    m.ReasoningMessage: "reasoning",
    m.ActivityMessage: "activity",
    m.ToolMessage: "result",
}
_CALLER = "caller"
"""The role of a message that a tool call made, or names as its parent, before any text of it came."""
_WHAT = {
    "assistant": "a message",
    "reasoning": "a reasoning message",
    "activity": "an activity",
    "result": "the result of a tool call",
    _CALLER: "the message of a tool call",
}


class Identities:
    """What each id of a message or call names, of the newest `most` of each."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._roles: dict[str, str] = {}
        self._calls: dict[str, str] = {}
        """Id of a call -> that of the message that holds it."""
        self._again: set[str] = set()
        """Those that started again, and got no arguments since."""

    def snapshot(self, history: Iterable[m.Message], filled: Container[str]) -> Said:
        """What clients lose or show twice by the messages of a snapshot. `filled`: the messages of this run
        that have a text."""
        given = [*history]
        names = Counter(message.id for message in given)
        holders: dict[str, list[str]] = {}
        for message in given:
            for call in (message.tool_calls or []) if isinstance(message, m.AssistantMessage) else []:
                holders.setdefault(call.id, []).append(message.id)
        twice = [name for name, count in names.items() if count > 1]
        twice += [call for call, found in holders.items() if len(found) > 1]
        if twice:
            said = f"It holds several times, and clients show each: {listed(twice)}."
            yield "SNAPSHOT_DOUBLES", "messages", said
        moved = [
            call for call, (first, *_) in holders.items() if self._calls.get(call, first) not in (first, call)
        ]
        moved = [call for call in moved if self._calls[call] in names and call not in twice]
        if moved:
            said = f"Calls stand in another message than before, and clients move them: {listed(moved)}."
            yield "SNAPSHOT_MOVES_CALL", "messages", said
        texts = [name for name, role in self._roles.items() if role == "assistant" and name in filled]
        lost = [name for name in texts if name not in names]
        # A text that has another id now takes the place of the one that was streamed.
        new = [each for each in given if isinstance(each, m.AssistantMessage) and each.id not in self._roles]
        if len(lost) > sum(bool(message.content) for message in new):
            said = f"Texts that clients have shown are not in it, and disappear: {listed(lost)}."
            yield "SNAPSHOT_DROPS_TEXT", "messages", said

    def take_over(self, history: Iterable[m.Message], *, replaces: bool) -> None:
        """Messages of an input, which add to those that are there, or of a snapshot, which replace them: only
        the reasoning and the activities that a snapshot has none of stay."""
        given = [*history]
        roles = {message.id: _ROLES.get(type(message), "assistant") for message in given}
        if replaces:
            kept = {"reasoning", "activity"} - {*roles.values()}
            self._roles = {name: role for name, role in self._roles.items() if role in kept}
            self._calls.clear()
            self._again.clear()
        for name, role in roles.items():
            if replaces or name not in self._roles:
                self._set(name, role)
        for message in given:
            for call in (message.tool_calls or []) if isinstance(message, m.AssistantMessage) else []:
                self._call(call.id, message.id)

    def text(self, event: s.TextMessageStart) -> Said:
        role = self._roles.get(event.message_id)
        if role is not None and role != _CALLER:
            effect = "drop this text" if role == "activity" else "append this text to it"
            return (_reused(event.message_id, role, effect),)
        if role is None or event.role in (None, "assistant"):
            self._set(event.message_id, "assistant")
        return ()

    def reasoning(self, event: s.ReasoningMessageStart) -> Said:
        role = self._roles.get(event.message_id)
        if role is None:
            self._set(event.message_id, "reasoning")
            return ()
        effect = "drop this reasoning" if role == "activity" else "append this reasoning to it"
        return (_reused(event.message_id, role, effect),)

    def activity(self, event: s.ActivitySnapshot) -> Said:
        role = self._roles.get(event.message_id)
        if role is None:
            self._set(event.message_id, "activity")
        elif role != "activity":
            replaced = event.replace is not False
            effect = "put the activity in its place" if replaced else "drop the activity"
            yield _reused(event.message_id, role, effect)
            if replaced:
                self._set(event.message_id, "activity")

    def result(self, event: s.ToolCallResult) -> Said:
        role = self._roles.get(event.message_id)
        if role is None:
            self._set(event.message_id, "result")
            return ()
        return (_reused(event.message_id, role, "then have two messages of this id"),)

    def call(self, event: s.ToolCallStart) -> Said:
        """A call starts. A start that is sent again changes nothing, as when a run goes on after an
        interrupt; clients do not look for its parent then."""
        identifier, parent = event.tool_call_id, event.parent_message_id
        if identifier in self._calls:
            self._again.add(identifier)
            return ()
        self._call(identifier, parent or identifier)
        role = self._roles.get(parent) if parent else None
        if parent and role is not None and role not in ("assistant", _CALLER):
            self._calls[identifier] = identifier
            said = f"{quoted(parent)} is {_WHAT[role]}: clients make a message of its own for the call."
            if identifier not in self._roles:
                self._set(identifier, _CALLER)
            return (("PARENT_NOT_ASSISTANT", "parentMessageId", said),)
        if role is None:
            self._set(parent or identifier, _CALLER)
        return ()

    def call_arguments(self, event: s.ToolCallArgs) -> Said:
        if event.delta and event.tool_call_id in self._again:
            self._again.discard(event.tool_call_id)
            name = quoted(event.tool_call_id)
            said = f"Call {name} was there before: clients append these arguments to its own."
            yield "TOOL_CALL_ID_REUSED", "toolCallId", said

    def starts_again(self, call: str) -> bool:
        """Whether a call started again, and got no arguments since."""
        return call in self._again

    def knows_call(self, name: str) -> bool:
        """Whether a call of this id has started."""
        return name in self._calls

    def sealed(self, event: s.ReasoningEncryptedValue) -> Said:
        """A sealed value belongs to a message or a call that clients have."""
        known: dict[str, str] = self._calls if event.subtype == "tool-call" else self._roles
        if event.entity_id not in known and len(known) < self._most:
            said = f"No {event.subtype} {quoted(event.entity_id)} is known: clients drop its sealed value."
            yield "SEALED_VALUE_UNKNOWN", "entityId", said

    def is_activity(self, name: str) -> bool:
        return self._roles.get(name) == "activity"

    def _set(self, name: str, role: str) -> None:
        self._roles[name] = role
        if len(self._roles) > self._most:
            del self._roles[next(iter(self._roles))]

    def _call(self, name: str, holder: str) -> None:
        self._calls[name] = holder
        if len(self._calls) > self._most:
            oldest = next(iter(self._calls))
            del self._calls[oldest]
            self._again.discard(oldest)


def _reused(name: str, role: str, effect: str) -> tuple[str, str | None, str]:
    said = f"{quoted(name)} is the id of {_WHAT[role]} already: clients {effect}."
    return "MESSAGE_ID_REUSED", "messageId", said
