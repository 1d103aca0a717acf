"""Signed statements as checkers read them: verified with a door of their own, each frame once.

What was refused is looked at again: a frame of an epoch that nobody has entered yet has no key so far.
"""

from __future__ import annotations

from typing import Any

from simulator.world import World
from validators.consensus.verified import Peer
from validators.wire import Door
from validators.wire.door import Keys

__all__ = ["Statements"]

READER = Peer("a checker", None)


class Statements:
    """One per world."""

    def __init__(self, world: World, keys: Keys) -> None:
        self._door = Door(world.cluster, keys, scheme=world.keyring.scheme)
        self._known: dict[bytes, Any] = {}

    def read(self, frame: bytes) -> Any:
        """The message of a signed frame; raise PeerError when it is none, or not of who it says."""
        message = self._known.get(frame)
        if message is None:
            message = self._known[frame] = self._door.statement(READER, frame).message
        return message
