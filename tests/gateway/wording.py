"""Values as readable text; what cannot be known beforehand is named in the order of its appearance."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

EMPTY = ("''", "b''", "[]", "None", "{}", "False")


class Wording:
    """Tells values; equal bytes have equal names."""

    def __init__(self) -> None:
        self._names: dict[Any, str] = {}

    def name(self, value: Any) -> str:
        return self._names.setdefault(value, f"#{len(self._names) + 1}")

    def __call__(self, value: Any) -> str:
        if isinstance(value, msgspec.Struct):
            return f"{type(value).__name__}({', '.join(self.fields(value))})"
        if isinstance(value, Enum):
            return str(value.value)
        if isinstance(value, bytes):
            short = len(value) <= 60 and all(0x20 <= byte < 0x7F for byte in value)
            return f"b'{value.decode()}'" if short else f"{self.name(value)}..{len(value)}"
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{self(key)}: {self(each)}" for key, each in value.items()) + "}"
        if isinstance(value, (set, frozenset)):
            return "{" + ", ".join(sorted(map(self, value))) + "}"
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(map(self, value)) + "]"
        if isinstance(value, float):
            return f"{value:.12g}"
        if isinstance(value, datetime):
            return "a time"
        if isinstance(value, BaseException):
            return f"{type(value).__name__}: {value}"
        return repr(value)

    def fields(self, value: msgspec.Struct) -> list[str]:
        """name=value of the fields that are not empty."""
        told = ((name, self(getattr(value, name))) for name in value.__struct_fields__)
        return [f"{name}={text}" for name, text in told if text not in EMPTY]
