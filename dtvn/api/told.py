"""What an answer about a ticket tells besides its outcome: the fields that a gate acts on."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from dtvn.api.times import local_time
from dtvn.machine import AnsweredState, State

ELSEWHERE = "import_entry"
"""Kind of an entry that was made elsewhere."""


def told_fields(state: AnsweredState, zone: tzinfo) -> dict[str, Any]:
    """Product, seat, window, block and last entry in the state of an outcome. `zone`: that of the event.

    Times are RFC 3339; None: no bound, or no entry, or one made elsewhere at a time that is not known.
    """
    return {
        "product": state.product,
        "seat": state.seat,
        "valid_from": _time(state.not_before, zone),
        "valid_until": _time(state.not_after, zone),
        "blocked": state.blocked,
        "block_reason": state.block_reason,
        "last_entry": _last_entry(state, zone),
    }


def _last_entry(state: AnsweredState, zone: tzinfo) -> dict[str, Any] | None:
    """When, where and by which device the ticket entered."""
    if state.state is not State.CONSUMED:
        return None
    at = state.entered_at if state.operation == ELSEWHERE else state.timestamp
    return {"at": _time(at, zone), "gate": state.gate, "device": state.device}


def _time(microseconds: int, zone: tzinfo) -> str | None:
    return local_time(microseconds, zone) if microseconds else None
