"""Knobs that only the simulator turns: places where the product may as well do less at once, do it sooner, or
forget what it can find again (FoundationDB's BUGGIFY).

In a node nobody turns one, so `hit` is False, at the cost of a call. No promise may depend on a knob: both
answers are right at each place.
"""

from __future__ import annotations

from collections.abc import Callable

KNOBS: dict[str, str] = {
    "pool.one_request": "a batch holds one request, whatever waits",
    "pump.one_frame": "a turn takes one frame, whatever has arrived",
    "pump.rows_at_once": "rows are written after the turn that changed them",
    "operations.no_memo": "a command is decoded again, though a memo holds it",
}
"""All knobs, with what is different where one is hit."""

_turned: list[Callable[[str], bool]] = []


def hit(name: str) -> bool:
    """Whether this place does the other thing now."""
    return bool(_turned) and _turned[0](name)


def turn(decide: Callable[[str], bool] | None) -> None:
    """Let `decide` answer from now on; None: no knob is hit."""
    _turned[:] = [] if decide is None else [decide]
