"""Durations in Go's notation: `300ms`, `1.5s`, `1m30s`."""

from __future__ import annotations

import re
from decimal import Decimal

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
"""In nanoseconds."""

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3_600 * 10**9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> int:
    """Parse a duration into nanoseconds; raise ValueError if it is invalid (a number needs its unit)."""
    sign = -1 if text.startswith("-") else 1
    rest = text.removeprefix("-").removeprefix("+")
    if rest == "0":
        return 0
    found = list(_PART.finditer(rest))
    if not found or "".join(match.group() for match in found) != rest:
        raise ValueError(f"{text!r} is not a duration such as 300ms, 5s or 1m30s")
    return sign * int(sum(Decimal(match[1]) * _UNITS[match[2]] for match in found))


def format_duration(nanoseconds: int) -> str:
    """Format nanoseconds with the largest unit that divides them."""
    for unit in ("h", "m", "s", "ms", "us"):
        if nanoseconds and nanoseconds % _UNITS[unit] == 0:
            return f"{nanoseconds // _UNITS[unit]}{unit}"
    return f"{nanoseconds}ns" if nanoseconds else "0s"
