"""Parses a JSON text, or one object per line (JSON Lines), into values; an unreadable item stays one item.

Some output beyond the standard is accepted because it is harmless: NaN for an empty cell, and half of a
surrogate pair (reported later for its row alone). An object with a duplicate key is refused: it is not clear
which of the values counts.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tickets.importing.record import A_FRACTION, A_TRUTH, DIGITS_LOST, EXPONENT_ONLY, FileRefused

DIGITS_MAX = 15
"""Whole numbers of more digits are not exact in every program that writes JSON."""


VALUES_MAX = 3_000_000
"""Most values, each of which takes up to 200 bytes of memory: as many as 100,000 tickets of pretix have."""


class Number(str):
    """A number as it stands in the file: a fraction, one with an exponent, or one of too many digits."""

    __slots__ = ()


class Unreadable(msgspec.Struct, frozen=True):
    """Stands for an item that is not JSON, or that has a duplicate key."""

    reason: str


BLANK = Unreadable("is blank")
"""Stands for a blank line, which counts as a line but not as an item."""


def parsed(text: str) -> Any:
    """The text's value, or the list of its lines' values; raises FileRefused if it is neither, or has over
    VALUES_MAX commas, brackets and lines."""
    if sum(map(text.count, ",[{\n")) > VALUES_MAX:
        raise FileRefused(f"The JSON has more than {VALUES_MAX:,} values: split it.")
    try:
        return _value(text)
    except ValueError as error:
        # Not splitlines(): a JSON string may contain U+2028 and other line separators.
        lines = [_line(line) if line.strip() else BLANK for line in text.split("\n")]
        objects = sum(isinstance(line, dict) for line in lines)
        if 2 * objects < max(1, len(lines) - lines.count(BLANK)):
            # A broken document, one of whose lines may happen to be an object.
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
    """Parse one JSON value; raises ValueError."""
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_whole,
            parse_float=Number,
        )
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
    """Accepts NaN, which data frames write for an empty cell."""
    return None if name == "NaN" else name


def _whole(digits: str) -> int | Number:
    return int(digits) if len(digits.lstrip("-")) <= DIGITS_MAX else Number(digits)


def cell(value: Any) -> tuple[str, str]:
    """A JSON value as a cell's text, and why it is not the text that was meant: "" for a text, a whole number
    and null. A list or an object has no text."""
    match value:
        case bool():
            return str(value).lower(), A_TRUTH
        case Number():
            kind = DIGITS_LOST if value.lstrip("-").isdigit() else A_FRACTION
            return str(value), EXPONENT_ONLY if "e" in value.lower() else kind
        case int() | str():
            return str(value).strip(), ""
        case _:
            return "", ""
