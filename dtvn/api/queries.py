"""Query parameters of the contract's lists as Structs; errors name the bad parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from dtvn.api.errors import InvalidRequest
from dtvn.machine import NAMES
from dtvn.machine.fields import DEFAULT_EVENT, is_name
from dtvn.protocol.genesis import EVENT_NAME

LIST_MAX = 10_000
"""Most items in one answer."""

SEARCH_LENGTH_MAX = 200
SEARCH_WORDS_MAX = 5

STATES = frozenset(NAMES.values()) | {"PENDING"}
"""PENDING exists only on the wire: no ticket is ever in this state."""

POSITION = "^([0-9]{1,18})(?:\\.([0-9]{1,5}))?$"
"""Pattern of a place in the log: sequence, or sequence.index."""

_POSITION = re.compile(POSITION)
_EVENT = re.compile(EVENT_NAME)


class TicketsQuery(msgspec.Struct, frozen=True):
    """A page of one event's tickets, by ascending id."""

    event: str
    limit: int
    state: str | None
    after: str
    """Ticket id before the page, "" for the first."""


class RecordsQuery(msgspec.Struct, frozen=True):
    """A page of ordered operations, in the order of the log."""

    limit: int
    after: tuple[int, int | None] | None
    """Sequence and index before the page; index None: all of that sequence. None: from the beginning."""
    refused: bool
    """Whether refused operations are listed too."""
    all_kinds: bool
    """Whether seeds and issues are listed too."""
    state: str | None
    """State of a ticket: selects the operations that lead to it or end it."""


def read_number(name: str, text: str, least: int, most: int) -> int:
    """Reads a decimal number, any leading zeros ignored; raises InvalidRequest unless `least` <= it <=
    `most`."""
    digits = text.lstrip("0") or text[-1:]
    short = text.isascii() and text.isdigit() and len(digits) <= len(str(most))
    if not short or not least <= int(digits) <= most:  # int() has its own error for thousands of digits
        raise InvalidRequest(f"{name} must be a number from {least} to {most}")
    return int(digits)


def read_limit(query: Mapping[str, str]) -> int:
    """`limit`: 1 to 10,000, which is also the default."""
    text = query.get("limit")
    return LIST_MAX if text is None else read_number("limit", text, 1, LIST_MAX)


def read_event(query: Mapping[str, str]) -> str:
    """`event`: the default event when absent."""
    event = query.get("event", DEFAULT_EVENT)
    if _EVENT.fullmatch(event) is None:
        raise InvalidRequest("event must be 1 to 64 characters of A-Z a-z 0-9 . _ : -")
    return event


def read_words(text: str) -> list[str]:
    """Splits a search, `q`, into words; raises InvalidRequest if there are too many, since each costs a
    pass."""
    words = text.split() if len(text) <= SEARCH_LENGTH_MAX else []
    if len(text) > SEARCH_LENGTH_MAX or len(words) > SEARCH_WORDS_MAX:
        raise InvalidRequest(f"q must be at most {SEARCH_WORDS_MAX} words and {SEARCH_LENGTH_MAX} characters")
    return words


def read_tickets_query(query: Mapping[str, str]) -> TicketsQuery:
    """Reads `event`, `limit`, `state` and `after` of a list of tickets; raises InvalidRequest."""
    event, limit, state = read_event(query), read_limit(query), _read_state(query)
    after = query.get("after")
    if after is not None and not is_name(after):
        raise InvalidRequest("after must be a ticket id")
    return TicketsQuery(event, limit, state, after or "")


def read_records_query(query: Mapping[str, str]) -> RecordsQuery:
    """Reads `limit`, `after`, `outcome`, `kind` and `state` of a list of operations; raises
    InvalidRequest."""
    limit, after = read_limit(query), query.get("after")
    for name in ("outcome", "kind"):
        if query.get(name) not in (None, "all"):
            raise InvalidRequest(f"{name} must be all, or absent")
    position = None if after is None else _read_position(after)
    return RecordsQuery(limit, position, "outcome" in query, "kind" in query, _read_state(query))


def next_link(path: str, pairs: tuple[tuple[str, str], ...], after: str) -> str:
    """A Link header to the next page: this URL with `after` moved on (RFC 8288)."""
    kept = [(name, value) for name, value in pairs if name != "after"]
    return f'<{path}?{urlencode([*kept, ("after", after)])}>; rel="next"'


def _read_state(query: Mapping[str, str]) -> str | None:
    state = query.get("state")
    if state is not None and state not in STATES:
        raise InvalidRequest(f"state must be one of {', '.join(sorted(STATES))}")
    return state


def _read_position(text: str) -> tuple[int, int | None]:
    found = _POSITION.fullmatch(text)
    if found is None:
        raise InvalidRequest("after must be a sequence, or sequence.index")
    return int(found[1]), None if found[2] is None else int(found[2])
