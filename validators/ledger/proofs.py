"""Reads the parts of a certificate from a ledger: entries with all outcomes, checkpoints, log paths.

For the learner's copy, which keeps every ticket state (EntryStates). Verifiers of a certificate do not trust
this code.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import msgspec
from django.db import connections

from dtvn.ledger import SNAPSHOT_BASE
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages
from dtvn.protocol.consensus.effects import CheckpointRecord
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.log_tree import Frontier, append, inclusion_path
from dtvn.protocol.consensus.messages import KIND_OF, Entry, Operation, Outcome, entry_hash
from validators.ledger.encoding import decode_entry
from validators.ledger.models import (
    BatchBody,
    Checkpoint,
    ConsensusEntry,
    EntryOutcomes,
    EntryStates,
    StateValue,
)
from validators.ledger.outcomes import (
    ORDERED_OPERATION_SLOTS,
    executed_bundles,
    read_batch,
    read_envelope,
)
from validators.ledger.read import checkpoint_record

TILE_LEVEL = 8
TILE = 1 << TILE_LEVEL
"""Number of entries whose common root is cached: a path in a log of a million entries reads 256 hashes, not
all."""
TILES_AT_ONCE = 64
SELECT_HASHES = (
    "SELECT entry_hash FROM ledger_consensusentry WHERE sequence > %s AND sequence <= %s ORDER BY sequence"
)

CHECKPOINT = KIND_OF[messages.Checkpoint]
Executed = tuple[int, tuple[Operation, ...], tuple[Outcome, ...]]


class _BundleStates(msgspec.Struct, frozen=True, array_like=True):
    """What EntryStates keeps of one bundle (outcomes.note_executed writes it)."""

    first_index: int
    states: tuple[bytes, ...]
    firsts: tuple[tuple[int, ...], ...] | None = None
    """Outcome.first of each operation, where the log has that field (R48)."""

    def outcomes(self, codes: Sequence[str]) -> tuple[Outcome, ...]:
        """The outcomes with these codes."""
        firsts = self.firsts or (None,) * len(self.states)
        return tuple(map(Outcome, codes, self.states, firsts))


_states = msgspec.msgpack.Decoder(tuple[_BundleStates, ...])


class EntryProof(msgspec.Struct, frozen=True):
    """One entry with every executed operation and its outcome."""

    entry: Entry
    entry_hash: bytes
    bundles: tuple[Executed, ...]
    """First index, operations and outcomes of each executed bundle, in order."""


def read_entry_proof(using: str, sequence: int) -> EntryProof | None:
    """An entry with all its outcomes; None if a part is missing (a lag, an older program)."""
    entry = ConsensusEntry.objects.using(using).filter(pk=sequence).first()
    outcomes = EntryOutcomes.objects.using(using).filter(pk=sequence).first()
    states = EntryStates.objects.using(using).filter(pk=sequence).first()
    if entry is None or entry.body is None or outcomes is None or states is None:
        return None
    body = BatchBody.objects.using(using).get(pk=entry.body)
    states_at = {kept.first_index: kept for kept in _states.decode(bytes(states.content))}
    bundles: list[Executed] = []
    for first, _encoded, bundle, codes in executed_bundles(
        read_batch(bytes(body.content)), bytes(outcomes.outcomes)
    ):
        bundles.append((first, bundle.operations, states_at[first].outcomes(codes)))
    decoded = decode_entry(bytes(entry.entry), sequence)
    return EntryProof(decoded, bytes(entry.entry_hash), tuple(bundles))


def outcome_states(using: str, sequences: Iterable[int]) -> dict[int, bytes]:
    """OperationRecord.id -> `Outcome.state`, of all operations of these sequences."""
    found = EntryStates.objects.using(using).filter(pk__in=set(sequences)).values_list("pk", "content")
    return {
        sequence * ORDERED_OPERATION_SLOTS + index: state
        for sequence, content in found
        for kept in _states.decode(bytes(content))
        for index, state in enumerate(kept.states, kept.first_index)
    }


def lowest_checkpoint(using: str, sequence: int) -> CheckpointRecord | None:
    """The first stable checkpoint of any epoch at or above `sequence`, or None. One that all members signed
    offline (R11) proves only the end of its epoch; a later one covers the log too."""
    above = Checkpoint.objects.using(using).filter(sequence__gte=sequence).order_by("sequence")
    for found in above.iterator():
        record = checkpoint_record(found)
        if all(read_envelope(frame).kind == CHECKPOINT for frame in record.frames):
            return record
    return None


class LogPaths:
    """Paths from entries to log roots, for one ledger and process. The log only grows, so roots of full tiles
    are cached permanently (32 bytes for 256 entries). May be used from any thread."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._lock = threading.Lock()
        self._tiles: list[bytes] = []
        """Roots of the tiles that begin at or above the log's first entry."""
        self._below: Frontier | None = None
        """The log below the first stored entry: not empty if the cluster continues another one (R11)."""

    def path(self, sequence: int, size: int) -> tuple[bytes, ...]:
        """Siblings of the entry at `sequence` in the tree over the first `size` entries.

        Raises LookupError if the ledger holds fewer entries.
        """
        with self._lock:
            below = self._begins_behind()
            if sequence <= below.size:
                raise LookupError(f"the log begins behind entry {below.size}")
            skipped = -(-below.size // TILE)
            self._fill(skipped, size // TILE)
            read: dict[int, list[bytes]] = {}

            def subtree(level: int, number: int) -> bytes:
                begins = number << level
                if begins < below.size:
                    if begins + (1 << level) <= below.size:
                        return _peak(below, level)
                    lower = (subtree(level - 1, 2 * number), subtree(level - 1, 2 * number + 1))
                    return canonical.node_hash(*lower)
                if level >= TILE_LEVEL:
                    width = 1 << level - TILE_LEVEL
                    first = number * width - skipped
                    return canonical.merkle_root(self._tiles[first : first + width])
                tile = begins // TILE
                start = max(tile * TILE, below.size)
                if tile not in read:
                    read[tile] = self._hashes(start, min((tile + 1) * TILE, size))
                return canonical.merkle_root(read[tile][begins - start : begins - start + (1 << level)])

            return inclusion_path(sequence - 1, size, subtree)

    def forget(self) -> None:
        """Clear the cache: the alias may now belong to another ledger (tests)."""
        with self._lock:
            self._tiles.clear()
            self._below = None

    def _begins_behind(self) -> Frontier:
        if self._below is None:
            kept = StateValue.objects.using(self._using).filter(name=SNAPSHOT_BASE).first()
            if kept is None:
                return Frontier()
            base = canonical.decode(Base, bytes(kept.value))
            self._below = append(base.before, entry_hash(base.entry))
        return self._below

    def _fill(self, skipped: int, tiles: int) -> None:
        while skipped + len(self._tiles) < tiles:
            first = skipped + len(self._tiles)
            last = min(tiles, first + TILES_AT_ONCE)
            hashes = self._hashes(first * TILE, last * TILE)
            self._tiles += [_root(hashes, at) for at in range(0, len(hashes), TILE)]

    def _hashes(self, start: int, end: int) -> list[bytes]:
        """Hashes of leaves start .. end - 1, which are entries start + 1 .. end."""
        # Plain SQL, twice as fast as the ORM: the first path in a log of a million entries reads all of them.
        with connections[self._using].cursor() as cursor:
            cursor.execute(SELECT_HASHES, [start, end])
            found = [bytes(hashed) for (hashed,) in cursor.fetchall()]
        if len(found) != end - start:
            raise LookupError(f"entries {start + 1} to {end} are not all here")
        return found


def _peak(below: Frontier, level: int) -> bytes:
    """The root over the full subtree of this level on the right edge of the log below."""
    if not below.size >> level & 1:
        raise LookupError(f"the log up to entry {below.size} has no peak of level {level}")
    return below.peaks[(below.size >> level + 1).bit_count()]


def _root(hashes: Sequence[bytes], at: int) -> bytes:
    return canonical.merkle_root(hashes[at : at + TILE])
