"""Advice of the profile `client`: what the official client 1.0 makes of accepted events, read in its source
and tried with it. It takes them, and loses state, text or a call."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

from dtvn.events.advice.arguments import Arguments
from dtvn.events.advice.followed_state import Activities, FollowedState
from dtvn.events.advice.identities import Identities
from dtvn.events.advice.parameters import Parameters
from dtvn.events.advice.runs import Runs, usage
from dtvn.events.advice.said import Said
from dtvn.events.advice.unanswered import Unanswered
from dtvn.events.rules import RunState, listed, quoted
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s


class ClientAdvice:
    """Follows one stream as a client does; each event after the rules accepted it."""

    def __init__(
        self, state: RunState, given: m.RunInput | None = None, filled: Container[str] = frozenset()
    ) -> None:
        """`given`: the input that the stream's first run was asked with; None if only RUN_STARTED may tell
        it. `filled`: ids of the messages of the present run that have a text."""
        self._filled = filled
        self._runs = Runs()
        self._state = state
        self._given = given
        self._followed = FollowedState()
        self._activities = Activities()
        self._identities = Identities(state.limits.owners)
        self._parameters = Parameters()
        self._arguments = Arguments(self._parameters)
        self._unanswered = Unanswered(self._parameters, state.limits.owners)

    def knows_call(self, name: str) -> bool:
        """Whether a call of this id is known, of an earlier run perhaps."""
        return self._identities.knows_call(name)

    def has_held(self, event: s.ToolCallArgs) -> bool:
        """Whether there is nothing to say about these arguments, which are then held."""
        return not self._identities.starts_again(event.tool_call_id) and self._arguments.has_held(event)

    def forget_arguments(self, call: str) -> None:
        """Check no arguments of this call, of which an event was refused."""
        self._arguments.forget(call)

    def run_started(self, event: s.RunStarted) -> Said:
        self._arguments.start()
        self._unanswered.start()
        own, self._given = self._given, None
        given = own or event.input
        state = given.state if given is not None else None
        said = self._followed.start(None if state is None else bytes(state))
        said = [*self._runs.start(event), *said]
        if given is None:
            return said
        if given.tools is not None:
            self._parameters.offer(given.tools, trusted=given is own)
        self._identities.take_over(given.messages, replaces=False)
        self._hold_activities(given.messages)
        return said

    def run_finished(self, event: s.RunFinished) -> Said:
        return [*self._arguments.finish(), *self._unanswered.finish(event), *self._runs.finish(event)]

    def run_error(self, event: s.RunError) -> Said:
        return usage(event.usage or ())

    def sealed(self, event: s.ReasoningEncryptedValue) -> Said:
        return self._identities.sealed(event)

    def subagent(self, event: s.SubagentStarted) -> Said:
        name, state = event.subagent_run_id, self._state
        if any(name in owners.values() for owners in (state.owners_message, state.owners_call)):
            said = f"Subagent {quoted(name)} is announced after events of it: clients have shown these."
            yield "SUBAGENT_ANNOUNCED_LATE", "subagentRunId", said

    def text(self, event: s.TextMessageStart) -> Said:
        return self._identities.text(event)

    def reasoning(self, event: s.ReasoningMessageStart) -> Said:
        return self._identities.reasoning(event)

    def call(self, event: s.ToolCallStart) -> Said:
        is_known = self._identities.knows_call(event.tool_call_id)
        self._unanswered.begin(event)
        if not is_known:
            self._arguments.begin(event)
        return self._identities.call(event)

    def call_arguments(self, event: s.ToolCallArgs) -> Said:
        yield from self._identities.call_arguments(event)
        yield from self._arguments.add(event)

    def call_end(self, event: s.ToolCallEnd) -> Said:
        return self._arguments.end(event)

    def result(self, event: s.ToolCallResult) -> Said:
        yield from self._unanswered.answer(event.tool_call_id)
        yield from self._identities.result(event)

    def state_snapshot(self, event: s.StateSnapshot) -> Said:
        return self._followed.snapshot(event)

    def state_delta(self, event: s.StateDelta) -> Said:
        return self._followed.delta(event)

    def activity_snapshot(self, event: s.ActivitySnapshot) -> Said:
        yield from self._identities.activity(event)
        if self._identities.is_activity(event.message_id):
            self._activities.snapshot(event)

    def activity_delta(self, event: s.ActivityDelta) -> Said:
        return self._activities.delta(event)

    def messages_snapshot(self, event: s.MessagesSnapshot) -> Said:
        calls = {
            call.id
            for message in event.messages
            for call in ((message.tool_calls or []) if isinstance(message, m.AssistantMessage) else [])
        }
        open_now = self._state.messages - {message.id for message in event.messages}
        dropped = sorted(open_now | (self._state.calls - calls))
        if dropped:
            said = f"It lacks what is open, and clients lose the rest of it: {listed(dropped)}."
            yield "SNAPSHOT_DROPS_OPEN", "messages", said
        for message in event.messages:
            if isinstance(message, m.ToolMessage):
                self._unanswered.settle(message.tool_call_id)
        yield from self._identities.snapshot(event.messages, self._filled)
        self._identities.take_over(event.messages, replaces=True)
        if any(isinstance(message, m.ActivityMessage) for message in event.messages):
            self._activities.clear()
        self._hold_activities(event.messages)

    def _hold_activities(self, messages: Sequence[m.Message]) -> None:
        for message in messages:
            if isinstance(message, m.ActivityMessage):
                self._activities.hold(message.id, message.content)


SAYS: dict[type[s.Event], Callable[[ClientAdvice, Any], Said]] = {
    s.RunStarted: ClientAdvice.run_started,
    s.RunFinished: ClientAdvice.run_finished,
    s.RunError: ClientAdvice.run_error,
    s.ReasoningEncryptedValue: ClientAdvice.sealed,
    s.SubagentStarted: ClientAdvice.subagent,
    s.TextMessageStart: ClientAdvice.text,
    s.ReasoningMessageStart: ClientAdvice.reasoning,
    s.ToolCallStart: ClientAdvice.call,
    s.ToolCallArgs: ClientAdvice.call_arguments,
    s.ToolCallEnd: ClientAdvice.call_end,
    s.ToolCallResult: ClientAdvice.result,
    s.StateSnapshot: ClientAdvice.state_snapshot,
    s.StateDelta: ClientAdvice.state_delta,
    s.ActivitySnapshot: ClientAdvice.activity_snapshot,
    s.ActivityDelta: ClientAdvice.activity_delta,
    s.MessagesSnapshot: ClientAdvice.messages_snapshot,
}
"""Class of an accepted event, or of a part of what it stands for -> what is said of it."""
