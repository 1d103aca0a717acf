"""From the events of a stream to what they mean: judged by the rules, then applied as a client does."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UnsetType

from dtvn.events.meaning.conversation import Conversation
from dtvn.events.meaning.items import Meaning, items_of, labelled, labels_of
from dtvn.events.rules import Phase, Stream, Violation
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s


class Folding:
    """One stream. As in the official client, events of unknown type are dropped, those of protocol 0.x are
    converted, and nothing behind the first event that is refused counts."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self.refusal: Violation | None = None
        """Why an event was refused, which ended the reading."""
        self.events = 0
        self._stream = Stream(drop_unknown=True, accept_0x=True)
        self._outcomes: list[dict[str, Any]] = []
        self._started: list[str] = []
        """Ids of the calls of the present run."""
        self._answered: set[str] = set()
        self._runs: dict[str, str] = {}
        """Id of a thread or a run -> what it names."""

    def feed(self, data: bytes) -> None:
        """Take the JSON text of the next event. Raises NotFollowed."""
        if self.refusal is not None:
            return
        self.events += 1
        verdict = self._stream.feed(data)
        if not verdict.accepted:
            self.refusal = verdict.violations[0]
            return
        for part in self._stream.parts:
            self._follow(part)
            self.conversation.take(part)

    def meaning(self) -> Meaning:
        """What the events so far mean."""
        outcomes = [*self._outcomes]
        if self.refusal is not None:
            # Its message names ids.
            outcomes.append({"type": "refused", "code": self.refusal.code})
        elif self._stream.state.phase is Phase.ACTIVE:
            outcomes.append({"type": "unfinished"})
        labels = self._runs | labels_of(self.conversation)
        state = labelled(self.conversation.state.value, labels)
        return Meaning(items_of(self.conversation, labels), state, tuple(labelled(outcomes, labels)))

    def _follow(self, event: s.Event) -> None:
        """Note calls, answers and the end of a run."""
        match event:
            case s.RunStarted():
                self._started, self._answered = [], set()
                self._runs |= {event.thread_id: "(threadId)", event.run_id: "(runId)"}
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
        result = {} if isinstance(event.result, UnsetType) else {"result": msgspec.json.decode(event.result)}
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
        if interrupt.response_schema is not None:
            given["responseSchema"] = msgspec.json.decode(msgspec.json.encode(interrupt.response_schema))
        return given

    def _tool(self, identifier: str) -> str:
        """The tool of a call; ids mean nothing."""
        call = self.conversation.call(identifier)
        return "unknown" if call is None else call.name
