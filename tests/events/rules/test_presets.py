"""What is checked on this machine: the contract's ValidationConfig and its five presets (1.8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.events.checked import ConfigError
from dtvn.events.validation_config import (
    VALIDATION_PRESETS,
    ValidationConfig,
    ValidationLevel,
    rules_of,
)
from tests.events.rules.samples import event
from tests.support.table import table

NOW = 1_732_380_000_000
OUT_OF_ORDER = event("TE:m")
WITHOUT_FIELD = b'{"type":"TEXT_MESSAGE_END","timestamp":0}'
EMPTY_ID = event("TS", messageId="", timestamp=NOW)
AHEAD = event("CU", timestamp=NOW + 6_000)
UNKNOWN = b'{"type":"NEWS"}'


@table(
    ("preset", "level", "strict", "times", "order", "fields", "empty_ids", "unknown"),
    [
        ("default", "strict", True, False, False, False, False, False),
        ("permissive", "permissive", False, True, False, False, True, False),
        ("development", "strict", True, True, False, False, True, False),
        ("production", "strict", True, False, False, False, False, False),
        ("testing", "strict", True, True, True, False, True, False),
    ],
    count=5,
)
def test_presets_are_those_of_the_contract(
    preset: str,
    level: str,
    strict: bool,
    times: bool,
    order: bool,
    fields: bool,
    empty_ids: bool,
    unknown: bool,
) -> None:
    assert VALIDATION_PRESETS[preset].advises is strict
    assert VALIDATION_PRESETS[preset] == ValidationConfig(
        level=ValidationLevel(level),
        skip_timestamp_validation=times,
        skip_sequence_validation=order,
        skip_field_validation=fields,
        allow_empty_ids=empty_ids,
        allow_unknown_event_types=unknown,
        custom_validators=(),
    )


def said(config: ValidationConfig, *events: bytes) -> list[str]:
    """Codes of all that is said of a run of these events."""
    stream, linter = rules_of(config)
    found = []
    for data in (event("RS", timestamp=NOW), *events):
        verdict = stream.feed(data)
        found += [violation.code for violation in verdict.violations]
        if verdict.accepted:
            found += [violation.code for violation in linter.advise(verdict, NOW)]
    return found


@table(
    ("data", "code", "fields"),
    [
        (AHEAD, "TIMESTAMP_VALIDATION", {"skip_timestamp_validation": True}),
        (OUT_OF_ORDER, "MESSAGE_NOT_OPEN", {"skip_sequence_validation": True, "strict": False}),
        (WITHOUT_FIELD, "FIELD_MISSING", {"skip_field_validation": True, "skip_sequence_validation": True}),
        (EMPTY_ID, "EMPTY_ID", {"allow_empty_ids": True}),
        (AHEAD, "TIMESTAMP_VALIDATION", {"strict": False}),
    ],
    ids=["timestamps", "order", "fields", "empty ids", "advice"],
    count=5,
)
def test_each_field_leaves_out_its_rules(data: bytes, code: str, fields: dict[str, Any]) -> None:
    assert said(ValidationConfig(), data) == [code]
    assert code not in said(ValidationConfig(level=ValidationLevel.CUSTOM, **fields), data)


def test_a_preset_may_be_changed_to_another_level() -> None:
    preset = VALIDATION_PRESETS["default"]
    assert said(replace(preset, level=ValidationLevel.PERMISSIVE), AHEAD) == []
    assert said(replace(preset, level=ValidationLevel.CUSTOM), AHEAD) == ["TIMESTAMP_VALIDATION"]


def test_an_unknown_type_is_a_warning_if_it_is_allowed() -> None:
    stream, _ = rules_of(ValidationConfig(allow_unknown_event_types=True))
    stream.feed(event("RS"))
    assert stream.feed(UNKNOWN).accepted


def test_validators_of_ones_own_add_warnings_to_accepted_events() -> None:
    def loud(told: Any) -> Iterator[tuple[str, str | None, str]]:
        if getattr(told, "delta", "").isupper():
            yield "LOUD", "delta", "The text is in capitals."

    config = ValidationConfig(level=ValidationLevel.CUSTOM, strict=False, custom_validators=[loud])  # type: ignore[arg-type]
    texts = [
        event("TS:m"),
        event("TC:m", delta="HEY"),
        event("TC:m", delta="hey"),
        event("TC:z", delta="HEY"),
    ]
    assert said(config, *texts) == ["LOUD", "MESSAGE_NOT_OPEN"]


def test_a_validator_of_ones_own_may_return_nothing() -> None:
    assert said(ValidationConfig(custom_validators=(lambda told: None,)), AHEAD) == ["TIMESTAMP_VALIDATION"]


def test_a_validator_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(ConfigError, match="custom_validators: 'loud' is not callable"):
        ValidationConfig(custom_validators=(len, "loud"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("level", "strict"), [("strict", False), ("permissive", True)])
def test_a_level_that_is_contradicted_is_refused(level: str, strict: bool) -> None:
    with pytest.raises(ConfigError, match=f"strict: {strict} is not that of level {level}"):
        ValidationConfig(level=ValidationLevel(level), strict=strict)
