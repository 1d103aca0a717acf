"""A client that floods all members with valid openings of sessions, each with others, and repeats those that
were executed (P15, R30). Its principal alone may suffer from that."""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Keys
from simulator.adversary.lying_client import LyingClient
from simulator.checkers.opening_flood_borne import OpeningFloodBorne
from simulator.clock import MILLISECOND
from simulator.cluster import Cluster
from simulator.world import World

PAUSE_MAX = 20 * MILLISECOND
AT_ONCE = 3
"""Openings for each member at each moment: three hundred a second."""
REPEATED = 8
"""Openings before that are sent again at each moment."""
REMEMBERED = 64
SECONDS_VALID = 600


def add_opening_flooder(cluster: Cluster) -> OpeningFlooder:
    """Add a client process that floods, and the checker of what that does."""
    flooder = OpeningFlooder(cluster.world, cluster.keys)
    cluster.world.dial(flooder)
    cluster.add_checkers(OpeningFloodBorne(cluster.world))
    return flooder


class OpeningFlooder(LyingClient):
    """An Endpoint that sends until it is stopped."""

    name = "flooder-00"

    def __init__(self, world: World, keys: Keys) -> None:
        super().__init__(world, keys, stream="opening flooder", pause_max=PAUSE_MAX)

    def deliver(self, sender: str, frame: bytes) -> None:
        """See Endpoint: it wants no answer."""

    def happen(self) -> None:
        """Send new openings to each member, and old ones to all."""
        for name in self.world.member_names:
            for _ in range(AT_ONCE):
                self._say(name, self._opening())
        for _ in range(REPEATED):
            frame = self._dice.pick(self._sent)
            for name in self.world.member_names:
                self._say(name, frame)

    def _say(self, receiver: str, frame: bytes) -> None:
        self.world.transmit(self.name, receiver, frame, self.world.time)

    def _opening(self) -> bytes:
        wall = 1_700_000_000_000_000 + self.world.time // 1_000
        operation = m.Operation(
            kind="open_session",
            event="",
            ticket="",
            actor=self.principal,
            entry="",
            valid_until=wall + SECONDS_VALID * 1_000_000,
            nonce=self._dice.bytes(8),
        )
        frame = self._signer.sign(
            m.Bundle(0, self.principal, self.name.encode(), m.UNOPENED, 0, 0, (operation,))
        )
        if len(self._sent) < REMEMBERED:
            self._sent.append(frame)
        return frame
