"""Which epoch a gateway believes in: the newest to which verified hand-overs lead from genesis (R16). Pure.

That a later epoch has begun is one member's word, and only makes the gateway ask that member for what proves
it: q members of each epoch signed the members of the next. So f liars, or f + 1 of an old epoch whose keys
were stolen, lead nobody away.
"""

from __future__ import annotations

from collections.abc import Iterable

from tickets.proof import Chain
from tickets.proof.handover import chain_through, crossed, handover_certificate
from validators.consensus.membership import founding
from validators.genesis import Genesis, cluster_id
from validators.handovers import read_answer
from validators.wire import ED25519, Scheme

__all__ = ["Epochs"]


class Epochs:
    """Owns the verified chain. `scheme`: of the members' signatures; `known`: hand-overs that are at hand,
    verified like all others."""

    def __init__(self, genesis: Genesis, scheme: Scheme = ED25519, known: Iterable[bytes] = ()) -> None:
        cluster = cluster_id(genesis)
        self.present = founding(genesis)
        """The newest epoch."""
        self.certificates: tuple[bytes, ...] = ()
        """That lead to it, one for each epoch that ended."""
        self._chain: Chain = chain_through(genesis, cluster, (self.present,), scheme)
        self._cross(known)

    def take(self, text: str) -> bool:
        """Go on by what a member showed, as far as it proves something; False when not all of it does."""
        try:
            return self._cross(read_answer(text))
        except ValueError:
            return False

    def _cross(self, handovers: Iterable[bytes]) -> bool:
        try:
            for data in handovers:
                certificate = handover_certificate(data, self._chain.cluster)
                self._chain, self.present = crossed(self._chain, self.present, certificate)
                self.certificates += (certificate,)
        except ValueError:
            return False
        return True
