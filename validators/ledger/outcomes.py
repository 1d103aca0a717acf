"""Converts the outcomes of an entry's operations from the notes of execution to rows, and back.

A node keeps one small row per entry: positions and outcome codes. Everything else of an operation is in the
entry's batch, so the list of operations is read from both. If operations are searched (the learner), each of
them also gets a row of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from dtvn.machine import operation_digest, ticket_of
from dtvn.machine.contract import UNLISTED, Listed
from dtvn.machine.reasons import MALFORMED, OK, pack, tally, unpack
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import Executed
from dtvn.protocol.consensus.messages import Batch, Bundle, Operation, Outcome, bundle_digest
from dtvn.protocol.wire import Envelope
from validators.ledger.encoding import with_checksum

__all__ = [
    "INSERT_OPERATION",
    "INSERT_OUTCOMES",
    "INSERT_STATES",
    "ORDERED_OPERATION_SLOTS",
    "Listed",
    "Noted",
    "batch_view",
    "executed_bundles",
    "fitting",
    "note_executed",
    "operations_of",
    "read_batch",
    "read_envelope",
]

ORDERED_OPERATION_SLOTS = 1 << 14
"""Ids per sequence in OperationRecord.id; genesis allows 10,000 operations in a batch."""

INSERT_OUTCOMES = (
    "INSERT INTO ledger_entryoutcomes (sequence, operations, listed, outcomes, checksum)"
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (sequence) DO NOTHING"
)
INSERT_STATES = (
    "INSERT INTO ledger_entrystates (sequence, content, checksum) VALUES (?, ?, ?)"
    " ON CONFLICT (sequence) DO NOTHING"
)
INSERT_OPERATION = (
    "INSERT INTO ledger_operationrecord (id, sequence, batch_index, view, timestamp, event,"
    " ticket_id, operation, code, principal, actor, entry, digest, request)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)

read_batch = msgspec.msgpack.Decoder(Batch).decode
read_envelope = msgspec.msgpack.Decoder(Envelope).decode
_bundle_decoder = msgspec.msgpack.Decoder(Bundle)
_outcomes_decoder = msgspec.msgpack.Decoder(tuple[tuple[int, bytes], ...])


class Noted(msgspec.Struct, frozen=True, gc=False):
    """The rows of an executed entry."""

    sequence: int
    outcomes: tuple[Any, ...]
    """Parameters of INSERT_OUTCOMES."""
    operations: list[tuple[Any, ...]]
    """Parameters of INSERT_OPERATION; empty if operations are not searched."""
    counts: dict[str, int]
    """Counter name -> the number that the entry adds to it."""
    states: tuple[Any, ...] = ()
    """Parameters of INSERT_STATES; () if operations are not searched."""


def note_executed(executed: Executed, *, origin_view: int, with_operations: bool) -> Noted:
    """Rows of one executed entry. `origin_view`: origin view of its batch."""
    sequence, timestamp = executed.entry.sequence, executed.entry.timestamp
    packed: list[tuple[int, bytes]] = []
    kinds: Counter[tuple[str, bool]] = Counter()
    for (kind, code), number in tally(executed.bundles).items():
        kinds[kind, code == OK] += number
    rows: list[tuple[Any, ...]] = []
    for bundle, first_index, outcomes in executed.bundles:
        codes = tuple([outcome.code for outcome in outcomes])
        if codes:
            packed.append((first_index, pack(codes)))
        if with_operations:
            rows += _operation_rows(bundle, first_index, outcomes, sequence, timestamp, origin_view)
    listed = sum(number for (kind, ok), number in kinds.items() if ok and kind not in UNLISTED)
    return Noted(
        sequence=sequence,
        outcomes=with_checksum((sequence, kinds.total(), listed, canonical.encode(tuple(packed)))),
        operations=rows,
        states=_states(executed) if with_operations else (),
        counts={
            f"operation/{kind}/{'ok' if ok else 'refused'}": number for (kind, ok), number in kinds.items()
        },
    )


def _states(executed: Executed) -> tuple[Any, ...]:
    """The ticket state after each operation, and of what it is a repeat: the part of the leaves that is
    neither in the batch nor in the codes."""
    states: list[tuple[Any, ...]] = []
    for _bundle, first_index, outcomes in executed.bundles:
        kept = (first_index, tuple(outcome.state for outcome in outcomes))
        firsts = tuple(outcome.first for outcome in outcomes)
        states.append(kept if None in firsts else (*kept, firsts))
    return with_checksum((executed.entry.sequence, canonical.encode(tuple(states))))


def batch_view(body: bytes) -> int:
    """Origin view of an encoded batch (R1); 0 for a null request."""
    return read_batch(body).origin_view if body else 0


def operations_of(body: bytes, outcomes: bytes, *, sequence: int, timestamp: int) -> Iterator[Listed]:
    """The executed operations of an entry, in order, from its batch and its EntryOutcomes; both know no
    state, so an admission by code names no ticket here."""
    batch = read_batch(body)
    for first, encoded, bundle, codes in executed_bundles(batch, outcomes):
        request = bundle_digest(encoded)
        for offset, code in enumerate(codes):
            yield Listed(
                sequence=sequence,
                index=first + offset,
                view=batch.origin_view,
                timestamp=timestamp,
                code=code,
                principal=bundle.principal,
                request=request,
                operation=bundle.operations[offset],
            )


def executed_bundles(batch: Batch, outcomes: bytes) -> Iterator[tuple[int, bytes, Bundle, tuple[str, ...]]]:
    """(first index, encoded bundle, bundle, outcome codes) of each executed bundle of a batch, in order."""
    codes_at = dict(_outcomes_decoder.decode(outcomes))
    first = 0
    for frame in batch.requests:
        encoded = read_envelope(frame).body
        bundle = _bundle_decoder.decode(encoded)
        count = len(bundle.operations)
        if first in codes_at:
            yield first, encoded, bundle, unpack(codes_at[first], count)
        first += count


def _operation_rows(
    bundle: Bundle,
    first_index: int,
    outcomes: tuple[Outcome, ...],
    sequence: int,
    timestamp: int,
    view: int,
) -> Iterator[tuple[Any, ...]]:
    request = bundle_digest(canonical.encode(bundle))
    principal = bundle.principal
    first_id = sequence * ORDERED_OPERATION_SLOTS
    for index, (operation, outcome) in enumerate(zip(bundle.operations, outcomes, strict=True), first_index):
        code = outcome.code
        named = operation if code != MALFORMED else _fitting(operation)
        yield (
            first_id + index,
            sequence,
            index,
            view,
            timestamp,
            named.event,
            ticket_of(named, outcome.state),
            named.kind,
            code,
            principal,
            named.actor,
            fitting(operation.entry, 128),
            operation_digest(operation),
            request,
        )


def _fitting(operation: Operation) -> Operation:
    """A malformed operation with names that fit their columns."""
    return msgspec.structs.replace(
        operation,
        event=fitting(operation.event, 64),
        ticket=fitting(operation.ticket, 128),
        kind=fitting(operation.kind, 32),
        actor=fitting(operation.actor, 128),
    )


def fitting(text: str, length: int) -> str:
    """A text made to fit a column: printable and of bounded length, since a malformed operation may hold
    anything."""
    if len(text) <= length and text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text[:length])
