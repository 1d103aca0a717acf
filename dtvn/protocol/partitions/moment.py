"""The time, as a host gives it."""

from __future__ import annotations

from typing import Protocol


class Moment(Protocol):
    """The time in nanoseconds; the core's `effects.Now` is one."""

    @property
    def monotonic(self) -> int:
        """For every duration."""

    @property
    def wall(self) -> int:
        """Since 1970, to tell people when something was."""
