"""The simulator's part of the live feed. The simulator is an app above this one, and hands its part over when
Django starts; so this app imports nothing of it."""

from __future__ import annotations

from typing import Any, Protocol


class SimulatorFeed(Protocol):
    """What the feed and `/status` show of simulator runs; `simulator.web.feed` is one. Reads the database."""

    def status_now(self) -> str:
        """Status of the newest run; "idle" before the first."""

    def newest_event(self) -> int:
        """Number of the newest event; 0 before the first."""

    def read_frames(self, after: int) -> tuple[int, list[dict[str, Any]]]:
        """The frames that followed event `after`, and the number of the last of them."""


simulator: SimulatorFeed
"""Set once, in `ready` of the simulator's app."""
