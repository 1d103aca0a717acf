"""Evidence that a member cast two different votes on one question, as bytes that anyone can check.

A vote is a pure function of its question, so no honest validator gives two, whatever it lost or restored.
"""

from __future__ import annotations

import msgspec

from dtvn.events.judging.electorate import Electorate
from dtvn.events.judging.turns import (
    VERSION,
    Ballot,
    EncodedVote,
    MemberVote,
    check_ballot,
    check_version,
    open_vote,
)
from dtvn.events.judging.votes import Question
from dtvn.protocol import canonical
from dtvn.protocol.consensus.fields import Count, Hash, Wire
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import opened

EVIDENCE_BYTES_MAX = 80 * 1024
"""Most bytes of evidence: two of the longest votes, each with the longest path."""
SOME_EVIDENCE = "the evidence"
NO_CONTRADICTION = "the two votes do not contradict each other"


class SignedVote(Wire, frozen=True):
    """One vote with one member's signature."""

    vote: EncodedVote
    ballot: Ballot


class VoteEvidence(Wire, frozen=True):
    """Two different votes of one member on one question."""

    version: Count
    cluster: Hash
    epoch: Count
    one: SignedVote
    other: SignedVote


class VoteConviction(msgspec.Struct, frozen=True):
    """The convicted member and the question on which it voted twice."""

    epoch: int
    member: int
    name: str
    question: Question


def encode_evidence(one: MemberVote, other: MemberVote, electorate: Electorate) -> bytes:
    """Bytes that prove that the two votes contradict each other."""
    first, second = (SignedVote(vote.encoded, vote.ballot()) for vote in (one, other))
    return canonical.encode(VoteEvidence(VERSION, electorate.cluster, electorate.epoch, first, second))


def decode_evidence(data: bytes) -> VoteEvidence:
    """The evidence in these bytes, not yet checked; raises ProofError."""
    if len(data) > EVIDENCE_BYTES_MAX:
        said = f"evidence of two votes has at most {EVIDENCE_BYTES_MAX} bytes, not {len(data)}"
        raise ProofError(Code.TOO_LARGE, "evidence", said)
    evidence = opened(VoteEvidence, data, SOME_EVIDENCE)
    check_version(evidence.version, SOME_EVIDENCE)
    return evidence


def convict(data: bytes, electorate: Electorate) -> VoteConviction:
    """Checks evidence against the members of its epoch; raises ProofError unless it convicts one of them."""
    evidence = decode_evidence(data)
    if evidence.cluster != electorate.cluster:
        raise ProofError(Code.OTHER_CLUSTER, "evidence", "the evidence is of another cluster")
    electorate.check_epoch(evidence.epoch)
    one, other = evidence.one, evidence.other
    question = open_vote(one.vote).question
    same = question == open_vote(other.vote).question and one.ballot.member == other.ballot.member
    if one.vote == other.vote or not same:
        raise ProofError(Code.NO_CONTRADICTION, "votes", NO_CONTRADICTION)
    for signed in (one, other):
        check_ballot(signed.ballot, signed.vote, electorate)
    member = one.ballot.member
    return VoteConviction(evidence.epoch, member, electorate.name(member), question)
