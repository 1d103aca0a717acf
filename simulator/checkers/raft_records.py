"""What the records of a Raft member's ledger still hold after a restart (R44)."""

from __future__ import annotations

from dtvn.protocol import canonical
from dtvn.protocol.consensus import RAFT_ACCEPTED
from dtvn.protocol.consensus.effects import EntryRecord, SlotRecord
from simulator.disk import Image


def is_accepted(disk: Image, known: EntryRecord) -> bool:
    """Whether a Raft member that starts anew still has this entry in its log: it accepted it, no record of it
    is of a later term, and no lower entry was accepted in a higher term (R44)."""
    epoch, sequence = known.entry.epoch, known.entry.sequence
    newest: dict[int, SlotRecord] = {}
    for slot in sorted(disk.slots.values(), key=lambda slot: slot.view):
        if slot.phase == "append" and slot.epoch == epoch and slot.sequence <= sequence:
            newest[slot.sequence] = slot
    mine = newest.get(sequence)
    kept = disk.states.get(RAFT_ACCEPTED)
    nothing = epoch, 0, 0
    of, index, term = nothing if kept is None else canonical.decode(tuple[int, int, int], kept.value)
    above = term if of == epoch and sequence > index else 0
    highest = max([slot.view for slot in newest.values()] + [above])
    return mine is not None and mine.body == known.body and mine.view == highest
