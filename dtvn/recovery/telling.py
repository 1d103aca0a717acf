"""Makes the statement of one member: the part of its ledger that others need to find the log's end (R11)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dtvn.protocol import canonical
from dtvn.protocol.consensus import accepted_entries, epoch_change_proof
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.effects import EntryRecord, SlotRecord
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.log_tree import Frontier, append
from dtvn.protocol.consensus.messages import NO_PREDECESSOR, NULL_BATCH_DIGEST, PreparedProof, entry_hash
from dtvn.protocol.wire import Door, decode_envelope
from dtvn.recovery.forms import Certified, Held, Proofs, StateFile, Statement, Vote, statement_bytes
from dtvn.recovery.kinds import STATE

ENTRIES_AT_ONCE = 1024
VOTES = ("pre_prepare", "prepare", "commit")


def tell(
    tail: LedgerTail,
    entries: Callable[[int, int], Sequence[EntryRecord]],
    config: Config,
    door: Door,
    sign: Callable[[bytes], bytes],
    *,
    lost: str,
    vouches: bool,
    new_key: bytes,
) -> StateFile:
    """The signed statement of member `config.index`. `entries`: returns all entries of the ledger from one
    sequence to another, ascending; `door`: only computes digests of batches; `sign`: signs with the old
    key."""
    executed = tail.frontier.size
    slots = [slot for slot in tail.slots if slot.epoch == config.epoch]
    checkpoint = tail.checkpoint
    own = checkpoint is not None and checkpoint.epoch == config.epoch
    stable = checkpoint.sequence if checkpoint is not None and own else min(executed, config.base)
    # Include as many entries below the checkpoint as a slightly lagging member needs to execute the plan.
    snapshot = 0 if tail.base is None else tail.base.entry.sequence
    first = max(config.base, stable - config.watermark_span, snapshot) + 1
    covered = first <= stable and executed > config.base
    held = tuple(
        Held(each.entry, each.body, each.commits if each.entry.sequence > stable else ())
        for each in entries(first, executed)
    )
    proofs = Proofs(
        epoch_changes=_epoch_changes(tail, config.epoch),
        checkpoint=checkpoint.frames if checkpoint is not None and own else (),
        entries=held if executed > config.base else (),
        before=_before(tail, first, entries) if covered else (),
        prepared=_prepared(slots, max(executed, stable), door) if executed >= config.base else (),
        heard=_heard(slots, stable, config.index),
        accepted=accepted_entries(tail, config.epoch) if executed >= config.base else (),
    )
    encoded = canonical.encode_trimmed(proofs)
    statement = Statement(
        epoch=config.epoch,
        member=config.members[config.index or 0],
        executed=executed,
        head=head_of(tail),
        stable=stable,
        view=max((s.view for s in slots if s.phase in ("view", "view_change", "new_view")), default=0),
        votes=_votes(slots, stable, config.index),
        vouches=vouches,
        lost=lost,
        new_key=new_key,
        proofs=canonical.digest(encoded),
    )
    return StateFile(STATE, statement, sign(statement_bytes(config.cluster, statement)), encoded)


def head_of(tail: LedgerTail) -> bytes:
    """Entry hash of the last executed entry; 32 zero bytes without an entry."""
    size = tail.frontier.size
    if tail.entries and tail.entries[-1].entry.sequence == size:
        return tail.entries[-1].entry_hash
    if tail.base is not None and tail.base.entry.sequence == size:
        return entry_hash(tail.base.entry)
    return NO_PREDECESSOR


def why_lost(tail: LedgerTail, voting: bool, reason: str) -> str:
    """Reason recorded in a ledger why it is not the member's newest one; "" without one. `voting`, `reason`:
    the ledger's own after it was opened (R11)."""
    if not voting:
        return reason or "its ledger was lost once"
    kept = next((state.value for state in tail.states if state.name == "voting"), b"1")
    return "its members showed it newer statements than its log holds" if kept == b"0" else ""


def _before(
    tail: LedgerTail, first: int, entries: Callable[[int, int], Sequence[EntryRecord]]
) -> tuple[bytes, ...]:
    """Merkle peaks of the log below sequence `first`, above the snapshot with which the log begins."""
    base = tail.base
    frontier = Frontier() if base is None else append(base.before, entry_hash(base.entry))
    for start in range(frontier.size + 1, first, ENTRIES_AT_ONCE):
        for record in entries(start, min(start + ENTRIES_AT_ONCE, first) - 1):
            frontier = append(frontier, record.entry_hash)
    return frontier.peaks


def _epoch_changes(tail: LedgerTail, epoch: int) -> tuple[bytes, ...]:
    records = (epoch_change_proof.find(tail.states, number) for number in range(epoch))
    found = [record.value for record in records if record is not None]
    return tuple(
        each for each in found if canonical.decode(epoch_change_proof.EpochChangeProof, each).checkpoint
    )


def _prepared(slots: Iterable[SlotRecord], above: int, door: Door) -> tuple[Certified, ...]:
    """The prepared certificate of the highest view for each sequence, with its batch."""
    newest: dict[int, SlotRecord] = {}
    bodies = {NULL_BATCH_DIGEST: b""}
    for slot in slots:
        if slot.body:
            bodies.setdefault(door.digest_of(slot.body), slot.body)
        if slot.phase == "prepared" and slot.sequence > above:
            known = newest.get(slot.sequence)
            if known is None or known.view < slot.view:
                newest[slot.sequence] = slot
    found = []
    for _sequence, slot in sorted(newest.items()):
        digest = decode_envelope(slot.frames[0])[1].digest
        found.append(Certified(PreparedProof(slot.frames[0], slot.frames[1:]), bodies.get(digest, b"")))
    return tuple(found)


def _votes(slots: Iterable[SlotRecord], stable: int, index: int | None) -> tuple[Vote, ...]:
    votes = set()
    for slot in slots:
        if slot.phase in VOTES and slot.sequence > stable:
            message = decode_envelope(slot.frames[0])[1]
            if message.sender == index:
                votes.add((slot.phase, slot.view, slot.sequence, message.digest))
        elif slot.phase == "new_view":
            votes |= _led(slot, stable, index)
    return tuple(Vote(*vote) for vote in sorted(votes))


def _led(slot: SlotRecord, stable: int, index: int | None) -> set[tuple[str, int, int, bytes]]:
    """The votes in the member's own NEW-VIEW: its PRE-PREPAREs, which have no record of their own."""
    message = decode_envelope(slot.frames[0])[1]
    proposals = message.proposals if message.sender == index else ()
    found = [decode_envelope(frame)[1] for frame in proposals]
    return {("pre_prepare", one.view, one.sequence, one.digest) for one in found if one.sequence > stable}


def _heard(slots: Iterable[SlotRecord], stable: int, index: int | None) -> tuple[bytes, ...]:
    """The newest NEW-VIEW with its VIEW-CHANGEs, and votes of other members. A member that vouches must know
    its own statements among those in other members' ledgers."""
    views = [slot for slot in slots if slot.phase == "new_view"]
    frames = dict.fromkeys(max(views, key=lambda slot: slot.view).frames if views else ())
    for slot in slots:
        if slot.phase in ("pre_prepare", "prepared") and slot.sequence > stable:
            frames |= dict.fromkeys(
                frame for frame in slot.frames if decode_envelope(frame)[1].sender != index
            )
    return tuple(frames)
