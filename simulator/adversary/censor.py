"""Ignores one client: as primary it starves that client and serves all others (P14, P21)."""

from __future__ import annotations

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Inbound
from dtvn.protocol.wire import Envelope
from simulator.adversary.base import Liar
from simulator.network import kind_of_frame


class Censor(Liar):
    """Drops the victim's requests, direct or forwarded, before its own node sees them."""

    def begin(self) -> None:
        """See Liar."""
        names = sorted(endpoint.principal for endpoint in self.world.endpoints.values())
        self._victim = self.dice.pick(names)
        self.node.receive_filter = self.receive_filter

    def receive_filter(self, inbound: Inbound) -> bool:
        """Returns False for the victim's requests, which its node then does not receive."""
        bundle = self.victims(inbound.frame)
        return bundle is None

    def victims(self, frame: bytes) -> m.Bundle | None:
        """The request in a frame if it is the victim's, else None."""
        if kind_of_frame(frame) is not m.Bundle:
            return None
        try:
            bundle = canonical.decode(m.Bundle, canonical.decode(Envelope, frame).body)
        except canonical.CanonicalError:
            return None  # another liar's noise, which the node's own door refuses
        return bundle if bundle.principal == self._victim else None
