"""Certificates: sets of signed statements, checked strictly (P4).

Each function takes frames whose signatures the door has checked (`nested`) and returns what they
prove, or None. A missing, duplicate or differing vote is never skipped: it invalidates the certificate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import (
    Checkpoint,
    Commit,
    Continuation,
    Entry,
    Prepare,
    PreparedProof,
    PrePrepare,
    entry_hash,
)
from dtvn.protocol.consensus.verified import Verified

Nested = Mapping[bytes, Verified[Any]]


class CheckpointCertificate(msgspec.Struct, frozen=True):
    """q equal CHECKPOINTs (R24), or all n CONTINUATIONs (R11)."""

    sequence: int
    state_root: bytes
    log_root: bytes
    timestamp: int
    frames: tuple[bytes, ...]


def ends_log(certificate: CheckpointCertificate, entry: Entry, peaks: tuple[bytes, ...]) -> bool:
    """Whether the log that q members signed ends with this entry; `peaks`: frontier of the log below it. The
    log root fixes every field of the entry, including the timestamp that the certificate also names."""
    if entry.sequence != certificate.sequence or len(peaks) != (entry.sequence - 1).bit_count():
        return False
    before = log_tree.Frontier(entry.sequence - 1, peaks)
    return log_tree.root(log_tree.append(before, entry_hash(entry))) == certificate.log_root


class CommitCertificate(msgspec.Struct, frozen=True):
    """q COMMITs of one view: they decide the batch with `digest` at `sequence` permanently."""

    view: int
    sequence: int
    digest: bytes
    frames: tuple[bytes, ...]


class Prepared(msgspec.Struct, frozen=True):
    """A prepared certificate: no other batch can be prepared at `sequence` in `view`."""

    view: int
    sequence: int
    digest: bytes
    proof: PreparedProof


def read_checkpoint(frames: Sequence[bytes], nested: Nested, config: Config) -> CheckpointCertificate | None:
    """The stable checkpoint that exactly q equal CHECKPOINTs of distinct members prove; else None."""
    votes = _votes(frames, nested, Checkpoint, config)
    if votes is None or len(votes) != config.q:
        return None
    first: Checkpoint = votes[0]
    content = (first.sequence, first.state_root, first.log_root, first.timestamp)
    if first.sequence < 1 or any(
        (vote.sequence, vote.state_root, vote.log_root, vote.timestamp) != content for vote in votes
    ):
        return None
    return CheckpointCertificate(*content, frames=tuple(frames))


def read_continuation(
    frames: Sequence[bytes], nested: Nested, config: Config
) -> CheckpointCertificate | None:
    """The end of an epoch that all members signed (R11), or None: it takes all n statements, all equal."""
    votes = _votes(frames, nested, Continuation, config)
    if votes is None or len(votes) != config.n:
        return None
    first: Continuation = votes[0]
    if any(msgspec.structs.replace(vote, sender=first.sender) != first for vote in votes):
        return None
    content = (first.sequence, first.state_root, first.log_root, first.timestamp)
    return CheckpointCertificate(*content, frames=tuple(frames)) if first.sequence > config.base else None


def read_end(frames: Sequence[bytes], nested: Nested, config: Config) -> CheckpointCertificate | None:
    """The certificate that covers a range of the log: a stable checkpoint, or the continuation that ended
    the epoch. None if the frames prove neither."""
    continued = any(frame in nested and type(nested[frame].message) is Continuation for frame in frames)
    return (read_continuation if continued else read_checkpoint)(frames, nested, config)


def why_refused(frames: Sequence[bytes], nested: Nested, config: Config) -> Reason:
    """Why these frames prove no stable checkpoint here. A certificate of another epoch is no misbehaviour:
    members do not change epochs at the same moment (R35)."""
    votes = [nested[frame].message for frame in frames if frame in nested]
    other = bool(votes) and all(
        isinstance(v, (Checkpoint, Continuation)) and v.epoch != config.epoch for v in votes
    )
    return Reason.WRONG_EPOCH if other else Reason.BAD_PROOF


def read_commits(frames: Sequence[bytes], nested: Nested, config: Config) -> CommitCertificate | None:
    """The decision that q COMMITs of distinct members prove (one view, sequence and digest), or None."""
    votes = _votes(frames, nested, Commit, config)
    if votes is None or len(votes) < config.q:
        return None
    first: Commit = votes[0]
    content = (first.view, first.sequence, first.digest)
    if any((vote.view, vote.sequence, vote.digest) != content for vote in votes):
        return None
    return CommitCertificate(*content, frames=tuple(frames))


def read_prepared(proof: PreparedProof, nested: Nested, config: Config) -> Prepared | None:
    """The prepared certificate in `proof`, or None: a PRE-PREPARE of its view's primary, and PREPAREs for it
    of exactly q - 1 distinct backups."""
    proposal = nested.get(proof.pre_prepare)
    if proposal is None or not isinstance(proposal.message, PrePrepare):
        return None
    message = proposal.message
    if message.epoch != config.epoch or message.view < 0:
        return None
    primary = quorum.primary(message.view, config.n)
    votes = _votes(proof.prepares, nested, Prepare, config)
    if message.sender != primary or votes is None or len(votes) != config.q - 1:
        return None
    content = (message.view, message.sequence, message.digest)
    for vote in votes:
        if vote.sender == primary or (vote.view, vote.sequence, vote.digest) != content:
            return None
    return Prepared(*content, proof=proof)


def _votes(frames: Sequence[bytes], nested: Nested, kind: type[Any], config: Config) -> list[Any] | None:
    """The messages of `frames`; None unless all are of this kind and epoch, and no sender appears twice."""
    senders: set[int] = set()
    votes: list[Any] = []
    for frame in frames:
        found = nested.get(frame)
        if found is None or type(found.message) is not kind:
            return None
        message = found.message
        if message.epoch != config.epoch or not 0 <= message.sender < config.n:
            return None
        if message.sender in senders:
            return None
        senders.add(message.sender)
        votes.append(message)
    return votes
