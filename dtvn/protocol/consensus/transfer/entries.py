"""Checks which part of a fetched range of the log is proved, and how (R23, R28; decision 0004).

Shared by replica and learner. Either every entry has q COMMITs of one view for its batch, or one
checkpoint certificate covers the range. In the second case the entries' hashes, appended to the reader's own
frontier, must give the log root that q members signed, before any of them is executed.
"""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus.bodies import NULL_BATCH
from dtvn.protocol.consensus.certificate import (
    CheckpointCertificate,
    CommitCertificate,
    read_commits,
    read_end,
)
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.executor import Executor
from dtvn.protocol.consensus.messages import Entries, Entry, entry_hash
from dtvn.protocol.consensus.verified import Verified, VerifiedBatch


class ProvedEntry(msgspec.Struct, frozen=True):
    """One proved entry above the reader's log."""

    entry: Entry
    batch: VerifiedBatch
    commits: CommitCertificate | None
    """None if the range's checkpoint covers the entry, including its results."""


class Range(msgspec.Struct, frozen=True):
    """The proved part, contiguous from the head of the reader's log; empty if nothing is proved."""

    proved: tuple[ProvedEntry, ...]
    checkpoint: CheckpointCertificate | None
    honest: bool
    """False if the source sent an invalid proof: ask another member."""


NOTHING = Range(proved=(), checkpoint=None, honest=True)
LIE = Range(proved=(), checkpoint=None, honest=False)


def read_range(verified: Verified[Entries], executor: Executor, config: Config) -> Range:
    """Check an answer against the head of the reader's log; executes nothing."""
    message = verified.message
    readable = message.entries[: len(verified.batches)]
    proved: list[ProvedEntry] = []
    expected = executor.executed + 1
    for (entry, _body, commits), found in zip(readable, verified.batches, strict=True):
        if entry.sequence < expected and not proved:
            continue  # executed in the meantime
        if entry.sequence > expected and not proved:
            return NOTHING  # the part before it was lost in transit
        if entry.epoch > config.epoch and not proved:
            return NOTHING  # the sender is in a later epoch; the end of this one must be proved first (R35)
        if entry.sequence != expected or entry.epoch != config.epoch:
            return LIE
        batch = NULL_BATCH if found is None else found  # no body: only of the null request (`Verified`)
        if batch.digest != entry.batch_digest:
            return LIE
        certificate = read_commits(commits, verified.nested, config) if commits else None
        if commits and not _fits(certificate, entry):
            return LIE
        proved.append(ProvedEntry(entry, batch, certificate))
        expected += 1
    if not proved:
        return NOTHING
    if message.checkpoint:
        return _certified(verified, proved, executor, config)
    if any(one.commits is None for one in proved):
        return LIE
    return Range(proved=tuple(proved), checkpoint=None, honest=True)


def _fits(certificate: CommitCertificate | None, entry: Entry) -> bool:
    return (
        certificate is not None
        and certificate.sequence == entry.sequence
        and certificate.digest == entry.batch_digest
    )


def _certified(
    verified: Verified[Entries], proved: list[ProvedEntry], executor: Executor, config: Config
) -> Range:
    """The forward check: the reader's frontier extended by these entries has the root that q members signed.
    The root fixes every field of each entry, including the hash of its predecessor."""
    certificate = read_end(verified.message.checkpoint, verified.nested, config)
    if certificate is None or certificate.sequence != proved[-1].entry.sequence:
        return LIE
    frontier = executor.frontier
    for one in proved:
        frontier = log_tree.append(frontier, entry_hash(one.entry))
    if log_tree.root(frontier) != certificate.log_root:
        return LIE
    covered = tuple(ProvedEntry(one.entry, one.batch, None) for one in proved)
    return Range(proved=covered, checkpoint=certificate, honest=True)
