"""What lying clients have in common: a principal with a key, and moments at which they send."""

from __future__ import annotations

from dtvn.protocol.wire import FrameSigner, Keys
from simulator.recurring import Recurring
from simulator.world import World


class LyingClient(Recurring):
    """An Endpoint that sends at random moments, at most `pause_max` nanoseconds apart, until it is stopped.
    `stream`: name of its random numbers."""

    principal = "rogue"

    def __init__(self, world: World, keys: Keys, *, stream: str, pause_max: int) -> None:
        self._dice = world.dice.fork(stream)
        super().__init__(world, self._dice, pause_max)
        keyring = world.keyring
        secret = keyring.pair(self.principal)[1]
        self._signer = FrameSigner(world.cluster, secret, keys, scheme=keyring.scheme)
        self._sent: list[bytes] = []

    def links(self, up: frozenset[str]) -> None:
        """See Endpoint."""
