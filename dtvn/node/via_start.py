"""Registers a node or a follower at the splice that its settings name, before it starts."""

from __future__ import annotations

import logging
from pathlib import Path

from dtvn.node.options import StartError
from dtvn.node.via import Via


def begin_via(key: Path, kept: Path, splice: str, logger: logging.Logger) -> Via | None:
    """Register the owner of a key file at a splice (""; none); raise StartError if it has no place there and
    never had one. `kept`: file for its place."""
    if not splice:
        return None
    try:
        via = Via(splice, key, kept=kept, logger=logger)
    except ValueError as error:
        raise StartError(f"The splice cannot be used: {error}.") from error
    if via.wait() is None:
        via.close()
        raise StartError(f"The splice {splice} gives this node no place: {via.trouble}.")
    return via
