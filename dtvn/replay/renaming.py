"""The names in a replayed event: thread and run of who asks, and ids that this conversation has not seen."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.replay.recording import Recorded

_NAMED = ("RUN_STARTED", "RUN_FINISHED")
_IDS = (
    *("messageId", "toolCallId", "parentMessageId", "parentToolCallId", "entityId"),
    *("subagentRunId", "parentSubagentRunId"),
)
"""Fields of events and messages that hold one id."""
_LISTS = ("pendingToolCallIds", "interruptIds")


class Names:
    """Puts the names of one request in the place of the recorded ones."""

    def __init__(self, given: dict[str, Any], time: int) -> None:
        """`given`: the RunAgentInput; `time`: how often its thread has been given this run, from 1. Later
        times get ids of their own: a client appends the text of a message that it has to that message."""
        self._given = given
        self._suffix = "" if time == 1 else f"-{time}"

    def renamed(self, event: Recorded) -> bytes:
        """The JSON text of the event under these names; its own text where nothing changes."""
        if not self._suffix and event.kind not in _NAMED:
            return event.text
        try:
            value = msgspec.json.decode(event.text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return event.text
        if not isinstance(value, dict):
            return event.text
        if event.kind in _NAMED:
            value |= {"threadId": self._given["threadId"], "runId": self._given["runId"]}
            if "input" in value:
                value["input"] = self._given
        if self._suffix:
            self._own_ids(value)
            for message in _objects(value.get("messages")):
                self._message(message)
            outcome = value.get("outcome")
            if isinstance(outcome, dict):
                self._own_ids(outcome)
                for interrupt in _objects(outcome.get("interrupts")):
                    self._own(interrupt, "id")
                    self._own_ids(interrupt)
        return msgspec.json.encode(value)

    def _message(self, message: dict[str, Any]) -> None:
        # A user's messages come from the client, which knows them by these ids.
        if message.get("role") != "user":
            self._own(message, "id")
        self._own_ids(message)
        for call in _objects(message.get("toolCalls")):
            self._own(call, "id")

    def _own_ids(self, value: dict[str, Any]) -> None:
        for name in _IDS:
            self._own(value, name)
        for name in _LISTS:
            if isinstance(value.get(name), list):
                value[name] = [each + self._suffix if isinstance(each, str) else each for each in value[name]]

    def _own(self, value: dict[str, Any], name: str) -> None:
        if isinstance(value.get(name), str):
            value[name] += self._suffix


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
