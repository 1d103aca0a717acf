"""Restores a replica from its ledger: the same log, the same promises, the same bytes (R7, R9)."""

from __future__ import annotations

from typing import Protocol

from dtvn.protocol.consensus.certificate import CheckpointCertificate, Prepared
from dtvn.protocol.consensus.certificate_comparison import Contradictions
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.effects import CheckpointRecord, SlotRecord
from dtvn.protocol.consensus.executor import open_body
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.messages import PreparedProof
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.subprotocols import Subprotocols
from dtvn.protocol.consensus.voting import Voting
from dtvn.protocol.probes import probe

VOTES = ("pre_prepare", "prepare", "commit")


class Restored(Protocol):
    """The parts of a core that are restored alike in PBFT and Raft."""

    state: State
    own_vote: Voting
    checkpoints: Checkpoints
    contradictions: Contradictions


def restore(core: Subprotocols, tail: LedgerTail) -> None:
    """Fills every subprotocol from the ledger. The application's rows are already loaded."""
    restore_log(core, tail)
    slots = [record for record in tail.slots if record.epoch == core.state.config.epoch]
    _restore_view(core, slots)
    open_slots = [record for record in slots if record.sequence > core.state.log.stable]
    for record in open_slots:
        _restore_slot(core, record)


def restore_log(core: Restored, tail: LedgerTail) -> None:
    """Restores the vote, the executed log, and the stable checkpoint."""
    for state in tail.states:
        if state.name == "voting" and state.value == b"0":
            core.own_vote.restore()
    for note in core.state.executor.restore(tail, core.state.signer):
        core.state.outbox.executed(note)
    _restore_checkpoint(core, tail.checkpoint)
    stable = core.state.log.stable
    for executed in tail.entries:
        if executed.entry.sequence > stable:
            core.state.log.on_executed(executed.entry.sequence, executed.entry.batch_digest)
            core.contradictions.on_executed(executed.entry.sequence, executed.commits)


def say_again(core: Subprotocols) -> None:
    """Sends the same bytes as before the restart (R7). Members that already have them drop them before
    they check signatures."""
    if not core.state.voting:
        probe("restore.without_a_vote")
        return
    for frame in core.checkpoints.mine.values():
        core.state.outbox.broadcast(frame)
    if core.state.views.changing:
        core.state.outbox.broadcast(core.state.views.view_changes[core.state.index].frame)
        return
    if core.state.is_primary and core.state.views.new_view:
        core.state.outbox.broadcast(core.state.views.new_view)
    for slot in core.state.log.unexecuted(core.state.executed):
        if core.state.is_primary and slot.digest is not None and not slot.reproposed:
            batch = core.state.bodies.get(slot.digest)
            frame = slot.proposals[slot.digest]
            if batch is not None:
                frame = core.state.signer.attach(frame, batch.body)
            core.state.outbox.broadcast(frame)
        for vote in (slot.my_prepare, slot.my_commit):
            if vote is not None:
                core.state.outbox.broadcast(vote)


def _restore_checkpoint(core: Restored, record: CheckpointRecord | None) -> None:
    if record is None:
        return
    if not record.frames and record.sequence > core.state.config.base:
        raise core.state.breach(f"restore: nobody signed checkpoint {record.sequence}")
    certificate = CheckpointCertificate(
        sequence=record.sequence,
        state_root=record.state_root,
        log_root=record.log_root,
        timestamp=record.timestamp,
        frames=record.frames,
    )
    executor = core.state.executor
    if record.sequence == core.state.executed and (
        core.state.application.root() != record.state_root or executor.log_root() != record.log_root
    ):
        raise core.state.breach(f"restore: the state is not that of checkpoint {record.sequence}")
    core.checkpoints.restore(certificate if record.frames else None)
    if record.frames:
        core.contradictions.on_stable(certificate)
    core.state.log.prune(record.sequence)


def restore_checkpoint(core: Restored, record: SlotRecord) -> None:
    """Takes an own CHECKPOINT above the stable one."""
    if record.sequence > core.state.log.stable:
        message = core.state.signer.open(record.frames[0]).message
        core.checkpoints.remember(message, record.frames[0])


def _restore_view(core: Subprotocols, slots: list[SlotRecord]) -> None:
    """Restores the view entered last, or the one to which this replica is bound by its VIEW-CHANGE."""
    entered = max((record.view for record in slots if record.phase == "view"), default=0)
    promised = max((record.view for record in slots if record.phase == "view_change"), default=0)
    for record in slots:
        if record.phase == "new_view" and record.view == entered:
            core.view_change.restore_active(record.frames[0], record.frames[1:])
    if promised > entered:
        for record in slots:
            if record.phase == "view_change" and record.view == promised:
                probe("restore.bound_by_a_view_change")
                core.view_change.restore_changing(record.frames[0])
    core.view_change.restore_promise(promised)


def _restore_slot(core: Subprotocols, record: SlotRecord) -> None:
    opened = core.state.signer.open(record.frames[0])
    message = opened.message
    sequence = record.sequence
    if record.body:
        core.state.bodies.add(open_body(record.body, core.state.signer), sequence, core.state.executed)
    if record.phase == "checkpoint":
        restore_checkpoint(core, record)
        return
    if record.phase == "prepared":
        known = core.state.log.certificates.get(sequence)
        if known is None or known.view < record.view:
            proof = PreparedProof(record.frames[0], record.frames[1:])
            found = Prepared(record.view, sequence, message.digest, proof)
            core.state.log.certificates[sequence] = found
    if record.phase in VOTES and message.sender == core.state.index:
        core.state.own_votes.cast(
            view=record.view, sequence=sequence, phase=record.phase, digest=message.digest
        )
    if core.state.views.is_active(record.view):
        _restore_open_slot(core, record, message.digest)


def _restore_open_slot(core: Subprotocols, record: SlotRecord, digest: bytes) -> None:
    """Restores a slot of the current view: its proposal, its PREPAREs and the own votes."""
    slot = core.state.log.open(record.sequence, record.view, core.state.now.monotonic)
    frame = record.frames[0]
    if record.phase == "pre_prepare":
        slot.place(digest, frame, core.state.now.monotonic)
        slot.digest = slot.durable_digest = digest
    elif record.phase == "prepare":
        probe("restore.open_slot_with_own_prepare")
        slot.my_prepare = frame
        if core.state.index not in slot.prepares.votes:
            slot.prepares.add(core.state.index, digest, frame)
    elif record.phase == "prepared":
        slot.proposals.setdefault(digest, frame)
        slot.prepared = digest
        for prepare in record.frames[1:]:
            sender = core.state.signer.open(prepare).message.sender
            if sender not in slot.prepares.votes:
                slot.prepares.add(sender, digest, prepare)
    elif record.phase == "commit":
        probe("restore.open_slot_with_own_commit")
        slot.my_commit = frame
        slot.commits.add(core.state.index, digest, frame)
