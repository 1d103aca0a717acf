"""Base of all configuration objects of events: what a field may hold is checked when an object is made."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin

import msgspec


class ConfigError(ValueError):
    """A configuration that cannot work; the text names field, value and rule."""


class Checked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all objects here. Fields are checked by type, those named in the class's table by kind, the
    rest by `_check`."""

    def __post_init__(self) -> None:
        """Raises ConfigError naming field, value and rule. Text becomes its enum value, a list a tuple, and
        None where an object is expected the default object."""
        for field, kinds, default in _fields(type(self)):
            value = getattr(self, field)
            if value is None and isinstance(default, Checked):
                msgspec.structs.force_setattr(self, field, default)
            elif issubclass(kinds[0], StrEnum) and not isinstance(value, kinds[0]):
                msgspec.structs.force_setattr(self, field, _enum_value(field, kinds[0], value))
            elif kinds[0] is tuple and isinstance(value, list):
                msgspec.structs.force_setattr(self, field, tuple(value))
            elif not any(_is(kind, value) for kind in kinds):
                said = WORDS.get(kinds[0], f"a {kinds[0].__name__}")
                raise ConfigError(f"{field}: {value!r} is not {said}")
        for field in POSITIVE.get(type(self).__name__, ()):
            value = getattr(self, field)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{field}: {value} is not greater than 0")
        for field in AT_LEAST_ONE.get(type(self).__name__, ()):
            value = getattr(self, field)
            if value < 1:
                raise ConfigError(f"{field}: {value} is less than 1")
        for field in FRACTIONS.get(type(self).__name__, ()):
            value = getattr(self, field)
            if not 0 < value <= 1:
                raise ConfigError(f"{field}: {value} is not in (0, 1]")
        self._check()

    def _check(self) -> None:
        """Rules of one class."""


def changed(config: Checked, usual: Checked) -> list[str]:
    """Dotted names of the fields in which an object differs from `usual`, one of the same class."""
    found: list[str] = []
    for field in config.__struct_fields__:
        value, other = getattr(config, field), getattr(usual, field)
        if isinstance(value, Checked):
            found += [f"{field}.{name}" for name in changed(value, other)]
        elif value != other:
            found.append(field)
    return found


def fields_of(values: Mapping[str, Any]) -> list[str]:
    """Dotted names of the fields that `values`, read from a file, set; null sets nothing."""
    found: list[str] = []
    for field, value in values.items():
        if isinstance(value, dict):
            found += [f"{field}.{name}" for name in fields_of(value)]
        elif value is not None:
            found.append(field)
    return found


def without_effect(fields: Iterable[str], followed: Container[str]) -> str:
    """A clause that names those of `fields` that are not in `followed`; "" if there are none."""
    idle = sorted(field for field in fields if field not in followed)
    return f"{', '.join(idle)} {'have' if idle[1:] else 'has'} no effect here" if idle else ""


@cache
def _fields(owner: type[Checked]) -> tuple[tuple[str, tuple[type, ...], Any], ...]:
    """(name, types that its value may have, default) of each field."""
    return tuple(
        (field.name, tuple(get_origin(kind) or kind for kind in _kinds(field.type)), field.default)
        for field in msgspec.structs.fields(owner)
    )


def _kinds(kind: Any) -> tuple[Any, ...]:
    """The parts of a union, or the type itself."""
    parts = get_args(kind)
    return parts if NoneType in parts else (kind,)


def _is(kind: type, value: object) -> bool:
    """Whether a value is of this type: true and false are no numbers, and a whole number is also a float."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def with_choices(said: str, owner: type[Checked]) -> str:
    """An error of msgspec about a value read for `owner`; one about an enum also names the values that it
    has."""
    found = re.fullmatch(r"(Invalid enum value .*) - at `\$\.([a-z_.]+)`", said)
    if found is None:
        return said
    kind: Any = owner
    for name in found[2].split("."):
        kind = next(kinds[0] for field, kinds, _ in _fields(kind) if field == name)
    return f"{found[2]}: {found[1]}: none of {', '.join(kind)}"


def _enum_value(field: str, kind: type[StrEnum], value: Any) -> StrEnum:
    try:
        return kind(value)
    except ValueError as error:
        raise ConfigError(f"{field}: {value!r} is none of {', '.join(kind)}") from error


WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}
"""Types in words."""
POSITIVE: dict[str, tuple[str, ...]] = {
    "ConsensusConfig": ("election_timeout", "heartbeat_interval", "timeout"),
    "StateSyncConfig": ("sync_interval",),
    "PartitionHandlerConfig": ("heartbeat_timeout", "max_partition_duration", "recovery_timeout"),
    "LoadBalancerConfig": ("health_check_interval", "load_update_interval", "circuit_breaker_timeout"),
    "RestartPolicy": ("restart_window", "base_backoff", "max_backoff"),
    "CircuitBreakerConfig": ("reset_timeout",),
    "MonitoringConfig": ("metrics_interval",),
    "DistributedValidatorConfig": (
        "validation_timeout",
        "heartbeat_interval",
        "node_cleanup_interval",
        "consensus_timeout",
        "sync_interval",
    ),
}
"""Class -> its intervals and time-outs, which are finite and greater than 0, or None."""
AT_LEAST_ONE: dict[str, tuple[str, ...]] = {
    "ConsensusConfig": ("min_nodes", "quorum_size", "max_log_entries"),
    "StateSyncConfig": ("batch_size", "gossip_fanout", "snapshot_threshold"),
    "PartitionHandlerConfig": ("quorum_size", "min_nodes_for_operation"),
    "LoadBalancerConfig": ("unhealthy_threshold", "healthy_threshold"),
    "CircuitBreakerConfig": ("max_failures", "half_open_max_calls", "success_threshold"),
}
"""Class -> its numbers of nodes, items or calls, of which there is at least one."""
FRACTIONS: dict[str, tuple[str, ...]] = {
    "LoadBalancerConfig": ("max_load_per_node", "circuit_breaker_threshold"),
}
"""Class -> its thresholds, which are greater than 0 and at most 1."""
