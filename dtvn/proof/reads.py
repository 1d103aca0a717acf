"""Reads proved by a quorum's signatures: a node proves a ticket in the state of a stable checkpoint, and the
reader checks the proof (R18).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dtvn.machine import Proof, prove_ticket
from dtvn.proof.statements import read_stable
from dtvn.proof.verify import Chain
from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.proof_errors import Code, ProofError

NO_PROOF = "unavailable"
"""Code of a node without a stable checkpoint, or whose frozen state is newer than its stable checkpoint."""
NOT_FROZEN = "not_frozen"
"""Code of a node that restarted after its stable checkpoint and executed beyond it: it cannot restore that
state."""

Reader = Callable[[tuple[bytes, ...], Chain], CheckpointCertificate]
"""Type of statements.read_stable, and of a version with a cache."""


class StateProof(msgspec.Struct, frozen=True):
    """q CHECKPOINT frames, and the proof of a ticket in the state that they sign."""

    checkpoint: tuple[bytes, ...]
    proof: Proof


def show(certificate: CheckpointCertificate | None, proof: Proof | None) -> tuple[str, StateProof | None]:
    """("", a node's answer), or (the code why it has no answer, None). `certificate`: of its newest stable
    checkpoint; `proof`: result of Application.prove for the ticket."""
    if certificate is not None and proof is None:
        return NOT_FROZEN, None  # frozen before this start, and executed beyond: needs a new checkpoint
    if certificate is None or proof is None or certificate.sequence != proof.sequence:
        return NO_PROOF, None  # a newer state is frozen, but not stable yet
    return "", StateProof(certificate.frames, proof)


def proved_ticket(
    text: str | bytes, chain: Chain, event: str, ticket: str, read: Reader = read_stable
) -> tuple[int, tuple[bytes, bytes] | None]:
    """Checks a node's answer, a StateProof as JSON. Returns its sequence and the ticket's canonical (state,
    issued) at that sequence, None if the ticket did not exist; raises ProofError."""
    try:
        shown = msgspec.json.decode(text, type=StateProof)
        certificate = read(shown.checkpoint, chain)
        if certificate.sequence != shown.proof.sequence:
            raise ProofError(
                Code.BAD_CHECKPOINT, "state", "the state is of another sequence than the checkpoint"
            )
        return certificate.sequence, prove_ticket(
            chain.cluster, certificate.state_root, shown.proof, event, ticket
        )
    except ProofError:
        raise
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProofError(Code.BAD_ANSWER, "answer", f"the answer proves nothing: {error}") from error
