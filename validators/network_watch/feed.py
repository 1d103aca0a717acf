"""Frames for the live feed: that a member is heard no longer, or again. Pages ask for what they show."""

from __future__ import annotations

from typing import Any

from validators.network_watch.watch import watch


def newest_event() -> int:
    """Number of the newest change."""
    return watch.version


def read_frames(after: int) -> tuple[int, list[dict[str, Any]]]:
    """(number of the newest change, one frame if that is not `after`)."""
    watch.refresh()
    newest = watch.version
    cut = watch.cut
    frames = [{"type": "network", "cut": "" if cut is None else cut.what}] if newest != after else []
    return newest, frames
