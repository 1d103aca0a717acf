"""Schemas of the calls that have agent events judged."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.api.event_answers import EventsStatus, KeptPiece, KeptRun, RunDetails
from dtvn.api.event_bodies import BODY_BYTES_MAX, SEQUENCE_EVENTS_MAX, EventsBody, RunBody
from dtvn.api.event_findings import EventVerdict, Report, SequenceReport
from dtvn.events.config import Algorithm
from dtvn.gateway import EVENT_BYTES_MAX
from dtvn.proof import transcript_json
from validators.rest.openapi.shapes import (
    BOOLEAN,
    INTEGER,
    STRING,
    Schema,
    many,
    reference,
    shape,
    success,
    whole,
)

ROOT = "/api/v1/events"
RUN = f"{ROOT}/runs/{{run_id}}"
NDJSON = "application/x-ndjson"
CREATES = frozenset({("POST", f"{ROOT}/runs")})
"""Calls that answer 201 in place of 200."""

_REF = "#/components/schemas/{name}"
_STRUCTS = (EventVerdict, SequenceReport, Report, KeptRun, KeptPiece, RunDetails, EventsStatus)
SCHEMAS: dict[str, Any] = msgspec.json.schema_components(_STRUCTS, ref_template=_REF)[1]
_ANY: Schema = {"description": "any JSON value"}
_TEXT = STRING | {"maxLength": EVENT_BYTES_MAX}
_LINES = STRING | {"maxLength": BODY_BYTES_MAX, "pattern": r"\S"}
_SALT = STRING | {
    "contentEncoding": "base64",
    "minLength": 24,
    "maxLength": 24,
    "pattern": "^[A-Za-z0-9+/]{21}[AQgw]==$",
}
_AS_MANY: Schema = {"description": "as many as events"}


def _described(body: type[RunBody]) -> dict[str, Any]:
    told = msgspec.json.schema_components([body], ref_template=_REF)[1][body.__name__]["properties"]
    fields: dict[str, Any] = {}
    for name, each in told.items():
        plain = next((one for one in each.get("anyOf", ()) if one != {"type": "null"}), each)
        if name == "algorithm":
            plain = {"enum": [algorithm.value for algorithm in Algorithm]}
        plain = {key: value for key, value in plain.items() if key != "default"}
        fields[name] = {"anyOf": [plain, {"type": "null"}]}
    return fields


def _with_events(most: int) -> Schema:
    """A body with events in exactly one of four forms."""
    forms: dict[str, Schema] = {
        "events": {"type": "array", "items": _ANY, "minItems": 1, "maxItems": most},
        "texts": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": most},
        "event": _ANY,
        "text": _TEXT,
    }
    return {
        "type": "object",
        "properties": _described(EventsBody) | forms | {"salts": many(_SALT) | {"maxItems": most} | _AS_MANY},
        "oneOf": [{"required": [name]} for name in forms],
    }


BODIES: dict[tuple[str, str], Schema] = {
    ("POST", f"{ROOT}/validate"): _with_events(SEQUENCE_EVENTS_MAX),
    ("POST", f"{ROOT}/validate-sequence"): _with_events(SEQUENCE_EVENTS_MAX),
    ("POST", f"{ROOT}/stream"): _LINES,
    ("POST", f"{ROOT}/runs"): {"type": "object", "properties": _described(RunBody)},
    ("POST", f"{RUN}/events"): _LINES,
    ("POST", f"{RUN}/transcript"): _with_events(SEQUENCE_EVENTS_MAX) | {"required": ["salts"]},
}
TEXT_BODIES = frozenset({("POST", f"{ROOT}/stream"), ("POST", f"{RUN}/events")})
"""Calls whose body is NDJSON."""
MAY_BE_EMPTY = frozenset({("POST", f"{ROOT}/runs")})

_RUN_STARTED = {"type": "RUN_STARTED", "threadId": "thread-1", "runId": "run-1"}
_RUN_FINISHED = {"type": "RUN_FINISHED", "threadId": "thread-1", "runId": "run-1"}
EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", f"{ROOT}/validate"): {"event": _RUN_STARTED},
    ("POST", f"{ROOT}/validate-sequence"): {"events": [_RUN_STARTED, _RUN_FINISHED]},
    ("POST", f"{ROOT}/runs"): {"thread": "thread-1", "run": "run-1"},
}
_NAME = STRING | {"minLength": 1, "maxLength": 1_024}
_KEPT = STRING | {"pattern": r"^[^\x00]*$"}
_PAGE = {"limit": whole(1, 10_000, 10_000), "after": INTEGER | {"minimum": 0, "maximum": 2**63 - 1}}
QUERIES: dict[tuple[str, str], dict[str, Schema]] = {
    ("POST", f"{ROOT}/stream"): {
        "thread": _NAME,
        "run": _NAME,
        "algorithm": {"enum": [algorithm.value for algorithm in Algorithm]},
        "drop_unknown": BOOLEAN,
        "recorded": BOOLEAN,
    },
    ("GET", f"{ROOT}/runs"): _PAGE
    | {
        "thread": _KEPT,
        "run": _KEPT,
        "verdict": {"enum": ["valid", "invalid", "none"]},
        "status": {"enum": ["open", "ended", "lost"]},
        "owed": {"enum": ["waiting", "settled", "refused"]},
        "differs": {"enum": ["true", "false"]},
    },
    ("GET", f"{RUN}/pieces"): _PAGE,
    ("POST", f"{RUN}/events"): {"from": INTEGER | {"minimum": 0, "maximum": 2**63 - 1}},
}

_FORM = msgspec.json.decode(transcript_json(b""))["format"]
ANSWERS: dict[tuple[str, str], Schema] = {
    ("GET", ROOT): success(reference("EventsStatus")),
    ("POST", f"{ROOT}/validate"): success(reference("SequenceReport")),
    ("POST", f"{ROOT}/validate-sequence"): success(reference("SequenceReport")),
    ("POST", f"{ROOT}/stream"): STRING,
    ("GET", f"{ROOT}/runs"): success(many(reference("KeptRun"))),
    ("POST", f"{ROOT}/runs"): success(reference("Report")),
    ("GET", RUN): success(reference("RunDetails")),
    ("DELETE", RUN): success(),
    ("POST", f"{RUN}/events"): STRING,
    ("POST", f"{RUN}/end"): success(reference("Report")),
    ("GET", f"{RUN}/pieces"): success(many(reference("KeptPiece"))),
    ("POST", f"{RUN}/transcript"): success(
        shape({"format": {"const": _FORM}, "transcript": STRING | {"contentEncoding": "base64"}})
    ),
}
MEDIA = dict.fromkeys(TEXT_BODIES, NDJSON)
"""Answers that are no JSON object: a line for each event. `Accept: text/event-stream` gets messages from a
stream."""
STATUSES: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("POST", ROOT, (400, 404, 409, 413, 422, 429, 503)),
    ("DELETE", ROOT, (404, 409, 503)),
)
