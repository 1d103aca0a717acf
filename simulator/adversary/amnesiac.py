"""Repeatedly restarts from an old backup of its disk with its current key, as if nothing had happened (row
11)."""

from __future__ import annotations

from simulator.adversary.base import Liar
from simulator.clock import SECOND
from simulator.disk import VirtualDisk

PAUSE_MAX = 2 * SECOND


class Amnesiac(Liar):
    """The node is honest and runs the product; its operator restores backups carelessly."""

    def begin(self) -> None:
        """See Liar."""
        self._backup: VirtualDisk | None = None
        self._later()

    def _later(self) -> None:
        self.world.after(1 + self.dice.below(PAUSE_MAX), self._happen)

    def _happen(self) -> None:
        node = self.node
        if self._backup is None:
            self._backup = node.disk.clone()
        else:
            if node.up:
                node.crash()
            node.disk, self._backup = self._backup, None
            self.world.start(node)
        self._later()
