"""Parts of the live feed that apps above this one hand over when Django starts; so this app imports nothing
of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol


class FeedPart(Protocol):
    """Frames that follow the events of the log; a module is one. Reads the database."""

    def newest_event(self) -> int:
        """Number of the newest event; 0 before the first."""

    def read_frames(self, after: int) -> tuple[int, list[dict[str, Any]]]:
        """The frames that followed event `after`, and the number of the last of them."""


_names: list[str] = []


def add(name: str) -> None:
    """Add a part by the name of its module, which is imported when the feed first asks: no node needs it."""
    if name not in _names:
        _names.append(name)


def parts() -> list[FeedPart]:
    """All parts."""
    return [import_module(name) for name in _names]  # type: ignore[misc]
