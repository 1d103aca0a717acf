"""Never hears one client: as primary it starves that client and serves all others (rows 14, 21)."""

from __future__ import annotations

from simulator.adversary.base import Liar
from simulator.network import kind_of_frame
from validators import canonical
from validators.consensus import messages as m
from validators.consensus.verified import Inbound
from validators.wire import Envelope

__all__ = ["Censor"]


class Censor(Liar):
    """Drops the victim's requests, straight or forwarded, before its own node sees them."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        names = sorted(endpoint.principal for endpoint in self.world.endpoints.values())
        self._victim = self.dice.pick(names)
        self.node.hears = self.hears

    def hears(self, inbound: Inbound) -> bool:
        """False for the victim's requests."""
        bundle = self.victims(inbound.frame)
        return bundle is None

    def victims(self, frame: bytes) -> m.Bundle | None:
        """The request in a frame when it is the victim's."""
        if kind_of_frame(frame) is not m.Bundle:
            return None
        try:
            bundle = canonical.decode(m.Bundle, canonical.decode(Envelope, frame).body)
        except canonical.CanonicalError:
            return None  # another liar's noise: its node's door refuses it
        return bundle if bundle.principal == self._victim else None
