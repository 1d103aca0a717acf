"""From the events of a stream to what they mean: judged by the rules, then applied as a client does."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.events.advice import NOT_JSON
from dtvn.events.meaning.conversation import Conversation
from dtvn.events.meaning.items import Meaning, items_of
from dtvn.events.meaning.references import references_of, referring
from dtvn.events.rules import Phase, Reading, Stream, Violation
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s


class NotRead(ValueError):
    """A value that cannot be read, as a number beyond those of JSON's readers."""


class Folding:
    """One stream. As in the official client, events of unknown type are dropped, those of protocol 0.x are
    converted, and nothing behind the first event that is refused counts."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self.refusal: Violation | None = None
        """Why an event was refused, which ended the reading."""
        self._refused = b""
        self.events = 0
        self._stream = Stream(reading=Reading.CLIENT)
        self._outcomes: list[dict[str, Any]] = []
        self._started: list[str] = []
        """Ids of the calls of the present run."""
        self._answered: set[str] = set()
        self._run = 0
        self._runs: dict[str, str] = {}
        """Id of a thread or a run -> what it names."""

    def feed(self, data: bytes) -> None:
        """Take the JSON text of the next event. Raises NotRead."""
        if self.refusal is not None:
            return
        self.events += 1
        verdict = self._stream.feed(data)
        if not verdict.accepted:
            self.refusal, self._refused = verdict.violations[0], data
            return
        try:
            for part in self._stream.parts:
                self._follow(part)
                self.conversation.take(part)
        except NOT_JSON as error:
            raise NotRead(f"a value that cannot be read: {error}") from None

    def meaning(self) -> Meaning:
        """What the events so far mean."""
        outcomes = [*self._outcomes]
        if self.refusal is not None:
            event = self._refused.decode(errors="backslashreplace")
            outcomes.append({"type": "refused", "code": self.refusal.code, "event": event})
        elif self._stream.state.phase is Phase.ACTIVE:
            outcomes.append({"type": "unfinished"})
        references = references_of(self.conversation, self._runs)
        state = referring(self.conversation.state.value, references)
        return Meaning(items_of(self.conversation, references), state, tuple(outcomes))

    def _follow(self, event: s.Event) -> None:
        """Note calls, answers and the end of a run."""
        match event:
            case s.RunStarted():
                self._started, self._answered = [], set()
                self._runs.setdefault(event.thread_id, "the thread")
                self._run += 1
                self._runs.setdefault(event.run_id, f"run {self._run}")
            case s.ToolCallStart():
                self._started.append(event.tool_call_id)
            case s.ToolCallResult():
                self._answered.add(event.tool_call_id)
            case s.RunError():
                code = {} if event.code is None else {"code": event.code}
                self._outcomes.append({"type": "error", "message": event.message} | code)
            case s.RunFinished():
                self._outcomes.append(self._outcome(event))

    def _outcome(self, event: s.RunFinished) -> dict[str, Any]:
        match event.outcome:
            case m.Interrupted(interrupts=interrupts):
                return {"type": "interrupt", "interrupts": [self._interrupt(each) for each in interrupts]}
            case m.Cancelled():
                return {"type": "cancelled"}
        result = {} if event.result is None else {"result": msgspec.json.decode(event.result)}
        named = event.outcome.pending_tool_call_ids if event.outcome is not None else None
        waiting = named or [each for each in self._started if each not in self._answered]
        calls = {"calls_for_the_client": [self._tool(each) for each in waiting]} if waiting else {}
        return {"type": "success"} | result | calls

    def _interrupt(self, interrupt: m.Interrupt) -> dict[str, Any]:
        given: dict[str, Any] = {"reason": interrupt.reason}
        if interrupt.message is not None:
            given["message"] = interrupt.message
        if interrupt.tool_call_id is not None:
            given["call"] = self._tool(interrupt.tool_call_id)
        for name, value in (("responseSchema", interrupt.response_schema), ("metadata", interrupt.metadata)):
            if value is not None:
                given[name] = msgspec.json.decode(msgspec.json.encode(value))
        if interrupt.expires_at is not None:
            given["expires"] = True  # times mean nothing, but a client shows that there is one
        return given

    def _tool(self, identifier: str) -> str:
        """The tool of a call; ids mean nothing."""
        call = self.conversation.call(identifier)
        return "unknown" if call is None else call.name
