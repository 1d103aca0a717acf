"""Reads that a quorum signed: a ticket in the state of a stable checkpoint, as a node shows it and as whoever
asked checks it (R18).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tickets.machine.snapshot import Proof, prove_ticket
from tickets.proof.errors import ProofError
from tickets.proof.statements import read_stable
from tickets.proof.verify import Chain
from validators.consensus.certificate import CheckpointCertificate

__all__ = ["NOT_FROZEN", "NO_PROOF", "Reader", "StateProof", "proved_ticket", "show"]

NO_PROOF = "unavailable"
"""Code of a node that has no stable checkpoint, or a newer state than that."""
NOT_FROZEN = "not_frozen"
"""Code of a node that started after its stable checkpoint and executed more: it cannot go back."""

Reader = Callable[[tuple[bytes, ...], Chain], CheckpointCertificate]
"""statements.read_stable, or one that remembers what it read."""


class StateProof(msgspec.Struct, frozen=True):
    """q CHECKPOINT frames, and what the state that they sign says of a ticket."""

    checkpoint: tuple[bytes, ...]
    proof: Proof


def show(certificate: CheckpointCertificate | None, proof: Proof | None) -> tuple[str, StateProof | None]:
    """A node's answer, or the code why it has none. `certificate`: of its newest stable checkpoint; `proof`:
    what its application says of the ticket (Application.prove)."""
    if certificate is not None and proof is None:
        return NOT_FROZEN, None  # frozen before this start, and executed beyond: only a new one helps
    if certificate is None or proof is None or certificate.sequence != proof.sequence:
        return NO_PROOF, None  # a newer state is frozen, and not stable yet
    return "", StateProof(certificate.frames, proof)


def proved_ticket(
    text: str | bytes, chain: Chain, event: str, ticket: str, read: Reader = read_stable
) -> tuple[int, tuple[bytes, bytes] | None]:
    """(sequence, canonical (state, issued) of the ticket as of it, or None: there was none) that a node's
    answer proves, a StateProof as JSON; raise ProofError."""
    try:
        shown = msgspec.json.decode(text, type=StateProof)
        certificate = read(shown.checkpoint, chain)
        if certificate.sequence != shown.proof.sequence:
            raise ProofError("the state is of another sequence than the checkpoint")
        return certificate.sequence, prove_ticket(
            chain.cluster, certificate.state_root, shown.proof, event, ticket
        )
    except ProofError:
        raise
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProofError(f"the answer proves nothing: {error}") from error
