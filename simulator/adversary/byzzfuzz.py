"""ByzzFuzz (OOPSLA 2023): few and small faults. In some rounds one message to one receiver is mutated.

A mutation is small in scope: the sequence or view plus or minus one, the digest of an earlier message, or a
repeat of an earlier message. In other rounds one link is cut. The paper's PBFT implementation failed on one
PRE-PREPARE with sequence + 1.
"""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.clock import MILLISECOND
from simulator.network import kind_of_frame
from simulator.node import Node

ROUND = 250 * MILLISECOND
PROCESS_FAULTS = 0.4
NETWORK_FAULTS = 0.2
REMEMBERED = 16
MUTATED = (m.PrePrepare, m.Prepare, m.Commit, m.Checkpoint, m.ViewChange, m.NewView)


class ByzzFuzz(Liar):
    """Each round draws at most one mutation (kind, receiver, how) and at most one silent link."""

    def begin(self) -> None:
        """See Liar."""
        self._until = 0
        self._mutation: tuple[type[Any], str, str] | None = None
        self._silent = ""
        self._earlier: list[bytes] = []
        self._digests: list[bytes] = []

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if self.world.time >= self._until:
            self._draw_round()
        if receiver == self._silent:
            return ()
        message = self.mine(frame)
        if message is None or kind_of_frame(frame) not in MUTATED:
            return ((receiver, frame),)
        self._remember(message, frame)
        if self._mutation is None or self._mutation[:2] != (type(message), receiver):
            return ((receiver, frame),)
        return ((receiver, self._mutated(self._mutation[2], message, frame)),)

    def _draw_round(self) -> None:
        dice = self.dice
        self._until = self.world.time + ROUND
        others = self.others()
        self._mutation = None
        if dice.hit(PROCESS_FAULTS):
            how = dice.pick(("sequence", "view", "digest", "repeat"))
            self._mutation = (dice.pick(MUTATED), dice.pick(others), how)
        self._silent = dice.pick(others) if dice.hit(NETWORK_FAULTS) else ""

    def _remember(self, message: Any, frame: bytes) -> None:
        self._earlier.append(frame)
        del self._earlier[:-REMEMBERED]
        digest = getattr(message, "digest", None)
        if digest is not None and digest not in self._digests:
            self._digests.append(digest)
            del self._digests[:-REMEMBERED]

    def _mutated(self, how: str, message: Any, frame: bytes) -> bytes:
        if how == "repeat":
            return self.dice.pick(self._earlier)
        value = getattr(message, how, None)
        if value is None:
            return frame
        if how == "digest":
            return self.changed(frame, message, digest=self.dice.pick(self._digests))
        return self.changed(frame, message, **{how: max(0, value + self.dice.pick((-1, 1)))})
