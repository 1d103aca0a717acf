"""Persist before sending, and what a restart must restore: P11 and P20, R4 to R11."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    Effects,
    EntryRecord,
    Executor,
    Host,
    JournalError,
    JournalFenced,
    Outbox,
    Rejoin,
    RejoinSequences,
    Replica,
    SelfMessageGuard,
    SlotRecord,
    StateRecord,
    TurnLost,
    Voting,
    planning,
    pump,
    restore,
)


def forgets(plant: Plant, lost: Callable[[Any], bool]) -> None:
    """Records of one kind do not become durable."""
    persist = Outbox.persist

    def without(self: Outbox, record: Any) -> None:
        if not lost(record):
            persist(self, record)

    plant.put(Outbox, "persist", without)


def _is_slot(phase: str) -> Callable[[Any], bool]:
    return lambda record: isinstance(record, SlotRecord) and record.phase == phase


@mutant("proposal-not-kept", "R6 P11")
def proposal_not_kept(plant: Plant) -> None:
    """PREPARE leaves though the PRE-PREPARE with its batch is not durable."""
    forgets(plant, _is_slot("pre_prepare"))


@mutant("certificate-not-kept", "R6 P11")
def certificate_not_kept(plant: Plant) -> None:
    """COMMIT leaves though the prepared certificate is not durable."""
    forgets(plant, _is_slot("prepared"))


@mutant("view-change-not-kept", "R6 R29")
def view_change_not_kept(plant: Plant) -> None:
    """VIEW-CHANGE leaves though it is not durable."""
    forgets(plant, _is_slot("view_change"))


@mutant("new-view-not-kept", "R6 R33", world="leaderless")
def new_view_not_kept(plant: Plant) -> None:
    """NEW-VIEW leaves though it is not durable."""
    forgets(plant, _is_slot("new_view"))


@replaces(Host, "_finish", "sends-before-persisting", "R6 R8 P11")
def speaks_first(finish: Any, self: Host, effects: Effects, now: Any) -> None:
    """Messages leave before the journal has the turn."""
    for send in effects.send:
        self.transport.send(send)
    effects.send = []
    finish(self, effects, now)


@replaces(pump, "_must_last", "never-syncs", "R6 R9", world="crashes")
def never_syncs(*_arguments: Any) -> Any:
    """No turn is synced; votes leave while their records can still be lost."""
    return False


def unsynced(plant: Plant, *phases: str) -> None:
    """A turn that writes a record of these phases is not synced."""
    right = pump._must_last

    def mutant(effects: Effects) -> bool:
        return right(effects) and not any(
            isinstance(record, SlotRecord) and record.phase in phases for record in effects.persist
        )

    plant.put(pump, "_must_last", mutant)


@mutant("prepare-not-synced", "R6", world="power-cut")
def prepare_not_synced(plant: Plant) -> None:
    """The turn that writes the PRE-PREPARE with its batch is not synced before PREPARE leaves."""
    unsynced(plant, "pre_prepare", "prepare")


@mutant("commit-not-synced", "R6", world="power-cut")
def commit_not_synced(plant: Plant) -> None:
    """The turn that writes the prepared certificate is not synced before COMMIT leaves."""
    unsynced(plant, "prepared", "commit")


@mutant("checkpoint-not-synced", "R7", world="power-cut")
def checkpoint_not_synced(plant: Plant) -> None:
    """The turn that writes the own CHECKPOINT is not synced before it leaves."""
    unsynced(plant, "checkpoint")


@mutant("view-change-not-synced", "R6 R29", world="power-cut")
def view_change_not_synced(plant: Plant) -> None:
    """The turn that writes the VIEW-CHANGE is not synced before it leaves."""
    unsynced(plant, "view_change")


@mutant("new-view-not-synced", "R6 R33", world="power-cut")
def new_view_not_synced(plant: Plant) -> None:
    """The turn that writes the NEW-VIEW and the view is not synced before it leaves."""
    unsynced(plant, "new_view", "view")


@replaces(restore, "_restore_slot", "restart-forgets-votes", "R7 P11", world="crashes")
def restart_forgets(right: Any, core: Any, record: SlotRecord) -> None:
    """A restarted replica does not restore its own votes."""
    if record.phase not in ("prepare", "commit", "pre_prepare"):
        right(core, record)


@replaces(restore, "_restore_view", "restart-forgets-promise", "R7 R29", world="crashes", seed=14)
def restart_forgets_promise(right: Any, core: Any, slots: Any) -> None:
    """A restarted replica forgets that it left its view, and votes in it again."""
    right(core, [record for record in slots if record.phase != "view_change"])


@replaces(restore, "restore", "restart-forgets-certificates", "R6 R33", world="all-crash")
def restart_forgets_certificates(right: Any, core: Any, tail: Any) -> None:
    """A restarted replica's VIEW-CHANGE carries nothing that was prepared before."""
    slots = tuple(record for record in tail.slots if record.phase != "prepared")
    right(core, msgspec.structs.replace(tail, slots=slots))


@replaces(Host, "_finish", "full-disk-ignored", "R8", world="full-disks")
def full_disk(finish: Any, self: Host, effects: Effects, now: Any) -> None:
    """If persisting fails, the turn's messages are sent all the same."""
    with suppress(JournalError):
        self.journal.append(effects.persist)
    finish(self, Effects([], effects.send, effects.reply, effects.notes), now)


@replaces(Host, "_finish", "fenced-process-sends", "R10", world="two-processes")
def fenced_speaks(finish: Any, self: Host, effects: Effects, now: Any) -> None:
    """A process whose ledger another one has taken over continues from memory."""
    try:
        finish(self, effects, now)
    except TurnLost as lost:
        if not isinstance(lost.__cause__, JournalFenced):
            raise
        self._dead = False
        finish(self, Effects([], effects.send, effects.reply, effects.notes), now)


@mutant("entries-not-kept", "R9 P20")
def entries_not_kept(plant: Plant) -> None:
    """Clients are answered, but the log entry is not written."""
    forgets(plant, lambda record: isinstance(record, EntryRecord))


@replaces(Executor, "restore", "rows-replayed-twice", "R9 P20", world="crashes")
def rows_twice(right: Any, self: Executor, tail: Any, signer: Any) -> Any:
    """After a restart the entry that the rows already contain is executed once more."""
    applied = tail.applied_sequence
    if any(record.entry.sequence == applied for record in tail.entries):
        tail = msgspec.structs.replace(tail, applied_sequence=applied - 1)
    return right(self, tail, signer)


@replaces(Host, "_write_rows", "half-of-rows-written", "R9 P20", world="crashes")
def rows_by_half(right: Any, self: Host) -> None:
    """Only every second of the changed rows is written."""
    changes = self.application.changes
    self.application.changes = lambda: changes()[::2]  # type: ignore[method-assign]
    try:
        right(self)
    finally:
        del self.application.changes


@mutant("votes-without-ledger", "R11 P11", world="lost-disks")
def votes_without_ledger(plant: Plant) -> None:
    """A member whose ledger was lost votes as if it had its memory."""
    right = Replica.__init__

    def mutant(self: Replica, config: Any, signer: Any, application: Any, _voting: bool, *more: Any) -> None:
        right(self, config, signer, application, True, *more)

    plant.put(Replica, "__init__", mutant)
    plant.put(Voting, "lose", lambda self, reason: None)


@replaces(SelfMessageGuard, "refuse", "any-own-statement-costs-vote", "R11", world="impostor")
def any_own(*_arguments: Any) -> None:
    """Any statement in its own name that comes back costs a member its vote, whether it sent it or not."""


@mutant("vote-flag-not-kept", "R11", world="lost-disks", seed=1)
def flag_not_kept(plant: Plant) -> None:
    """A member that may not vote does not write that down."""
    forgets(plant, lambda record: isinstance(record, StateRecord))


@replaces(RejoinSequences, "is_wanted", "vote-back-by-traffic-alone", "R11", world="lost-disks-at-rest")
def by_traffic_alone(*_arguments: Any) -> bool:
    """An idle primary orders nothing for a member that waits for its vote."""
    return False


@replaces(RejoinSequences, "accept", "empty-batches-for-votes-refused", "R11", world="lost-disks-at-rest")
def never_accepts(*_arguments: Any) -> bool:
    """A backup gives no PREPARE for an empty batch that helps a member to its vote."""
    return False


@replaces(Rejoin, "view_due", "vote-back-in-the-same-view", "R11", world="unheard-view-change", seed=18)
def same_view(_right: Any, self: Any) -> Any:
    """A lost vote comes back in the view in which the others are, though a VIEW-CHANGE that the other members
    did not show may bind the member to the next one."""
    return self._shown_view


@replaces(planning, "_view_changes", "recovery-ignores-prepared", "R11 R6", world="recovery-from-prepared")
def ignores_prepared(right: Any, reading: Any) -> Any:
    """An offline recovery takes executed entries alone, without what members hold prepared above them."""
    return [msgspec.structs.replace(each, prepared=()) for each in right(reading)]
