"""Query parameters of all lists of the contract (spec 1.2); errors name the bad parameter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import urlencode

from dtvn.machine import NAMES
from dtvn.machine.commands import DEFAULT_EVENT, is_name
from tickets.services import InvalidRequest

__all__ = [
    "LIST_MAX",
    "STATES",
    "Query",
    "next_link",
    "read_event",
    "read_limit",
    "read_log_query",
    "read_number",
    "read_position",
    "read_ticket_query",
]

LIST_MAX = 10_000
"""Most items in one answer (spec 1.2)."""

STATES = frozenset(NAMES.values()) | {"PENDING"}
"""PENDING exists only on the wire: no ticket is ever in this state (spec 7)."""

_POSITION = re.compile(r"(\d{1,18})(?:\.(\d{1,5}))?", re.ASCII)


class Query(Protocol):
    """Query parameters: the interface that Django's and Starlette's classes share."""

    def get(self, name: str) -> Any:
        """The last value of a name, None if it is absent."""


def read_number(name: str, text: str, least: int, most: int) -> int:
    """A whole number in decimal digits; leading zeros are ignored, however many."""
    digits = text.lstrip("0") or text[-1:]
    short = text.isascii() and text.isdigit() and len(digits) <= len(str(most))
    if not short or not least <= int(digits) <= most:  # int() has its own error for thousands of digits
        raise InvalidRequest(f"{name} must be a number from {least} to {most}")
    return int(digits)


def read_limit(query: Query) -> int:
    """`limit`: 1 to 10,000, which is also the default."""
    text = query.get("limit")
    if text is None:
        return LIST_MAX
    return read_number("limit", text, 1, LIST_MAX)


def read_event(query: Query) -> str:
    """`event`: the default event when absent."""
    event = query.get("event")
    if event is None:
        return DEFAULT_EVENT
    if not is_name(event):
        raise InvalidRequest("event must be 1 to 64 characters of A-Z a-z 0-9 . _ : -")
    return str(event)


def read_ticket_query(query: Query) -> tuple[str | None, str]:
    """(`state`, `after`) of a list of tickets."""
    state, after = _read_state(query), query.get("after")
    if after is not None and not is_name(after):
        raise InvalidRequest("after must be a ticket id")
    return state, after or ""


def _read_state(query: Query) -> str | None:
    state = query.get("state")
    if state is not None and state not in STATES:
        raise InvalidRequest(f"state must be one of {', '.join(sorted(STATES))}")
    return None if state is None else str(state)


def read_log_query(query: Query) -> tuple[bool, bool, str | None]:
    """Whether a list of operations includes refusals (`outcome=all`), and seeds and issues (`kind=all`), and
    the `state` to filter by."""
    for name in ("outcome", "kind"):
        if query.get(name) not in (None, "all"):
            raise InvalidRequest(f"{name} must be all, or absent")
    return query.get("outcome") is not None, query.get("kind") is not None, _read_state(query)


def read_position(text: str, slots: int) -> tuple[int, int]:
    """`after` of a list of operations: a sequence (including all its `slots` indices), or sequence.index."""
    found = _POSITION.fullmatch(text)
    if found is None:
        raise InvalidRequest("after must be a sequence, or sequence.index")
    return int(found[1]), slots - 1 if found[2] is None else int(found[2])


def next_link(path: str, query: Sequence[tuple[str, str]], after: str) -> str:
    """A Link header to the next page: this URL with `after` moved on (RFC 8288)."""
    kept = [(name, value) for name, value in query if name != "after"]
    return f'<{path}?{urlencode([*kept, ("after", after)])}>; rel="next"'
