"""Streams with what agents get wrong and the official client takes, or ends; and recordings of agents of
TanStack AI and Mastra. Each is told of once, at its event, in words that help."""

from __future__ import annotations

import json
from typing import Any

from tests.events.advice.support import HERE
from tests.events.rules.test_validate_command import run
from tests.support.table import table

STREAMS = HERE.parent / "tolerance"
FOUND: dict[str, list[tuple[str, int, str]]] = {
    "F05-truncated.ndjson": [("STREAM_NOT_TERMINATED", 3, "unfinished")],
    "F06-snapshot-drops-finished-text.ndjson": [("SNAPSHOT_DROPS_TEXT", 8, '"m2"')],
    "F07-snapshot-moves-call.ndjson": [("SNAPSHOT_MOVES_CALL", 8, '"c1"')],
    "F20-crlf-only-in-pings.sse": [],
    "F22-nan-in-state.sse": [("NOT_JSON", 1, "allow_nan=False")],
    "F23-emoji-cut-in-two.sse": [],
    "F31-null-in-snapshot-tool-message.ndjson": [("NULL_NOT_ALLOWED", 1, "exclude_none=True")],
    "F32-binary-part-in-snapshot.ndjson": [("PROTOCOL_0X", 1, "binary")],
    "F35-snapshot-holds-turn-twice.ndjson": [("SNAPSHOT_DOUBLES", 1, '"c1"')],
    "F46-two-events-in-one-block.sse": [("NOT_JSON", 0, "empty line")],
    "F47-no-data-prefix.sse": [("NOT_FRAMED", 0, "`data: `"), ("NO_RUN", 0, "no events")],
    "F55-arguments-encoded-twice.ndjson": [("ARGUMENTS_NOT_JSON", 3, "encoded twice")],
    "S01-duplicate-interrupt-id.ndjson": [("INTERRUPT_ID_REUSED", 4, '"i1"')],
    "S05-frontend-tool-answered.ndjson": [("CLIENT_TOOL_ANSWERED", 4, '"confirm"')],
    "S08-unknown-op.ndjson": [("UNKNOWN_MEMBER", 2, "delta[0]")],
    "S09-unknown-outcome.ndjson": [("UNKNOWN_MEMBER", 1, "outcome")],
    "S12-one-minor-newer.ndjson": [("PROTOCOL_NEWER", 5, "1.1")],
    "S13-version-not-readable.ndjson": [("PROTOCOL_NEWER", 0, '"draft"')],
    "S15-value-for-unknown-entity.ndjson": [("SEALED_VALUE_UNKNOWN", 4, '"nobody"')],
    "S21-resume-leaves-one-uncovered.ndjson": [("RESUME_LEAVES_OPEN", 5, '"i2"')],
    "rec-mastra-emoji.ndjson": [],
    "rec-mastra-toolerror.ndjson": [("CALL_NOT_ANSWERED", 5, "nobody answered")],
    "rec-tanstack-approval.sse": [],
    "rec-tanstack-parallel.sse": [("CALL_NOT_ANSWERED", 7, ""), ("RUN_ALREADY_FINISHED", 8, "")],
    "rec-tanstack-tool.sse": [("CALL_NOT_ANSWERED", 4, ""), ("RUN_ALREADY_FINISHED", 5, "")],
}
"""Stream -> rule and event of all that is told of it, and words of it."""
ENDED = {
    name
    for name in FOUND
    if name.startswith(("F22", "F31", "F46", "F47", "rec-tanstack-p", "rec-tanstack-t"))
}
"""Those in which the official client ends the run, or finds none."""


def test_every_stream_is_judged_here() -> None:
    assert {path.name for path in STREAMS.iterdir()} == {*FOUND}


@table("name", FOUND, ids=FOUND, count=25)
def test_a_stream_is_taken_as_by_the_client(name: str) -> None:
    code, out, _ = run(STREAMS / name, json=True)
    told: dict[str, Any] = json.loads(out)
    expected = FOUND[name]
    assert [(each["code"], each["index"]) for each in told["violations"]] == [each[:2] for each in expected]
    assert (code, told["valid"]) == ((1, False) if name in ENDED else (0, True))
    said = run(STREAMS / name)[1]
    assert all(words in said for _, _, words in expected)


def test_of_a_newer_version_nothing_is_to_be_removed() -> None:
    for name in ("S12-one-minor-newer.ndjson", "S13-version-not-readable.ndjson"):
        assert "emove" not in run(STREAMS / name)[1]


def test_a_run_that_never_ends_fails_where_that_is_asked() -> None:
    assert run(STREAMS / "F05-truncated.ndjson", complete=True)[0] == 1
