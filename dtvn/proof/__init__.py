"""Proofs that need no server: certificates of outcomes, and the chain of epochs they rest on (R26, R27).

Pure except for `read_file`. `verifier/` implements the same rules a second and a third time, for users who do
not trust this program.
"""

from dtvn.proof.certificate import (
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
from dtvn.proof.chain import Chain, ChainFile, Epoch, chain_of_genesis, extend_chain, read_chain
from dtvn.proof.compare import Contradiction, compare
from dtvn.proof.errors import ProofError
from dtvn.proof.files import certificate_json, chain_json, evidence_json, read_file, unwrap
from dtvn.proof.verify import Proved, verify

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
    "extend_chain",
    "read_chain",
    "read_file",
    "results_path",
    "unwrap",
    "verify",
]
