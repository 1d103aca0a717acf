"""Plain data as text that a person can read and compare: what golden stories of imports are made of.

A value stands on one line if it fits, else each of its parts stands on its own. Fields of a struct that have
their default are left out, and moments are times of the day in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

WIDTH = 110
MOMENTS = frozenset({"not_before", "not_after", "entered_at", "at", "doors"})
"""Fields of microseconds since 1970."""


def told(value: Any, *, indent: int = 0) -> str:
    """The value as lines, each indented by `indent`."""
    return "\n".join(" " * indent + line for line in _lines(value, WIDTH - indent))


def section(title: str, value: Any) -> str:
    """A title and the value below it, or behind it if it fits."""
    line = f"{title}: {_line(value)}"
    return line if len(line) <= WIDTH else f"{title}:\n{told(value, indent=2)}"


def _lines(value: Any, width: int, field: str = "") -> list[str]:
    """The value in lines of this width: short parts share a line, a long one has its own."""
    whole = _line(value, field)
    if len(whole) <= width or isinstance(value, str | int | bytes | None):
        return [whole]
    lines: list[str] = []
    shared = ""
    for label, part in _parts(value):
        text = f"{label}{_line(part, label[:-2])}"
        if shared and len(shared) + 2 + len(text) <= width:
            shared += f", {text}"
            continue
        lines += [shared] if shared else []
        shared = text if len(text) <= width else ""
        if not shared:
            first, *others = _lines(part, width - 2, label[:-2])
            lines += [label.rstrip(), f"  {first}"] if label else [f"- {first}"]
            lines += [f"  {line}" for line in others]
    return [*lines, shared] if shared else lines


def _line(value: Any, field: str = "") -> str:
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case bytes():
            return value.hex() or "no bytes"
        case bool() | None:
            return {True: "yes", False: "no", None: "none"}[value]
        case int() if field in MOMENTS and value:
            return _moment(value)
        case msgspec.Struct() | Mapping():
            return "{" + ", ".join(f"{label}{_line(part, label[:-2])}" for label, part in _parts(value)) + "}"
        case tuple() if hasattr(value, "_asdict"):
            return _line(value._asdict())
        case list() | tuple():
            return "[" + ", ".join(_line(part) for part in value) + "]"
        case set() | frozenset():
            return "set " + _line(sorted(value))
        case _:
            return str(value)


def _parts(value: Any) -> list[tuple[str, Any]]:
    match value:
        case msgspec.Struct():
            fields = msgspec.structs.fields(value)
            named = [(field.name, getattr(value, field.name), _default(field)) for field in fields]
            return [(f"{name}: ", part) for name, part, default in named if part != default]
        case Mapping():
            return [(f"{key}: ", part) for key, part in value.items()]
        case tuple() if hasattr(value, "_asdict"):
            return _parts(value._asdict())
        case _:
            return [("", part) for part in value]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _moment(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(sep=" ").replace("+00:00", " UTC")
