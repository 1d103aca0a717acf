"""Faults that people reported in public, rebuilt: each is found, once, with a cure. And streams recorded from
shipped emitters: what is told of them is worth it."""

from __future__ import annotations

from pathlib import Path

from dtvn.events.rules import Severity, Violation
from dtvn.events.validation_config import ValidationConfig
from tests.events.advice.support import RECORDED, REPORTED, told
from tests.support.table import table

ERROR, WARNING = Severity.ERROR, Severity.WARNING
FOUND: dict[str, list[tuple[str, int, Severity]]] = {
    "01-start-then-chunks.ndjson": [("MESSAGE_ALREADY_OPEN", 2, ERROR)],
    "03-activity-and-text-share-id.ndjson": [("MESSAGE_ID_REUSED", 2, WARNING)],
    "04-delta-replace-on-missing-path.ndjson": [("STATE_DELTA_NOT_APPLIED", 2, WARNING)],
    "06-two-calls-args-in-one.ndjson": [
        ("ARGUMENTS_NOT_JSON", 4, WARNING),
        ("TOOL_RESULT_UNKNOWN_CALL", 6, WARNING),
    ],
    "07-args-after-end.ndjson": [("TOOL_CALL_NOT_OPEN", 5, ERROR)],
    "08-open-tool-id-reused.ndjson": [("TOOL_CALL_ALREADY_OPEN", 3, ERROR)],
    "09-null-parent-message-id.ndjson": [("PROTOCOL_0X", 1, WARNING)],
    "10-text-resumes-after-tool.ndjson": [("MESSAGE_NOT_OPEN", 6, ERROR), ("CALL_NOT_ANSWERED", 8, WARNING)],
    "12-null-tool-name.ndjson": [("FIELD_INVALID", 1, ERROR)],
    "13-step-of-another-run.ndjson": [("STEP_NOT_STARTED", 2, ERROR)],
    "14-thinking-events-0x.ndjson": [("PROTOCOL_0X", 1, WARNING)],
    "16-only-last-interrupt.ndjson": [("PROTOCOL_0X", 9, WARNING)],
    "17-failed-tool-never-ended.ndjson": [("RUN_HAS_OPEN_TOOL_CALLS", 7, ERROR)],
    "18-late-tool-under-old-parent.ndjson": [
        ("TOOL_NO_ARGS", 11, WARNING),
        ("CALL_NOT_ANSWERED", 11, WARNING),
    ],
    "19-empty-delta.ndjson": [("EMPTY_DELTA", 2, WARNING)],
    "20-snake-case.ndjson": [("FIELD_MISSING", 0, ERROR)],
    "22-orphan-tool-result.ndjson": [("TOOL_RESULT_UNKNOWN_CALL", 1, WARNING)],
    "23-end-of-other-id.ndjson": [("MESSAGE_NOT_OPEN", 3, ERROR)],
    "24-patch-index-out-of-range.ndjson": [("STATE_DELTA_NOT_APPLIED", 2, WARNING)],
    "25-tool-args-not-json.ndjson": [("ARGUMENTS_NOT_JSON", 3, WARNING)],
    "cr.sse": [("LINE_ENDS", 8, WARNING)],
    "crlf.sse": [("LINE_ENDS", 8, WARNING)],
    "done.sse": [("NOT_AN_OBJECT", 9, ERROR)],
    "mark-breaks-unknown-first.sse": [("UNKNOWN_EVENT_TYPE", 0, WARNING)],
    "mark-breaks-unknown-after-finish.sse": [("UNKNOWN_EVENT_TYPE", 5, WARNING)],
}
"""Stream -> rule, event and severity of all that is told of it."""

CURES = {
    "01-start-then-chunks.ndjson": "Send TEXT_MESSAGE_CONTENT after the start, or chunks alone",
    "07-args-after-end.ndjson": "Send TOOL_CALL_END after the last TOOL_CALL_ARGS of the call.",
    "10-text-resumes-after-tool.ndjson": "Send TEXT_MESSAGE_END after the last text, or begin another",
    "13-step-of-another-run.ndjson": 'Give the stepName of the step that is open: "model"',
    "14-thinking-events-0x.ndjson": "REASONING_END take the place of THINKING_*",
    "16-only-last-interrupt.ndjson": 'Send outcome {"type": "interrupt", "interrupts": [',
    "20-snake-case.ndjson": "Write names in camelCase on the wire",
    "23-end-of-other-id.ndjson": 'Give the messageId of the message that is open: "msg-1"',
    "09-null-parent-message-id.ndjson": "Leave parentMessageId out",
    "crlf.sse": "dtvn events-proxy --repair does it on the way",
    "done.sse": "Leave it out: RUN_FINISHED ends a run.",
}
SAID = {
    "04-delta-replace-on-missing-path.ndjson": "/steps does not exist",
    "06-two-calls-args-in-one.ndjson": "several JSON values",
    "07-args-after-end.ndjson": "It ended at event 4.",
    "10-text-resumes-after-tool.ndjson": "It ended at event 3.",
    "18-late-tool-under-old-parent.ndjson": '"a", "b", "c"',
    "23-end-of-other-id.ndjson": 'Open: "msg-1".',
    "24-patch-index-out-of-range.ndjson": "index 5 is out of range: /items has length 1",
    "25-tool-args-not-json.ndjson": "the form of Python",
    "cr.sse": "Lines end with CR:",
    "crlf.sse": "Lines end with CRLF:",
    "done.sse": "[DONE] ends a stream of OpenAI's interface",
}


def of(name: str, config: ValidationConfig | None = None) -> list[Violation]:
    return told((REPORTED / name).read_bytes(), config)


def test_every_reported_stream_is_judged_here() -> None:
    assert {path.name for path in REPORTED.iterdir()} == {*FOUND}


@table(("name", "expected"), FOUND.items(), ids=FOUND, count=25)
def test_a_reported_fault_is_found_once(name: str, expected: list[tuple[str, int, Severity]]) -> None:
    assert [(each.code, each.index, each.severity) for each in of(name)] == expected


@table(("name", "cure"), CURES.items(), ids=CURES, count=11)
def test_its_cure_cures(name: str, cure: str) -> None:
    assert cure in of(name)[0].suggestion


@table(("name", "words"), SAID.items(), ids=SAID, count=11)
def test_it_is_said_what_is_wrong(name: str, words: str) -> None:
    assert words in of(name)[0].message


NOT_VALID = {"pyd-03-thinking-interleaved-tools.sse": [("TOOL_CALL_NOT_OPEN", 14)]}
"""The official client ends this run too, at the same event."""
ADVICE = {
    "adk-03-state.sse": ["TOOL_NO_ARGS"],
    "adk-07-frontend-tool.sse": ["CALL_NOT_ANSWERED"],
    "af-04-error-midtext.sse": ["STREAM_NOT_TERMINATED"],
    # The emitter mixes up the arguments of two calls at once.
    "lg-02-parallel-interleaved-tools.sse": ["ARGUMENTS_NOT_JSON", "TOOL_NO_ARGS"],
    "pyd-04-state-custom-step.sse": ["TOOL_NO_ARGS"],
    "pyd-05-frontend-tool.sse": ["CALL_NOT_ANSWERED"],
    "pyd-11-empty.sse": ["MESSAGE_NO_CONTENT"],
}


@table("path", sorted(RECORDED.iterdir()), ids=lambda path: path.name, count=36)
def test_recorded_streams_are_told_little_of(path: Path) -> None:
    found = told(path.read_bytes())
    errors = [(each.code, each.index) for each in found if each.severity is ERROR]
    assert errors == NOT_VALID.get(path.name, [])
    advice = [each.code for each in found if each.severity is WARNING]
    assert advice == ADVICE.get(path.name, [])
