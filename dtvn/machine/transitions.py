"""The life cycle of a ticket as one table: all that decides a transition is in this file.

    ISSUED -> VALIDATED -> CONSUMED
                 |  ^
                 v  | clear
              DISPUTED -> UPHELD (DISPUTED in the API)

An admission is both steps at once, and so is the record of an entry that was made elsewhere. Every pair of
action and state is in TRANSITIONS: it leads to a state, or to the reason why nothing changes. A ticket is
admitted at most once, because no action leads out of CONSUMED.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from dtvn.machine import reasons


class State(enum.IntEnum):
    """State of a ticket as encoded in the replicated state."""

    ISSUED = 1
    VALIDATED = 2
    CONSUMED = 3
    DISPUTED = 4
    UPHELD = 5


NAMES: dict[State, str] = {
    State.ISSUED: "ISSUED",
    State.VALIDATED: "VALIDATED",
    State.CONSUMED: "CONSUMED",
    State.DISPUTED: "DISPUTED",
    State.UPHELD: "DISPUTED",
}
"""State -> its name in the API."""


def public_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by name of State as counts by name in the API, where an upheld dispute is DISPUTED."""
    found = dict.fromkeys(NAMES.values(), 0)
    for state, name in NAMES.items():
        found[name] += counts.get(state.name, 0)
    return found


_ROWS: dict[str, tuple[State | str, State | str, State | str, State | str, State | str]] = {
    # action: from ISSUED, VALIDATED, CONSUMED, DISPUTED, UPHELD
    "validate": (
        State.VALIDATED,
        reasons.ALREADY_VALIDATED,
        reasons.ALREADY_CONSUMED,
        reasons.DISPUTED,
        reasons.DISPUTED,
    ),
    "consume": (
        reasons.NOT_VALIDATED,
        State.CONSUMED,
        reasons.ALREADY_CONSUMED,
        reasons.DISPUTED,
        reasons.DISPUTED,
    ),
    "admit": (
        State.CONSUMED,
        State.CONSUMED,
        reasons.ALREADY_CONSUMED,
        reasons.DISPUTED,
        reasons.DISPUTED,
    ),
    "import_entry": (
        State.CONSUMED,
        State.CONSUMED,
        reasons.ALREADY_CONSUMED,
        reasons.DISPUTED,
        reasons.DISPUTED,
    ),
    "dispute": (
        reasons.NOT_VALIDATED,
        State.DISPUTED,
        reasons.ALREADY_CONSUMED,
        reasons.ALREADY_DISPUTED,
        reasons.ALREADY_DISPUTED,
    ),
    "clear": (
        reasons.NOT_DISPUTED,
        reasons.NOT_DISPUTED,
        reasons.NOT_DISPUTED,
        State.VALIDATED,
        reasons.ALREADY_UPHELD,
    ),
    "uphold": (
        reasons.NOT_DISPUTED,
        reasons.NOT_DISPUTED,
        reasons.NOT_DISPUTED,
        State.UPHELD,
        reasons.ALREADY_UPHELD,
    ),
}

TRANSITIONS: dict[str, dict[State, State | str]] = {
    action: dict(zip(State, row, strict=True)) for action, row in _ROWS.items()
}
"""Action -> state -> the state after it, or the reason of its refusal. Every pair is present. An action is a
kind of operation on an existing ticket; `resolve` appears as its verdict, clear or uphold."""
LEADS_TO: dict[str, State] = {"issue": State.ISSUED, "seed": State.ISSUED} | {
    action: next(after for after in row if isinstance(after, State)) for action, row in _ROWS.items()
}
"""Action, or kind that creates tickets -> the one state that it leads to."""


def kinds_to(state: State) -> frozenset[str]:
    """Kinds of operations that always lead to this state; not `resolve`, where the verdict decides."""
    return frozenset(kind for kind, after in LEADS_TO.items() if after is state) - {"clear", "uphold"}


def state_of(name: str, *, upheld: bool) -> State:
    """The state with this public name; `upheld` tells UPHELD from DISPUTED."""
    state = State[name]
    return State.UPHELD if upheld and state is State.DISPUTED else state
