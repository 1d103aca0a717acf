"""What is told of a stream, as `dtvn validate` tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dtvn.events.rules import EventReader, RunInput, Violation
from dtvn.events.validation_config import ValidationConfig, rules_of

NOW = 1_795_754_100_000
HERE = Path(__file__).parent
REPORTED = HERE.parent / "reported"
RECORDED = HERE.parent / "recorded"


def told(
    data: bytes, config: ValidationConfig | None = None, given: RunInput | None = None
) -> list[Violation]:
    """Every finding about the bytes of a stream, in the order in which they are told."""
    stream, adviser = rules_of(config or ValidationConfig(), given)
    reader = EventReader(stream.limits.event_bytes)
    found: list[Violation] = []
    for _, text in (*reader.feed(data), *reader.end()):
        verdict = stream.feed(text)
        found += adviser.take(text, verdict, verdict, NOW).new
    return [*found, *adviser.end(reader).new]


def codes(*events: dict[str, Any] | bytes, **options: Any) -> list[tuple[str, int]]:
    """Rule id and index of each finding about these events."""
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in events]
    return [(each.code, each.index) for each in told(b"\n".join(lines), **options)]
