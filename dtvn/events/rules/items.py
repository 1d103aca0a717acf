"""What a run opens and closes: text messages, tool calls, reasoning and steps, each owned by an agent.

A rule gets the state and an event of right shape while a run is active. It advances the state and returns
None, or returns a Refusal and changes nothing.
"""

from __future__ import annotations

from dtvn.events.rules import shapes as s
from dtvn.events.rules.state import Owner, RunState
from dtvn.events.rules.violation import Refusal, quoted

TAG = "subagentRunId"


def mismatch(what: str, identifier: str, owner: Owner, tag: str | None) -> Refusal:
    belongs = f"subagent {quoted(owner)}" if owner is not None else "the parent agent"
    return Refusal(
        "OWNER_MISMATCH",
        f"{what} {quoted(identifier)} belongs to {belongs}, not to {quoted(tag or '')}.",
        TAG,
    )


def opening(state: RunState, field: str, name: str, owner: Owner) -> Refusal | None:
    """Refuses to open an item if its name or `owner` is too long, or too many items are open."""
    limits = state.limits
    if len(name) > limits.id_characters or (owner is not None and len(owner) > limits.id_characters):
        return Refusal("ID_TOO_LONG", f"An id or name has over {limits.id_characters} characters.", field)
    if state.open_items() >= limits.open_items:
        return Refusal("TOO_MANY_OPEN", f"{limits.open_items} items are open.", field)
    return None


def _start(
    state: RunState,
    event: s.Attributed,
    identifier: str,
    opened: set[str],
    owners: dict[str, Owner],
    what: str,
    already: str,
) -> Refusal | None:
    """Open a text message, a reasoning message or a reasoning span. The first writer owns the id for the
    whole run."""
    tag = event.subagent_run_id
    if identifier in opened:
        return Refusal(already, f"{what} {quoted(identifier)} is open already.", "messageId")
    known = identifier in owners
    if known and tag is not None and owners[identifier] != tag:
        return mismatch(what, identifier, owners[identifier], tag)
    if refusal := opening(state, "messageId", identifier, tag):
        return refusal
    opened.add(identifier)
    if not known:
        state.own(owners, identifier, tag)
    return None


def text_start(state: RunState, event: s.TextMessageStart) -> Refusal | None:
    return _start(
        state,
        event,
        event.message_id,
        state.messages,
        state.owners_message,
        "Message",
        "MESSAGE_ALREADY_OPEN",
    )


def _continue(
    event: s.Attributed, identifier: str, opened: set[str], owners: dict[str, Owner], what: str, closed: str
) -> Refusal | None:
    """Content of something that is open, or its end. `closed`: the rule that refuses it if it is not open."""
    tag = event.subagent_run_id
    if identifier not in opened:
        field = "toolCallId" if isinstance(event, s.OfCall) else "messageId"
        return Refusal(closed, f"{what} {quoted(identifier)} is not open.", field)
    if tag is not None and tag != owners[identifier]:
        return mismatch(what, identifier, owners[identifier], tag)
    return None


def text_content(state: RunState, event: s.TextMessageContent | s.TextMessageEnd) -> Refusal | None:
    name = event.message_id
    if event.subagent_run_id is None and name in state.messages:
        return None  # nearly all events are such
    return _continue(event, name, state.messages, state.owners_message, "Message", "MESSAGE_NOT_OPEN")


def text_end(state: RunState, event: s.TextMessageEnd) -> Refusal | None:
    refusal = text_content(state, event)
    if refusal is None:
        state.messages.discard(event.message_id)
    return refusal


def call_start(state: RunState, event: s.ToolCallStart) -> Refusal | None:
    identifier = event.tool_call_id
    tag = event.subagent_run_id
    if identifier in state.calls:
        return Refusal(
            "TOOL_CALL_ALREADY_OPEN", f"Tool call {quoted(identifier)} is open already.", "toolCallId"
        )
    owner = tag
    parent = event.parent_message_id
    inherits = parent is not None and parent in state.owners_message
    if parent is not None and inherits:
        above = state.owners_message[parent]
        if tag is not None and tag != above:
            return mismatch("Message", parent, above, tag)
        owner = above
    known = identifier in state.owners_call
    if known and (tag is not None or inherits) and state.owners_call[identifier] != owner:
        return mismatch("Tool call", identifier, state.owners_call[identifier], owner)
    if refusal := opening(state, "toolCallId", identifier, tag):
        return refusal
    state.calls.add(identifier)
    if not known:
        state.own(state.owners_call, identifier, owner)
    return None


def call_args(state: RunState, event: s.ToolCallArgs | s.ToolCallEnd) -> Refusal | None:
    name = event.tool_call_id
    if event.subagent_run_id is None and name in state.calls:
        return None
    return _continue(event, name, state.calls, state.owners_call, "Tool call", "TOOL_CALL_NOT_OPEN")


def call_end(state: RunState, event: s.ToolCallEnd) -> Refusal | None:
    refusal = call_args(state, event)
    if refusal is None:
        state.calls.discard(event.tool_call_id)
    return refusal


def step_started(state: RunState, event: s.StepStarted) -> Refusal | None:
    tag = event.subagent_run_id
    step = (tag, event.step_name)
    if step in state.steps:
        return Refusal(
            "STEP_ALREADY_ACTIVE", f"Step {quoted(event.step_name)} is active already.", "stepName"
        )
    if refusal := opening(state, "stepName", event.step_name, step[0]):
        return refusal
    state.steps.add(step)
    return None


def step_finished(state: RunState, event: s.StepFinished) -> Refusal | None:
    tag = event.subagent_run_id
    step = (tag, event.step_name)
    if step in state.steps:
        state.steps.discard(step)
        return None
    if any(name == event.step_name for _, name in state.steps):
        return Refusal(
            "STEP_OWNER_MISMATCH", f"Step {quoted(event.step_name)} was started by another agent.", TAG
        )
    return Refusal("STEP_NOT_STARTED", f"Step {quoted(event.step_name)} was not started.", "stepName")


def span_start(state: RunState, event: s.ReasoningStart) -> Refusal | None:
    code = "REASONING_SPAN_ALREADY_OPEN"
    return _start(state, event, event.message_id, state.spans, state.owners_reasoning, "Reasoning span", code)


def reasoning_start(state: RunState, event: s.ReasoningMessageStart) -> Refusal | None:
    code = "REASONING_MESSAGE_ALREADY_OPEN"
    return _start(
        state, event, event.message_id, state.reasoning, state.owners_reasoning, "Reasoning message", code
    )


def reasoning_content(
    state: RunState, event: s.ReasoningMessageContent | s.ReasoningMessageEnd
) -> Refusal | None:
    name, code = event.message_id, "REASONING_MESSAGE_NOT_OPEN"
    return _continue(event, name, state.reasoning, state.owners_reasoning, "Reasoning message", code)


def reasoning_end(state: RunState, event: s.ReasoningMessageEnd) -> Refusal | None:
    refusal = reasoning_content(state, event)
    if refusal is None:
        state.reasoning.discard(event.message_id)
    return refusal


def span_end(state: RunState, event: s.ReasoningEnd) -> Refusal | None:
    name, code = event.message_id, "REASONING_SPAN_NOT_OPEN"
    refusal = _continue(event, name, state.spans, state.owners_reasoning, "Reasoning span", code)
    if refusal is None:
        state.spans.discard(name)
    return refusal
