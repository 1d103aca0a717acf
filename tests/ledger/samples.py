"""Records as consensus would make them, with right hashes and made-up signatures."""

from collections.abc import Sequence, Set

from dtvn.machine import State, TicketState, read_head
from dtvn.machine.rows import TicketBytes, TicketRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    Executed,
    SlotRecord,
)
from dtvn.protocol.consensus.messages import (
    NULL_BATCH_DIGEST,
    Batch,
    Bundle,
    Entry,
    Operation,
    Outcome,
    batch_digest,
    bundle_digest,
    entry_hash,
)
from dtvn.protocol.wire.envelope import decode_envelope, encode_envelope, kind_of

CLUSTER = canonical.digest(b"a cluster")
START = 1_700_000_000_000_000
"""Timestamp of sequence 0, Unix microseconds."""


def bundle_frame(number: int, operations: tuple[Operation, ...]) -> bytes:
    """A request of one client."""
    bundle = Bundle(
        epoch=0,
        principal="gateway",
        client=b"01234567",
        session=(1, 0),
        number=number,
        done_below=0,
        operations=operations,
    )
    return encode_envelope(kind_of(bundle), canonical.encode(bundle), b"s" * 64)


def operation(kind: str = "validate", ticket: str = "T-1", entry: str = "node0") -> Operation:
    return Operation(
        kind=kind, event="default", ticket=ticket, actor="gate-a", entry=entry, valid_until=START
    )


def batch_body(sequence: int, bundles: Sequence[Sequence[Operation]]) -> tuple[bytes, bytes]:
    """(encoded Batch of origin view 5, its digest); no bundles: a null request."""
    if not bundles:
        return b"", NULL_BATCH_DIGEST
    frames = tuple(
        bundle_frame(sequence * 10 + number, tuple(operations)) for number, operations in enumerate(bundles)
    )
    proposed = START + sequence
    digests = tuple(bundle_digest(decode_envelope(frame)[0].body) for frame in frames)
    batch = Batch(origin_view=5, proposed=proposed, requests=frames)
    return canonical.encode(batch), batch_digest(5, proposed, digests)


class LogWriter:
    """Makes the next entry of a well-formed log."""

    def __init__(self) -> None:
        self.frontier = log_tree.Frontier()
        self.previous = bytes(32)
        self.records: list[EntryRecord] = []

    def entry(
        self,
        operations: int = 2,
        *,
        bundles: int = 1,
        kinds: Sequence[str] = (),
        tickets: Sequence[str] = (),
    ) -> EntryRecord:
        """`operations` per bundle, all of kind validate, or one operation of each of `kinds`."""
        sequence = len(self.records) + 1
        kinds = kinds or ["validate"] * operations
        contents = [
            [
                operation(kind, tickets[index] if tickets else f"T-{sequence}-{index}")
                for index, kind in enumerate(kinds)
            ]
            for _ in range(bundles if operations else 0)
        ]
        body, digest = batch_body(sequence, contents)
        entry = Entry(
            epoch=0,
            sequence=sequence,
            batch_digest=digest,
            results_root=canonical.digest(b"results %d" % sequence),
            timestamp=START + sequence,
            previous=self.previous,
        )
        record = EntryRecord(
            entry=entry,
            entry_hash=entry_hash(entry),
            body=body,
            commits=tuple(vote("commit", sequence, sender) for sender in range(3)),
        )
        self.previous = record.entry_hash
        self.frontier = log_tree.append(self.frontier, record.entry_hash)
        self.records.append(record)
        return record

    def entries(self, count: int) -> list[EntryRecord]:
        return [self.entry() for _ in range(count)]

    def checkpoint(self) -> CheckpointRecord:
        """A stable one at the head."""
        sequence = len(self.records)
        return CheckpointRecord(
            epoch=0,
            sequence=sequence,
            state_root=canonical.digest(b"state %d" % sequence),
            log_root=log_tree.root(self.frontier),
            timestamp=START + sequence,
            frames=tuple(vote("checkpoint", sequence, sender) for sender in range(3)),
        )


def vote(phase: str, sequence: int, sender: int, view: int = 0) -> bytes:
    """Bytes that stand for a signed frame."""
    return f"{phase} {view} {sequence} {sender} ".encode() + bytes(64)


def slot(phase: str, sequence: int, *, view: int = 0, body: bytes = b"", text: bytes = b"") -> SlotRecord:
    return SlotRecord(
        epoch=0,
        view=view,
        sequence=sequence,
        phase=phase,
        frames=(vote(phase, sequence, 0, view) + text,),
        body=body,
    )


def ticket(
    number: str,
    *,
    event: str = "default",
    state: str = "ISSUED",
    sequence: int = 1,
    metadata: dict[str, str] | None = None,
    upheld: bool = False,
) -> TicketRow:
    return TicketRow(
        event=event,
        ticket=number,
        state=state,
        validator="" if state == "ISSUED" else "node1",
        timestamp=START + sequence,
        sequence=sequence,
        index=0,
        operation="issue",
        principal="gateway",
        actor="gate-a",
        nonce=b"nonce",
        gate="north" if state == "CONSUMED" else "",
        device="",
        note="",
        upheld=upheld,
        clock={"node1": sequence},
        product="Day pass",
        seat="A1",
        not_before=0,
        not_after=0,
        commitment=b"c" * 32,
        data=b"data",
        metadata=metadata or {},
    )


def packed(number: int, state: State = State.ISSUED) -> ApplicationChange:
    """A ticket as a node stores it, and as a snapshot brings it."""
    whole = TicketState(
        "default", f"S-{number}", state, "", START, 9, 0, "issue", "g", "a", b"", "", "", "", (1,)
    )
    encoded = canonical.encode(whole)
    return ApplicationChange("ticket", (number,), TicketBytes(number, read_head(encoded), encoded, b"\x90"))


def executed(record: EntryRecord, codes: list[str], *, skip: Set[int] = frozenset()) -> Executed:
    """The note of an entry each of whose bundles came to `codes`; bundles numbered in `skip` were skipped."""
    batch = canonical.decode(Batch, record.body)
    outcomes = tuple(Outcome(code=code, state=b"") for code in codes)
    bundles = []
    index = 0
    for number, frame in enumerate(batch.requests):
        bundle = decode_envelope(frame)[1]
        if number not in skip:
            bundles.append((bundle, index, outcomes))
        index += len(bundle.operations)
    return Executed(entry=record.entry, entry_hash=record.entry_hash, bundles=tuple(bundles), view=3)
