"""Sets of signed statements that prove something, read strictly (PITFALLS row 4).

Each function takes frames whose signatures the door has checked (`nested`) and returns what they
prove, or None. An absent, double or differing vote is never skipped over: it spoils the proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from validators import quorum
from validators.consensus import log_tree
from validators.consensus.config import Config
from validators.consensus.effects import Reason
from validators.consensus.messages import (
    Checkpoint,
    Commit,
    Continuation,
    Entry,
    Prepare,
    PreparedProof,
    PrePrepare,
    entry_hash,
)
from validators.consensus.verified import Verified

__all__ = [
    "CheckpointCertificate",
    "CommitCertificate",
    "Prepared",
    "ends_log",
    "read_checkpoint",
    "read_commits",
    "read_continuation",
    "read_end",
    "read_prepared",
    "why_refused",
]

Nested = Mapping[bytes, Verified[Any]]


class CheckpointCertificate(msgspec.Struct, frozen=True):
    """q equal CHECKPOINTs (R24), or all n CONTINUATIONs (R11)."""

    sequence: int
    state_root: bytes
    log_root: bytes
    timestamp: int
    frames: tuple[bytes, ...]


def ends_log(certificate: CheckpointCertificate, entry: Entry, peaks: tuple[bytes, ...]) -> bool:
    """Whether the log that q members signed ends with this entry; `peaks`: frontier of the log below it. Its
    root fixes every field of it: the timestamp too, which is the one beside the root."""
    if entry.sequence != certificate.sequence or len(peaks) != (entry.sequence - 1).bit_count():
        return False
    before = log_tree.Frontier(entry.sequence - 1, peaks)
    return log_tree.root(log_tree.append(before, entry_hash(entry))) == certificate.log_root


class CommitCertificate(msgspec.Struct, frozen=True):
    """q COMMITs of one view: `sequence` is the batch with `digest`, for ever."""

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
    """The stable checkpoint that `frames` prove: exactly q equal CHECKPOINTs of distinct members."""
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
    """What all members signed as the end of their epoch (R11): n equal statements, and no fewer."""
    votes = _votes(frames, nested, Continuation, config)
    if votes is None or len(votes) != config.n:
        return None
    first: Continuation = votes[0]
    if any(msgspec.structs.replace(vote, sender=first.sender) != first for vote in votes):
        return None
    content = (first.sequence, first.state_root, first.log_root, first.timestamp)
    return CheckpointCertificate(*content, frames=tuple(frames)) if first.sequence > config.base else None


def read_end(frames: Sequence[bytes], nested: Nested, config: Config) -> CheckpointCertificate | None:
    """What covers a range of the log: a stable checkpoint, or the continuation that ended the epoch."""
    continued = any(frame in nested and type(nested[frame].message) is Continuation for frame in frames)
    return (read_continuation if continued else read_checkpoint)(frames, nested, config)


def why_refused(frames: Sequence[bytes], nested: Nested, config: Config) -> Reason:
    """Why these frames prove no stable checkpoint here. One of another epoch is nobody's fault: two members
    are not in the same one at every moment (R35)."""
    votes = [nested[frame].message for frame in frames if frame in nested]
    other = bool(votes) and all(
        isinstance(v, (Checkpoint, Continuation)) and v.epoch != config.epoch for v in votes
    )
    return Reason.WRONG_EPOCH if other else Reason.BAD_PROOF


def read_commits(frames: Sequence[bytes], nested: Nested, config: Config) -> CommitCertificate | None:
    """What q COMMITs of distinct members decided: one view, one sequence, one digest."""
    votes = _votes(frames, nested, Commit, config)
    if votes is None or len(votes) < config.q:
        return None
    first: Commit = votes[0]
    content = (first.view, first.sequence, first.digest)
    if any((vote.view, vote.sequence, vote.digest) != content for vote in votes):
        return None
    return CommitCertificate(*content, frames=tuple(frames))


def read_prepared(proof: PreparedProof, nested: Nested, config: Config) -> Prepared | None:
    """A PRE-PREPARE of its view's primary and PREPAREs of exactly q - 1 distinct backups for it."""
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
    """The messages of `frames`: all of one kind and this epoch, no sender twice; else None."""
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
