"""The one error a replica raises: it found itself wrong (STYLE C11). No peer's input can cause it
while at most f members lie."""

from __future__ import annotations

__all__ = ["InvariantBreach"]


class InvariantBreach(Exception):
    """This replica must stop: a vote against its own, a fork, or a state that q members do not share."""
