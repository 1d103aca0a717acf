"""Restores a replica from its ledger: the same log, the same promises, the same bytes (R7, R9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dtvn.protocol.consensus.certificate import CheckpointCertificate, Prepared
from dtvn.protocol.consensus.effects import CheckpointRecord, SlotRecord
from dtvn.protocol.consensus.executor import open_body
from dtvn.protocol.consensus.messages import PreparedProof
from dtvn.protocol.consensus.needs import Recovery
from dtvn.protocol.probes import probe

if TYPE_CHECKING:
    from dtvn.protocol.consensus.replica import Replica

__all__ = ["restore", "say_again"]

VOTES = ("pre_prepare", "prepare", "commit")


def restore(core: Replica, recovery: Recovery) -> None:
    """Fills every phase from the ledger. The application's rows are already loaded."""
    for state in recovery.states:
        if state.name == "voting" and state.value == b"0":
            core.voting = False
    for note in core.execution.executor.restore(recovery, core.signer):
        core.outbox.executed(note)
    _restore_checkpoint(core, recovery.checkpoint)
    stable = core.log.stable
    for executed in recovery.entries:
        if executed.entry.sequence > stable:
            core.log.remember(executed.entry.sequence, executed.entry.batch_digest)
            core.contradictions.on_executed(executed.entry.sequence, executed.commits)
    slots = [record for record in recovery.slots if record.epoch == core.config.epoch]
    _restore_view(core, slots)
    open_slots = [record for record in slots if record.sequence > stable]
    for record in open_slots:
        _restore_slot(core, record)


def say_again(core: Replica) -> None:
    """Sends the same bytes as before the restart (R7). Members that already have them drop them before
    they check signatures."""
    if not core.voting:
        probe("restore.without_a_vote")
        return
    for frame in core.checkpoints.mine.values():
        core.outbox.broadcast(frame)
    if core.views.changing:
        core.outbox.broadcast(core.views.claims[core.index].frame)
        return
    if core.is_primary and core.views.new_view:
        core.outbox.broadcast(core.views.new_view)
    for slot in core.log.unexecuted(core.executed):
        if core.is_primary and slot.digest is not None and not slot.carried:
            batch = core.bodies.get(slot.digest)
            frame = slot.proposals[slot.digest]
            if batch is not None:
                frame = core.signer.attach(frame, batch.body)
            core.outbox.broadcast(frame)
        for vote in (slot.my_prepare, slot.my_commit):
            if vote is not None:
                core.outbox.broadcast(vote)


def _restore_checkpoint(core: Replica, record: CheckpointRecord | None) -> None:
    if record is None:
        return
    if not record.frames and record.sequence > core.config.base:
        raise core.breach(f"restore: nobody signed checkpoint {record.sequence}")
    certificate = CheckpointCertificate(
        sequence=record.sequence,
        state_root=record.state_root,
        log_root=record.log_root,
        timestamp=record.timestamp,
        frames=record.frames,
    )
    executor = core.execution.executor
    if record.sequence == core.executed and (
        core.application.root() != record.state_root or executor.log_root() != record.log_root
    ):
        raise core.breach(f"restore: the state is not that of checkpoint {record.sequence}")
    # A cluster that continues another trusts its first checkpoint like genesis, without CHECKPOINT frames.
    core.checkpoints.certificate = certificate if record.frames else None
    if record.frames:
        core.contradictions.on_stable(certificate)
    core.log.prune(record.sequence)


def _restore_view(core: Replica, slots: list[SlotRecord]) -> None:
    """Restores the view entered last, or the one to which this replica is bound by its VIEW-CHANGE."""
    entered = max((record.view for record in slots if record.phase == "view"), default=0)
    promised = max((record.view for record in slots if record.phase == "view_change"), default=0)
    for record in slots:
        if record.phase == "new_view" and record.view == entered:
            core.views.restore_active(record.frames[0], record.frames[1:])
    if promised > entered:
        for record in slots:
            if record.phase == "view_change" and record.view == promised:
                probe("restore.bound_by_a_view_change")
                core.views.restore_changing(record.frames[0])
    core.views.promised = promised


def _restore_slot(core: Replica, record: SlotRecord) -> None:
    opened = core.signer.open(record.frames[0])
    message = opened.message
    sequence = record.sequence
    if record.body:
        core.bodies.add(open_body(record.body, core.signer), sequence, core.executed)
    if record.phase == "checkpoint":
        core.checkpoints.remember(message, record.frames[0])
        return
    if record.phase == "prepared":
        known = core.log.certificates.get(sequence)
        if known is None or known.view < record.view:
            proof = PreparedProof(record.frames[0], record.frames[1:])
            found = Prepared(record.view, sequence, message.digest, proof)
            core.log.certificates[sequence] = found
    if record.phase in VOTES and message.sender == core.index:
        core.ballot.cast(view=record.view, sequence=sequence, phase=record.phase, digest=message.digest)
    if core.views.is_active(record.view):
        _restore_open_slot(core, record, message.digest)


def _restore_open_slot(core: Replica, record: SlotRecord, digest: bytes) -> None:
    """Restores a slot of the current view: its proposal, its PREPAREs and the own votes."""
    slot = core.log.open(record.sequence, record.view, core.now.monotonic)
    frame = record.frames[0]
    if record.phase == "pre_prepare":
        slot.place(digest, frame, core.now.monotonic)
        slot.digest = slot.durable = digest
    elif record.phase == "prepare":
        probe("restore.open_slot_with_own_prepare")
        slot.my_prepare = frame
        if core.index not in slot.prepares.votes:
            slot.prepares.add(core.index, digest, frame)
    elif record.phase == "prepared":
        slot.proposals.setdefault(digest, frame)
        slot.prepared = digest
        for prepare in record.frames[1:]:
            sender = core.signer.open(prepare).message.sender
            if sender not in slot.prepares.votes:
                slot.prepares.add(sender, digest, prepare)
    elif record.phase == "commit":
        probe("restore.open_slot_with_own_commit")
        slot.my_commit = frame
        slot.commits.add(core.index, digest, frame)
