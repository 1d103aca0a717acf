"""Is nothing verified that a cheap check refuses? (R5; row 15)

The world's doors ask the core's own `wants` before every signature check; the host has asked it already, so
the answer must be yes. The function is the product's as it was when this module was loaded.
"""

from __future__ import annotations

from typing import Any

from simulator.violation import Violation
from validators.consensus.replica import Replica
from validators.consensus.verified import Header, Verified
from validators.wire import Door, Envelope

__all__ = ["ThriftyDoor"]

wants = Replica.wants
LOOK_EVERY = 8
"""Frames between two looks."""
DECODED_MAX = 1_000


class ThriftyDoor(Door):
    """A door that grudges signatures; `core` and `name` are whom it opens for."""

    core: Any = None
    name = ""
    _frames = 0
    decoded: dict[bytes, tuple[Envelope, Any]] = {}
    """What the newest frames say: it follows from their bytes, and most come to several members."""

    def _decode(self, frame: bytes) -> tuple[Envelope, Any]:
        known = self.decoded.get(frame)
        if known is None:
            if len(self.decoded) >= DECODED_MAX:
                self.decoded.clear()
            known = self.decoded[frame] = super()._decode(frame)
        return known

    def verify(self, header: Header) -> Verified[Any]:
        """See Door."""
        self._frames += 1
        if self._frames % LOOK_EVERY == 0 and isinstance(self.core, Replica):
            reason = wants(self.core, header)
            if reason is not None:
                kind = type(header.message).__name__
                raise Violation("economy", f"{self.name} verifies a {kind} that it refuses: {reason.value}")
        return super().verify(header)
