"""Signed statements as checkers read them: verified with a door of their own, each frame once.

A refused frame is verified again when it is read again: the keys of an epoch that no node has entered yet are
not known.
"""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.wire import Door, Keys
from simulator.world import World

READER = Peer("a checker", None)


class Statements:
    """One per world."""

    def __init__(self, world: World, keys: Keys) -> None:
        self._door = Door(world.cluster, keys, scheme=world.keyring.scheme)
        self._known: dict[bytes, Any] = {}

    def read(self, frame: bytes) -> Any:
        """Message of a signed frame; raise PeerError if it does not decode or is not signed by its sender."""
        message = self._known.get(frame)
        if message is None:
            message = self._known[frame] = self._door.statement(READER, frame).message
        return message
