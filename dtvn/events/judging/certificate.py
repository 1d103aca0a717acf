"""The certificate of a verdict: one vote, and the signatures of enough members under it, checked offline.

Answers, transcripts and the ordered log carry it. A verifier that trusts the cluster's chain of epochs needs
nothing else. Members of an old epoch whose keys were lost could still sign for it; only an anchor in the log
says when a certificate existed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

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
from dtvn.events.judging.votes import Vote
from dtvn.protocol import canonical
from dtvn.protocol.consensus.fields import Count, Hash, Wire
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import opened
from dtvn.protocol.quorum import MEMBERS_MAX, Mode

CERTIFICATE_BYTES_MAX = 64 * 1024
"""Most bytes of a certificate: the longest vote, and 31 members with the longest paths."""
A_CERTIFICATE = "a certificate of events"


class VoteCertificate(Wire, frozen=True):
    """One vote, with the signatures of the members that gave it."""

    version: Count
    cluster: Hash
    """Cluster id."""
    epoch: Count
    vote: EncodedVote
    """Canonical bytes of the vote."""
    ballots: Annotated[tuple[Ballot, ...], msgspec.Meta(max_length=MEMBERS_MAX)]
    """Of distinct members, ascending."""


class Certified(msgspec.Struct, frozen=True):
    """What a checked certificate proves."""

    vote: Vote
    epoch: int
    signers: tuple[str, ...]
    members: int
    """Number of members of the epoch (n)."""
    mode: Mode
    """How they agree on the log."""


def assemble(votes: Iterable[MemberVote], needed: int, electorate: Electorate) -> bytes:
    """Encodes a certificate of `needed` of these checked, equal votes, those of the members with lowest
    indexes.

    Raises ValueError if the votes differ, or are of fewer than `needed` members.
    """
    by_member = {vote.member: vote for vote in votes}
    chosen = [by_member[member] for member in sorted(by_member)[:needed]]
    if len(chosen) < needed or len({vote.encoded for vote in by_member.values()}) != 1:
        raise ValueError(f"votes: not {needed} equal ones of different members")
    ballots = tuple(vote.ballot() for vote in chosen)
    certificate = VoteCertificate(VERSION, electorate.cluster, electorate.epoch, chosen[0].encoded, ballots)
    return canonical.encode(certificate)


def decode_certificate(data: bytes) -> VoteCertificate:
    """The certificate in these bytes, not yet checked; raises ProofError."""
    if len(data) > CERTIFICATE_BYTES_MAX:
        said = f"{A_CERTIFICATE} has at most {CERTIFICATE_BYTES_MAX} bytes, not {len(data)}"
        raise ProofError(Code.TOO_LARGE, "certificate", said)
    certificate = opened(VoteCertificate, data, A_CERTIFICATE)
    check_version(certificate.version, A_CERTIFICATE)
    return certificate


def check_form(certificate: VoteCertificate) -> Vote:
    """The certificate's vote; raises ProofError for another version or a malformed vote. No signature is
    checked."""
    check_version(certificate.version, A_CERTIFICATE)
    return open_vote(certificate.vote)


def check_certificate(certificate: VoteCertificate, electorate: Electorate) -> Certified:
    """Checks every signature against the members of the certificate's epoch; raises ProofError naming the
    place. At least a quorum must have signed."""
    if certificate.cluster != electorate.cluster:
        said = "the certificate is of another cluster"
        raise ProofError(Code.OTHER_CLUSTER, "certificate", said)
    electorate.check_epoch(certificate.epoch)
    vote = open_vote(certificate.vote)
    signers = [ballot.member for ballot in certificate.ballots]
    if len(signers) < electorate.quorum:
        members = len(electorate.members)
        said = f"it has {len(signers)} signatures; at least {electorate.quorum} of {members} are needed"
        raise ProofError(Code.SIGNATURE_COUNT, "signatures", said)
    if signers != sorted(set(signers)):
        said = "its signers are not distinct members in ascending order"
        raise ProofError(Code.BAD_SIGNERS, "signatures", said)
    for ballot in certificate.ballots:
        check_ballot(ballot, certificate.vote, electorate)
    names = tuple(map(electorate.name, signers))
    return Certified(vote, certificate.epoch, names, len(electorate.members), electorate.mode)
