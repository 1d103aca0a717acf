"""What the rules say about an event: rule id, severity, field, message, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from dtvn.wording import printable


class Severity(StrEnum):
    """An error refuses its event; a warning never does."""

    ERROR = "error"
    WARNING = "warning"


class Violation(Struct, frozen=True):
    """One rule broken by one event. `index` counts the events of the stream from 0; `field` is a path in the
    event (`outcome.interrupts[0].id`), None if the event as a whole is meant."""

    index: int
    code: str
    severity: Severity
    field: str | None
    message: str
    suggestion: str


class Refusal(Struct, frozen=True):
    """Why an event may not come now: what a rule returns, before index and suggestion are known."""

    code: str
    message: str
    field: str | None = None


INTERRUPT = (
    'Send outcome {"type": "interrupt", "interrupts": [{"id", "reason", "toolCallId"}, ...]}, with one for '
    "each call that waits."
)
_NUMBERS = re.compile(r"\[\d+\]")
"""Of items: each of a list has the same cause."""
_OF_A_STREAM = {"PROTOCOL_0X", "NULL_NOT_ALLOWED"}
SNAKE_CASE = "Write names in camelCase on the wire: model_dump(by_alias=True) of the Python models does."
THINKING = (
    "Upgrade the agent's AG-UI library to 1.0: REASONING_START, REASONING_MESSAGE_START, _CONTENT and _END, "
    "and REASONING_END take the place of THINKING_*, with a messageId. The official client 1.0 converts "
    "them."
)

SUGGESTIONS: dict[str, str] = {
    # shape
    "NOT_JSON": "Send one complete JSON object in UTF-8 for each event.",
    "NOT_AN_OBJECT": "An event is a JSON object with a `type`.",
    "FIELD_MISSING": "Add the field; names are in camelCase.",
    "FIELD_INVALID": "Give the field the type and values of protocol 1.0.",
    "UNKNOWN_EVENT_TYPE": "Use one of the 31 types of protocol 1.0, or CUSTOM for what is your own.",
    "PROTOCOL_0X": "Upgrade the agent's AG-UI library to 1.0.",
    "EVENT_TOO_LARGE": "Split the event.",
    "NESTED_TOO_DEEP": "Flatten the value, or send it as a string.",
    # where a run stands
    "FIRST_EVENT": "Begin the stream with RUN_STARTED (or RUN_ERROR).",
    "RUN_ALREADY_ACTIVE": "End the run with RUN_FINISHED or RUN_ERROR before the next RUN_STARTED.",
    "RUN_ALREADY_FINISHED": "Send it before RUN_FINISHED, or begin another run with RUN_STARTED.",
    "RUN_ALREADY_ERRORED": "Send nothing after RUN_ERROR, or begin another run with RUN_STARTED.",
    "NULL_NOT_ALLOWED": "Leave the field out instead of sending null.",
    # what is open
    "MESSAGE_ALREADY_OPEN": "Send TEXT_MESSAGE_END first, or use another messageId.",
    "MESSAGE_NOT_OPEN": "Send TEXT_MESSAGE_START with this messageId first.",
    "TOOL_CALL_ALREADY_OPEN": "Send TOOL_CALL_END first, or use another toolCallId.",
    "TOOL_CALL_NOT_OPEN": "Send TOOL_CALL_START with this toolCallId first.",
    "REASONING_MESSAGE_ALREADY_OPEN": "Send REASONING_MESSAGE_END first, or use another messageId.",
    "REASONING_MESSAGE_NOT_OPEN": "Send REASONING_MESSAGE_START with this messageId first.",
    "REASONING_SPAN_ALREADY_OPEN": "Send REASONING_END first, or use another messageId.",
    "REASONING_SPAN_NOT_OPEN": "Send REASONING_START with this messageId first.",
    "STEP_ALREADY_ACTIVE": "Send STEP_FINISHED first, or use another stepName.",
    "STEP_NOT_STARTED": "Send STEP_STARTED with this stepName first.",
    "STEP_OWNER_MISMATCH": "A step is finished by the agent that started it: give the same subagentRunId.",
    "OWNER_MISMATCH": "Give the subagentRunId of the event that opened it, or none.",
    "SUBAGENT_MISSING_FIELD": "Add the field: an event of a subagent's life needs it.",
    "SUBAGENT_ALREADY_ACTIVE": "Use a new subagentRunId for each invocation.",
    "SUBAGENT_ID_REUSED": "Use a new subagentRunId for each invocation.",
    "SUBAGENT_NOT_ACTIVE": "Send SUBAGENT_STARTED with this subagentRunId first, and end it once.",
    "SUBAGENT_UNKNOWN_PARENT": "Start the parent subagent first, or leave parentSubagentRunId out.",
    "SUBAGENT_BAD_OUTCOME": "The outcome's type is success or suspended.",
    "RUN_HAS_OPEN_STEPS": "Send STEP_FINISHED for each before RUN_FINISHED.",
    "RUN_HAS_OPEN_MESSAGES": "Send TEXT_MESSAGE_END for each before RUN_FINISHED.",
    "RUN_HAS_OPEN_REASONING_MESSAGES": "Send REASONING_MESSAGE_END for each before RUN_FINISHED.",
    "RUN_HAS_OPEN_REASONING_SPANS": "Send REASONING_END for each before RUN_FINISHED.",
    "RUN_HAS_OPEN_TOOL_CALLS": "Send TOOL_CALL_END for each before RUN_FINISHED.",
    "RUN_HAS_OPEN_SUBAGENTS": "Send SUBAGENT_FINISHED or SUBAGENT_ERROR for each before RUN_FINISHED.",
    # chunks
    "CHUNK_MISSING_ID": "The first chunk carries its id; events between chunks may end their stream.",
    "CHUNK_MISSING_NAME": "The first chunk of a tool call carries toolCallName.",
    "CHUNK_FIELD_CONFLICT": "Repeat the first chunk's value, or leave the field out.",
    "CHUNK_AMBIGUOUS": "Give the chunk its id or its subagentRunId.",
    # bounds
    "ID_TOO_LONG": "Use a shorter id or name.",
    "TOO_MANY_OPEN": "End messages, calls, steps or subagents before opening more.",
    "TOO_MANY_RUNS": "Try again when other runs have ended.",
    "RUN_HAS_TWO_WRITERS": "Give each run, and each attempt at one, a runId of its own.",
    "OWNER_EXPIRED": "Nothing to do: in very long runs the oldest ids are no longer compared.",
    # advice: the profile `seed`
    "RUN_LIFECYCLE": "Use a new runId for each run.",
    "RUN_ID_MISMATCH": "Finish the run with the runId that started it.",
    "TOOL_RESULT_UNKNOWN_CALL": "Refer to a toolCallId of this run.",
    "PARENT_MESSAGE_UNKNOWN": "Refer to a messageId of this run, or leave parentMessageId out.",
    "NO_RUN": "Send RUN_STARTED first, and RUN_FINISHED or RUN_ERROR at the end.",
    "STREAM_NOT_TERMINATED": "End all that is open, then send RUN_FINISHED or RUN_ERROR.",
    "RUN_INCOMPLETE": "Send RUN_FINISHED or RUN_ERROR.",
    "MESSAGE_INCOMPLETE": "Send TEXT_MESSAGE_END for each.",
    "MESSAGE_NO_CONTENT": "Leave out messages without text.",
    "TOOL_INCOMPLETE": "Send TOOL_CALL_END for each.",
    "TOOL_NO_ARGS": "Send the arguments in a TOOL_CALL_ARGS event, or {} if there are none.",
    "STEP_INCOMPLETE": "Send STEP_FINISHED for each.",
    "EMPTY_ID": "Use an id or name that is not empty.",
    "EMPTY_DELTA": "Leave out events without text.",
    "EMPTY_PATCH": "Leave out patches that change nothing; name a member in each path.",
    "ID_FORMAT": "Use letters, digits, _ and - in ids.",
    "MESSAGE_CONTENT": "Split long texts; remove control characters.",
    "TOOL_CALL_CONTENT": "Split long arguments.",
    "CONTENT_VALIDATION": "Check the content before it is shown.",
    "STATE_VALIDATION": "Send an object for a state.",
    "TIMESTAMP_VALIDATION": "Send milliseconds since 1970, from a right clock, never going back.",
    "CUSTOM_EVENT": "Use a name of your own for a CUSTOM event.",
    "UNKNOWN_FIELD": "Remove the field: clients drop it.",
    "UNKNOWN_MEMBER": "Use a kind that protocol 1.0 has, or CUSTOM for what is your own.",
    "PROTOCOL_NEWER": "Nothing to do: older readers take the run, without what they do not know.",
    "NOT_UTF8": 'Cut between characters: encode whole texts, or decode with errors="strict" before.',
    # advice: the profile `client`
    "CLIENT_REFUSES": 'Send "role": "reasoning".',
    "STATE_DELTA_NOT_APPLIED": "Patch the state that clients have; send STATE_SNAPSHOT if it is another.",
    "STATE_DELTA_BEFORE_SNAPSHOT": "Send STATE_SNAPSHOT first; to check a run that goes on, give --input.",
    "STATE_NOT_FOLLOWED": "Nothing to do: deltas of so large a state are not checked.",
    "ACTIVITY_DELTA_NOT_APPLIED": "Patch the content that clients have; send ACTIVITY_SNAPSHOT if not.",
    "ACTIVITY_DELTA_UNKNOWN": "Send ACTIVITY_SNAPSHOT with this messageId first.",
    "ARGUMENTS_NOT_JSON": "Send one JSON value for each call, in pieces or whole; clients read {} else.",
    "ARGUMENTS_DO_NOT_FIT": "Have the model called again, or mend the tool's parameters in the input.",
    "ARGUMENTS_NOT_CHECKED": "Nothing to do: these arguments are only passed on.",
    "CALL_NOT_ANSWERED": "Send TOOL_CALL_RESULT, or name it in pendingToolCallIds for the client to answer.",
    "MESSAGE_ID_REUSED": "Use an id for one message of a conversation, of whatever sort.",
    "TOOL_CALL_ID_REUSED": "Use another toolCallId for each call of a conversation.",
    "PARENT_NOT_ASSISTANT": "Name a message of the assistant, or leave parentMessageId out.",
    "SNAPSHOT_DROPS_OPEN": "Put open messages and calls into the snapshot, or send it when they have ended.",
    "SNAPSHOT_DROPS_TEXT": "Put all messages of the thread into the snapshot, or send none.",
    "SNAPSHOT_MOVES_CALL": "Keep each call in the message that it was streamed in, with the same id.",
    "SNAPSHOT_DOUBLES": "Put each message and each call into the snapshot once.",
    "SEALED_VALUE_UNKNOWN": "Name a message or call that was streamed before, by its id.",
    "CLIENT_TOOL_ANSWERED": "Leave the result to the client, and end the run.",
    "PENDING_CALL_UNKNOWN": "Name the calls of this run that have no result, by toolCallId.",
    "THREAD_ID_MISMATCH": "Use one threadId in a stream, the one of the input.",
    "RESUME_LEAVES_OPEN": "Answer each interrupt of the run before, with resolved or cancelled.",
    "INTERRUPT_ID_REUSED": "Give each interrupt of a run an id of its own.",
    "CANCELLED_WITH_RESULT": "Leave out the result, or end with outcome success.",
    "USAGE_DOES_NOT_ADD_UP": "Count all tokens as input or output; totalTokens is the sum of both.",
    "SUBAGENT_ANNOUNCED_LATE": "Send SUBAGENT_STARTED before the first event of the subagent.",
    "NOT_FRAMED": "Write `data: ` before the JSON of each event, and an empty line behind it.",
    "LINE_ENDS": "End lines with LF; dtvn events-proxy --repair does it on the way.",
}
"""Rule id -> what to do. Every rule id that exists is a key."""


def error(index: int, refusal: Refusal, suggestion: str | None = None) -> Violation:
    """The violation that refuses the event at `index`."""
    advice = suggestion or SUGGESTIONS[refusal.code]
    return Violation(index, refusal.code, Severity.ERROR, refusal.field, refusal.message, advice)


def warning(index: int, code: str, field: str | None, message: str) -> Violation:
    """A violation that lets the event at `index` pass; a rule that is not one of these suggests nothing."""
    return Violation(index, code, Severity.WARNING, field, message, SUGGESTIONS.get(code, ""))


def cause_of(violation: Violation) -> tuple[str, str, str | None, str]:
    """What a violation has in common with those of the same cause: severity, rule, field and words; of what
    is true of a whole stream, severity, rule and what to do about it."""
    if violation.code in _OF_A_STREAM or violation.suggestion == SNAKE_CASE:
        return violation.severity, violation.code, None, violation.suggestion
    field = None if violation.field is None else _NUMBERS.sub("[]", violation.field)
    return violation.severity, violation.code, field, violation.message


def quoted(text: str) -> str:
    """An id for a message: in quotes, shortened, and without characters that a terminal would interpret."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return f'"{printable(shown)}"'


_LISTED = 5


def listed(names: Sequence[str]) -> str:
    """Ids for a message: the first five in quotes, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(quoted(name) for name in names[:_LISTED]) + more
