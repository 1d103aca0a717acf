"""Executes batches in sequence order, and extends the hash chain and log tree (R1, R3, R22, R26).

Shared by replica and learner. Reads nothing but the application, the batch and the log's head.
"""

from __future__ import annotations

from dtvn.protocol import canonical
from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus.application import Application, BatchResult, BundleResult
from dtvn.protocol.consensus.effects import EntryRecord, Executed
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.ledger_tail import Base, LedgerTail
from dtvn.protocol.consensus.log_tree import Frontier
from dtvn.protocol.consensus.messages import (
    NO_PREDECESSOR,
    NULL_BATCH_DIGEST,
    Batch,
    Entry,
    batch_digest,
    entry_hash,
)
from dtvn.protocol.consensus.signer import Signer
from dtvn.protocol.consensus.verified import VerifiedBatch, VerifiedBundle

Path = tuple[tuple[bool, bytes], ...]


class Step:
    """One executed sequence: the entry, its hash, and the result of each request."""

    __slots__ = ("batch", "entry", "entry_hash", "result")

    def __init__(self, *, batch: VerifiedBatch, entry: Entry, entry_hash: bytes, result: BatchResult) -> None:
        self.batch = batch
        self.entry = entry
        self.entry_hash = entry_hash
        self.result = result

    def done(self) -> list[tuple[VerifiedBundle, BundleResult]]:
        """The executed requests with their results; skipped requests are left out."""
        pairs = zip(self.batch.bundles, self.result.results, strict=True)
        return [(bundle, result) for bundle, result in pairs if result is not None]

    def record(self, commits: tuple[bytes, ...]) -> EntryRecord:
        """The record of this sequence for the ledger."""
        return EntryRecord(self.entry, self.entry_hash, self.batch.body, commits)

    def note(self, view: int) -> Executed:
        """The note for watchers; `view`: the view in which the batch committed here."""
        bundles = tuple((b.bundle, r.first_index, r.outcomes) for b, r in self.done())
        return Executed(self.entry, self.entry_hash, bundles, view)


class Executor:
    """Head of the executed log and the application behind it."""

    __slots__ = ("application", "base", "epoch", "executed", "frontier", "head", "timestamp")

    def __init__(self, epoch: int, application: Application) -> None:
        self.epoch = epoch
        self.application = application
        self.executed = 0
        """Last executed sequence, 0 for none."""
        self.head = NO_PREDECESSOR
        """Entry hash of `executed`."""
        self.frontier = Frontier()
        self.timestamp = 0
        """Last effective timestamp, Unix microseconds."""
        self.base: Base | None = None
        """The newest entry and the frontier below it; None if they are unknown since the start."""

    def execute(self, batch: VerifiedBatch) -> Step:
        """Execute the next sequence. A null request leaves state and timestamp unchanged (R3)."""
        sequence = self.executed + 1
        timestamp = self.effective(batch)
        if batch.digest == NULL_BATCH_DIGEST:
            result = BatchResult(results=(), results_root=canonical.EMPTY_ROOT)
        else:
            result = self.application.execute(batch.bundles, sequence=sequence, timestamp=timestamp)
        entry = Entry(
            epoch=self.epoch,
            sequence=sequence,
            batch_digest=batch.digest,
            results_root=result.results_root,
            timestamp=timestamp,
            previous=self.head,
        )
        hashed = entry_hash(entry)
        self.executed = sequence
        self.timestamp = timestamp
        self.head = hashed
        self.base = Base(entry, self.frontier.peaks)
        self.frontier = log_tree.append(self.frontier, hashed)
        return Step(batch=batch, entry=entry, entry_hash=hashed, result=result)

    def effective(self, batch: VerifiedBatch) -> int:
        """Effective timestamp of a batch: max(proposed, last effective + 1) (R3)."""
        if batch.digest == NULL_BATCH_DIGEST:
            return self.timestamp
        return max(batch.batch.proposed, self.timestamp + 1)

    def log_root(self) -> bytes:
        """Root of the tree over all entry hashes (R26)."""
        return log_tree.root(self.frontier)

    def restore(self, tail: LedgerTail, signer: Signer) -> list[Executed]:
        """Restore the head of the log, and replay entries that the rows do not contain yet (R9); the rows are
        already loaded.

        Returns the notes of the replayed entries: watchers have not seen these entries either.
        """
        size = tail.frontier.size
        entries = tail.entries
        base = tail.base
        newest = entries[-1].entry.sequence if entries else 0
        if base is not None and newest < base.entry.sequence == size:
            self.base = base
            self.head = entry_hash(base.entry)
            self.timestamp = base.entry.timestamp
        elif size and newest != size:
            raise InvariantBreach(f"restore: the log has {size} entries, the newest is not here")
        replay = [record for record in entries if record.entry.sequence > tail.applied_sequence]
        if len(replay) != size - tail.applied_sequence:
            raise InvariantBreach(f"restore: {len(replay)} entries to replay after {tail.applied_sequence}")
        notes = [note for record in replay if (note := self._replay(record, signer)) is not None]
        self.frontier = tail.frontier
        self.executed = size
        if entries and newest == size:
            self.head = entries[-1].entry_hash
            self.timestamp = entries[-1].entry.timestamp
        return notes

    def _replay(self, record: EntryRecord, signer: Signer) -> Executed | None:
        """Replay one entry. The view in which it committed is not stored, so the note has the view of its
        first proposal. None for a null request."""
        entry = record.entry
        if entry.batch_digest == NULL_BATCH_DIGEST:
            return None
        batch = open_body(record.body, signer)
        result = self.application.execute(batch.bundles, sequence=entry.sequence, timestamp=entry.timestamp)
        if result.results_root != entry.results_root or batch.digest != entry.batch_digest:
            raise InvariantBreach(f"restore: replay of {entry.sequence} gives other results")
        step = Step(batch=batch, entry=entry, entry_hash=record.entry_hash, result=result)
        return step.note(batch.batch.origin_view)


def open_body(body: bytes, signer: Signer) -> VerifiedBatch:
    """Decode a batch body from this node's ledger; its signatures were checked before it was stored."""
    batch = canonical.decode(Batch, body)
    bundles: list[VerifiedBundle] = []
    for frame in batch.requests:
        opened = signer.open(frame).bundle
        if opened is None:
            raise InvariantBreach(
                "restore: a batch of the own ledger holds something that does not decode as a request"
            )
        bundles.append(opened)
    digest = batch_digest(batch.origin_view, batch.proposed, tuple(b.digest for b in bundles))
    return VerifiedBatch(batch=batch, digest=digest, body=body, bundles=tuple(bundles))


def subtree_paths(subtrees: list[bytes]) -> list[Path]:
    """Siblings of each leaf of canonical.merkle_root's tree, from the bottom up: (is left, hash)."""
    levels = [subtrees]
    while len(levels[-1]) > 1:
        level = levels[-1]
        paired = [canonical.node_hash(*pair) for pair in zip(level[::2], level[1::2], strict=False)]
        levels.append(paired + level[2 * len(paired) :])
    paths: list[Path] = [()]
    for level in reversed(levels[:-1]):
        paths = [_lengthened(paths[place // 2], level, place) for place in range(len(level))]
    return paths if subtrees else []


def _lengthened(above: Path, level: list[bytes], place: int) -> Path:
    """The path from `place` in `level`; `above` is the path from its parent."""
    sibling = place ^ 1
    return above if sibling >= len(level) else ((sibling < place, level[sibling]), *above)
