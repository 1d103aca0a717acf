"""The edges of the cluster: gateways, bounds, noise. R16, R34; rows 14 and 15."""

from __future__ import annotations

from typing import Any

from dtvn.gateway import Collector
from dtvn.protocol.consensus.future import Future
from dtvn.protocol.wire import PeerError
from dtvn.protocol.wire.door import Door
from simulator.mutants.registry import Plant, mutant


@mutant("one-receipt-is-enough", "R16", world="vandal", seed=1)
def one_receipt(plant: Plant) -> None:
    """A client believes a single member."""

    def init(self: Collector, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        self._weak = 1

    original = Collector.__init__
    plant.put(Collector, "__init__", init)


@mutant("asks-only-the-primary", "R34 P14", world="censor")
def only_primary(plant: Plant) -> None:
    """A gateway never sends a request to a member other than the believed primary."""

    def mutant(self: Collector, flight: Any, now: Any) -> None:
        primary = self._views.primary()
        if primary in self._connected:
            self._actions.send.append((primary, flight.frame))
        flight.retry_at = now.monotonic + flight.pause

    plant.put(Collector, "_send_again", mutant)


@mutant("keeps-all-the-future", "P15", world="flooder")
def all_the_future(plant: Plant) -> None:
    """Statements of future views are kept without bound."""
    plant.put(Future, "_full", lambda self, link: False)


@mutant("dies-of-noise", "P15", world="vandal")
def dies_of_noise(plant: Plant) -> None:
    """A frame that cannot be decoded ends the process."""
    right = Door.peek

    def mutant(self: Door, inbound: Any) -> Any:
        try:
            return right(self, inbound)
        except PeerError as error:
            raise ValueError("noise") from error

    plant.put(Door, "peek", mutant)
