"""A JSON text, or one object per line (JSON Lines), as values; what cannot be read of it stays one item.

What other programs write beyond the standard is understood where it harms nobody: NaN for an empty cell, half
of a surrogate pair (told later, of its row alone). An object that says one name twice is none: nobody could
say which of them counts.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tickets.importing.record import FileRefused

__all__ = ["BLANK", "Unreadable", "parsed"]

DIGITS_MAX = 300
"""A longer number stays text: Python refuses to turn thousands of digits into one."""


class Unreadable(msgspec.Struct, frozen=True):
    """In place of an item that is no JSON, or says one name twice."""

    reason: str


BLANK = Unreadable("is blank")
"""In place of a blank line, which counts where lines are counted, and is no item."""


def parsed(text: str) -> Any:
    """The text's value, or the list of its lines' values; raises FileRefused where it is neither."""
    try:
        return _value(text)
    except ValueError as error:
        # Not splitlines(): U+2028 and others may stand in a JSON string as they are.
        lines = [_line(line) if line.strip() else BLANK for line in text.split("\n")]
        objects = sum(isinstance(line, dict) for line in lines)
        if not objects or 2 * objects < len(lines) - lines.count(
            BLANK
        ):  # a broken document, of which a line may be an object
            raise FileRefused(f"The file is not JSON: {error}.") from error
        return lines


def _line(line: str) -> Any:
    try:
        return _value(line)
    except json.JSONDecodeError as error:
        return Unreadable(f"is not JSON: {error.msg}, at its character {error.pos + 1}")
    except ValueError as error:
        return Unreadable(f"is not JSON: {error}")


def _value(text: str) -> Any:
    """Raises ValueError."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Unreadable:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            return Unreadable(f"says {name[:40]!r} twice")
        found[name] = value
    return found


def _constant(name: str) -> str | None:
    """NaN is how data frames write an empty cell."""
    return None if name == "NaN" else name


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= DIGITS_MAX else digits
