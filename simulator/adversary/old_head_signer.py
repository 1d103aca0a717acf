"""Signs heads that name an old entry as the end of its log: with them every old log looks young (R45)."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.clock import MILLISECOND

OLD = 1_900 * MILLISECOND
"""World time; soon afterwards a relay that lies brings no entries any more (simulator.relays)."""


class OldHeadSigner(Liar):
    """Its heads are newly dated, and name the entry that was its last one at `OLD`."""

    def begin(self) -> None:
        """See Liar."""
        self._old: tuple[int, bytes] = (0, bytes(32))

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        log = self.node.disk.log
        if self.world.time < OLD and log and log[-1] is not None:
            self._old = len(log), log[-1].entry_hash
        if not isinstance(message, m.Head) or self.world.time < OLD:
            return ((receiver, frame),)
        sequence, entry_hash = self._old
        old = msgspec.structs.replace(message, sequence=sequence, entry_hash=entry_hash)
        return ((receiver, self.signer.sign(old)),)
