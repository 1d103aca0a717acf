"""Liveness proofs of newcomers, which any member keeps for the gateway that orders the change (R36).

A newcomer sends its newest proof to all members that it follows, so that no person has to carry a file that
is valid for 30 seconds. A member that lies keeps nothing valid: the proof is signed by the newcomer.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from dtvn.node.member import MemberProcess
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import LivenessProof, is_fresh, liveness_bytes
from dtvn.protocol.wire import ED25519

ANNOUNCE = "announce"
"""What a newcomer sends: (proof in base64, cut into arguments)."""
NEWCOMER = "newcomer"
"""What a gateway asks: (name); the answer is like that to `alive`."""
ARGUMENT = 256
"""Characters of one argument of a Query."""


def arguments_of(proof: LivenessProof) -> tuple[str, ...]:
    """A liveness proof as arguments of a Query."""
    text = base64.b64encode(canonical.encode_trimmed(proof)).decode("ascii")
    return tuple(text[at : at + ARGUMENT] for at in range(0, len(text), ARGUMENT))


class NewcomerProofs:
    """The newest liveness proof of each principal that is no member; at most one per listed principal."""

    def __init__(self, node: MemberProcess) -> None:
        self._node = node
        self._proofs: dict[str, LivenessProof] = {}

    def keep(self, arguments: tuple[str, ...]) -> tuple[str, Any]:
        """Keep a proof if it is fresh, newer than the known one, and signed by the principal that it names.
        One from the future would hide all later ones after the newcomer's clock was set right."""
        try:
            data = base64.b64decode("".join(arguments).encode("ascii"), validate=True)
            proof = canonical.decode(LivenessProof, data)
        except (binascii.Error, UnicodeEncodeError, canonical.CanonicalError):
            return "bad_arguments", None
        node = self._node
        listed = node.application.principals.get(proof.member)
        known = self._proofs.get(proof.member)
        if listed is None or (known is not None and known.timestamp >= proof.timestamp):
            return "bad_arguments", None
        clock = max(node.host.clock.now().wall // 1_000, node.core.state.executor.timestamp)
        if not is_fresh(proof.timestamp, clock, node.membership.parameters):
            return "bad_arguments", None
        said = liveness_bytes(
            node.cluster,
            node.membership.epoch,
            proof.member,
            proof.executed,
            proof.timestamp,
            proof.newest,
        )
        if not ED25519.verify(listed.public_key, said, proof.signature):
            return "bad_arguments", None
        self._proofs = {
            name: kept for name, kept in self._proofs.items() if name in node.application.principals
        }
        self._proofs[proof.member] = proof
        return "", None

    def tell(self, arguments: tuple[str, ...]) -> tuple[str, Any]:
        """The newest proof of one newcomer, in hexadecimal digits, and the epoch that it is for."""
        proof = self._proofs.get(arguments[0]) if len(arguments) == 1 else None
        if proof is None:
            return "unknown_newcomer", None
        return "", {"word": canonical.encode_trimmed(proof).hex(), "epoch": self._node.membership.epoch}
