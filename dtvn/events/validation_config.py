"""What is checked of a stream on this machine (contract 1.8). The members of a cluster judge by all rules."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from dtvn.events.advice import CODES, Adviser, Profile, chosen
from dtvn.events.checked import Checked, ConfigError
from dtvn.events.rules import Linter, Reading, RunInput, Stream


class ValidationLevel(StrEnum):
    """How much is said of a stream; what is refused is said at every level."""

    STRICT = "strict"
    """Advice too."""
    PERMISSIVE = "permissive"
    """No advice."""
    CUSTOM = "custom"
    """As `strict` of the configuration says."""


class ValidationConfig(Checked, frozen=True, kw_only=True):
    """Rules that are left out, and advice that is added."""

    level: ValidationLevel = ValidationLevel.STRICT
    strict: bool | None = None
    """Whether advice is given. None: that of the level; `custom` gives it."""
    skip_timestamp_validation: bool = False
    skip_sequence_validation: bool = False
    """Each event is judged alone: in any order, without a state."""
    skip_field_validation: bool = False
    """Missing and invalid fields are filled with empty values."""
    allow_empty_ids: bool = False
    """No advice on empty ids and texts."""
    allow_unknown_event_types: bool = False
    """They are a warning, also by the profile `seed`."""
    custom_validators: tuple[Callable[..., Any], ...] = ()
    """Each is called with every accepted event (a struct of its type) and returns further warnings: (rule
    id, field or None, sentence) each, or None."""
    profile: Profile = Profile.DEFAULT
    """Which advice is given."""
    advice_off: tuple[str, ...] = ()
    """Codes of advice that is not given."""
    advice_only: tuple[str, ...] = ()
    """Codes of the only advice that is given, of whatever profile; empty: all of the profile."""
    accept_protocol_0x: bool = False
    """The profile `seed` too judges events of AG-UI 0.x as what the official client 1.0 converts them to."""

    def _check(self) -> None:
        for check in self.custom_validators:
            if not callable(check):
                raise ConfigError(f"custom_validators: {check!r} is not callable")
        for field in ("advice_off", "advice_only"):
            for code in getattr(self, field):
                if code not in CODES:
                    raise ConfigError(f"{field}: {code!r} is no code of advice")
        fitting = None, self.level is ValidationLevel.STRICT
        if self.level is not ValidationLevel.CUSTOM and self.strict not in fitting:
            raise ConfigError(f"strict: {self.strict} is not that of level {self.level}")

    @property
    def advises(self) -> bool:
        """Whether advice is given."""
        if self.strict is not None:
            return self.strict
        return self.level is not ValidationLevel.PERMISSIVE


_LENIENT = ValidationConfig(skip_timestamp_validation=True, allow_empty_ids=True)
VALIDATION_PRESETS = {
    "default": ValidationConfig(),
    "permissive": msgspec.structs.replace(_LENIENT, level=ValidationLevel.PERMISSIVE),
    "development": _LENIENT,
    "production": ValidationConfig(),
    "testing": msgspec.structs.replace(_LENIENT, skip_sequence_validation=True),
}
"""Name -> what it checks."""


def rules_of(config: ValidationConfig, given: RunInput | None = None) -> tuple[Stream, Adviser]:
    """The rules over one stream, and what is told about it. `given`: the input that it was asked with, None
    if only its RUN_STARTED may tell it."""
    stream = Stream(
        reading=Reading.MODELS if config.profile is Profile.SEED else Reading.CLIENT,
        drop_unknown=config.allow_unknown_event_types,
        shape=not config.skip_field_validation,
        order=not config.skip_sequence_validation,
        accept_0x=config.accept_protocol_0x,
    )
    linter = Linter(
        stream,
        advice=config.advises,
        timestamps=not config.skip_timestamp_validation,
        empty_ids=not config.allow_empty_ids,
        quiet=config.profile is not Profile.SEED,
        checks=config.custom_validators,
    )
    codes = chosen(config.profile, config.advice_off, config.advice_only)
    return stream, Adviser(stream, linter, codes, advises=config.advises, given=given)
