"""The epoch that a gateway follows: the newest to which verified epoch change proofs lead from genesis
(R16). Pure.

A single member's report of a later epoch only makes the gateway ask that member for the proof: epoch change
proofs in which q members of each epoch signed the members of the next. So f lying members, or f + 1 of an
old epoch whose keys were stolen, cannot mislead a gateway.
"""

from __future__ import annotations

from collections.abc import Iterable

from dtvn.proof.epoch_chain import EpochChain
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.protocol.epochs.proofs import read_answer
from dtvn.protocol.genesis import Genesis
from dtvn.protocol.wire import ED25519, Scheme


class Epochs:
    """Owns the verified chain. `scheme`: the members' signature scheme; `known`: epoch change proofs
    already at hand, verified like all others."""

    def __init__(self, genesis: Genesis, scheme: Scheme = ED25519, known: Iterable[bytes] = ()) -> None:
        self.certificates: tuple[bytes, ...] = ()
        """The certificates that lead to `present`, one for each epoch that ended."""
        self._chain = EpochChain(genesis, (founding(genesis),), scheme)
        self._extend(known)

    @property
    def present(self) -> Membership:
        """The newest epoch."""
        return self._chain.present

    def take(self, text: str) -> bool:
        """Extend the chain by the epoch change proofs in a member's answer; False if not all of them
        verify."""
        try:
            return self._extend(read_answer(text))
        except ValueError:
            return False

    def _extend(self, epoch_changes: Iterable[bytes]) -> bool:
        try:
            for data in epoch_changes:
                self.certificates += (self._chain.take(data),)
        except ValueError:
            return False
        return True
