"""Advice about accepted events alone: the profile `seed`. It never refuses an event, and no vote covers
it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s
from dtvn.events.rules.state import Phase
from dtvn.events.rules.stream import Stream
from dtvn.events.rules.unfinished import Unfinished
from dtvn.events.rules.versions import is_newer, version_of
from dtvn.events.rules.violation import Violation, listed, quoted, warning

MESSAGE_CHARACTERS = 10_000
ARGUMENT_CHARACTERS = 50_000
LINE_CHARACTERS = 1_000
AHEAD_MS = 5_000
OLD_MS = 24 * 3600 * 1000
BACK_MS = 50
"""How far timestamps may go back, if few would act on it: events are made by several clocks and threads."""
SECONDS = 10**9, 10**11
"""Timestamps of this century in seconds; in milliseconds they are of the years 1970 to 1973."""
RESERVED_NAMES = {"system", "internal", "reserved", "ag-ui", "dtvn.verdict"}
REMEMBERED = 64
"""How many run ids, and how many notices given once, a linter remembers."""

PLAIN_TEXT = rb"[ !#-9;-\[\]-~\x80-\xff]{1,%d}+" % LINE_CHARACTERS
"""JSON bytes of a text about which there is nothing to say, provided that they are UTF-8. It is the common
case: there is nothing to say about some other texts either."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e\x0f]")
_SCRIPT = re.compile("javascript:", re.IGNORECASE)
_PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAMES = (
    ("message_id", "messageId"),
    ("tool_call_id", "toolCallId"),
    ("tool_call_name", "toolCallName"),
    ("thread_id", "threadId"),
    ("run_id", "runId"),
    ("step_name", "stepName"),
    ("entity_id", "entityId"),
)
PIECES = {s.TextMessageContent, s.ReasoningMessageContent, s.ToolCallArgs}
_QUOTES = 12
"""Of a piece's three names and three values."""
_FORMATTED = {"threadId", "runId", "messageId", "toolCallId"}
_VALUED = (m.Add, m.Replace, m.Test)
Said = Iterable[tuple[str, str | None, str]]
"""Rule id, field, sentence."""
Check = Callable[[Any], Iterable[tuple[str, str | None, str]] | None]
"""What a caller says of an accepted event of its own accord."""


def _names_of(kind: type[s.Event]) -> tuple[tuple[str, str, bool], ...]:
    """(attribute, field, whether its form is looked at) of each id or name."""
    return tuple(
        (attribute, field, kind in _STARTS and field in _FORMATTED)
        for attribute, field in _NAMES
        if attribute in kind.__struct_fields__
    )


class Linter:
    """Advice about one stream, event by event, after `Stream.feed` accepted each. `timestamps` false leaves
    out advice about times, `empty_ids` false advice about empty ids and texts, `advice` false all but that of
    `checks`. `quiet` leaves out what few would act on: missing timestamps, which the protocol makes optional,
    empty messages that calls name as their parent, ids with other signs than letters, digits, _ and -, long
    lines, and patches of the whole state."""

    def __init__(
        self,
        stream: Stream,
        *,
        advice: bool = True,
        timestamps: bool = True,
        empty_ids: bool = True,
        quiet: bool = False,
        checks: Sequence[Check] = (),
    ) -> None:
        self.stream = stream
        self.advice = advice
        self.checks = checks
        self.timestamps = timestamps
        self.empty_ids = empty_ids
        self.quiet = quiet
        self._earlier: dict[str, None] = {}
        self.filled: dict[str, None] = {}
        """Messages of the run of which a piece was looked at, the newest ones. Others may keep it."""
        self._begin_run(None)

    def _begin_run(self, run_id: str | None) -> None:
        """Remember nothing of the run before."""
        self._run_id = run_id
        self._latest: int | None = None
        self._once: set[tuple[str, str]] = set()
        self.unfinished = Unfinished(self.stream.limits.open_items)
        self._hollow: dict[str, dict[str, None]] = {rule: {} for rule in _HOLLOW}
        """By rule what ended without content, if this is `quiet`."""
        self.filled.clear()
        self._begun: dict[str, None] = {}
        """Calls of which arguments were looked at, the newest ones."""
        self._parents: dict[str, None] = {}

    def advise(self, now_ms: int | None) -> list[Violation]:
        """Warnings about the event that the stream accepted last. `now_ms`: milliseconds since 1970; None:
        times are compared with one another alone."""
        event = self.stream.event
        if event is None:
            return []
        said = self._seed(event, now_ms) if self.advice else []
        for check in self.checks:
            said += check(event) or ()
        return [warning(self.stream.index - 1, *each) for each in said] if said else []

    def is_plain(self, data: bytes, now_ms: int | None) -> bool:
        """Whether there is surely nothing to say about the event that the stream accepted last, at a tenth of
        the cost: most are pieces of text and arguments. Its quotes are counted: a field that is unknown, null
        or rare would add some."""
        event: Any = self.stream.event
        kind = type(event)
        if kind not in PIECES or self.checks:
            return False
        quotes = _QUOTES
        at = event.timestamp
        if at is not None:
            if not self._is_in_time(at, now_ms):
                return False
            quotes += 2
        found = data.count(b'"')
        if found != quotes and (data.find(b"\\\\") >= 0 or found - data.count(b'\\"') != quotes):
            return False
        delta = event.delta
        if not 0 < len(delta) <= LINE_CHARACTERS or not delta.isprintable():
            return False
        if ":" in delta and _SCRIPT.search(delta) is not None:
            return False
        if kind is s.ToolCallArgs:
            if event.tool_call_id not in self._begun:
                self._begin(event)
            return bool(event.tool_call_id)
        if event.message_id not in self.filled:
            self._fill(event)
        return bool(event.message_id)

    def pass_over(self) -> None:
        """Stand at the stream's event: the last one of a row whose times do not go back, of which there is
        nothing to say."""
        at = None if self.stream.event is None else self.stream.event.timestamp
        if isinstance(at, int):
            self._latest = at

    def end(self) -> tuple[Violation, ...]:
        """Warnings at the end of the stream."""
        if not self.advice:
            return ()
        last = max(self.stream.index - 1, 0)
        return (*self.stream.end(), *(warning(last, *each) for each in self._cut_off()))

    def _cut_off(self) -> Said:
        if self.stream.state.phase is Phase.ACTIVE and self._run_id is not None:
            said = f"Run {quoted(self._run_id)} has neither RUN_FINISHED nor RUN_ERROR."
            yield "RUN_INCOMPLETE", None, said
            yield from self.unfinished.said()

    def _seed(self, event: s.Event, now_ms: int | None) -> list[tuple[str, str | None, str]]:
        kind, stream = type(event), self.stream
        said: list[tuple[str, str | None, str]] = []
        names, values, advice = _FORMS[kind]
        # Nearly all events have them all.
        for attribute, field, formatted in () if self.quiet and all(values(event)) else names:
            value = getattr(event, attribute)
            if not value or (formatted and not self.quiet and not _PLAIN_ID.fullmatch(value)):
                said += self._id(field, value)
        if (fact := _FACTS.get(kind)) is not None:
            rule, loud, field, is_so, sentence = fact
            if not (loud and self.quiet) and is_so(event):
                said.append(
                    (rule, field, sentence.format(quoted(getattr(event, field)) if field == "name" else ""))
                )
        if advice is not None and (stream.order or kind not in _OF_ORDER):
            said += advice(self, event)
        if self.timestamps and not self._is_in_time(event.timestamp, now_ms):
            said += self._times(event, now_ms)
        if stream.state.expired and self._first("expired", ""):
            limit = stream.limits.owners
            said.append(("OWNER_EXPIRED", None, f"Of over {limit} ids of a kind the oldest are forgotten."))
        return said

    def _first(self, about: str, detail: str) -> bool:
        """Whether this notice has not been given in this run yet."""
        notice = (about, detail[:REMEMBERED])
        if notice in self._once or len(self._once) >= REMEMBERED:
            return False
        self._once.add(notice)
        return True

    def _id(self, field: str, value: str | None) -> Said:
        if value == "" and self.empty_ids:
            yield "EMPTY_ID", field, f"{field} is empty."
        elif value and not self.quiet:
            yield "ID_FORMAT", field, f"{field} {quoted(value)} has signs beside letters, digits, _ and -."

    def _is_in_time(self, at: float | None, now_ms: int | None) -> bool:
        """Whether there is surely nothing to say of a timestamp, which is then the latest."""
        latest = self._latest
        if type(at) is not int or latest is None or at < latest:
            return False
        if now_ms is not None and not now_ms - OLD_MS <= at <= now_ms + AHEAD_MS:
            return False
        self._latest = at
        return True

    def _times(self, event: s.Event, now_ms: int | None) -> Said:
        if event.timestamp is None:
            if not self.quiet and self._first("timestamp", "missing"):
                yield (
                    "TIMESTAMP_VALIDATION",
                    "timestamp",
                    "Events have no timestamp (said once a run).",
                )
            return
        at = int(event.timestamp)
        if now_ms is None:
            pass
        elif at > now_ms + AHEAD_MS and self._each("ahead"):
            yield "TIMESTAMP_VALIDATION", "timestamp", f"The timestamp is {(at - now_ms) / 1000:.1f} s ahead."
        elif at < now_ms - OLD_MS and self._first("timestamp", "old"):
            yield (
                "TIMESTAMP_VALIDATION",
                "timestamp",
                "Timestamps are older than a day (said once a run).",
            )
        if self.quiet and SECONDS[0] <= at < SECONDS[1] and self._first("timestamp", "seconds"):
            said = "The timestamp is in seconds; clients take it for milliseconds (said once a run)."
            yield "TIMESTAMP_VALIDATION", "timestamp", said
        grace = BACK_MS if self.quiet else 0
        if self._latest is not None and at < self._latest - grace and self._each("back"):
            said = f"The timestamp is {self._latest - at} ms before the one of an event before it."
            yield "TIMESTAMP_VALIDATION", "timestamp", said
        self._latest = at

    def _each(self, detail: str) -> bool:
        """Whether to say this of a timestamp: each time, or once a run if this is `quiet`: it is one
        clock."""
        return not self.quiet or self._first("timestamp", detail)

    def _short(self, run_id: str) -> str:
        return run_id[: self.stream.limits.id_characters]

    def run_started(self, event: s.RunStarted) -> Said:
        run_id = self._short(event.run_id)
        self._begin_run(run_id)
        if run_id in self._earlier and self.stream.order:
            yield "RUN_LIFECYCLE", "runId", f"Run {quoted(event.run_id)} was in this stream before."
        self._earlier[run_id] = None
        if len(self._earlier) > REMEMBERED:
            del self._earlier[next(iter(self._earlier))]
        version = event.protocol_version
        if version is not None and version.startswith("0."):
            said = f"The run says protocol {quoted(version)}; it is judged as 1.0."
            yield "PROTOCOL_0X", "protocolVersion", said
        elif version is not None and is_newer(version):
            known = "" if version_of(version) else ", which is no MAJOR.MINOR"
            said = f"The run declares protocol {quoted(version)}{known}; here and in clients 1.1 is known."
            yield "PROTOCOL_NEWER", "protocolVersion", said

    def run_finished(self, event: s.RunFinished) -> Said:
        self.unfinished.clear()
        # Only now is it known which messages have calls.
        said: list[tuple[str, str | None, str]] = [
            (rule, None, f"{what}: {listed([*self._hollow[rule]])}.")
            for rule, (what, _, _) in _HOLLOW.items()
            if self._hollow[rule]
        ]
        if self._run_id is not None and self._short(event.run_id) != self._run_id:
            names = f"RUN_FINISHED names run {quoted(event.run_id)}; {quoted(self._run_id)} was started."
            said.append(("RUN_ID_MISMATCH", "runId", names))
        return said

    def run_error(self, event: s.RunError) -> Said:
        unfinished = [*self.unfinished.said()]
        self.unfinished.clear()
        return unfinished

    def message(self, event: s.TextMessageStart) -> Said:
        self.unfinished.begin("MESSAGE_INCOMPLETE", event.message_id)
        self.filled.pop(event.message_id, None)
        return ()

    def message_end(self, event: s.TextMessageEnd) -> Said:
        is_empty = self.unfinished.end("MESSAGE_INCOMPLETE", event.message_id)
        return self._ended("MESSAGE_NO_CONTENT", event.message_id) if is_empty else ()

    def tool_call_end(self, event: s.ToolCallEnd) -> Said:
        is_empty = self.unfinished.end("TOOL_INCOMPLETE", event.tool_call_id)
        return self._ended("TOOL_NO_ARGS", event.tool_call_id) if is_empty else ()

    def _ended(self, rule: str, name: str) -> Said:
        """It ended without content; if this is `quiet`, that is told at the end of the run."""
        _, field, said = _HOLLOW[rule]
        if not self.quiet:
            return ((rule, field, said.format(quoted(name))),)
        if (rule != "MESSAGE_NO_CONTENT" or name not in self._parents) and len(
            self._hollow[rule]
        ) < REMEMBERED:
            self._hollow[rule][name] = None
        return ()

    def piece(self, event: s.TextMessageContent | s.ReasoningMessageContent) -> Said:
        self._fill(event)
        return self.text(event)

    def _fill(self, event: s.TextMessageContent | s.ReasoningMessageContent) -> None:
        if type(event) is s.TextMessageContent:
            self.unfinished.fill("MESSAGE_INCOMPLETE", event.message_id)
        if event.message_id:
            self._remember(self.filled, event.message_id)

    def _remember(self, looked_at: dict[str, None], name: str) -> None:
        looked_at[name] = None
        if len(looked_at) > self.stream.limits.owners:
            del looked_at[next(iter(looked_at))]

    def text(self, event: s.TextMessageContent | s.TextMessageChunk | s.ReasoningMessageContent) -> Said:
        return self._delta(event.delta, _TEXTS)

    def arguments(self, event: s.ToolCallArgs | s.ToolCallChunk) -> Said:
        if isinstance(event, s.ToolCallArgs):
            self._begin(event)
        return self._delta(event.delta, _ARGUMENTS)

    def _begin(self, event: s.ToolCallArgs) -> None:
        self.unfinished.fill("TOOL_INCOMPLETE", event.tool_call_id)
        if event.tool_call_id:
            self._remember(self._begun, event.tool_call_id)

    def _delta(self, delta: str | None, odd: Sequence[Odd]) -> Said:
        if delta == "" and self.empty_ids:
            yield "EMPTY_DELTA", "delta", "delta is empty."
        for rule, loud, is_odd, said in odd if delta else ():
            if not (loud and self.quiet) and is_odd(delta):
                yield rule, "delta", said.format(len(delta or ""))

    def step_started(self, event: s.StepStarted) -> Said:
        self.unfinished.begin("STEP_INCOMPLETE", event.step_name, event.subagent_run_id)
        return ()

    def step_finished(self, event: s.StepFinished) -> Said:
        self.unfinished.end("STEP_INCOMPLETE", event.step_name, event.subagent_run_id)
        return ()

    def tool_call(self, event: s.ToolCallStart) -> Said:
        self.unfinished.begin("TOOL_INCOMPLETE", event.tool_call_id)
        self._begun.pop(event.tool_call_id, None)
        state = self.stream.state
        parent = event.parent_message_id
        if parent is None:
            return ()
        if self.quiet:
            self._hollow["MESSAGE_NO_CONTENT"].pop(parent, None)
            if len(self._parents) < REMEMBERED:
                self._parents[parent] = None
        if state.expired or parent in state.owners_message:
            return ()
        said = f"No message {quoted(parent)} is known in this run."
        return (("PARENT_MESSAGE_UNKNOWN", "parentMessageId", said),)

    def result(self, event: s.ToolCallResult) -> Said:
        state = self.stream.state
        if state.expired or event.tool_call_id in state.owners_call:
            return ()
        said = f"No tool call {quoted(event.tool_call_id)} is known in this run."
        return (("TOOL_RESULT_UNKNOWN_CALL", "toolCallId", said),)

    def patch(self, event: s.StateDelta | s.ActivityDelta) -> Said:
        field = "delta" if isinstance(event, s.StateDelta) else "patch"
        operations = event.delta if isinstance(event, s.StateDelta) else event.patch
        if not operations:
            yield "EMPTY_PATCH", field, "The patch has no operation."
        for number, operation in enumerate(operations):
            if not operation.path and not self.quiet:
                yield (
                    "EMPTY_PATCH",
                    f"{field}[{number}].path",
                    "The path names the whole document.",
                )
            if not self.quiet and isinstance(operation, _VALUED) and bytes(operation.value) == b"null":
                yield "EMPTY_PATCH", f"{field}[{number}].value", "The value is null."

    def custom(self, event: s.Custom) -> Said:
        empty = not event.name and self.empty_ids
        return (("CUSTOM_EVENT", "name", "The name is empty."),) if empty else ()


_STARTS = (
    s.RunStarted,
    s.TextMessageStart,
    s.ToolCallStart,
    s.ReasoningMessageStart,
    s.ReasoningStart,
    s.TextMessageChunk,
    s.ToolCallChunk,
    s.ReasoningMessageChunk,
)
_OF_ORDER = (s.RunFinished, s.TextMessageStart, s.ToolCallStart, s.ToolCallResult, s.StepStarted)
"""Kinds on which the advice compares with earlier events."""
_HOLLOW = {
    "MESSAGE_NO_CONTENT": ("Messages without content", "messageId", "Message {} has no content."),
    "TOOL_NO_ARGS": ("Calls without arguments", "toolCallId", "Tool call {} has no arguments."),
}
"""Rule of what ended without content -> what it is, its field, the sentence of one."""
Odd = tuple[str, bool, Callable[[Any], object], str]
"""Rule, whether few would act on it, whether it is so, sentence."""
_ANY: tuple[Odd, ...] = (
    ("CONTENT_VALIDATION", False, lambda text: "\x00" in text, "delta has null characters."),
    (
        "CONTENT_VALIDATION",
        True,
        lambda text: max(map(len, text.split("\n"))) > LINE_CHARACTERS,
        f"A line has over {LINE_CHARACTERS} characters.",
    ),
    ("CONTENT_VALIDATION", False, _SCRIPT.search, 'delta has "javascript:".'),
)
_LONG = "delta has {} characters."
_TEXTS: tuple[Odd, ...] = (
    ("MESSAGE_CONTENT", False, lambda text: len(text) > MESSAGE_CHARACTERS, _LONG),
    ("MESSAGE_CONTENT", False, _CONTROL.search, "delta has control characters."),
    *_ANY,
)
_ARGUMENTS: tuple[Odd, ...] = (
    ("TOOL_CALL_CONTENT", False, lambda text: len(text) > ARGUMENT_CHARACTERS, _LONG),
    *_ANY,
)
_FACTS: dict[type[s.Event], tuple[str, bool, str, Callable[[Any], object], str]] = {
    s.RunError: (
        "RUN_LIFECYCLE",
        False,
        "message",
        lambda it: not it.message,
        "The error's message is empty.",
    ),
    s.StateSnapshot: (
        "STATE_VALIDATION",
        True,
        "snapshot",
        lambda it: bytes(it.snapshot) == b"null",
        "The snapshot is null.",
    ),
    s.RawEvent: (
        "CONTENT_VALIDATION",
        True,
        "event",
        lambda it: bytes(it.event) == b"null",
        "The event is null.",
    ),
    s.Custom: (
        "CUSTOM_EVENT",
        False,
        "name",
        lambda it: it.name in RESERVED_NAMES,
        "The name {} is reserved.",
    ),
}
"""Kind -> rule, whether few would act on it, field, whether it is so, sentence."""
_ADVICE: dict[type[s.Event], Callable[[Linter, Any], Said]] = {
    s.RunStarted: Linter.run_started,
    s.RunFinished: Linter.run_finished,
    s.RunError: Linter.run_error,
    s.TextMessageStart: Linter.message,
    s.TextMessageContent: Linter.piece,
    s.TextMessageEnd: Linter.message_end,
    s.TextMessageChunk: Linter.text,
    s.ReasoningMessageContent: Linter.piece,
    s.ReasoningMessageChunk: Linter.text,
    s.ToolCallArgs: Linter.arguments,
    s.ToolCallChunk: Linter.arguments,
    s.ToolCallStart: Linter.tool_call,
    s.ToolCallEnd: Linter.tool_call_end,
    s.StepStarted: Linter.step_started,
    s.StepFinished: Linter.step_finished,
    s.ToolCallResult: Linter.result,
    s.StateDelta: Linter.patch,
    s.ActivityDelta: Linter.patch,
    s.Custom: Linter.custom,
}


def _values_of(kind: type[s.Event]) -> Callable[[s.Event], tuple[Any, ...]]:
    """Reads what an event has under these names."""
    attributes = [attribute for attribute, _, _ in _names_of(kind)]
    # Of a single one `attrgetter` would make no tuple.
    return attrgetter(*attributes, attributes[0]) if attributes else lambda _event: ()


_FORMS = {kind: (_names_of(kind), _values_of(kind), _ADVICE.get(kind)) for kind in s.NAMES}
"""What is looked at of each kind."""
