"""The order of events within a run: AG-UI 1.0's own rules, one function for each kind of event.

`RULES` holds them all, those of `items` included. They run after `guard`, which needs only the phase and the
kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dtvn.events.rules import items as i
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s
from dtvn.events.rules.items import TAG, mismatch, opening
from dtvn.events.rules.state import Owner, Phase, RunState
from dtvn.events.rules.violation import Refusal, listed, quoted


def guard(phase: Phase, kind: type[s.Event] | None) -> Refusal | None:
    """Whether an event of this kind may come in this phase at all; `kind` is None for an unknown type."""
    if kind is s.RunStarted:
        return _ACTIVE if phase is Phase.ACTIVE else None
    if phase is Phase.ACTIVE:
        return None
    if phase is Phase.ERRORED:
        return _ERRORED
    if kind is s.RunError:
        return None
    return _FIRST if phase is Phase.NEW else _FINISHED


_ACTIVE = Refusal("RUN_ALREADY_ACTIVE", "RUN_STARTED while a run is active.")
_ERRORED = Refusal("RUN_ALREADY_ERRORED", "The run has ended with RUN_ERROR; only RUN_STARTED may follow.")
_FINISHED = Refusal(
    "RUN_ALREADY_FINISHED", "The run has ended with RUN_FINISHED; only RUN_STARTED may follow."
)
_FIRST = Refusal("FIRST_EVENT", "The first event of a stream must be RUN_STARTED or RUN_ERROR.")


def _remembered(state: RunState, owners: dict[str, Owner], identifier: str, tag: Owner) -> Refusal | None:
    """Record the tagged agent as owner of an id, in place of an earlier one; refuses ids that are too
    long."""
    for name in (identifier, tag):
        if isinstance(name, str) and len(name) > state.limits.id_characters:
            return Refusal("ID_TOO_LONG", f"An id has {len(name)} characters.", "messageId")
    state.own(owners, identifier, tag)
    return None


def call_result(state: RunState, event: s.ToolCallResult) -> Refusal | None:
    return _remembered(state, state.owners_message, event.message_id, event.subagent_run_id)


def _agrees(owners: dict[str, Owner], identifier: str, tag: Owner, what: str) -> Refusal | None:
    """Refuses a tag that is not the owner of a known id; an unknown id or no tag passes."""
    if tag is None or identifier not in owners or owners[identifier] == tag:
        return None
    return mismatch(what, identifier, owners[identifier], tag)


def encrypted_value(state: RunState, event: s.ReasoningEncryptedValue) -> Refusal | None:
    entity = event.entity_id
    if event.subtype == "tool-call":
        return _agrees(state.owners_call, entity, event.subagent_run_id, "Tool call")
    owners = state.owners_message if entity in state.owners_message else state.owners_reasoning
    return _agrees(owners, entity, event.subagent_run_id, "Message")


def activity_snapshot(state: RunState, event: s.ActivitySnapshot) -> Refusal | None:
    if event.replace is False and event.message_id in state.owners_activity:
        return None
    return _remembered(state, state.owners_activity, event.message_id, event.subagent_run_id)


def activity_delta(state: RunState, event: s.ActivityDelta) -> Refusal | None:
    return _agrees(state.owners_activity, event.message_id, event.subagent_run_id, "Activity")


def subagent_started(state: RunState, event: s.SubagentStarted) -> Refusal | None:
    identifier = event.subagent_run_id
    if identifier in state.subagents:
        return Refusal("SUBAGENT_ALREADY_ACTIVE", f"Subagent {quoted(identifier)} is active already.", TAG)
    if identifier in state.closed:
        return Refusal("SUBAGENT_ID_REUSED", f"Subagent {quoted(identifier)} has ended in this run.", TAG)
    parent = event.parent_subagent_run_id
    if parent is not None and not state.expired and parent not in {*state.subagents, *state.closed}:
        said = f"Subagent {quoted(parent)} was not started in this run."
        return Refusal("SUBAGENT_UNKNOWN_PARENT", said, "parentSubagentRunId")
    if refusal := opening(state, TAG, identifier, None):
        return refusal
    state.subagents.add(identifier)
    return None


def subagent_ended(state: RunState, event: s.SubagentFinished | s.SubagentError) -> Refusal | None:
    identifier = event.subagent_run_id
    if identifier not in state.subagents:
        return Refusal("SUBAGENT_NOT_ACTIVE", f"Subagent {quoted(identifier)} is not active.", TAG)
    state.close_subagent(identifier)
    return None


def _seed(state: RunState, given: list[m.Message], field: str, *, overrides: bool) -> Refusal | None:
    """Take over who owns the messages of a history and the tool calls in them."""
    for number, message in enumerate(given):
        calls = message.tool_calls or [] if isinstance(message, m.AssistantMessage) else []
        for name in (message.id, message.subagent_run_id, *(call.id for call in calls)):
            if isinstance(name, str) and len(name) > state.limits.id_characters:
                return Refusal("ID_TOO_LONG", f"An id has {len(name)} characters.", f"{field}[{number}]")
    for message in given:
        owner = message.subagent_run_id
        owners = state.owners_message
        if isinstance(message, m.ReasoningMessage):
            owners = state.owners_reasoning
        elif isinstance(message, m.ActivityMessage):
            owners = state.owners_activity
        _take_over(state, owners, [message.id], owner, overrides=overrides)
        if isinstance(message, m.AssistantMessage) and message.tool_calls:
            made = [call.id for call in message.tool_calls]
            _take_over(state, state.owners_call, made, owner, overrides=overrides)
    return None


def _take_over(
    state: RunState, owners: dict[str, Owner], names: Iterable[str], owner: Owner, *, overrides: bool
) -> None:
    for name in names:
        if overrides or name not in owners:
            state.own(owners, name, owner)


def messages_snapshot(state: RunState, event: s.MessagesSnapshot) -> Refusal | None:
    return _seed(state, event.messages, "messages", overrides=True)


def run_started(state: RunState, event: s.RunStarted) -> Refusal | None:
    """Begin a run; the guard checked that none is active, and outside a run the state is empty."""
    if event.input is not None:
        refusal = _seed(state, event.input.messages, "input.messages", overrides=False)
        if refusal is not None:
            return refusal
    state.phase = Phase.ACTIVE
    return None


_OPEN_AT_THE_END: tuple[tuple[str, str, Callable[[RunState], Iterable[str]]], ...] = (
    ("RUN_HAS_OPEN_STEPS", "Steps", lambda state: {name for _, name in state.steps}),
    ("RUN_HAS_OPEN_MESSAGES", "Text messages", lambda state: state.messages),
    ("RUN_HAS_OPEN_REASONING_MESSAGES", "Reasoning messages", lambda state: state.reasoning),
    ("RUN_HAS_OPEN_REASONING_SPANS", "Reasoning spans", lambda state: state.spans),
    ("RUN_HAS_OPEN_TOOL_CALLS", "Tool calls", lambda state: state.calls),
    ("RUN_HAS_OPEN_SUBAGENTS", "Subagents", lambda state: state.subagents),
)


def still_open(state: RunState) -> Iterable[tuple[str, str]]:
    """(rule id, sentence) for each kind of item that is open, in the order in which RUN_FINISHED is
    checked."""
    for code, what, of in _OPEN_AT_THE_END:
        names = sorted(of(state))
        if names:
            yield code, f"{what} still open: {listed(names)}."


def run_finished(state: RunState, event: s.RunFinished) -> Refusal | None:
    if state.open_items():
        return Refusal(*next(iter(still_open(state))))
    state.clear()
    state.phase = Phase.FINISHED
    return None


def run_error(state: RunState, event: s.RunError) -> Refusal | None:
    state.clear()
    state.phase = Phase.ERRORED
    return None


def anywhere(state: RunState, event: s.Attributed) -> Refusal | None:
    """Events that may come at any place within a run."""
    return None


# Each function takes the class of its key: a type that the table cannot say.
RULES: dict[type[s.Event], Callable[[RunState, Any], Refusal | None]] = {
    s.TextMessageStart: i.text_start,
    s.TextMessageContent: i.text_content,
    s.TextMessageEnd: i.text_end,
    s.TextMessageChunk: anywhere,
    s.ToolCallStart: i.call_start,
    s.ToolCallArgs: i.call_args,
    s.ToolCallEnd: i.call_end,
    s.ToolCallChunk: anywhere,
    s.ToolCallResult: call_result,
    s.StateSnapshot: anywhere,
    s.StateDelta: anywhere,
    s.MessagesSnapshot: messages_snapshot,
    s.ActivitySnapshot: activity_snapshot,
    s.ActivityDelta: activity_delta,
    s.RawEvent: anywhere,
    s.Custom: anywhere,
    s.RunStarted: run_started,
    s.RunFinished: run_finished,
    s.RunError: run_error,
    s.StepStarted: i.step_started,
    s.StepFinished: i.step_finished,
    s.ReasoningStart: i.span_start,
    s.ReasoningEnd: i.span_end,
    s.ReasoningMessageStart: i.reasoning_start,
    s.ReasoningMessageContent: i.reasoning_content,
    s.ReasoningMessageEnd: i.reasoning_end,
    s.ReasoningMessageChunk: anywhere,
    s.ReasoningEncryptedValue: encrypted_value,
    s.SubagentStarted: subagent_started,
    s.SubagentFinished: subagent_ended,
    s.SubagentError: subagent_ended,
}
"""Class of an event -> its rule."""
