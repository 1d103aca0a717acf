"""Proofs that need no server: certificates of outcomes, and the chain of epochs they rest on (R26, R27).

Pure except for `read_file` and `read_bounded`. `verifier/` and `static/verifier/` implement the same rules a
second and a third time, for users who do not trust this program.
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
from dtvn.proof.files import (
    CERTIFICATE,
    CHAIN,
    EVIDENCE,
    FILE_BYTES_MAX,
    TRANSCRIPT,
    certificate_json,
    chain_json,
    evidence_json,
    read_bounded,
    read_file,
    transcript_json,
    unwrap,
)
from dtvn.proof.statements import read_stable
from dtvn.proof.verify import Proved, time_text, verify
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import shown

__all__ = [
    "CERTIFICATE",
    "CHAIN",
    "EVIDENCE",
    "FILE_BYTES_MAX",
    "Certificate",
    "Chain",
    "ChainFile",
    "CheckpointProof",
    "Code",
    "ContinuationProof",
    "Contradiction",
    "Epoch",
    "EpochStart",
    "Leaf",
    "ProofError",
    "Proved",
    "Receipts",
    "TRANSCRIPT",
    "certificate_json",
    "chain_json",
    "chain_of_genesis",
    "compare",
    "decode_certificate",
    "encode_certificate",
    "evidence_json",
    "extend_chain",
    "read_bounded",
    "read_chain",
    "read_file",
    "read_stable",
    "results_path",
    "shown",
    "time_text",
    "transcript_json",
    "unwrap",
    "verify",
]
