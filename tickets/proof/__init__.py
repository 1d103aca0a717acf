"""Proofs that need no server: certificates of outcomes, and the chain of epochs they rest on (R26, R27).

Pure but for `read_file`. `verifier/` holds the same rules a second and a third time, for people who do not
trust this program.
"""

from tickets.proof.certificate import (
    Certificate,
    CheckpointProof,
    ContinuationProof,
    EpochStart,
    Leaf,
    Receipts,
    decode_certificate,
    encode_certificate,
    results_path,
)
from tickets.proof.chain import Chain, ChainFile, Epoch, chain_of_genesis, hand_over, read_chain
from tickets.proof.compare import Contradiction, compare
from tickets.proof.errors import ProofError
from tickets.proof.files import certificate_json, chain_json, evidence_json, read_file, unwrap
from tickets.proof.verify import Proved, verify

__all__ = [
    "Certificate",
    "Chain",
    "ChainFile",
    "CheckpointProof",
    "ContinuationProof",
    "Contradiction",
    "Epoch",
    "EpochStart",
    "Leaf",
    "ProofError",
    "Proved",
    "Receipts",
    "certificate_json",
    "chain_json",
    "chain_of_genesis",
    "compare",
    "decode_certificate",
    "encode_certificate",
    "evidence_json",
    "hand_over",
    "read_chain",
    "read_file",
    "results_path",
    "unwrap",
    "verify",
]
