"""The data of a ticket as words: sellers put a JSON object, plain text or any bytes there."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec


def in_words(data: bytes, besides: Container[str] = ()) -> str:
    """The fields of a JSON object as "name: value, ...", without values that are shown already (`besides`);
    any other data as text."""
    try:
        fields = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return data.decode("utf-8", "replace")
    told = ((name, _value(value)) for name, value in fields.items())
    return ", ".join(
        f"{name.replace('_', ' ')}: {text}" for name, text in told if text and text not in besides
    )


def _value(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return " ".join(filter(None, map(_value, value)))
        case dict():
            return " ".join(f"{name} {text}" for name, item in value.items() if (text := _value(item)))
        case _:
            return str(value)
